/* Changes to CSV files that leave them CSV: a field takes a value that tells, or that of another row; rows are doubled,
 * lost and swapped. Random bytes alone seldom get past the count of fields. */
#include "fuzz.h"

#include "base/random.h"

#include <string.h>

size_t LLVMFuzzerMutate(uint8_t *bytes, size_t n, size_t room);
size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t n, size_t room, unsigned int seed);

struct part {
    size_t at, n;
};

static const char *const values[] = {
    "",        "0",      "1",    "-1",      "2",         "1e-300",     "1e30",       "1e308",     "9007199254740993",
    "0.5",     "-0.0",   "nan",  "inf",     "0x10",      "ok",         "failed",     "skipped",   "stalled",
    "naive",   "cached", "f32",  "int8",    "int8/int4", "batch",      "quality",    "precision", "kernels",
    "kvbench", "llama",  "avx2", "\"a,b\"", "\"\"\"\"",  "2147483647", "2147483648", "1,2"};
enum { N_VALUES = sizeof values / sizeof *values };

/* A piece between two bytes of `ends`, around a random place. */
static struct part find_part(const uint8_t *bytes, size_t n, const char *ends, uint64_t random)
{
    size_t from = (size_t)(random % n), to = from;
    while (from > 0 && !strchr(ends, bytes[from - 1]))
        from--;
    while (to < n && !strchr(ends, bytes[to]))
        to++;
    return (struct part){from, to - from};
}

/* bytes [n] with `part` replaced by `value` [n_value], which is no part of it. */
static size_t replace(uint8_t *bytes, size_t n, size_t room, struct part part, const uint8_t *value, size_t n_value)
{
    if (n - part.n + n_value > room)
        return n;
    memmove(bytes + part.at + n_value, bytes + part.at + part.n, n - part.at - part.n);
    memcpy(bytes + part.at, value, n_value);
    return n - part.n + n_value;
}

/* `to` becomes a copy of `from`. */
static size_t copy_part(uint8_t *bytes, size_t n, size_t room, struct part from, struct part to)
{
    uint8_t copy[2048];
    if (from.n > sizeof copy)
        return n;
    memcpy(copy, bytes + from.at, from.n);
    return replace(bytes, n, room, to, copy, from.n);
}

size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t n, size_t room, unsigned int seed)
{
    const uint64_t first = kv_draw64(seed, 0), second = kv_draw64(seed, 1);
    if (n < 2 || seed % 4 == 0)
        return LLVMFuzzerMutate(bytes, n, room);
    const char *value = values[kv_draw64(seed, 2) % N_VALUES];
    const struct part field = find_part(bytes, n, ",\n", first), line = find_part(bytes, n, "\n", first);
    switch (seed % 8) {
    case 1:
    case 2:
    case 3:
        return replace(bytes, n, room, field, (const uint8_t *)value, strlen(value));
    case 5:
        return copy_part(bytes, n, room, find_part(bytes, n, ",\n", second), field);
    case 6: /* another row in its place */
        return copy_part(bytes, n, room, find_part(bytes, n, "\n", second), line);
    default: {
        const struct part whole = {line.at, line.n + (line.at + line.n < n)};
        return second % 2 ? replace(bytes, n, room, whole, (const uint8_t *)"", 0)
                          : copy_part(bytes, n, room, whole, (struct part){line.at, 0});
    }
    }
}
