/* Loading a checkpoint: right ones of every type give the weights they hold, and wrong ones are refused by name
 * before any memory is taken for them. Linked with --wrap=calloc, so that each allocation can be made to fail. */
#include "allocations.h"
#include "checkpoint.h"
#include "unit.h"

#include "base/memory.h"
#include "model/weights.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const dtypes[] = {"F32", "F16", "BF16"};

static struct kv_model *load_whole(const struct checkpoint *c, int n_threads)
{
    struct kv_model *model = load_model(c->folder, "reference", n_threads);
    assert_released(c->weights_file);
    return model;
}

/* What is on disk is refused, names `file` and that thing, and is let go. */
#define refuse(c, status, file, thing) refuse_at((c), (status), (file), (thing), __LINE__)
static void refuse_at(const struct checkpoint *c, kv_status status, const char *file, const char *thing, int line)
{
    struct kv_model *model;
    struct kv_pool *pool = make_pool(1);
    const kv_status got = kv_model_load(&model, c->folder, NULL, "reference", pool, &error);
    kv_pool_free(pool);
    check_refused(got, status, &error, file, thing, __FILE__, line);
    assert_null(model);
    assert_released(c->weights_file);
    assert_released(c->config_file);
}

/* The same of the checkpoint's weights, written first. */
#define refuse_written(c, status, thing)                                                                               \
    do {                                                                                                               \
        checkpoint_write(c);                                                                                           \
        refuse((c), (status), (c)->weights_file, (thing));                                                             \
    } while (0)

static void put(struct checkpoint *c, const struct checkpoint_options *options)
{
    checkpoint_build(c, options);
    checkpoint_write(c);
}

/* ---- Right checkpoints -------------------------------------------------------------------------- */

static void check_weights(const struct checkpoint *c, const char *prefix, const struct kv_model *model)
{
    char name[48], full_name[64];
    size_t n;
    for (int i = 0; model_tensor_name(&c->shape, i, name, &n); i++) {
        snprintf(full_name, sizeof full_name, "%s%s", prefix, name);
        for (size_t k = 0; k < n; k++)
            if (model_tensor(model, i)[k] != checkpoint_element(c, full_name, k))
                fail_msg("%s[%zu] is %a instead of %a", full_name, k, (double)model_tensor(model, i)[k],
                         (double)checkpoint_element(c, full_name, k));
    }
}

FOLDER_TEST(every_kind)
{
    for (size_t kind = 0; kind < COUNT(dtypes) * 8; kind++) {
        const struct checkpoint_options options = {.dtype = dtypes[kind / 8],
                                                   .prefix = kind & 1 ? "transformer." : "",
                                                   .masks = kind & 2,
                                                   .lm_head = kind & 4};
        put(c, &options);
        struct kv_model *first = load_whole(c, 1);
        check_weights(c, options.prefix, first);
        assert_memory_equal(kv_model_config(first), &c->shape, sizeof c->shape);
        assert_string_equal(kv_model_source(first), options.dtype);
        assert_string_equal(kv_model_format(first), "f32");
        for (int n_threads = 2; n_threads <= 3; n_threads++) {
            struct kv_model *model = load_whole(c, n_threads);
            assert_same_weights(first, model);
            kv_model_free(model);
        }
        kv_model_free(first);
    }
}

/* More threads than a tensor has elements, and a shape of which nothing is a multiple of anything. */
FOLDER_TEST(odd_shape)
{
    const struct checkpoint_options options = {.config = {1, 3, 3, 5, 1, 1, KV_GELU, 1e-3f}};
    put(c, &options);
    for (int n_threads = 1; n_threads <= 16; n_threads *= 4) {
        struct kv_model *model = load_whole(c, n_threads);
        check_weights(c, "", model);
        assert_memory_equal(kv_model_config(model), &options.config, sizeof options.config);
        kv_model_free(model);
    }
}

FOLDER_TEST(unaligned_data)
{
    for (size_t i = 0; i < COUNT(dtypes); i++) {
        checkpoint_build(c, &(struct checkpoint_options){.dtype = dtypes[i]});
        for (c->more_spaces = 1; c->more_spaces < 8; c->more_spaces++) {
            checkpoint_write(c);
            struct kv_model *model = load_whole(c, 2);
            check_weights(c, "", model);
            kv_model_free(model);
        }
    }
}

/* All 65536 values of both 16-bit types, in one embedding table. */
FOLDER_TEST(all_16_bit_values)
{
    for (int type = 1; type <= 2; type++) {
        checkpoint_build(
            c, &(struct checkpoint_options){.dtype = dtypes[type], .config = {1, 1, 16, 16, 4096, 2, KV_GELU_NEW, 0}});
        for (uint32_t bits = 0; bits < 65536; bits++) {
            c->data[2 * bits] = (unsigned char)bits;
            c->data[2 * bits + 1] = (unsigned char)(bits >> 8);
        }
        checkpoint_write(c);
        struct kv_model *model = load_whole(c, 2);
        for (uint32_t bits = 0; bits < 65536; bits++) {
            const double expected = dtype_value(dtypes[type], bits),
                         value = (double)kv_matrix_floats(&model->wte)[bits];
            if (isnan(expected) ? !isnan(value) : value != expected || !signbit(value) != !signbit(expected))
                fail_msg("%s bits %#x are %a instead of %a", dtypes[type], bits, value, expected);
        }
        kv_model_free(model);
    }
    assert_true(dtype_value("F16", 1) == 0x1p-24 && dtype_value("F16", 0x7bff) == 65504);
    assert_true(dtype_value("BF16", 0x3f80) == 1 && dtype_value("BF16", 1) == 0x1p-133);
}

/* ---- A file that is not what its config asks for -------------------------------------------------- */

FOLDER_TEST(every_tensor_missing)
{
    char name[48], full_name[64], named[80];
    size_t n;
    for (int prefixed = 0; prefixed < 2; prefixed++) {
        const char *prefix = prefixed ? "transformer." : "";
        checkpoint_build(c, &(struct checkpoint_options){.prefix = prefix, .masks = true, .lm_head = true});
        for (int i = 0; model_tensor_name(&c->shape, i, name, &n); i++) {
            snprintf(full_name, sizeof full_name, "%s%s", prefix, name);
            snprintf(named, sizeof named, "tensor '%s' is missing", name);
            json_t *entry = json_incref(json_object_get(c->header, full_name));
            assert_int_equal(json_object_del(c->header, full_name), 0);
            assert_int_equal(json_object_set(c->header, "another", entry), 0); /* its data stay somebody's */
            refuse_written(c, KV_ERROR_FORMAT, named);
            assert_int_equal(json_object_del(c->header, "another"), 0);
            assert_int_equal(json_object_set_new(c->header, full_name, entry), 0);
        }
    }
    checkpoint_write(c);
    kv_model_free(load_whole(c, 1));
}

/* Other shapes of as many elements, so that only the shape can give it away. */
FOLDER_TEST(every_tensor_misshaped)
{
    char name[48], named[80];
    size_t n;
    checkpoint_build(c, &(struct checkpoint_options){0});
    for (int i = 0; model_tensor_name(&c->shape, i, name, &n); i++) {
        json_t *entry = json_object_get(c->header, name), *right = json_incref(json_object_get(entry, "shape"));
        const json_int_t rows = json_integer_value(json_array_get(right, 0));
        const json_int_t columns = (json_int_t)n / rows;
        json_t *const wrong[] = {
            columns == 1 ? json_pack("[I, i]", rows, 1) : json_pack("[I, I]", 2 * rows, columns / 2),
            columns == 1 ? json_pack("[i, I]", 1, rows) : json_pack("[I]", (json_int_t)n),
            json_pack("[I, I, i]", rows, columns, 1),
            json_pack("[i, i, i, i, i, i, i, I]", 1, 1, 1, 1, 1, 1, 1, (json_int_t)n),
        };
        snprintf(named, sizeof named, "tensor '%s' has shape [", name);
        for (size_t k = 0; k < COUNT(wrong); k++) {
            json_object_set_new(entry, "shape", wrong[k]);
            refuse_written(c, KV_ERROR_FORMAT, named);
        }
        json_object_set_new(entry, "shape", right);
    }
    json_object_set_new(json_object_get(c->header, "h.1.attn.c_attn.weight"), "shape", json_pack("[i, i]", 24, 8));
    refuse_written(c, KV_ERROR_FORMAT, "'h.1.attn.c_attn.weight' has shape [24, 8], config.json asks for [8, 24]");
}

FOLDER_TEST(dtypes_that_are_not_supported)
{
    static const char *const four_bytes[] = {"I32", "U32"};
    checkpoint_build(c, &(struct checkpoint_options){.dtype = "F64"});
    refuse_written(c, KV_ERROR_UNSUPPORTED, "tensor 'wte.weight' has dtype F64");
    for (size_t i = 0; i < COUNT(four_bytes); i++) {
        checkpoint_build(c, &(struct checkpoint_options){.masks = true});
        json_object_set_new(json_object_get(c->header, "h.0.attn.bias"), "dtype", json_string(four_bytes[i]));
        checkpoint_write(c);
        kv_model_free(load_whole(c, 1)); /* nobody reads the mask */
        json_object_set_new(json_object_get(c->header, "h.1.mlp.c_proj.bias"), "dtype", json_string(four_bytes[i]));
        refuse_written(c, KV_ERROR_UNSUPPORTED, "tensor 'h.1.mlp.c_proj.bias' has dtype ");
        refuse(c, KV_ERROR_UNSUPPORTED, c->weights_file, four_bytes[i]);
    }
}

/* A config of another model, up to shapes that no machine can hold, against the same small file. */
FOLDER_TEST(config_of_another_model)
{
    static const struct {
        const char *field;
        int value;
        const char *named;
    } others[] = {
        {"n_layer", 3, "tensor 'h.2.ln_1.weight' is missing"},
        {"n_layer", 1, "of a layer that config.json's n_layer (1) leaves out"},
        {"n_layer", INT32_MAX, "tensor 'h.2.ln_1.weight' is missing"},
        {"n_layer", 1000000, "tensor 'h.2.ln_1.weight' is missing"}, /* whose weights would fit in memory */
        {"n_embd", 16, "tensor 'wte.weight' has shape [11, 8], config.json asks for [11, 16]"},
        {"n_embd", 4, "tensor 'wte.weight'"},
        {"n_embd", 1 << 28, "tensor 'wte.weight'"},
        {"vocab_size", 12, "tensor 'wte.weight' has shape [11, 8], config.json asks for [12, 8]"},
        {"vocab_size", 10, "tensor 'wte.weight'"},
        {"vocab_size", INT32_MAX, "tensor 'wte.weight'"},
        {"n_positions", 8, "tensor 'wpe.weight'"},
        {"n_positions", 6, "tensor 'wpe.weight'"},
        {"n_positions", INT32_MAX, "tensor 'wpe.weight'"},
        {"n_inner", 31, "tensor 'h.0.mlp.c_fc.weight'"},
        {"n_inner", INT32_MAX, "tensor 'h.0.mlp.c_fc.weight'"},
    };
    for (size_t i = 0; i < COUNT(others); i++) {
        checkpoint_build(c, &(struct checkpoint_options){0});
        json_object_set_new(c->config, others[i].field, json_integer(others[i].value));
        refuse_written(c, KV_ERROR_FORMAT, others[i].named);
    }
    checkpoint_build(c, &(struct checkpoint_options){0});
    json_t *entry = json_incref(json_object_get(c->header, "h.0.ln_1.bias"));
    json_object_del(c->header, "h.0.ln_1.bias");
    json_object_set_new(c->header, "h.4294967296.ln_1.bias", entry);
    refuse_written(c, KV_ERROR_FORMAT, "tensor 'h.4294967296.ln_1.bias' is of a layer");
}

/* A right file, sparse, of a model that takes more memory than there is. */
FOLDER_TEST(too_big_for_memory)
{
    char named[64];
    /* More than the machine has at all: what is available just now may be more in a moment. */
    const size_t memory = (size_t)sysconf(_SC_PHYS_PAGES) * (size_t)sysconf(_SC_PAGESIZE);
    assert_in_range(memory, 1, (size_t)1 << 44);
    checkpoint_build(c, &(struct checkpoint_options){.dtype = "BF16"});
    json_t *entry = json_object_get(c->header, "wpe.weight");
    json_object_set_new(c->header, "another", json_deep_copy(entry)); /* its data stay somebody's */
    const size_t n_positions = memory / (sizeof(float) * 8) + (1u << 20), n_bytes = n_positions * 8 * 2;
    assert_in_range(n_positions, 1, INT32_MAX);
    json_object_set_new(c->config, "n_positions", json_integer((json_int_t)n_positions));
    json_object_set_new(entry, "shape", json_pack("[I, i]", (json_int_t)n_positions, 8));
    json_object_set_new(entry, "data_offsets",
                        json_pack("[I, I]", (json_int_t)c->n_data, (json_int_t)(c->n_data + n_bytes)));
    checkpoint_write(c);
    struct stat information;
    assert_int_equal(stat(c->weights_file, &information), 0);
    assert_int_equal(truncate(c->weights_file, information.st_size + (off_t)n_bytes), 0);
    refuse(c, KV_ERROR_MEMORY, "model weights: needs ", "GiB are available");
    snprintf(named, sizeof named, "needs %.0f", (double)n_positions * 32 / (1 << 30) - 0.5);
    refuse(c, KV_ERROR_MEMORY, "model weights: ", named);
}

/* ---- Files that are absent or damaged ------------------------------------------------------------- */

FOLDER_TEST(absent_files)
{
    checkpoint_build(c, &(struct checkpoint_options){0});
    refuse(c, KV_ERROR_IO, c->config_file, "No such file");
    checkpoint_write(c);
    assert_int_equal(unlink(c->weights_file), 0);
    refuse(c, KV_ERROR_IO, c->weights_file, "No such file");
    assert_int_equal(mkdir(c->weights_file, 0700), 0);
    refuse(c, KV_ERROR_IO, c->weights_file, "not a regular file");
    assert_int_equal(rmdir(c->weights_file), 0);
    write_bytes(c->weights_file, "", 0);
    refuse(c, KV_ERROR_FORMAT, c->weights_file, "too few");
    struct checkpoint other = *c;
    const int length = snprintf(other.folder, sizeof other.folder, "%s/none", c->folder);
    assert_in_range(length, 1, sizeof other.folder - 1);
    refuse(&other, KV_ERROR_IO, other.folder, "No such file");
    assert_int_equal(unlink(c->weights_file), 0);
    write_bytes(other.folder, "", 0);
    refuse(&other, KV_ERROR_IO, other.folder, "Not a directory");
}

/* Cut at every byte of the header, at every byte of the last tensor, and at some between. */
FOLDER_TEST(truncated)
{
    size_t n;
    put(c, &(struct checkpoint_options){.dtype = "F16", .masks = true});
    unsigned char *image = checkpoint_image(c, &n);
    const size_t n_header = n - c->n_data, last_tensor = n - 16;
    for (size_t kept = 0; kept < n; kept += kept < n_header + 64 || kept >= last_tensor ? 1 : 97) {
        write_bytes(c->weights_file, image, kept);
        refuse(c, KV_ERROR_FORMAT, c->weights_file,
               kept < 8          ? "too few"
               : kept < n_header ? "header's length"
                                 : "data_offsets end at");
    }
    for (size_t kept = last_tensor; kept < n; kept++) {
        write_bytes(c->weights_file, image, kept);
        refuse(c, KV_ERROR_FORMAT, c->weights_file, "tensor 'ln_f.bias'");
    }
    free(image);
}

/* Thousands of damaged copies of `file`: each loads, or is refused with a reason. */
static void fuzz(const struct checkpoint *c, const char *file, const unsigned char *image, size_t n, size_t reach,
                 int n_rounds)
{
    uint64_t random = 20;
    int n_loaded = 0, n_refused = 0;
    struct kv_pool *pool;
    unsigned char *bytes = malloc(n + 4 * 24);
    assert_non_null(bytes);
    pool = make_pool(1);
    for (int round = 0; round < n_rounds; round++) {
        struct kv_model *model;
        size_t n_bytes = n;
        memcpy(bytes, image, n);
        for (int i = random_between(&random, 1, 3); i > 0; i--)
            n_bytes = damage(bytes, n_bytes, reach, &random);
        write_bytes(file, bytes, n_bytes);
        error.message[0] = '\0';
        const kv_status status = kv_model_load(&model, c->folder, NULL, "reference", pool, &error);
        if (status) {
            assert_null(model);
            assert_true(status == KV_ERROR_FORMAT || status == KV_ERROR_UNSUPPORTED);
            assert_true(strstr(error.message, c->folder) && !strpbrk(error.message, "\n\r"));
            n_refused++;
        } else {
            kv_model_free(model);
            n_loaded++;
        }
    }
    kv_pool_free(pool);
    free(bytes);
    assert_true(n_loaded >= n_rounds / 200 && n_refused >= n_rounds / 2); /* both ways were really taken */
    assert_released(file);
}

FOLDER_TEST(damaged_weights)
{
    size_t n;
    put(c, &(struct checkpoint_options){.dtype = "BF16", .masks = true, .config = {1, 1, 2, 3, 5, 4, KV_GELU_NEW, 0}});
    unsigned char *image = checkpoint_image(c, &n);
    fuzz(c, c->weights_file, image, n, n - c->n_data, 5000);
    fuzz(c, c->weights_file, image, n, n, 1000);
    free(image);
}

FOLDER_TEST(damaged_config)
{
    put(c, &(struct checkpoint_options){0});
    char *text = json_dumps(c->config, JSON_INDENT(2));
    assert_non_null(text);
    fuzz(c, c->config_file, (const unsigned char *)text, strlen(text), strlen(text), 3000);
    free(text);
}

/* ---- Leaks ---------------------------------------------------------------------------------------- */

static size_t address_space_bytes(void)
{
    unsigned long pages = 0;
    FILE *stream = fopen("/proc/self/statm", "re");
    assert_non_null(stream);
    assert_int_equal(fscanf(stream, "%lu", &pages), 1);
    fclose(stream);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* Leak checkers of allocators do not see mappings, which is where weights and file are: 8 MiB each, so that one of
 * either left behind is more than what the process takes for other ends. */
static const struct checkpoint_options large = {.config = {1, 1, 64, 64, 32768, 16, KV_GELU_NEW, 0}};
static const size_t slack_bytes = 4 << 20;

FOLDER_TEST(no_mapping_is_leaked)
{
    put(c, &large);
    kv_model_free(load_whole(c, 1));
    size_t before = address_space_bytes();
    kv_model_free(load_whole(c, 1));
    assert_in_range(address_space_bytes(), 0, before + slack_bytes);
    json_object_set(c->header, "another", json_object_get(c->header, "ln_f.bias"));
    json_object_del(c->header, "ln_f.bias");
    checkpoint_write(c);
    before = address_space_bytes();
    refuse(c, KV_ERROR_FORMAT, c->weights_file, "'ln_f.bias' is missing");
    assert_in_range(address_space_bytes(), 0, before + slack_bytes);
}

FOLDER_TEST(every_allocation_fails)
{
    struct kv_pool *pool;
    struct kv_model *model;
    kv_status status = KV_ERROR_MEMORY;
    int n_failed = 0;
    put(c, &large);
    kv_model_free(load_whole(c, 1));
    pool = make_pool(1);
    const size_t before = address_space_bytes();
    for (; status; n_failed += status != KV_OK) {
        allocations_left = n_failed;
        status = kv_model_load(&model, c->folder, NULL, "reference", pool, &error);
        allocations_left = -1;
        if (status) {
            REFUSED(status, KV_ERROR_MEMORY, "no memory", NULL);
            assert_null(model);
        }
        assert_released(c->weights_file);
    }
    kv_model_free(model);
    assert_in_range(n_failed, 6, 20);
    assert_in_range(address_space_bytes(), 0, before + slack_bytes);
    kv_pool_free(pool);
}
