/* Causal attention of one head, at every level that this machine has, against its definition in double precision.
 * All buffers end at a guard page, and what a call must not use is NaN. */
#include "guard.h"
#include "unit.h"

#include <math.h>
#include <string.h>

/* Half a unit in the last place of 1: the relative error of one rounding. */
#define U 0x1p-24

#define MAX_HEAD_SIZE 128
#define MAX_POSITIONS 1100
#define MAX_CAPACITY  (MAX_POSITIONS / KV_KEY_BLOCK * KV_KEY_BLOCK + 2 * KV_KEY_BLOCK)

/* One head: what every position brings and what must come out of it, whichever positions are asked together. */
struct head {
    int size, n_positions;
    float scale;
    float queries[MAX_POSITIONS][MAX_HEAD_SIZE];
    float keys[MAX_POSITIONS][MAX_HEAD_SIZE];
    float values[MAX_POSITIONS][MAX_HEAD_SIZE];
    bool exact_scores; /* small whole numbers: no rounding in them */
    double out[MAX_POSITIONS][MAX_HEAD_SIZE];
    double bound[MAX_POSITIONS];
};
static struct head head;

/* How one call is laid out. */
struct layout {
    int first_position, n_queries;
    int spare_blocks; /* of capacity, never used */
    int gap;          /* floats between one query and the next, of outputs too */
};

enum { QUERIES, KEYS, VALUES, OUT, SCRATCH, N_GUARDS };
static struct guard guards[N_GUARDS];

static int create_guards(void **state)
{
    const size_t floats[N_GUARDS] = {
        [QUERIES] = (size_t)64 * (MAX_HEAD_SIZE + 8),    [KEYS] = (size_t)MAX_CAPACITY * MAX_HEAD_SIZE,
        [VALUES] = (size_t)MAX_CAPACITY * MAX_HEAD_SIZE, [OUT] = (size_t)64 * (MAX_HEAD_SIZE + 8),
        [SCRATCH] = kv_attention_scratch(MAX_HEAD_SIZE),
    };
    (void)state;
    return guards_create(guards, floats, N_GUARDS);
}

static int free_guards(void **state)
{
    (void)state;
    return guards_free(guards, N_GUARDS);
}

/* ---- The reference -------------------------------------------------------------------------------- */

/* A score is off by head_size + 1 roundings of the size of its summands, which is the weight's relative error, and
 * the shift by the largest score brings the same again; then come the power, and a sum over the positions. */
static void compute_position(int position)
{
    double scores[MAX_POSITIONS], largest = -INFINITY, sum = 0, size = 0, largest_value = 0;
    for (int t = 0; t <= position; t++) {
        double score = 0, score_size = 0;
        for (int d = 0; d < head.size; d++) {
            const double product = (double)head.queries[position][d] * (double)head.keys[t][d] * (double)head.scale;
            score += product;
            score_size += fabs(product);
            largest_value = fmax(largest_value, fabs((double)head.values[t][d]));
        }
        scores[t] = score;
        largest = fmax(largest, score);
        size = fmax(size, score_size);
    }
    for (int t = 0; t <= position; t++)
        sum += scores[t] = exp(scores[t] - largest);
    for (int d = 0; d < head.size; d++) {
        head.out[position][d] = 0;
        for (int t = 0; t <= position; t++)
            head.out[position][d] += scores[t] / sum * (double)head.values[t][d];
    }
    const double in_scores = head.exact_scores ? 0 : 2 * (head.size + 2) * size;
    head.bound[position] = U * (in_scores + 2 * position + 16) * largest_value;
}

static void compute_head(void)
{
    for (int position = 0; position < head.n_positions; position++)
        compute_position(position);
}

static void fill_head(int size, int n_positions)
{
    uint64_t random = 0x9e3779b97f4a7c15u + (uint64_t)size;
    head.size = size;
    head.n_positions = n_positions;
    head.scale = 1.0f / sqrtf((float)size);
    head.exact_scores = false;
    for (int t = 0; t < n_positions; t++)
        for (int d = 0; d < size; d++) {
            head.queries[t][d] = 3 * random_float(&random);
            head.keys[t][d] = 3 * random_float(&random);
            head.values[t][d] = random_float(&random);
        }
    compute_head();
}

/* ---- One call ------------------------------------------------------------------------------------- */

static int capacity_of(const struct layout *layout)
{
    const int n = layout->first_position + layout->n_queries;
    return ((n + KV_KEY_BLOCK - 1) / KV_KEY_BLOCK + layout->spare_blocks) * KV_KEY_BLOCK;
}

/* [capacity / KV_KEY_BLOCK][size][KV_KEY_BLOCK], NaN where no position is */
static const float *lay_keys(int n_positions, int capacity)
{
    float *keys = guard_last(&guards[KEYS], (size_t)capacity * (size_t)head.size);
    for (int t = 0; t < n_positions; t++)
        for (int d = 0; d < head.size; d++)
            keys[(t / KV_KEY_BLOCK * head.size + d) * KV_KEY_BLOCK + t % KV_KEY_BLOCK] = head.keys[t][d];
    return keys;
}

/* [capacity][size] */
static const float *lay_values(int n_positions, int capacity)
{
    float *values = guard_last(&guards[VALUES], (size_t)capacity * (size_t)head.size);
    for (int t = 0; t < n_positions; t++)
        memcpy(values + t * head.size, head.values[t], (size_t)head.size * sizeof(float));
    return values;
}

/* Returns the outputs [n_queries], size + gap apart. */
static const float *attend(const struct kv_kernels *kernels, const struct layout *layout)
{
    const size_t size = (size_t)head.size, stride = size + (size_t)layout->gap;
    const size_t n_floats = (size_t)(layout->n_queries - 1) * stride + size;
    const int n_positions = layout->first_position + layout->n_queries, capacity = capacity_of(layout);
    float *queries = guard_last(&guards[QUERIES], n_floats);
    for (int i = 0; i < layout->n_queries; i++)
        memcpy(queries + (size_t)i * stride, head.queries[layout->first_position + i], size * sizeof(float));
    const struct kv_attention attention = {
        .queries = queries,
        .query_stride = stride,
        .n_queries = layout->n_queries,
        .first_position = layout->first_position,
        .keys = lay_keys(n_positions, capacity),
        .values = lay_values(n_positions, capacity),
        .head_size = head.size,
        .scale = head.scale,
        .out = guard_last(&guards[OUT], n_floats),
        .out_stride = stride,
        .scratch = guard_last(&guards[SCRATCH], kv_attention_scratch(head.size)),
    };
    kernels->attention[KV_KEPT_F32](&attention);
    assert_guard(&guards[OUT], n_floats);
    assert_guard(&guards[SCRATCH], kv_attention_scratch(head.size));
    return attention.out;
}

static void check(const struct kv_kernels *kernels, const struct layout *layout)
{
    const float *out = attend(kernels, layout);
    for (int i = 0; i < layout->n_queries; i++, out += head.size + layout->gap) {
        const int position = layout->first_position + i;
        for (int d = 0; d < head.size; d++)
            if (!(fabs((double)out[d] - head.out[position][d]) <= head.bound[position]))
                fail_msg("%s, head size %d, %d queries from %d: position %d, dimension %d is %.9g, expected %.9g "
                         "within %.3g",
                         kernels->choice.name, head.size, layout->n_queries, layout->first_position, position, d,
                         (double)out[d], head.out[position][d], head.bound[position]);
        for (int d = head.size; d < head.size + layout->gap && i + 1 < layout->n_queries; d++)
            assert_true(isnan(out[d])); /* between two outputs, nothing is written */
    }
}

static void check_all_levels(const struct layout *layout)
{
    for (int level = 0; supported_kernels(level); level++)
        check(supported_kernels(level), layout);
}

/* ---- Shapes --------------------------------------------------------------------------------------- */

static const int head_sizes[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 33, 64, 80, 128};
enum { N_HEAD_SIZES = sizeof head_sizes / sizeof head_sizes[0] };

TEST(all_small_shapes)
{
    for (int i = 0; i < N_HEAD_SIZES; i++) {
        fill_head(head_sizes[i], 60);
        for (int first = 0; first <= 40; first++)
            for (int n = 1; n <= 20; n++)
                check_all_levels(&(struct layout){first, n, (first + n) % 2, (first + 3 * n) % 8});
    }
}

TEST(long_contexts)
{
    static const int lengths[] = {255, 256, 257, 1023, 1024, 1025, MAX_POSITIONS};
    static const int sizes[] = {5, 64};
    for (int s = 0; s < 2; s++) {
        fill_head(sizes[s], MAX_POSITIONS);
        for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++)
            for (int n = 1; n <= 33; n += 8)
                check_all_levels(&(struct layout){lengths[i] - n, n, 0, 0});
    }
}

/* One position: its weight is e^0 / e^0, so its value comes out to the bit. */
TEST(first_position_is_its_value)
{
    fill_head(80, 1);
    head.bound[0] = 0;
    check_all_levels(&(struct layout){0, 1, 0, 0});
}

/* ---- Magnitudes ----------------------------------------------------------------------------------- */

enum offset { HIGH, LOW, RISING, FALLING, BOTH, SPREAD, N_OFFSETS };

static float offset_at(enum offset offset, int t)
{
    const float offsets[N_OFFSETS] = {
        [HIGH] = 1e4f,
        [LOW] = -1e4f,
        [RISING] = (float)(400 * (t - 30)),
        [FALLING] = (float)(400 * (30 - t)),
        [BOTH] = t % 7 == 3 ? 1e4f : -1e4f,
        [SPREAD] = (float)(t % 10 * -10), /* differences as large as the power underflows at */
    };
    return offsets[offset];
}

/* scores = offset(t) + a small whole number, all of them exact: any error is softmax's. */
static void check_scores_around(int size, enum offset offset)
{
    uint64_t random = (uint64_t)size;
    head.size = size;
    head.n_positions = 60;
    head.scale = 1;
    head.exact_scores = true;
    for (int t = 0; t < head.n_positions; t++) {
        for (int d = 0; d < size; d++) {
            head.queries[t][d] = (float)random_between(&random, -1, 1);
            head.keys[t][d] = (float)random_between(&random, -2, 2);
            head.values[t][d] = random_float(&random);
        }
        head.queries[t][0] = 1;
        head.keys[t][0] = offset_at(offset, t) + (float)random_between(&random, -2, 2);
    }
    compute_head();
    for (int first = 0; first <= 40; first += 5)
        for (int n = 1; n <= 20; n++)
            check_all_levels(&(struct layout){first, n, 0, 0});
}

TEST(large_scores)
{
    static const int sizes[] = {1, 2, 9, 64};
    for (enum offset offset = 0; offset < N_OFFSETS; offset++)
        for (size_t s = 0; s < COUNT(sizes); s++)
            check_scores_around(sizes[s], offset);
}

/* ---- Causality ------------------------------------------------------------------------------------ */

/* Outputs with `garbage` at one place of one position's key or value: positions before it keep every bit, and from
 * it on a NaN is not hidden. */
static void check_garbage(const struct kv_kernels *kernels, const struct layout *layout, float *place, int position,
                          float garbage)
{
    static float clean[64 * (MAX_HEAD_SIZE + 8)];
    const int stride = head.size + layout->gap;
    const size_t row = (size_t)head.size * sizeof(float);
    const float kept = *place;
    const float *out = attend(kernels, layout);
    memcpy(clean, out, ((size_t)(layout->n_queries - 1) * (size_t)stride + (size_t)head.size) * sizeof *out);
    *place = garbage;
    out = attend(kernels, layout);
    *place = kept;
    for (int i = 0; i < layout->n_queries; i++) {
        if (layout->first_position + i < position) {
            assert_memory_equal(out + i * stride, clean + i * stride, row);
        } else if (isnan(garbage)) {
            bool seen = false;
            for (int d = 0; d < head.size; d++)
                seen = seen || isnan(out[i * stride + d]);
            assert_true(seen);
        }
    }
}

static void check_causality(const struct kv_kernels *kernels, const struct layout *layout)
{
    static const float garbage[] = {NAN, INFINITY, -INFINITY};
    const int end = layout->first_position + layout->n_queries;
    for (int position = layout->first_position; position < end; position++)
        for (int g = 0; g < 3; g++) {
            const int d = (position + g) % head.size;
            check_garbage(kernels, layout, &head.keys[position][d], position, garbage[g]);
            check_garbage(kernels, layout, &head.values[position][d], position, garbage[g]);
        }
}

TEST(nothing_later_is_seen)
{
    static const int sizes[] = {1, 7, 16, 33, 64};
    for (int s = 0; s < 5; s++) {
        fill_head(sizes[s], 60);
        for (int level = 0; supported_kernels(level); level++) {
            const struct kv_kernels *kernels = supported_kernels(level);
            for (int first = 0; first <= 40; first += 3)
                check_causality(kernels, &(struct layout){first, 1 + first % 20, first % 2, 3});
            check_causality(kernels, &(struct layout){12, 20, 1, 0});
        }
    }
}

/* ---- Parts ---------------------------------------------------------------------------------------- */

/* A query whose parts are computed one by one and joined has the bits that it has in one call. */
TEST(parts_join)
{
    static const int lengths[] = {1, 255, 256, 257, 512, 1023, MAX_POSITIONS};
    static const int sizes[] = {5, 64};
    enum { MOST_PARTS = (MAX_POSITIONS - 1) / KV_ATTENTION_PART + 1 };
    float partials[MOST_PARTS][2 + MAX_HEAD_SIZE], out[MAX_HEAD_SIZE], scratch[8192];
    for (int s = 0; s < 2; s++) {
        fill_head(sizes[s], MAX_POSITIONS);
        for (int level = 0; supported_kernels(level); level++)
            for (size_t i = 0; i < COUNT(lengths); i++) {
                const struct layout layout = {lengths[i] - 1, 1, 0, 0};
                const struct kv_kernels *kernels = supported_kernels(level);
                const float *whole = attend(kernels, &layout);
                struct kv_attention a = {
                    .queries = head.queries[lengths[i] - 1],
                    .n_queries = 1,
                    .first_position = lengths[i] - 1,
                    .keys = lay_keys(lengths[i], capacity_of(&layout)),
                    .values = lay_values(lengths[i], capacity_of(&layout)),
                    .head_size = head.size,
                    .scale = head.scale,
                    .scratch = scratch,
                };
                const int n_parts = (lengths[i] - 1) / KV_ATTENTION_PART + 1;
                assert_true(kv_attention_scratch(head.size) <= COUNT(scratch));
                for (a.part = n_parts - 1; a.part >= 0; a.part--) {
                    a.partial = &partials[0][0] + a.part * (2 + head.size);
                    kernels->attention[KV_KEPT_F32](&a);
                }
                kernels->attention_join(&partials[0][0], n_parts, head.size, out);
                assert_memory_equal(out, whole, (size_t)head.size * sizeof *out);
            }
    }
}

GROUP(create_guards, free_guards)
