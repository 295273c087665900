/* Keys and values in every type that a cache keeps them in, by the cache's own functions: attention at every level
 * against its definition in double precision on what read() gives back, how near that is to what was appended, and that
 * neither the order of appending, nor who asks, nor what comes later changes a bit. Memory is NaN where nothing is. */
#include "guard.h"
#include "support.h"

#include "cache/cache.h"

#include <math.h>
#include <string.h>

#define U 0x1p-24 /* the relative error of one rounding */

enum { MAX_HEAD_SIZE = 96, MAX_POSITIONS = 600, MOST_QUERIES = 40, HEADS = 2, SEQUENCES = 2 };

/* One head of a cache of two by two: the last one, so that all before it is there. */
static const struct kv_cache_place place = {0, SEQUENCES - 1, HEADS - 1};

static float queries[MAX_POSITIONS][MAX_HEAD_SIZE], keys[MAX_POSITIONS][MAX_HEAD_SIZE];
static float values[MAX_POSITIONS][MAX_HEAD_SIZE];
static struct guard cache_guard, scratch_guard;

struct fixture {
    struct kv_cache cache;
    size_t bytes;
    int lengths[SEQUENCES];
};

static int create_guards(void **state)
{
    (void)state;
    guard_create(&cache_guard, (size_t)SEQUENCES * HEADS * 2 * (MAX_POSITIONS + 64) * (MAX_HEAD_SIZE + 8));
    guard_create(&scratch_guard, kv_attention_scratch(MAX_HEAD_SIZE) + 2 * (MAX_POSITIONS + 64) * (MAX_HEAD_SIZE + 8));
    return 0;
}

static int free_guards(void **state)
{
    (void)state;
    guard_free(&cache_guard);
    guard_free(&scratch_guard);
    return 0;
}

/* How the caches that are opened are laid out. */
static const char *layout_name;

/* An empty cache in memory of NaN that ends at a guard page. */
static void open_cache(struct fixture *f, const char *kv, int head_size, int n_positions)
{
    struct kv_error error;
    struct kv_layout layout = {0};
    memset(f, 0, sizeof *f);
    f->cache = (struct kv_cache){.n_layer = 1,
                                 .n_kv_head = HEADS,
                                 .head_size = head_size,
                                 .batch = SEQUENCES,
                                 .capacity = kv_round_to_key_block(n_positions),
                                 .lengths = f->lengths};
    assert_ok(kv_cache_find(layout_name, kv, &f->cache.kind, f->cache.numbers, &error), error);
    f->cache.kind->lay_out(&f->cache, &layout);
    assert_false(layout.overflow);
    f->bytes = layout.bytes;
    f->cache.base = f->cache.pages.base = (char *)guard_last(&cache_guard, layout.bytes / sizeof(float));
    f->cache.kind->start(&f->cache);
}

static void append(struct fixture *f, int n)
{
    const int first = f->lengths[place.sequence];
    int lengths[SEQUENCES];
    for (int b = 0; b < SEQUENCES; b++) /* all of them, so that blocks of a pool lie apart */
        lengths[b] = first + n;
    if (f->cache.kind->reserve)
        f->cache.kind->reserve(&f->cache, lengths);
    f->cache.kind->append(&f->cache, place, n, keys[first], values[first], MAX_HEAD_SIZE);
    f->lengths[place.sequence] += n;
}

static float read(const struct fixture *f, enum kv_cache_part part, int t, int d)
{
    return f->cache.kind->read(&f->cache, place, part, t, d);
}

static struct kv_attention attention_of(const struct fixture *f, int first, int n, float *out)
{
    return (struct kv_attention){
        .queries = queries[first],
        .query_stride = MAX_HEAD_SIZE,
        .n_queries = n,
        .first_position = first,
        .head_size = f->cache.head_size,
        .scale = 1.0f / sqrtf((float)f->cache.head_size),
        .out = out,
        .out_stride = MAX_HEAD_SIZE,
        .scratch = guard_last(&scratch_guard, f->cache.scratch),
    };
}

/* out [n][MAX_HEAD_SIZE] of the queries at positions first .. first + n - 1 */
static void attend(const struct fixture *f, const struct kv_kernels *kernels, int first, int n, float *out)
{
    struct kv_attention a = attention_of(f, first, n, out);
    f->cache.kind->attend(&f->cache, place, kernels, &a);
    assert_guard(&scratch_guard, f->cache.scratch);
}

/* Keys with what those of a model have: a channel's bias, a slow drift and outliers. */
static void fill(int head_size, uint64_t seed)
{
    uint64_t random = seed;
    for (int t = 0; t < MAX_POSITIONS; t++)
        for (int d = 0; d < head_size; d++) {
            queries[t][d] = random_float(&random);
            keys[t][d] = random_float(&random) + (d % 7 == 3 ? 4 : 0) + sinf((float)t / 90 + (float)d);
            values[t][d] = random_float(&random) * (d % 11 == 5 ? 3 : 1);
        }
}

static const int head_sizes[] = {1, 5, 8, 16, 17, 32, 33, 48, 64, 80, 96};
enum { N_HEAD_SIZES = sizeof head_sizes / sizeof head_sizes[0] };

/* And layouts: of pages, those that attention reads in place and those that it reads a copy of. */
static void for_types_and_sizes(void (*check)(const char *kv, int head_size))
{
    static const char *const layouts[] = {"contiguous", "paged:16", "paged:5"};
    for (size_t l = 0; l < sizeof layouts / sizeof *layouts; l++)
        for (int k = 0; kv_kv_choice(k); k++)
            for (int i = (int)l; i < N_HEAD_SIZES; i += l ? 4 : 1) {
                layout_name = layouts[l];
                fill(head_sizes[i], (uint64_t)i + 1);
                check(kv_kv_choice(k)->name, head_sizes[i]);
            }
    layout_name = NULL;
}

/* ---- Against the definition --------------------------------------------------------------------------------- */

static double norm(const float *x, int n)
{
    double sum = 0;
    for (int d = 0; d < n; d++)
        sum += (double)x[d] * (double)x[d];
    return sqrt(sum);
}

/* The roundings are those of test_attention.c; a rotation brings 24 more and makes sums of norms of what were sums of
 * products, a centre counts a key twice. */
static void check_query(const struct fixture *f, const char *isa, int position, const float *out)
{
    static float k[MAX_POSITIONS][MAX_HEAD_SIZE], v[MAX_POSITIONS][MAX_HEAD_SIZE];
    static double weights[MAX_POSITIONS];
    const int size = f->cache.head_size;
    double largest = -INFINITY, sum = 0, most_key = 0, most_value = 0;
    for (int t = 0; t <= position; t++) {
        double score = 0;
        for (int d = 0; d < size; d++) {
            k[t][d] = read(f, KV_CACHE_KEY, t, d);
            v[t][d] = read(f, KV_CACHE_VALUE, t, d);
            score += (double)queries[position][d] * (double)k[t][d] / sqrt(size);
        }
        weights[t] = score;
        largest = fmax(largest, score);
        most_key = fmax(most_key, norm(k[t], size));
        most_value = fmax(most_value, norm(v[t], size));
    }
    for (int t = 0; t <= position; t++)
        sum += weights[t] = exp(weights[t] - largest);
    const double score_size = norm(queries[position], size) * most_key / sqrt(size);
    const double bound = U * (6 * (size + 32) * score_size + 2 * position + 64) * most_value;
    for (int d = 0; d < size; d++) {
        double expected = 0;
        for (int t = 0; t <= position; t++)
            expected += weights[t] / sum * (double)v[t][d];
        if (!(fabs((double)out[d] - expected) <= bound))
            fail_msg("%s, %s, head size %d: position %d, dimension %d is %.9g, expected %.9g within %.3g",
                     kv_cache_kv_name(f->cache.kind), isa, size, position, d, (double)out[d], expected, bound);
    }
}

static void check_definition(const char *kv, int head_size)
{
    static const int firsts[] = {0, 3, 15, 16, 37, 250, 259, 511, 556};
    static const int counts[] = {1, 2, 9, MOST_QUERIES};
    static float out[MOST_QUERIES][MAX_HEAD_SIZE];
    struct fixture f;
    open_cache(&f, kv, head_size, MAX_POSITIONS);
    append(&f, MAX_POSITIONS);
    for (int level = 0; supported_kernels(level); level++)
        for (size_t i = 0; i < sizeof firsts / sizeof firsts[0]; i++)
            for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++) {
                attend(&f, supported_kernels(level), firsts[i], counts[c], &out[0][0]);
                check_query(&f, supported_kernels(level)->choice.name, firsts[i] + counts[c] - 1, out[counts[c] - 1]);
            }
}

static void test_definition(void **state)
{
    (void)state;
    for_types_and_sizes(check_definition);
}

/* ---- How near codes are ------------------------------------------------------------------------------------- */

static double largest_of(const float *x, int n)
{
    double largest = 0;
    for (int d = 0; d < n; d++)
        largest = fmax(largest, fabs((double)x[d]));
    return largest;
}

/* Of one key or value: bf16 and int8 by dimension, int4 by length, since it is rotated. Half a step of int8 is 1/254 of
 * the largest, a scale rounded up to bf16 makes it 1/128 larger. A step of int4 is 1/8 of the largest, and what has the
 * other sign may lose a whole one; a key is kept as what differs from the first of its block. */
static void check_near(const struct fixture *f, enum kv_cache_part part, int t)
{
    const int size = f->cache.head_size;
    const float *x = part == KV_CACHE_KEY ? keys[t] : values[t];
    const double apart = part == KV_CACHE_KEY ? norm(keys[t / KV_KEY_BLOCK * KV_KEY_BLOCK], size) : 0;
    double length = 0;
    for (int d = 0; d < size; d++) {
        const double error = fabs((double)read(f, part, t, d) - (double)x[d]);
        length += error * error;
        if (f->cache.kind->keys == KV_KEPT_F32)
            assert_true(error == 0);
        if (f->cache.kind->keys == KV_KEPT_BF16)
            assert_true(error <= 0x1p-8 * fabs((double)x[d]));
        if (f->cache.kind->keys == KV_KEPT_INT8)
            assert_true(error <= largest_of(x, size) / 254 * 1.01);
    }
    assert_true(sqrt(length) <= sqrt(size) * (norm(x, size) + apart) / 8 * 1.01);
}

static void check_codes(const char *kv, int head_size)
{
    struct fixture f;
    for (int d = 0; d < head_size; d++) {
        values[21][d] = keys[48][d] = 0; /* exact; the key is the first of its block */
        values[22][d] = ldexpf(1, -140); /* denormal: 0, or as it is */
        values[23][d] = 1e30f * values[24][d];
    }
    open_cache(&f, kv, head_size, 64);
    append(&f, 64);
    for (int t = 0; t < 64; t++) {
        check_near(&f, KV_CACHE_KEY, t);
        if (t != 22)
            check_near(&f, KV_CACHE_VALUE, t);
    }
    for (int d = 0; d < head_size; d++) {
        assert_true(read(&f, KV_CACHE_VALUE, 21, d) == 0 && read(&f, KV_CACHE_KEY, 48, d) == 0);
        assert_true(fabsf(read(&f, KV_CACHE_VALUE, 22, d)) <= 0x1p-139f);
    }
}

static void test_codes_are_near(void **state)
{
    (void)state;
    for_types_and_sizes(check_codes);
}

/* What every type keeps exactly comes out to the bit: of one position the weight is e^0 / e^0. */
static void test_exact_values(void **state)
{
    (void)state;
    for (int k = 0; kv_kv_choice(k); k++) {
        struct fixture f;
        float out[MAX_HEAD_SIZE];
        fill(64, 3);
        for (int d = 0; d < 64; d++)
            values[0][d] = d == 0 ? 127.0f : 0.0f; /* rotated, all are 127 / 8 */
        open_cache(&f, kv_kv_choice(k)->name, 64, 16);
        append(&f, 1);
        for (int level = 0; supported_kernels(level); level++) {
            attend(&f, supported_kernels(level), 0, 1, out);
            assert_memory_equal(out, values[0], 64 * sizeof *out);
        }
    }
}

/* ---- Bytes -------------------------------------------------------------------------------------------------- */

static void test_bytes(void **state)
{
    /* Of 64 dimensions and 16 positions: codes, scales, and for int4 a centre of 64 bytes and its scale. */
    static const size_t expected[] = {16 * 512, 16 * 256, 16 * (128 + 4), 16 * (64 + 4) + 64 + 2};
    const struct kv_config config = {.n_layer = 1, .n_head = HEADS, .n_embd = HEADS * 64};
    (void)state;
    for (int k = 0; kv_kv_choice(k); k++) {
        struct fixture f;
        fill(64, 1);
        open_cache(&f, kv_kv_choice(k)->name, 64, 512);
        assert_int_equal(f.cache.kind->live_bytes(&f.cache), 0);
        append(&f, 16);
        assert_int_equal(f.cache.kind->live_bytes(&f.cache), HEADS * expected[k]);
        assert_true(f.cache.kind->bytes(f.cache.kind, f.cache.numbers, &config, 16) == (double)(HEADS * expected[k]));
        assert_int_equal(f.cache.kind->reserved_bytes(&f.cache), f.bytes); /* 512: no part needs padding */
        append(&f, 1);                                                     /* the first of a block brings its centre */
        const size_t more = f.cache.kind->live_bytes(&f.cache) / HEADS - expected[k];
        assert_int_equal(more, k == KV_KEPT_INT4 ? 64 + 4 + 66 : expected[k] / 16);
    }
}

/* ---- Order -------------------------------------------------------------------------------------------------- */

static float once[MAX_POSITIONS][MAX_HEAD_SIZE], other[MAX_POSITIONS][MAX_HEAD_SIZE];

static void assert_same_bits(const struct fixture *f, int n)
{
    for (int t = 0; t < n; t++)
        if (memcmp(once[t], other[t], (size_t)f->cache.head_size * sizeof(float)) != 0)
            fail_msg("%s, head size %d: the bits of position %d differ", kv_cache_kv_name(f->cache.kind),
                     f->cache.head_size, t);
}

/* Appended and asked all at once, one by one, and a few at a time. */
static void check_order(const char *kv, int head_size)
{
    enum { N = 300 };
    for (int level = 0; supported_kernels(level); level++) {
        const struct kv_kernels *kernels = supported_kernels(level);
        struct fixture f;
        open_cache(&f, kv, head_size, N);
        append(&f, N);
        attend(&f, kernels, 0, N, once[0]);
        for (int together = 1; together <= 10; together += 9) {
            open_cache(&f, kv, head_size, N);
            for (int first = 0; first < N; first += together) {
                append(&f, together);
                attend(&f, kernels, first, together, other[first]);
            }
            assert_same_bits(&f, N);
        }
    }
}

static void test_order_changes_no_bit(void **state)
{
    (void)state;
    for_types_and_sizes(check_order);
}

/* Others behind a length, which are forgotten: as if they had never been. */
static void check_truncation(const char *kv, int head_size)
{
    enum { N = 300 };
    static const int lengths[] = {0, 1, 15, 16, 17, 40, 256, 299};
    const struct kv_kernels *kernels = supported_kernels(0);
    struct fixture f;
    open_cache(&f, kv, head_size, N);
    append(&f, N);
    attend(&f, kernels, 0, N, once[0]);
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        f.cache.kind->truncate(&f.cache, place.sequence, lengths[i]);
        for (int t = lengths[i]; t < N; t++)
            keys[t][0] *= -4;
        append(&f, N - lengths[i]);
        f.cache.kind->truncate(&f.cache, place.sequence, lengths[i]);
        for (int t = lengths[i]; t < N; t++)
            keys[t][0] /= -4;
        append(&f, N - lengths[i]);
        attend(&f, kernels, 0, N, other[0]);
        assert_same_bits(&f, N);
    }
}

static void test_truncation(void **state)
{
    (void)state;
    for_types_and_sizes(check_truncation);
}

/* A query whose parts are computed one by one and joined has the bits that it has in one call. */
static void check_parts(const char *kv, int head_size)
{
    enum { N_PARTS = (MAX_POSITIONS - 1) / KV_ATTENTION_PART + 1 };
    float partials[N_PARTS][2 + MAX_HEAD_SIZE], joined[MAX_HEAD_SIZE];
    struct fixture f;
    open_cache(&f, kv, head_size, MAX_POSITIONS);
    append(&f, MAX_POSITIONS);
    for (int level = 0; supported_kernels(level); level++) {
        const struct kv_kernels *kernels = supported_kernels(level);
        attend(&f, kernels, MAX_POSITIONS - 1, 1, once[0]);
        for (int part = N_PARTS - 1; part >= 0; part--) {
            struct kv_attention a = attention_of(&f, MAX_POSITIONS - 1, 1, NULL);
            a.part = part;
            a.partial = &partials[0][0] + part * (2 + head_size);
            f.cache.kind->attend(&f.cache, place, kernels, &a);
        }
        kernels->attention_join(&partials[0][0], N_PARTS, head_size, joined);
        assert_memory_equal(joined, once[0], (size_t)head_size * sizeof *joined);
    }
}

static void test_parts_join(void **state)
{
    (void)state;
    for_types_and_sizes(check_parts);
}

/* Garbage in one place of one key or value: positions before it keep every bit, and from it on a NaN is not hidden. */
static void check_garbage(const char *kv, int head_size)
{
    enum { N = 48 };
    static const float garbage[] = {NAN, INFINITY, -INFINITY};
    for (int level = 0; supported_kernels(level); level++) {
        const struct kv_kernels *kernels = supported_kernels(level);
        struct fixture f;
        open_cache(&f, kv, head_size, N);
        append(&f, N);
        attend(&f, kernels, 0, N, once[0]);
        for (int t = 0; t < N; t += 5)
            for (int g = 0; g < 6; g++) {
                float *at = g % 2 ? &keys[t][t % head_size] : &values[t][t % head_size];
                const float kept = *at;
                *at = garbage[g / 2];
                f.cache.kind->truncate(&f.cache, place.sequence, 0);
                append(&f, N);
                attend(&f, kernels, 0, N, other[0]);
                *at = kept;
                assert_same_bits(&f, t);
                for (int i = t; i < N && g < 2; i++) {
                    bool seen = false;
                    for (int d = 0; d < head_size; d++)
                        seen = seen || isnan(other[i][d]);
                    assert_true(seen);
                }
            }
    }
}

static void test_nothing_later_is_seen(void **state)
{
    (void)state;
    for_types_and_sizes(check_garbage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_definition),           cmocka_unit_test(test_codes_are_near),
        cmocka_unit_test(test_exact_values),         cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_order_changes_no_bit), cmocka_unit_test(test_truncation),
        cmocka_unit_test(test_parts_join),           cmocka_unit_test(test_nothing_later_is_seen),
    };
    return cmocka_run_group_tests_name("kept", tests, create_guards, free_guards);
}
