/* safetensors files made from a seed, and damaged where damage tells: random bytes alone hardly ever get past the
 * header. */
#include "fuzz.h"

#include "base/random.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct draw {
    uint64_t seed, index;
};

static size_t below(struct draw *draw, size_t n)
{
    return (size_t)(kv_draw64(draw->seed, draw->index++) % n);
}

static void put_length(uint8_t *bytes, uint64_t length)
{
    for (int i = 0; i < 8; i++)
        bytes[i] = (uint8_t)(length >> (8 * i));
}

static uint64_t get_length(const uint8_t *bytes)
{
    uint64_t length = 0;
    for (int i = 0; i < 8; i++)
        length |= (uint64_t)bytes[i] << (8 * i);
    return length;
}

/* ---- Right files --------------------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    size_t bytes;
} dtypes[] = {{"F32", 4}, {"F16", 2}, {"BF16", 2}, {"F64", 8}, {"I64", 8}, {"I8", 1}, {"BOOL", 1}, {"F8_E4M3", 1}};
enum { N_DTYPES = sizeof dtypes / sizeof *dtypes };

static const char *const names[] = {"wte.weight", "h.0.attn.c_attn.bias", "a",          "",
                                    "\\u00e9",    "b \\\"quoted\\\"",     "\xc3\xa9 2", "x/y"};
enum { N_NAMES = sizeof names / sizeof *names };

struct text {
    char *at;
    size_t n, room;
};

__attribute__((format(printf, 2, 3))) static void add(struct text *text, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    const int n = vsnprintf(text->at + text->n, text->room - text->n, format, arguments);
    va_end(arguments);
    text->n += (size_t)n < text->room - text->n ? (size_t)n : 0;
}

/* An entry at `begin` of the data; where it ends. */
static size_t add_entry(struct text *text, struct draw *draw, const char *name, size_t begin)
{
    const size_t type = below(draw, N_DTYPES), n_dims = below(draw, 4);
    size_t elements = 1;
    add(text, "\"%s\":{\"dtype\":\"%s\",\"shape\":[", name, dtypes[type].name);
    for (size_t i = 0; i < n_dims; i++) {
        const size_t size = below(draw, 8) == 0 ? 0 : 1 + below(draw, 5);
        elements *= size;
        add(text, "%s%zu", i ? "," : "", size);
    }
    const size_t end = begin + elements * dtypes[type].bytes;
    add(text, "],\"data_offsets\":[%zu,%zu]}", begin, end);
    return end;
}

void fuzz_make_safetensors(uint8_t *bytes, size_t *n, size_t room, uint64_t seed)
{
    struct draw draw = {seed, 0};
    char header[4096];
    struct text text = {header, 0, sizeof header};
    const size_t n_tensors = below(&draw, 5), first = below(&draw, N_NAMES);
    size_t end = 0;
    add(&text, "{");
    if (below(&draw, 3) == 0)
        add(&text, "\"__metadata__\":{\"format\":\"pt\"}%s", n_tensors ? "," : "");
    for (size_t i = 0; i < n_tensors; i++) {
        end = add_entry(&text, &draw, names[(first + i) % N_NAMES], end);
        add(&text, i + 1 < n_tensors ? ", " : "");
    }
    add(&text, "}%*s", (int)below(&draw, 16), "");
    *n = 8 + text.n + end;
    if (*n > room) { /* what fits nowhere is the smallest file there is */
        text.n = (size_t)snprintf(header, sizeof header, "{}");
        *n = 8 + text.n;
        end = 0;
    }
    put_length(bytes, text.n);
    memcpy(bytes + 8, header, text.n);
    for (size_t i = 0; i < end; i++)
        bytes[8 + text.n + i] = (uint8_t)kv_draw64(seed, 1000 + i);
}

/* ---- Damage -------------------------------------------------------------------------------------------------- */

/* What stands at `from` [n_from] becomes `to`, and the header's length follows unless `honest` is false. */
static size_t replace(uint8_t *bytes, size_t n, size_t room, size_t from, size_t n_from, const char *to)
{
    const size_t n_to = strlen(to);
    if (n - n_from + n_to > room)
        return n;
    memmove(bytes + from + n_to, bytes + from + n_from, n - from - n_from);
    memcpy(bytes + from, to, n_to);
    put_length(bytes, get_length(bytes) - n_from + n_to);
    return n - n_from + n_to;
}

/* A number of the header that begins at or behind `from`; its length, 0: there is none. */
static size_t find_number(const uint8_t *bytes, size_t end, size_t *from)
{
    while (*from < end && !(bytes[*from] >= '0' && bytes[*from] <= '9'))
        ++*from;
    size_t n = 0;
    while (*from + n < end && bytes[*from + n] >= '0' && bytes[*from + n] <= '9')
        n++;
    return n;
}

static size_t damage_number(uint8_t *bytes, size_t n, size_t room, size_t end, struct draw *draw)
{
    static const char *const numbers[] = {"0",   "1",   "-1",  "4294967296", "18446744073709551615",
                                          "1e2", "1.0", "007", "null",       "9223372036854775807"};
    size_t from = 8 + below(draw, end - 8);
    const size_t length = find_number(bytes, end, &from);
    unsigned long value = 0;
    char text[32];
    if (!length || length > 18)
        return n;
    for (size_t i = 0; i < length; i++)
        value = 10 * value + (unsigned long)(bytes[from + i] - '0');
    const size_t kind = below(draw, 8);
    snprintf(text, sizeof text, "%lu", kind == 0 ? value + 1 : (kind == 1 && value ? value - 1 : 2 * value));
    return replace(bytes, n, room, from, length,
                   kind < 3 ? text : numbers[below(draw, sizeof numbers / sizeof *numbers)]);
}

static size_t insert_text(uint8_t *bytes, size_t n, size_t room, size_t end, struct draw *draw)
{
    static const char *const texts[] = {" ",
                                        "{",
                                        "}",
                                        ",",
                                        "\"",
                                        "\n",
                                        "[",
                                        "\\",
                                        "\\u0000",
                                        "\\ud800",
                                        "\xff",
                                        "F32",
                                        "\"a\":{\"dtype\":\"I8\",\"shape\":[0],\"data_offsets\":[0,0]},",
                                        "\"__metadata__\":{\"a\":1},",
                                        "\"__metadata__\":[],",
                                        "\"more\":0,"};
    const char *text = texts[below(draw, sizeof texts / sizeof *texts)];
    return replace(bytes, n, room, below(draw, 3) == 0 ? 8 : 9 + below(draw, end - 8), 0, text);
}

size_t fuzz_damage_safetensors(uint8_t *bytes, size_t n, size_t room, uint64_t seed)
{
    struct draw draw = {~seed, 0};
    const uint64_t length = n < 8 ? 0 : get_length(bytes);
    if (n < 8 || length > n - 8 || length < 2)
        return n;
    const size_t end = 8 + (size_t)length;
    switch (below(&draw, 8)) {
    case 0: /* a length that lies */
        put_length(bytes, length + 8 - below(&draw, 17));
        return n;
    case 1: /* the end is lost, or there is more */
        if (below(&draw, 2) || n == room)
            return n - 1;
        bytes[n] = 0;
        return n + 1;
    case 2:
        bytes[8 + below(&draw, n - 8)] ^= (uint8_t)(1 + below(&draw, 255));
        return n;
    case 3: /* a piece of the header */
        return replace(bytes, n, room, 8 + below(&draw, (size_t)length), 1, "");
    case 4:
    case 5:
        return insert_text(bytes, n, room, end - 1, &draw);
    default:
        return damage_number(bytes, n, room, end, &draw);
    }
}

#ifdef KV_FUZZER
size_t LLVMFuzzerMutate(uint8_t *bytes, size_t n, size_t room);
size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t n, size_t room, unsigned int seed);

/* Of the targets whose inputs are such files. */
size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t n, size_t room, unsigned int seed)
{
    if (seed % 16 == 0 && room >= 16)
        fuzz_make_safetensors(bytes, &n, room, seed);
    else if (seed % 2)
        return LLVMFuzzerMutate(bytes, n, room);
    return fuzz_damage_safetensors(bytes, n, room, seed);
}
#endif
