/* What the dashboard records, writes and reads again: every number against a plain GPT-2. */
#include "checkpoint.h"
#include "plain_gpt2.h"
#include "unit.h"

#include "text/dashboard.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { N_NEW = 6 };
static const double bound = 2e-5; /* of float32 against double */

struct bench {
    struct reference_case c;
    struct kv_pool *pool;
    struct kv_model *model;
    struct plain_gpt2 plain; /* of the first row of the case, and what follows from it */
    char file[64];
};

static int set_up(void **state)
{
    struct bench *b = calloc(1, sizeof *b);
    assert_non_null(b);
    load_case(&b->c, "tiny-f32");
    OK(kv_pool_create(&b->pool, 2, &error));
    OK(kv_model_load(&b->model, b->c.folder, NULL, "reference", b->pool, &error));
    plain_gpt2_run(&b->plain, b->model, b->c.greedy, b->c.n_tokens + N_NEW - 1);
    snprintf(b->file, sizeof b->file, "/tmp/kvbench-dashboard-%ld.csv", (long)getpid());
    *state = b;
    return 0;
}

static int tear_down(void **state)
{
    struct bench *b = *state;
    unlink(b->file);
    plain_gpt2_free(&b->plain);
    kv_model_free(b->model);
    kv_pool_free(b->pool);
    free_case(&b->c);
    free(b);
    return 0;
}

static void assert_near(double value, double expected, const char *what, int step, int position)
{
    if (!(fabs(value - expected) <= bound)) /* a NaN is missing */
        fail_msg("%s of step %d, position %d: %.9g instead of %.9g", what, step, position, value, expected);
}

static void check_attention(const struct plain_gpt2 *plain, const struct kv_dashboard *d)
{
    for (int layer = d->first_layer; layer < d->first_layer + d->n_layers; layer++)
        for (int head = d->first_head; head < d->first_head + d->n_heads; head++)
            for (int step = 0; step < N_NEW; step++)
                for (int t = 0; t < d->n_prompt + step; t++)
                    assert_near((double)kv_dashboard_attention(d, layer, head, step)[t],
                                plain_weight(plain, layer, head, d->n_prompt + step - 1, t), "attention", step, t);
}

static void check_vectors(const struct plain_gpt2 *plain, const struct kv_dashboard *d)
{
    const int n = d->head_size, layer = d->first_layer, head = d->first_head;
    for (int i = 0; i < n; i++) {
        for (int t = 0; t < d->n_positions; t++) {
            assert_near((double)d->keys[t * n + i], plain_vector(plain, PLAIN_KEY, layer, head, t, i), "key", 0, t);
            assert_near((double)d->values[t * n + i], plain_vector(plain, PLAIN_VALUE, layer, head, t, i), "value", 0,
                        t);
        }
        for (int step = 0; step < N_NEW; step++)
            assert_near((double)d->queries[step * n + i],
                        plain_vector(plain, PLAIN_QUERY, layer, head, d->n_prompt + step - 1, i), "query", step, 0);
    }
}

static void check(const struct bench *b, const struct kv_dashboard *d)
{
    assert_int_equal(d->n_prompt, b->c.n_tokens);
    assert_int_equal(d->n_steps, N_NEW);
    assert_int_equal(d->n_positions, b->c.n_tokens + N_NEW - 1);
    assert_string_equal(d->model, "a/model");
    assert_string_equal(d->weights, "F32");
    for (int t = 0; t <= d->n_positions; t++) {
        char id[16];
        snprintf(id, sizeof id, "%d", b->c.greedy[t]);
        assert_int_equal(d->tokens[t], b->c.greedy[t]);
        assert_string_equal(d->labels[t], id);
    }
    assert_string_equal(d->kv, "");
    assert_null(d->attention_f32);
    check_attention(&b->plain, d);
    check_vectors(&b->plain, d);
}

TEST_WITH(every_number, const struct bench *b, set_up, tear_down)
{
    static const struct {
        int layer, head, n_layers, n_heads, head_size;
    } views[] = {{0, 1, 1, 1, 16}, {1, KV_DASHBOARD_ALL, 1, 2, 0}, {KV_DASHBOARD_ALL, 1, 2, 1, 0}};
    for (size_t i = 0; i < COUNT(views); i++) {
        const struct kv_dashboard_options options = {.session = {.path = "cached", .matmul = "reference"},
                                                     .layer = views[i].layer,
                                                     .head = views[i].head,
                                                     .prompt = b->c.tokens,
                                                     .n_prompt = b->c.n_tokens,
                                                     .n_new = N_NEW};
        struct kv_dashboard *recorded, *read;
        OK(kv_dashboard_record(&recorded, b->model, b->pool, "a/model", NULL, &options, &error));
        assert_int_equal(recorded->n_layers, views[i].n_layers);
        assert_int_equal(recorded->n_heads, views[i].n_heads);
        assert_int_equal(recorded->head_size, views[i].head_size);
        check(b, recorded);
        OK(kv_dashboard_write(recorded, b->file, &error));
        OK(kv_dashboard_read(&read, b->file, &error));
        assert_int_equal(read->first_layer, recorded->first_layer);
        assert_int_equal(read->first_head, recorded->first_head);
        check(b, read);
        kv_dashboard_free(recorded);
        kv_dashboard_free(read);
    }
}

/* ---- Fewer bits ------------------------------------------------------------------------------------------ */

/* How near to the middle between two codes a number came, in codes: float32 must not round it to the other one. */
static double nearest_middle;

static double code_of(double x)
{
    const double code = rint(x);
    nearest_middle = fmin(nearest_middle, 0.5 - fabs(x - code));
    return code;
}

/* With 8 bits of precision: to the nearest, or up. */
static double bfloat(double x, double (*rounded)(double))
{
    int exponent;
    const double fraction = frexp(x, &exponent);
    return ldexp(rounded(ldexp(fraction, 8)), exponent - 8);
}

/* x [S] of -127..127 times a scale. */
static void keep_8_bits(double *x, int S)
{
    double largest = 0;
    for (int d = 0; d < S; d++)
        largest = fmax(largest, fabs(x[d]));
    const double scale = bfloat(largest / 127, ceil);
    for (int d = 0; d < S; d++)
        x[d] = scale * code_of(x[d] / scale);
}

/* x [S] of -8..7 times a scale of either sign, so that the largest is -8. */
static void keep_4_bits(double *x, int S)
{
    double largest = 0;
    for (int d = 0; d < S; d++)
        largest = fabs(x[d]) > fabs(largest) ? x[d] : largest;
    const double scale = bfloat(-largest / 8, rint);
    for (int d = 0; d < S && scale != 0; d++) /* 0: all are */
        x[d] = scale * fmin(code_of(x[d] / scale), 7);
}

enum { S = 16 }; /* of tiny-f32: one block of the rotation */

/* y [S] = H x / sqrt(S), its own inverse; an element of H is -1 to the power of how many bits i and j have in common. */
static void rotate(const double *x, double *y)
{
    for (int i = 0; i < S; i++) {
        y[i] = 0;
        for (int j = 0; j < S; j++)
            y[i] += (__builtin_popcount((unsigned)(i & j)) % 2 ? -1 : 1) * x[j] / sqrt(S);
    }
}

static void keep_int8(double *rows, int n, int size, int stride, bool are_keys)
{
    (void)are_keys;
    for (int t = 0; t < n; t++)
        keep_8_bits(rows + t * stride, size);
}

/* Of keys what differs from the first of 16 neighbours, as 8 bits have that. */
static void keep_int4(double *rows, int n, int size, int stride, bool are_keys)
{
    double rotated[S], centre[S] = {0};
    assert_int_equal(size, S);
    for (int t = 0; t < n; t++) {
        rotate(rows + t * stride, rotated);
        if (are_keys && t % 16 == 0) {
            memcpy(centre, rotated, sizeof centre);
            keep_8_bits(centre, S);
        }
        for (int d = 0; d < S; d++)
            rotated[d] -= centre[d];
        keep_4_bits(rotated, S);
        for (int d = 0; d < S; d++)
            rotated[d] += centre[d];
        rotate(rotated, rows + t * stride);
    }
}

static void keep_int8_int4(double *rows, int n, int size, int stride, bool are_keys)
{
    (are_keys ? keep_int8 : keep_int4)(rows, n, size, stride, are_keys);
}

/* Returns the largest change there is. */
static double check_changes(const struct plain_gpt2 *kept, const struct plain_gpt2 *exact, const struct kv_dashboard *d)
{
    double most = 0;
    for (int panel = 0; panel < d->n_layers * d->n_heads; panel++)
        for (int step = 0; step < N_NEW; step++) {
            const int layer = d->first_layer + panel / d->n_heads, head = d->first_head + panel % d->n_heads;
            const int newest = d->n_prompt + step - 1;
            const struct kv_dashboard_change change = kv_dashboard_change(d, layer, head, step);
            double largest = 0, sum = 0;
            for (int t = 0; t <= newest; t++) {
                const double weight = plain_weight(exact, layer, head, newest, t);
                const double size = fabs(plain_weight(kept, layer, head, newest, t) - weight);
                assert_near((double)kv_dashboard_attention_f32(d, layer, head, step)[t], weight, "float32", step, t);
                largest = fmax(largest, size);
                sum += size;
            }
            assert_near(change.largest, largest, "largest change", step, 0);
            assert_near(change.moved, sum / 2, "what moved", step, 0);
            most = fmax(most, largest);
        }
    return most;
}

/* Each token is the most probable one after those before it, with that cache. logits [n_positions, V] */
static void check_tokens(const struct kv_dashboard *d, const double *logits, int V)
{
    for (int step = 0; step < N_NEW; step++) {
        const double *row = logits + (size_t)(d->n_prompt + step - 1) * (size_t)V;
        int best = 0;
        for (int i = 1; i < V; i++)
            best = row[i] > row[best] ? i : best;
        assert_int_equal(d->tokens[d->n_prompt + step], best);
    }
}

static const struct fewer_bits {
    const char *kv;
    plain_keep *keep;
} fewer_bits[] = {{"int8", keep_int8}, {"int4", keep_int4}, {"int8/int4", keep_int8_int4}};

static void check_fewer_bits(const struct bench *b, const struct fewer_bits *f, int layer, int head)
{
    const struct kv_dashboard_options options = {
        .session = {.path = "cached", .matmul = "reference", .kv = f->kv},
        .layer = layer,
        .head = head,
        .prompt = b->c.tokens,
        .n_prompt = b->c.n_tokens,
        .n_new = N_NEW,
    };
    const int V = kv_model_config(b->model)->vocab_size;
    struct kv_dashboard *recorded, *read;
    struct plain_gpt2 kept, exact;
    OK(kv_dashboard_record(&recorded, b->model, b->pool, "a/model", NULL, &options, &error));
    OK(kv_dashboard_write(recorded, b->file, &error));
    OK(kv_dashboard_read(&read, b->file, &error));
    double *logits = calloc((size_t)recorded->n_positions * (size_t)V, sizeof *logits);
    assert_non_null(logits);
    nearest_middle = 0.5;
    plain_gpt2_run_kept(&kept, b->model, recorded->tokens, recorded->n_positions, f->keep, logits);
    plain_gpt2_run(&exact, b->model, recorded->tokens, recorded->n_positions);
    assert_true(nearest_middle > 5e-5);
    for (const struct kv_dashboard *d = recorded; d; d = d == recorded ? read : NULL) {
        assert_string_equal(d->kv, f->kv);
        check_tokens(d, logits, V);
        check_attention(&kept, d);
        check_vectors(&kept, d);
        assert_true(check_changes(&kept, &exact, d) > 20 * bound);
    }
    free(logits);
    plain_gpt2_free(&kept);
    plain_gpt2_free(&exact);
    kv_dashboard_free(recorded);
    kv_dashboard_free(read);
}

TEST_WITH(fewer_bits_beside_float32, const struct bench *b, set_up, tear_down)
{
    for (size_t i = 0; i < COUNT(fewer_bits); i++) {
        check_fewer_bits(b, &fewer_bits[i], 1, 1);
        check_fewer_bits(b, &fewer_bits[i], 0, KV_DASHBOARD_ALL);
        check_fewer_bits(b, &fewer_bits[i], KV_DASHBOARD_ALL, 0);
    }
}

/* Both names of it, and a path that keeps nothing, for which the type of a cache means nothing. */
TEST_WITH(float32_has_nothing_beside_it, const struct bench *b, set_up, tear_down)
{
    static const struct {
        const char *path, *kv;
    } cases[] = {{"cached", "f32"}, {"cached", "f32/f32"}, {"naive", "int8"}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        const struct kv_dashboard_options options = {
            .session = {.path = cases[i].path, .matmul = "reference", .kv = cases[i].kv},
            .prompt = b->c.tokens,
            .n_prompt = b->c.n_tokens,
            .n_new = N_NEW,
        };
        struct kv_dashboard *d;
        OK(kv_dashboard_record(&d, b->model, b->pool, "a/model", NULL, &options, &error));
        check(b, d);
        kv_dashboard_free(d);
    }
}

/* ---- Refusals -------------------------------------------------------------------------------------------- */

/* What a caller can ask for that the command never does. */
TEST_WITH(refusals, const struct bench *b, set_up, tear_down)
{
    static const int32_t prompt[] = {1, 2};
    static const struct {
        int layer, head, n_prompt, n_new;
        const char *part;
    } cases[] = {{2, 0, 2, 1, "layer: 2"},
                 {0, -2, 2, 1, "head: -2"},
                 {KV_DASHBOARD_ALL, KV_DASHBOARD_ALL, 2, 1, "choose one"},
                 {0, 0, 0, 1, "at least 1"},
                 {0, 0, 2, 0, "at least 1"},
                 {0, 0, 65, 1, "n_positions is 64"}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        const struct kv_dashboard_options options = {.session = {.path = "cached", .matmul = "reference"},
                                                     .layer = cases[i].layer,
                                                     .head = cases[i].head,
                                                     .prompt = prompt,
                                                     .n_prompt = cases[i].n_prompt,
                                                     .n_new = cases[i].n_new};
        struct kv_dashboard *d;
        assert_int_not_equal(kv_dashboard_record(&d, b->model, b->pool, "m", NULL, &options, &error), KV_OK);
        assert_non_null(strstr(error.message, cases[i].part));
        assert_null(d);
    }
}
