/* Saved models: the same model when it is loaded again, and a folder that is never half of one and half of another. */
#include "checkpoint.h"
#include "unit.h"

#include "model/safetensors.h"
#include "model/weights.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Every field apart from the others, an epsilon that 1e-5 does not stand for, and the other GELU. */
static const struct kv_config odd = {3, 5, 35, 41, 257, 19, KV_GELU, 3.1415927e-6f};
static const struct kv_config even = {1, 2, 8, 32, 256, 12, KV_GELU_NEW, 1e-5f};

static float float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* ---- Models ------------------------------------------------------------------------------------------- */

FOLDER_TEST(saved_is_loaded)
{
    static const struct kv_config *const shapes[] = {&odd, &even, &odd};
    for (size_t i = 0; i < COUNT(shapes); i++) { /* each replaces the one before */
        struct kv_model *model = synthesize(shapes[i], 11 + i, i % 2 ? "openblas" : "reference", 1);
        OK(kv_model_save(model, c->folder, "F32", NULL, &error));
        struct kv_model *loaded = load_model(c->folder, "reference", 1);
        assert_same_weights(model, loaded);
        assert_string_equal(kv_model_source(loaded), "F32");
        assert_int_equal(files_in(c->folder), 2);
        kv_model_free(model);
        kv_model_free(loaded);
    }
}

/* The logits of every position of the same tokens. */
static float *logits_of(const struct kv_model *model, int n_tokens)
{
    const int V = model->config.vocab_size;
    const struct kv_session_options options = {.matmul = "reference", .batch = 1};
    struct kv_pool *pool = make_pool(1);
    struct kv_session *session;
    int32_t *tokens = malloc((size_t)n_tokens * sizeof *tokens);
    float *logits = malloc((size_t)n_tokens * (size_t)V * sizeof *logits);
    assert_true(tokens && logits);
    for (int i = 0; i < n_tokens; i++)
        tokens[i] = (i * 31 + 5) % V;
    OK(kv_session_create(&session, model, pool, &options, &error));
    OK(kv_session_prefill(session, tokens, n_tokens, logits, &error));
    kv_session_free(session);
    kv_pool_free(pool);
    free(tokens);
    return logits;
}

FOLDER_TEST(the_same_logits)
{
    struct kv_model *model = synthesize(&odd, 2, "reference", 1);
    OK(kv_model_save(model, c->folder, "F32", NULL, &error));
    struct kv_model *exact = load_model(c->folder, "reference", 1);
    OK(kv_model_save(model, c->folder, "BF16", NULL, &error));
    struct kv_model *rounded = load_model(c->folder, "reference", 1);
    float *expected = logits_of(model, 19), *same = logits_of(exact, 19), *near = logits_of(rounded, 19);
    const size_t n = 19 * (size_t)odd.vocab_size;
    assert_memory_equal(expected, same, n * sizeof *expected);
    assert_close(near, expected, n, 0.1);
    assert_memory_not_equal(expected, near, n * sizeof *expected);
    assert_string_equal(kv_model_source(rounded), "BF16");
    free(expected);
    free(same);
    free(near);
    kv_model_free(model);
    kv_model_free(exact);
    kv_model_free(rounded);
}

/* The bfloat16 value nearest to a finite one, by the definition: of the two around it the nearer, of two equally near
 * the one whose last bit is 0. Above the largest, the next power of two stands for infinity. */
static float nearest_even(float value)
{
    const uint32_t bits = bits_of(value), below = bits & 0xffff0000, above = below + 0x10000;
    const double x = fabs((double)value), low = fabs((double)float_of(below));
    const double high = (above & 0x7fffffff) == 0x7f800000 ? 0x1p128 : fabs((double)float_of(above));
    if (x - low != high - x)
        return float_of(x - low < high - x ? below : above);
    return float_of(below & 0x10000 ? above : below);
}

FOLDER_TEST(bfloat_is_the_nearest)
{
    static const uint32_t edges[] = {
        0x3f800000, 0x3f808000, 0x3f818000, 0x3f808001, 0x3f817fff, 0x3f7fffff,             /* ties and next to them */
        0x00000000, 0x80000000, 0x00000001, 0x00007fff, 0x00008000, 0x00008001, 0x00018000, /* 0 and subnormals */
        0x007fffff, 0x00800000, 0x007f8000, 0x807fffff, 0x80008000,                         /* up to the normals */
        0x7f7f0000, 0x7f7f7fff, 0x7f7f8000, 0x7f7fffff, 0xff7fffff, 0xff7f7fff,             /* at the upper end */
    };
    struct kv_model *model = synthesize(&odd, 2, "reference", 1);
    float *wpe = (float *)(uintptr_t)model->wpe;
    uint64_t random = 9;
    for (size_t i = 0; i < COUNT(edges); i++)
        wpe[i] = float_of(edges[i]);
    for (size_t i = COUNT(edges); i < 400; i++) { /* any finite bits */
        const uint32_t bits = (uint32_t)next_random(&random);
        wpe[i] = float_of((bits & 0x7f800000) == 0x7f800000 ? bits & 0xbfffffff : bits);
    }
    OK(kv_model_save(model, c->folder, "BF16", NULL, &error));
    struct kv_model *loaded = load_model(c->folder, "reference", 1);
    char name[48];
    size_t n;
    for (int i = 0; model_tensor_name(&odd, i, name, &n); i++)
        for (size_t k = 0; k < n; k++)
            assert_int_equal(bits_of(model_tensor(loaded, i)[k]), bits_of(nearest_even(model_tensor(model, i)[k])));
    assert_true(isinf(loaded->wpe[COUNT(edges) - 4]));
    kv_model_free(model);
    kv_model_free(loaded);
}

FOLDER_TEST(bfloat_of_what_is_no_number)
{
    static const uint32_t nan[] = {0x7fc00000, 0x7f800001, 0x7fffffff, 0xffffffff, 0xff800001, 0x7f80ffff};
    struct kv_model *model = synthesize(&odd, 2, "reference", 1);
    float *wpe = (float *)(uintptr_t)model->wpe;
    for (size_t i = 0; i < COUNT(nan); i++)
        wpe[i] = float_of(nan[i]);
    wpe[10] = INFINITY;
    wpe[11] = -INFINITY;
    OK(kv_model_save(model, c->folder, "BF16", NULL, &error));
    struct kv_model *loaded = load_model(c->folder, "reference", 1);
    for (size_t i = 0; i < COUNT(nan); i++) {
        assert_true(isnan(loaded->wpe[i]));
        assert_int_equal(bits_of(loaded->wpe[i]) >> 31, nan[i] >> 31);
    }
    assert_true(loaded->wpe[10] == INFINITY && loaded->wpe[11] == -INFINITY);
    kv_model_free(model);
    kv_model_free(loaded);
}

/* ---- config.json -------------------------------------------------------------------------------------- */

static void assert_epsilon_stays(const struct checkpoint *c, struct kv_model *model, float epsilon, const char *text)
{
    struct kv_config config;
    model->config.layer_norm_epsilon = epsilon;
    OK(kv_model_save(model, c->folder, "F32", NULL, &error));
    OK(kv_config_load(c->config_file, &config, &error));
    assert_memory_equal(&config, &model->config, sizeof config);
    char *content = read_text(c->config_file);
    if (text)
        assert_non_null(strstr(content, text));
    free(content);
}

FOLDER_TEST(epsilon_keeps_its_bits)
{
    struct kv_model *model = synthesize(&even, 1, "reference", 1);
    uint64_t random = 4;
    assert_epsilon_stays(c, model, 1e-5f, "\"layer_norm_epsilon\": 1e-5,");
    assert_epsilon_stays(c, model, 0.1f, "\"layer_norm_epsilon\": 0.1,");
    assert_epsilon_stays(c, model, 0, "\"layer_norm_epsilon\": 0.0,");
    assert_epsilon_stays(c, model, 1, "\"layer_norm_epsilon\": 1.0,");
    assert_epsilon_stays(c, model, 0x1p-149f, NULL);
    for (int i = 0; i < 50; i++)
        assert_epsilon_stays(c, model, ldexpf(1 + fabsf(random_float(&random)), random_between(&random, -60, -2)),
                             NULL);
    kv_model_free(model);
}

/* What is there may stay only when it is the very same. */
FOLDER_TEST(an_edited_config_is_replaced)
{
    struct kv_model *model = synthesize(&even, 1, "reference", 1);
    OK(kv_model_save(model, c->folder, "F32", "bytes", &error));
    char *first = read_text(c->config_file), edited[4096];
    for (int edit = 0; edit < 3; edit++) {
        const int length = snprintf(edited, sizeof edited, "%s%s", first, edit == 0 ? "}" : "");
        edited[length / 2] = edit == 1 ? '?' : edited[length / 2];
        write_bytes(c->config_file, edited, (size_t)length - (edit == 2));
        OK(kv_model_save(model, c->folder, "F32", "bytes", &error));
        char *again = read_text(c->config_file);
        assert_string_equal(again, first);
        free(again);
    }
    free(first);
    kv_model_free(model);
}

FOLDER_TEST(tokenizer_is_named)
{
    static const struct {
        int vocab_size;
        const char *tokenizer, *says;
    } cases[] = {{257, "bytes", "\"eos_token_id\": null"},
                 {50257, "gpt2", "\"bos_token_id\": 50256,\n  \"eos_token_id\": 50256"},
                 {50300, "bytes", "\"bos_token_id\": null"},
                 {256, NULL, "\"eos_token_id\": null\n}"}};
    const char *name;
    for (size_t i = 0; i < COUNT(cases); i++) {
        const struct kv_config config = {1, 1, 1, 1, cases[i].vocab_size, 1, KV_GELU, 1e-5f};
        struct kv_model *model = synthesize(&config, 1, "reference", 1);
        OK(kv_model_save(model, c->folder, "BF16", cases[i].tokenizer, &error));
        char *content = read_text(c->config_file);
        assert_non_null(strstr(content, cases[i].says));
        assert_int_equal(strstr(content, "kvbench_tokenizer") != NULL, cases[i].tokenizer != NULL);
        assert_non_null(strstr(content, "\"torch_dtype\": \"bfloat16\""));
        OK(kv_tokenizer_of_config(c->config_file, &name, &error));
        assert_string_equal(name, cases[i].tokenizer ? cases[i].tokenizer : "bytes");
        free(content);
        kv_model_free(model);
    }
}

/* ---- Failures ----------------------------------------------------------------------------------------- */

FOLDER_TEST(arguments_refused)
{
    struct kv_model *model = synthesize(&even, 1, "reference", 1), *packed = synthesize(&even, 1, "packed", 1);
    REFUSED(kv_model_save(packed, c->folder, "F32", NULL, &error), KV_ERROR_ARGUMENT, c->folder, "matmul packed");
    REFUSED(kv_model_save(model, c->folder, "F16", NULL, &error), KV_ERROR_ARGUMENT, c->folder, "'F16'");
    REFUSED(kv_model_save(model, c->folder, "F32", "words", &error), KV_ERROR_ARGUMENT, "tokenizer", "'words'");
    REFUSED(kv_model_save(model, c->folder, "F32", "gpt2", &error), KV_ERROR_ARGUMENT, c->folder, "50257 ids");
    static const float epsilons[] = {-1e-5f, 1.5f, NAN, INFINITY};
    for (size_t i = 0; i < COUNT(epsilons); i++) {
        model->config.layer_norm_epsilon = epsilons[i];
        REFUSED(kv_model_save(model, c->folder, "F32", NULL, &error), KV_ERROR_ARGUMENT, c->folder,
                "layer_norm_epsilon");
    }
    assert_int_equal(files_in(c->folder), 0);
    kv_model_free(model);
    kv_model_free(packed);
}

FOLDER_TEST(places_refused)
{
    struct kv_model *model = synthesize(&even, 1, "reference", 1), *other = synthesize(&odd, 1, "reference", 1);
    char path[256];
    snprintf(path, sizeof path, "%s/absent/model", c->folder);
    REFUSED(kv_model_save(model, path, "F32", NULL, &error), KV_ERROR_IO, path, "No such file");
    write_bytes(c->config_file, "{}", 2);
    REFUSED(kv_model_save(model, c->config_file, "F32", NULL, &error), KV_ERROR_IO, c->config_file, "Not a directory");
    snprintf(path, sizeof path, "%s/model", c->config_file);
    REFUSED(kv_model_save(model, path, "F32", NULL, &error), KV_ERROR_IO, path, "Not a directory");
    assert_int_equal(files_in(c->folder), 1);
    OK(kv_model_save(model, c->folder, "F32", NULL, &error));
    assert_int_equal(unlink(c->weights_file) | mkdir(c->weights_file, 0700), 0);
    char *before = read_text(c->config_file);
    REFUSED(kv_model_save(other, c->folder, "F32", NULL, &error), KV_ERROR_IO, c->weights_file, "directory");
    char *after = read_text(c->config_file);
    assert_string_equal(before, after);
    assert_int_equal(files_in(c->folder), 2);
    assert_int_equal(rmdir(c->weights_file) | unlink(c->config_file) | mkdir(c->config_file, 0700), 0);
    REFUSED(kv_model_save(model, c->folder, "F32", NULL, &error), KV_ERROR_IO, c->config_file, "directory");
    assert_int_equal(files_in(c->folder), 1);
    free(before);
    free(after);
    kv_model_free(model);
    kv_model_free(other);
}

/* As on a full disk: a model into a folder with files of at most `limit` bytes. */
static void save_in_little_space(const struct kv_model *model, const char *folder, size_t limit)
{
    disk_is_full(limit);
    const kv_status status = kv_model_save(model, folder, limit % 2 ? "BF16" : "F32", NULL, &error);
    disk_is_free();
    REFUSED(status, KV_ERROR_IO, folder, "too large");
}

FOLDER_TEST(a_full_disk_changes_nothing)
{
    static const size_t limits[] = {0, 1, 400, 401, 5000, 20000, 20001};
    struct kv_model *model = synthesize(&odd, 1, "reference", 1), *old = synthesize(&even, 3, "reference", 1);
    char folder[160];
    snprintf(folder, sizeof folder, "%s/new", c->folder);
    for (size_t i = 0; i < COUNT(limits); i++) {
        save_in_little_space(model, folder, limits[i]);
        assert_int_equal(access(folder, F_OK), -1);
    }
    OK(kv_model_save(old, c->folder, "F32", NULL, &error));
    for (size_t i = 0; i < COUNT(limits); i++) {
        save_in_little_space(model, c->folder, limits[i]);
        struct kv_model *loaded = load_model(c->folder, "reference", 1);
        assert_same_weights(old, loaded);
        assert_int_equal(files_in(c->folder), 2);
        kv_model_free(loaded);
    }
    OK(kv_model_save(model, folder, "F32", NULL, &error));
    assert_int_equal(files_in(folder), 2);
    kv_model_free(model);
    kv_model_free(old);
}

/* ---- The machine stops half-way ----------------------------------------------------------------------- */

static int changes_left = -1; /* until the process ends in place of the next change of a name; -1: never */

int __real_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to);
int __real_unlink(const char *file);
int __wrap_unlink(const char *file);

static void count_change(void)
{
    if (changes_left == 0)
        _exit(1);
    changes_left -= changes_left > 0;
}

int __wrap_rename(const char *from, const char *to)
{
    count_change();
    return __real_rename(from, to);
}

int __wrap_unlink(const char *file)
{
    count_change();
    return __real_unlink(file);
}

/* Saves in a process that ends before change `n` of a name; whether it came to its own end. */
static bool stop_before(const struct kv_model *model, const char *folder, int n)
{
    int how;
    const pid_t child = fork();
    if (child == 0) {
        changes_left = n;
        _exit(kv_model_save(model, folder, "F32", NULL, NULL) == KV_OK ? 0 : 2);
    }
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_true(WIFEXITED(how) && WEXITSTATUS(how) <= 1);
    return WEXITSTATUS(how) == 0;
}

enum outcome { IS_OLD, IS_NEW, DOES_NOT_LOAD, N_OUTCOMES };

static enum outcome look(const char *folder, const struct kv_model *old, const struct kv_model *new)
{
    struct kv_model *loaded;
    struct kv_pool *pool = make_pool(1);
    enum outcome outcome = DOES_NOT_LOAD;
    if (kv_model_load(&loaded, folder, NULL, "reference", pool, &error) == KV_OK) {
        const bool as_old = memcmp(&loaded->config, &old->config, sizeof old->config) == 0;
        outcome = as_old && same_weights(loaded, old) ? IS_OLD : IS_NEW;
        assert_same_weights(loaded, outcome == IS_OLD ? old : new);
    }
    kv_model_free(loaded);
    kv_pool_free(pool);
    return outcome;
}

/* Whenever it stops: the old model, the new one, or none; never the weights of one with the config of the other. */
static void stop_everywhere(const struct checkpoint *c, const struct kv_config *new_config, int found[N_OUTCOMES])
{
    struct kv_model *old = synthesize(&even, 1, "reference", 1), *new = synthesize(new_config, 2, "reference", 1);
    bool whole = false;
    for (int n = 0; !whole; n++) {
        OK(kv_model_save(old, c->folder, "F32", NULL, &error));
        whole = stop_before(new, c->folder, n);
        const enum outcome outcome = look(c->folder, old, new);
        found[outcome]++;
        assert_true(!whole || outcome == IS_NEW);
    }
    kv_model_free(old);
    kv_model_free(new);
}

FOLDER_TEST(never_half_a_model)
{
    struct kv_config same_tensors = even;
    same_tensors.n_head = 4; /* nothing in the weights tells */
    const struct kv_config *const configs[] = {&same_tensors, &odd};
    for (size_t i = 0; i < COUNT(configs); i++) {
        int found[N_OUTCOMES] = {0};
        stop_everywhere(c, configs[i], found);
        assert_true(found[IS_OLD] && found[IS_NEW]);
    }
}

FOLDER_TEST(new_weights_in_one_step)
{
    int found[N_OUTCOMES] = {0};
    stop_everywhere(c, &even, found);
    assert_true(found[IS_OLD] && found[IS_NEW]);
    assert_int_equal(found[DOES_NOT_LOAD], 0);
}
