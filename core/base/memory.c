#include "base/memory.h"

#include "base/error.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

/* Of what is available, one part in so many is left to the system and to what else is running. */
#define RESERVE 32

size_t kv_layout_add(struct kv_layout *layout, size_t count_a, size_t count_b, size_t element_bytes)
{
    size_t bytes, end, offset = layout->bytes;
    if (__builtin_mul_overflow(count_a, count_b, &bytes) || __builtin_mul_overflow(bytes, element_bytes, &bytes) ||
        __builtin_add_overflow(bytes, (size_t)KV_ALIGNMENT - 1, &bytes) ||
        __builtin_add_overflow(offset, bytes / KV_ALIGNMENT * KV_ALIGNMENT, &end)) {
        layout->overflow = true;
        return 0;
    }
    layout->bytes = end;
    return offset;
}

/* One whole number from a file whose line starts with `label` ("" for the file's first word). */
static bool read_number(const char *file, const char *label, unsigned long long *value)
{
    FILE *stream = fopen(file, "re");
    if (!stream)
        return false;
    char line[256];
    bool found = false;
    const size_t length = strlen(label);
    while (!found && fgets(line, sizeof line, stream))
        found = strncmp(line, label, length) == 0 && sscanf(line + length, "%llu", value) == 1;
    fclose(stream);
    return found;
}

size_t kv_memory_available(void)
{
    unsigned long long kib, limit, used;
    size_t available = SIZE_MAX;
    if (read_number("/proc/meminfo", "MemAvailable:", &kib))
        available = (size_t)kib * 1024;
    /* "max" is no number, so an unlimited control group leaves the figure as it is. */
    if (read_number("/sys/fs/cgroup/memory.max", "", &limit) &&
        read_number("/sys/fs/cgroup/memory.current", "", &used)) {
        const size_t left = limit > used ? (size_t)(limit - used) : 0;
        available = left < available ? left : available;
    }
    return available;
}

kv_status kv_block_allocate(struct kv_block *block, const struct kv_layout *layout, const char *what,
                            struct kv_error *error)
{
    const double gib = 1024.0 * 1024 * 1024;
    *block = (struct kv_block){0};
    if (layout->overflow)
        return kv_fail(error, KV_ERROR_MEMORY, "%s: the size overflows; use a smaller shape", what);
    size_t available = kv_memory_available();
    available -= available / RESERVE;
    if (layout->bytes > available)
        return kv_fail(error, KV_ERROR_MEMORY, "%s: needs %.2f GiB of memory, %.2f GiB are available; use less", what,
                       (double)layout->bytes / gib, (double)available / gib);
    const size_t bytes = layout->bytes ? layout->bytes : KV_ALIGNMENT;
    void *base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED)
        return kv_fail(error, KV_ERROR_MEMORY, "%s: the system refused %.2f GiB of memory; use less", what,
                       (double)bytes / gib);
    madvise(base, bytes, MADV_HUGEPAGE); /* a wish: fewer TLB misses while weights stream by */
    block->base = base;
    block->bytes = bytes;
    return KV_OK;
}

void kv_block_free(struct kv_block *block)
{
    if (block->base)
        munmap(block->base, block->bytes);
    *block = (struct kv_block){0};
}
