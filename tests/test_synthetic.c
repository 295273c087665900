/* Synthetic weights: the values that core/model/synthetic.c's head defines, whatever the pool.
 *
 * The literals below are from this Python, which was written from that definition:
 *   from struct import pack, unpack
 *   M, f32 = 2**64 - 1, lambda x: unpack("<f", pack("<f", x))[0]
 *   def mix(z):
 *       z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9 & M
 *       z = (z ^ z >> 27) * 0x94d049bb133111eb & M
 *       return z ^ z >> 31
 *   def value(seed, name, i, mean, deviation):
 *       key = 0xcbf29ce484222325
 *       for byte in name.encode(): key = (key ^ byte) * 0x100000001b3 & M
 *       r = mix((key ^ mix(seed)) + (i + 1) * 0x9e3779b97f4a7c15 & M)
 *       s = sum(r >> shift & 0xffff for shift in (0, 16, 32, 48)) - 131070
 *       return f32(mean + f32(s * f32(f32(deviation) / f32(37837.227)))).hex()
 * with mean 1 for layer norm's gains and 0 for the rest, and deviation f32(f32(2 / 64) ** 0.5) for matrices, 0.1
 * for the rest. Every step is exact in double, or rounded once, so that f32() gives what float arithmetic does. */
#include "checkpoint.h"
#include "unit.h"

#include "model/weights.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static const struct kv_config shape = {2, 4, 64, 256, 1000, 32, KV_GELU, 1e-5f};

/* Element i of a tensor of the model with that shape. */
static float element(const struct kv_model *model, const char *tensor, size_t i)
{
    char name[48];
    size_t n;
    for (int index = 0; model_tensor_name(&shape, index, name, &n); index++) {
        if (strcmp(name, tensor) == 0) {
            assert_in_range(i, 0, n - 1);
            return model_tensor(model, index)[i];
        }
    }
    fail_msg("no tensor '%s'", tensor);
    return 0;
}

TEST(defined_values)
{
    static const struct {
        uint64_t seed;
        const char *name;
        size_t i;
        float value;
    } defined[] = {
        {0, "wte.weight", 0, -0x1.87c8dp-4f},
        {0, "wte.weight", 1, -0x1.93a8ap-2f},
        {0, "wte.weight", 63999, 0x1.ca43dep-4f},
        {0, "wpe.weight", 2047, -0x1.2d8452p-4f},
        {0, "ln_f.weight", 0, 0x1.015caap+0f},
        {0, "ln_f.bias", 63, -0x1.1fee8cp-3f},
        {1, "wte.weight", 0, 0x1.a56d54p-4f},
        {1, "h.0.ln_1.weight", 17, 0x1.d3fbap-1f},
        {1, "h.0.ln_2.bias", 5, -0x1.67d13ep-3f},
        {1, "h.1.attn.c_attn.weight", 12287, -0x1.4f018ap-5f},
        {42, "h.1.attn.c_attn.bias", 191, 0x1.682888p-3f},
        {42, "h.0.attn.c_proj.weight", 4000, 0x1.7294bep-2f},
        {UINT64_MAX, "h.1.mlp.c_fc.weight", 16383, 0x1.166b42p-4f},
        {UINT64_MAX, "h.1.mlp.c_proj.weight", 100, -0x1.54980ap-5f},
        {UINT64_MAX, "h.0.mlp.c_fc.bias", 255, -0x1.0c24a4p-3f},
    };
    for (size_t k = 0; k < COUNT(defined); k++) {
        struct kv_model *model = synthesize(&shape, defined[k].seed, "reference", 1);
        const float value = element(model, defined[k].name, defined[k].i);
        if (memcmp(&value, &defined[k].value, sizeof value) != 0)
            fail_msg("seed %" PRIu64 " %s[%zu] is %a instead of %a", defined[k].seed, defined[k].name, defined[k].i,
                     (double)value, (double)defined[k].value);
        kv_model_free(model);
    }
}

TEST(any_pool_size)
{
    static const struct kv_config tiny = {1, 1, 1, 1, 1, 1, KV_GELU_NEW, 0};
    static const int sizes[] = {1, 2, 3, 7};
    static const struct kv_config *const shapes[] = {&shape, &tiny};
    for (size_t s = 0; s < COUNT(shapes); s++) {
        struct kv_model *first = synthesize(shapes[s], 5, "reference", 1);
        for (size_t i = 0; i < COUNT(sizes); i++) {
            struct kv_model *model = synthesize(shapes[s], 5, "reference", sizes[i]);
            assert_same_weights(first, model);
            kv_model_free(model);
        }
        kv_model_free(first);
    }
}

TEST(seeds_differ)
{
    static const uint64_t seeds[] = {0, 1, 2, UINT64_C(1) << 32, UINT64_C(1) << 63, UINT64_MAX};
    struct kv_model *models[COUNT(seeds)];
    for (size_t i = 0; i < COUNT(seeds); i++) {
        models[i] = synthesize(&shape, seeds[i], "reference", 2);
        for (size_t k = 0; k < i; k++)
            assert_false(same_weights(models[i], models[k]));
    }
    for (size_t i = 0; i < COUNT(seeds); i++)
        kv_model_free(models[i]);
}

/* No two tensors of a model, nor a tensor and itself one element on, have anything to do with each other:
 * the correlation of n independent pairs is within 5 / sqrt(n), but once in two million. */
static void check_correlation(const float *a, const float *b, size_t n, double mean, double deviation)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += ((double)a[i] - mean) / deviation * (((double)b[i] - mean) / deviation);
    assert_true(fabs(sum / (double)n) < 5 / sqrt((double)n));
}

TEST(independent)
{
    const double deviation = sqrt(2.0 / shape.n_embd);
    const size_t n = (size_t)(shape.n_embd * shape.n_inner);
    struct kv_model *model = synthesize(&shape, 0, "reference", 2), *other = synthesize(&shape, 1, "reference", 2);
    check_correlation(kv_matrix_floats(&model->layers[0].c_fc_weight), kv_matrix_floats(&model->layers[1].c_fc_weight),
                      n, 0, deviation);
    check_correlation(kv_matrix_floats(&model->layers[0].c_fc_weight),
                      kv_matrix_floats(&model->layers[0].mlp_proj_weight), n, 0, deviation);
    check_correlation(kv_matrix_floats(&model->layers[0].c_fc_weight), kv_matrix_floats(&other->layers[0].c_fc_weight),
                      n, 0, deviation);
    check_correlation(kv_matrix_floats(&model->wte), kv_matrix_floats(&model->wte) + 1, n - 1, 0, deviation);
    check_correlation(model->layers[0].ln_1_weight, model->layers[1].ln_1_weight, 64, 1, 0.1);
    kv_model_free(model);
    kv_model_free(other);
}

/* The sum of four uniform numbers, so: the mean within 5 of its standard errors, the deviation too (a kurtosis of 2.7
 * makes its relative error sqrt(1.7 / 4 n)), nothing past 2 sqrt(3) deviations, and neither denormals nor NaN. */
TEST(distribution)
{
    char name[48];
    size_t n;
    struct kv_model *model = synthesize(&shape, 0, "reference", 2);
    for (int index = 0; model_tensor_name(&shape, index, name, &n); index++) {
        const float *values = model_tensor(model, index);
        const bool norm = strstr(name, "ln_") && strstr(name, ".weight");
        const double mean = norm ? 1 : 0;
        const double deviation = strstr(name, ".bias") || norm ? 0.1 : sqrt(2.0 / shape.n_embd);
        double sum = 0, squares = 0;
        for (size_t i = 0; i < n; i++) {
            const int class = fpclassify(values[i]);
            const double distance = (double)values[i] - mean;
            assert_true(class == FP_NORMAL || class == FP_ZERO);
            assert_true(fabs(distance) <= 2 * sqrt(3) * deviation * 1.0001);
            sum += distance;
            squares += distance * distance;
        }
        assert_true(fabs(sum / (double)n) < 5 * deviation / sqrt((double)n));
        assert_true(fabs(sqrt(squares / (double)n) / deviation - 1) < 5 * sqrt(1.7 / (4 * (double)n)));
    }
    kv_model_free(model);
}

/* The wider the model, the smaller its values. */
TEST(no_denormals_in_wide_models)
{
    static const struct kv_config wide = {1, 1, 4096, 1, 64, 1, KV_GELU_NEW, 0};
    struct kv_model *model = synthesize(&wide, 0, "reference", 2);
    const size_t n = (size_t)wide.vocab_size * (size_t)wide.n_embd;
    for (size_t i = 0; i < n; i++)
        assert_true(kv_matrix_floats(&model->wte)[i] == 0 ||
                    fabs((double)kv_matrix_floats(&model->wte)[i]) >= sqrt(2.0 / 4096) / 37838);
    kv_model_free(model);
}

TEST(label_and_shape)
{
    static const struct {
        uint64_t seed;
        const char *label;
    } labels[] = {{0, "synthetic:0"}, {42, "synthetic:42"}, {UINT64_MAX, "synthetic:18446744073709551615"}};
    for (size_t i = 0; i < COUNT(labels); i++) {
        struct kv_model *model = synthesize(&shape, labels[i].seed, "reference", 1);
        assert_string_equal(kv_model_source(model), labels[i].label);
        assert_memory_equal(kv_model_config(model), &shape, sizeof shape);
        assert_string_equal(kv_model_format(model), "f32");
        kv_model_free(model);
    }
    kv_model_free(NULL);
}

TEST(refused_shapes)
{
    static const struct {
        size_t field;
        int value;
        kv_status status;
        const char *named;
    } wrong[] = {
        {offsetof(struct kv_config, n_layer), 0, KV_ERROR_ARGUMENT, "n_layer is 0"},
        {offsetof(struct kv_config, n_head), 0, KV_ERROR_ARGUMENT, "n_head is 0"},
        {offsetof(struct kv_config, n_head), 3, KV_ERROR_ARGUMENT, "n_embd (4096) must be a multiple of n_head (3)"},
        {offsetof(struct kv_config, n_embd), -64, KV_ERROR_ARGUMENT, "n_embd is -64"},
        {offsetof(struct kv_config, n_inner), 0, KV_ERROR_ARGUMENT, "n_inner is 0"},
        {offsetof(struct kv_config, vocab_size), -1, KV_ERROR_ARGUMENT, "vocab_size is -1"},
        {offsetof(struct kv_config, n_positions), INT32_MIN, KV_ERROR_ARGUMENT, "n_positions is -2147483648"},
        {offsetof(struct kv_config, n_embd), 1 << 30, KV_ERROR_MEMORY, "weights"},
        {offsetof(struct kv_config, n_inner), INT32_MAX, KV_ERROR_MEMORY, "weights: needs "},
        {offsetof(struct kv_config, vocab_size), INT32_MAX, KV_ERROR_MEMORY, "weights: needs "},
        {offsetof(struct kv_config, n_layer), INT32_MAX, KV_ERROR_MEMORY, "weights: needs "},
    };
    struct kv_config wide = shape; /* so wide that no machine holds the largest of each other size */
    struct kv_pool *pool;
    wide.n_embd = 4096;
    pool = make_pool(1);
    for (size_t i = 0; i < COUNT(wrong); i++) {
        struct kv_config config = wide;
        struct kv_model *model;
        memcpy((char *)&config + wrong[i].field, &wrong[i].value, sizeof wrong[i].value);
        REFUSED(kv_model_synthesize(&model, &config, 0, NULL, "reference", pool, &error), wrong[i].status, "model",
                wrong[i].named);
        assert_null(model);
    }
    const struct kv_config all = {INT32_MAX, 1, INT32_MAX, INT32_MAX, INT32_MAX, INT32_MAX, KV_GELU, 0};
    struct kv_model *model;
    REFUSED(kv_model_synthesize(&model, &all, 0, NULL, "reference", pool, &error), KV_ERROR_MEMORY, "model",
            "overflows");
    kv_pool_free(pool);
}
