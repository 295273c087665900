#include "guard.h"

#include "support.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* A quiet NaN whose payload no arithmetic makes. */
static const uint32_t garbage = 0x7fc5a5a5;

static size_t page_bytes(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

void guard_create(struct guard *guard, size_t n)
{
    const size_t page = page_bytes();
    const size_t room = ((n + GUARD_MARGIN) * sizeof(float) + page - 1) / page * page;
    guard->bytes = room + 2 * page;
    guard->mapping = mmap(NULL, guard->bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(guard->mapping != MAP_FAILED);
    assert_int_equal(mprotect((char *)guard->mapping + page, room, PROT_READ | PROT_WRITE), 0);
    guard->end = (float *)((char *)guard->mapping + page + room);
}

void guard_free(struct guard *guard)
{
    assert_int_equal(munmap(guard->mapping, guard->bytes), 0);
}

int guards_create(struct guard *guards, const size_t *floats, int n)
{
    for (int i = 0; i < n; i++)
        guard_create(&guards[i], floats[i]);
    return 0;
}

int guards_free(struct guard *guards, int n)
{
    for (int i = 0; i < n; i++)
        guard_free(&guards[i]);
    return 0;
}

float *guard_last(struct guard *guard, size_t n)
{
    assert_true((n + GUARD_MARGIN) * sizeof(float) <= guard->bytes - 2 * page_bytes());
    float *first = guard->end - n;
    for (float *p = first - GUARD_MARGIN; p < guard->end; p++)
        memcpy(p, &garbage, sizeof garbage);
    return first;
}

float *guard_copy(struct guard *guard, const float *values, size_t n)
{
    return memcpy(guard_last(guard, n), values, n * sizeof *values);
}

void check_guard(const struct guard *guard, size_t n, const char *file, int line)
{
    const float *first = guard->end - n;
    for (int i = 1; i <= GUARD_MARGIN; i++)
        if (memcmp(first - i, &garbage, sizeof garbage) != 0) {
            print_error("%d floats before a buffer of %zu, something was written\n", i, n);
            _fail(file, line);
        }
}
