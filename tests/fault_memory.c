/* Preloaded: the KV_FAULT-th allocation since main began fails, and KV_FAULT_LOG, a file, gets how many there were. Asked
 * for by the program, libc, jansson, pcre2 or libstdc++; those of OpenBLAS and of the loader are not ours to handle. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *block, size_t bytes);

enum { MOST_RANGES = 16 };
static struct {
    uintptr_t begin, end;
} ranges[MOST_RANGES];
static int n_ranges;
static bool started;
static atomic_long n_allocations;
static long failing;

static int add_range(struct dl_phdr_info *info, size_t size, void *data)
{
    static const char *const ours[] = {"libc.so", "libjansson", "libpcre2", "libstdc++"};
    bool wanted = !*info->dlpi_name; /* the program itself */
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        wanted = wanted || strstr(info->dlpi_name, ours[i]);
    for (int i = 0; wanted && i < info->dlpi_phnum && n_ranges < MOST_RANGES; i++)
        if (info->dlpi_phdr[i].p_type == PT_LOAD && info->dlpi_phdr[i].p_flags & PF_X) {
            ranges[n_ranges].begin = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
            ranges[n_ranges].end = ranges[n_ranges].begin + info->dlpi_phdr[i].p_memsz;
            n_ranges++;
        }
    (void)size;
    (void)data;
    return 0;
}

static bool fails(const void *caller)
{
    bool ours = false;
    for (int i = 0; started && i < n_ranges; i++)
        ours = ours || ((uintptr_t)caller >= ranges[i].begin && (uintptr_t)caller < ranges[i].end);
    if (!ours || ++n_allocations != failing)
        return false;
    errno = ENOMEM;
    return true;
}

void *malloc(size_t bytes)
{
    return fails(__builtin_return_address(0)) ? NULL : __libc_malloc(bytes);
}

void *calloc(size_t count, size_t bytes)
{
    return fails(__builtin_return_address(0)) ? NULL : __libc_calloc(count, bytes);
}

void *realloc(void *block, size_t bytes)
{
    return fails(__builtin_return_address(0)) ? NULL : __libc_realloc(block, bytes);
}

static void write_log(void)
{
    char text[32];
    const long n = n_allocations;
    const char *file = getenv("KV_FAULT_LOG");
    started = false;
    const int fd = file ? open(file, O_WRONLY | O_CREAT | O_TRUNC, 0666) : -1;
    if (fd >= 0 && write(fd, text, (size_t)snprintf(text, sizeof text, "%ld\n", n)) < 0)
        _exit(125);
}

typedef int main_function(int argc, char **argv, char **environment);
static main_function *real_main;

static int counted_main(int argc, char **argv, char **environment)
{
    const char *fault = getenv("KV_FAULT");
    dl_iterate_phdr(add_range, NULL);
    failing = fault ? strtol(fault, NULL, 10) : 0;
    atexit(write_log);
    started = true;
    return real_main(argc, argv, environment);
}

int __libc_start_main(main_function *main, int argc, char **argv, void (*init)(void), void (*fini)(void),
                      void (*loader_fini)(void), void *stack_end);
int __libc_start_main(main_function *main, int argc, char **argv, void (*init)(void), void (*fini)(void),
                      void (*loader_fini)(void), void *stack_end)
{
    int (*start)(main_function *, int, char **, void (*)(void), void (*)(void), void (*)(void), void *);
    *(void **)&start = dlsym(RTLD_NEXT, "__libc_start_main");
    real_main = main;
    return start(counted_main, argc, argv, init, fini, loader_fini, stack_end);
}
