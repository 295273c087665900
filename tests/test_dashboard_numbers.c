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

static void check_attention(const struct bench *b, const struct kv_dashboard *d)
{
    for (int layer = d->first_layer; layer < d->first_layer + d->n_layers; layer++)
        for (int head = d->first_head; head < d->first_head + d->n_heads; head++)
            for (int step = 0; step < N_NEW; step++)
                for (int t = 0; t < d->n_prompt + step; t++)
                    assert_near((double)kv_dashboard_attention(d, layer, head, step)[t],
                                plain_weight(&b->plain, layer, head, d->n_prompt + step - 1, t), "attention", step, t);
}

static void check_vectors(const struct bench *b, const struct kv_dashboard *d)
{
    const int n = d->head_size, layer = d->first_layer, head = d->first_head;
    for (int i = 0; i < n; i++) {
        for (int t = 0; t < d->n_positions; t++) {
            assert_near((double)d->keys[t * n + i], plain_vector(&b->plain, PLAIN_KEY, layer, head, t, i), "key", 0, t);
            assert_near((double)d->values[t * n + i], plain_vector(&b->plain, PLAIN_VALUE, layer, head, t, i), "value",
                        0, t);
        }
        for (int step = 0; step < N_NEW; step++)
            assert_near((double)d->queries[step * n + i],
                        plain_vector(&b->plain, PLAIN_QUERY, layer, head, d->n_prompt + step - 1, i), "query", step, 0);
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
    check_attention(b, d);
    check_vectors(b, d);
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
