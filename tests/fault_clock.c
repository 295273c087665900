/* Preloaded: clocks that stand still (KV_CLOCK=still), as where a time source is broken; or a time of day that jumps an
 * hour back and forth with every reading (KV_CLOCK=jumps). */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *now)
{
    static atomic_long n_readings;
    const char *kind = getenv("KV_CLOCK");
    const int status = (int)syscall(SYS_clock_gettime, clock, now);
    if (kind && strcmp(kind, "still") == 0)
        *now = (struct timespec){1700000000, 0};
    else if (kind && clock == CLOCK_REALTIME && n_readings++ % 2)
        now->tv_sec -= 3600;
    return status;
}

time_t time(time_t *result)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (result)
        *result = now.tv_sec;
    return now.tv_sec;
}
