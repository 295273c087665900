/* Training: losses and gradients against PyTorch's and against finite differences, AdamW against PyTorch's. */
#include "model/safetensors.h"
#include "train_bench.h"
#include "unit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Loss and gradients ------------------------------------------------------------------------------- */

/* Opens a reference case: tokens[:, 1:] from tokens[:, :-1]. */
static void open_case(struct bench *bench, struct reference_case *c, const char *name, int n_threads)
{
    struct kv_model *model;
    struct kv_pool *pool;
    load_case(c, name);
    const int T = c->n_tokens - 1;
    pool = make_pool(1);
    OK(kv_model_load(&model, c->folder, NULL, "openblas", pool, &error));
    open_bench(bench, kv_model_config(model), c->batch, T, n_threads);
    OK(kv_trainer_copy_weights(bench->trainer, model, &error));
    for (int b = 0; b < c->batch; b++) {
        memcpy(bench->tokens + b * T, c->tokens + b * c->n_tokens, (size_t)T * sizeof(int32_t));
        memcpy(bench->targets + b * T, c->tokens + b * c->n_tokens + 1, (size_t)T * sizeof(int32_t));
    }
    kv_model_free(model);
    kv_pool_free(pool);
}

static void check_reference_gradients(int n_threads)
{
    struct bench bench;
    struct reference_case c;
    struct kv_safetensors *file;
    char path[600];
    open_case(&bench, &c, "tiny-f32", n_threads);
    snprintf(path, sizeof path, "%s/expected.json", c.folder);
    json_t *json = json_load_file(path, 0, NULL);
    const double expected = json_number_value(json_object_get(json, "loss"));
    assert_true(expected > 1);
    assert_true(fabs(bench_step(&bench, 0) - expected) < 1e-5);
    snprintf(path, sizeof path, "%s/grads.safetensors", c.folder);
    OK(kv_safetensors_open(&file, path, &error));
    const struct kv_tensor_slot *slots = bench.trainer->slots[KV_TRAINER_GRADIENTS];
    assert_int_equal(kv_safetensors_count(file), bench.trainer->n_slots);
    for (int i = 0; i < bench.trainer->n_slots; i++) {
        const struct kv_tensor *tensor = kv_safetensors_find(file, slots[i].name);
        assert_non_null(tensor);
        assert_int_equal(tensor->n_elements, slots[i].n_elements);
        float *gradient = malloc(tensor->n_elements * sizeof *gradient);
        assert_non_null(gradient);
        memcpy(gradient, tensor->data, tensor->n_elements * sizeof *gradient);
        assert_close(slots[i].data, gradient, slots[i].n_elements, 1e-4);
        free(gradient);
    }
    kv_safetensors_close(file);
    json_decref(json);
    free_case(&c);
    close_bench(&bench);
}

TEST(reference_gradients)
{
    for (int n_threads = 1; n_threads <= 3; n_threads++)
        check_reference_gradients(n_threads);
}

TEST(reference_losses)
{
    static const char *const names[] = {"tiny-f32", "odd-f16", "gelu-erf-bf16"};
    for (size_t i = 0; i < COUNT(names); i++) {
        struct bench bench;
        struct reference_case c;
        double expected = 0;
        open_case(&bench, &c, names[i], 2);
        const int T = c.n_tokens - 1, V = kv_trainer_model(bench.trainer)->config.vocab_size;
        for (int b = 0; b < c.batch; b++)
            expected += cross_entropy(c.logits + (size_t)b * (size_t)c.n_tokens * (size_t)V, bench.targets + b * T, T,
                                      V) /
                        c.batch;
        assert_true(fabs(bench_loss(&bench) - expected) < 1e-5);
        free_case(&c);
        close_bench(&bench);
    }
}

/* How fast the loss grows as slot->data moves along direction [n_elements], by a central difference. */
static double slope_along(const struct bench *bench, const struct kv_tensor_slot *slot, const float *direction,
                          double distance)
{
    double losses[2];
    float *saved = malloc(slot->n_elements * sizeof *saved);
    assert_non_null(saved);
    memcpy(saved, slot->data, slot->n_elements * sizeof *saved);
    for (int side = 0; side < 2; side++) {
        for (size_t k = 0; k < slot->n_elements; k++)
            slot->data[k] = (float)((double)saved[k] + (side ? distance : -distance) * (double)direction[k]);
        losses[side] = bench_loss(bench);
    }
    memcpy(slot->data, saved, slot->n_elements * sizeof *saved);
    free(saved);
    return (losses[1] - losses[0]) / (2 * distance);
}

/* Along the gradient the loss grows at the rate of its norm; alone, that would let a missing part at right angles pass,
 * so some single elements, spread over the tensor, are moved as well. */
static void check_slopes(const struct bench *bench, int index)
{
    const struct kv_tensor_slot *slot = &bench->trainer->slots[KV_TRAINER_WEIGHTS][index];
    const float *gradient = bench->trainer->slots[KV_TRAINER_GRADIENTS][index].data;
    const size_t n = slot->n_elements;
    double squares = 0, largest = 0;
    float *direction = calloc(n, sizeof *direction);
    assert_non_null(direction);
    for (size_t k = 0; k < n; k++) {
        squares += (double)gradient[k] * (double)gradient[k];
        largest = fmax(largest, fabs((double)gradient[k]));
    }
    assert_true(squares > 0);
    for (size_t k = 0; k < n; k += n / 7 + 1) {
        direction[k] = 1;
        const double slope = slope_along(bench, slot, direction, 0.003);
        if (!(fabs(slope - (double)gradient[k]) < 0.01 * largest + 5e-5))
            fail_msg("%s[%zu]: the loss grows by %g, the gradient says %g", slot->name, k, slope, (double)gradient[k]);
        direction[k] = 0;
    }
    const double norm = sqrt(squares);
    for (size_t k = 0; k < n; k++)
        direction[k] = (float)((double)gradient[k] / norm);
    const double slope = slope_along(bench, slot, direction, fmin(0.02, 0.004 / norm));
    if (!(fabs(slope - norm) < 0.01 * norm))
        fail_msg("%s: the loss grows by %g, the gradient says %g", slot->name, slope, norm);
    free(direction);
}

static void check_finite_differences(enum kv_activation activation, int n_threads)
{
    struct bench bench;
    struct kv_config config = odd_shape;
    config.activation = activation;
    open_synthetic(&bench, &config, 2, 70, n_threads);
    assert_true(fabs(bench_step(&bench, 0) - bench_loss(&bench)) < 1e-12);
    const struct kv_tensor_slot *gradients = bench.trainer->slots[KV_TRAINER_GRADIENTS];
    for (int i = 0; i < bench.trainer->n_slots; i++)
        check_slopes(&bench, i);
    assert_string_equal(gradients[1].name, "wpe.weight");
    for (size_t k = (size_t)70 * (size_t)config.n_embd; k < gradients[1].n_elements; k++)
        assert_true(gradients[1].data[k] == 0);
    close_bench(&bench);
}

TEST(finite_differences)
{
    check_finite_differences(KV_GELU_NEW, 1);
    check_finite_differences(KV_GELU, 2);
}

/* A vocabulary so large that the LM head takes the rows in two parts. */
TEST(large_vocabulary)
{
    struct bench bench;
    const struct kv_config config = {1, 1, 8, 16, 200000, 70, KV_GELU_NEW, 1e-5f};
    open_bench(&bench, &config, 2, 60, 2);
    assert_in_range(bench.trainer->buffers.head_rows, 1, 119);
    assert_true(fabs(bench_step(&bench, 0) - log(200000.0)) < 1e-4); /* all weights are 0 */
    close_bench(&bench);
}

/* The parts that the LM head takes the rows in change nothing but rounding. */
TEST(head_in_parts)
{
    struct bench whole, parts;
    open_synthetic(&whole, &odd_shape, 2, 70, 2);
    open_synthetic(&parts, &odd_shape, 2, 70, 2);
    parts.trainer->buffers.head_rows = 9; /* and 5 rows in the last */
    assert_true(fabs(bench_step(&whole, 0) - bench_step(&parts, 0)) < 1e-6);
    const struct kv_tensor_slot *expected = whole.trainer->slots[KV_TRAINER_GRADIENTS];
    const struct kv_tensor_slot *slots = parts.trainer->slots[KV_TRAINER_GRADIENTS];
    for (int i = 0; i < whole.trainer->n_slots; i++)
        assert_close(slots[i].data, expected[i].data, slots[i].n_elements, 1e-5);
    close_bench(&whole);
    close_bench(&parts);
}

/* ---- Kernels ------------------------------------------------------------------------------------------ */

enum { N_RESULTS = 12 };

/* Every kernel on the same random rows: results [N_RESULTS, n] */
static void run_kernels(const struct kv_train_kernels *k, int n, float *results)
{
    uint64_t random = 99;
    float *row[N_RESULTS];
    for (int r = 0; r < N_RESULTS; r++) {
        row[r] = results + r * n;
        for (int i = 0; i < n; i++)
            row[r][i] = 3 * random_float(&random);
    }
    const float scale = k->normalize(row[0], 1e-5f, row[1], n);
    k->affine(row[0], row[2], row[3], row[4], n);
    k->multiply_add(row[5], row[0], row[2], n);
    k->normalize_backward(row[0], row[2], row[1], scale, row[6], n);
    k->gelu_new_backward(row[0], row[2], row[3], row[7], n);
    k->gelu_backward(row[0], row[2], row[3], row[8], n);
    k->softmax(row[9], n);
    k->softmax_backward(row[9], row[10], 0.5f, n);
    row[3][0] = (float)k->cross_entropy(row[11], n - 1, 0.25f, n);
    row[2][0] = (float)k->squares(row[0], (size_t)n);
}

TEST(levels_agree)
{
    static const int sizes[] = {1, 2, 7, 16, 31, 100, 2051};
    for (size_t s = 0; s < COUNT(sizes); s++) {
        const size_t n = (size_t)sizes[s];
        float *expected = malloc(N_RESULTS * n * sizeof *expected), *results = malloc(N_RESULTS * n * sizeof *results);
        assert_true(expected && results);
        run_kernels(supported_kernels(0)->train, sizes[s], expected);
        for (int level = 1; supported_kernels(level); level++) {
            run_kernels(supported_kernels(level)->train, sizes[s], results);
            for (size_t r = 0; r < N_RESULTS; r++)
                assert_close(results + r * n, expected + r * n, n, 2e-5);
        }
        free(expected);
        free(results);
    }
}

/* torch.optim.AdamW (PyTorch 1.13): betas 0.9 and 0.95, eps 1e-8, rates 0.02, 0.01, 0.03, and in step s = 0, 1, 2
 * gradients ((7 i + 5 s) mod 11 - 5) * 0.03 (s + 1), the last one 1e-9 (s + 1) */
TEST(adamw_as_pytorch)
{
    enum { N = 9 };
    static const float start[N] = {0.5f, -1.25f, 3.0f, 0.0f, 1e-3f, -0.75f, 2.0f, -4.0f, 0.125f};
    static const float decayed[N] = {0.510679901f, -1.25128639f, 3.00602841f,  -0.0438098907f, 0.003346866f,
                                     -0.71185708f, 1.953269f,    -3.99437165f, 0.116033971f};
    static const float plain[N] = {0.513774693f,  -1.25883591f, 3.02406073f,  -0.0439002961f, 0.00329288654f,
                                   -0.716274679f, 1.96516871f,  -4.01834965f, 0.116771378f};
    static const float first[N] = {0.032850001f,   -0.00773999933f, -0.015660001f, 0.042750001f,   -0.0245700013f,
                                   -0.0324900039f, 0.0259200018f,   0.0180000011f, 5.61000024e-10f};
    static const float second[N] = {0.0111403121f,  0.00330345007f, 0.00534645049f, 0.00766631309f, 0.00431561284f,
                                    0.00752951298f, 0.00497880019f, 0.00468000025f, 6.85124957e-19f};
    static const float rates[] = {0.02f, 0.01f, 0.03f};
    for (int level = 0; supported_kernels(level / 2); level++) {
        const struct kv_train_kernels *kernels = supported_kernels(level / 2)->train;
        struct kv_trainer t = {.options = kv_trainer_default_options()};
        float w[N], g[N], m[N] = {0}, v[N] = {0};
        t.options.weight_decay = level % 2 ? 0.1f : 0.0f;
        memcpy(w, start, sizeof w);
        for (t.steps = 0; t.steps < 3; t.steps++) {
            const int s = (int)t.steps;
            for (int i = 0; i < N; i++)
                g[i] = i == N - 1 ? 1e-9f * (float)(s + 1) : (float)((7 * i + 5 * s) % 11 - 5) * 0.03f * (float)(s + 1);
            const struct kv_adamw adamw = kv_train_adamw(&t, rates[s]);
            kernels->adamw(&adamw, w, g, m, v, N);
        }
        for (int i = 0; i < N; i++) { /* each on its own: they differ by ten orders of magnitude */
            assert_close(&w[i], level % 2 ? &decayed[i] : &plain[i], 1, 3e-6);
            assert_close(&m[i], &first[i], 1, 2e-6);
            assert_close(&v[i], &second[i], 1, 2e-6);
        }
    }
}
