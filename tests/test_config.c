/* Shapes: the published ones, and config.json with every field missing, wrong, or at the edge of what it may be. */
#include "checkpoint.h"
#include "unit.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Writes a config.json whose field has that text as its value (NULL: is absent), all others being right. */
static void put_config(const struct checkpoint *c, const char *field, const char *value)
{
    static const char *const right[][2] = {
        {"model_type", "\"gpt2\""},
        {"n_layer", "2"},
        {"n_head", "2"},
        {"n_embd", "8"},
        {"n_inner", "null"},
        {"vocab_size", "11"},
        {"n_positions", "7"},
        {"n_ctx", "7"},
        {"activation_function", "\"gelu_new\""},
        {"layer_norm_epsilon", "1e-05"},
    };
    FILE *stream = fopen(c->config_file, "we");
    assert_non_null(stream);
    fprintf(stream, "{\n");
    if (value)
        fprintf(stream, "  \"%s\": %s,\n", field, value);
    for (size_t i = 0; i < COUNT(right); i++)
        if (strcmp(right[i][0], field) != 0)
            fprintf(stream, "  \"%s\": %s,\n", right[i][0], right[i][1]);
    fprintf(stream, "  \"resid_pdrop\": 0.1\n}\n");
    assert_int_equal(fclose(stream), 0);
}

static struct kv_config read_config(const struct checkpoint *c, const char *field, const char *value)
{
    struct kv_config config;
    put_config(c, field, value);
    OK(kv_config_load(c->config_file, &config, &error));
    return config;
}

static void refuse(const struct checkpoint *c, const char *field, const char *value, kv_status status)
{
    struct kv_config config;
    put_config(c, field, value);
    REFUSED(kv_config_load(c->config_file, &config, &error), status, c->config_file, field);
    assert_int_equal(kv_config_load(c->config_file, &config, NULL), status);
}

/* ---- Published shapes --------------------------------------------------------------------------- */

TEST(presets)
{
    /* The counts that Hugging Face's model cards give. */
    static const struct {
        const char *name;
        uint64_t parameters;
        size_t kv_bytes;
    } published[] = {{"gpt2", 124439808, 73728},
                     {"gpt2-medium", 354823168, 196608},
                     {"gpt2-large", 774030080, 368640},
                     {"gpt2-xl", 1557611200, 614400}};
    struct kv_config config;
    for (size_t i = 0; i < COUNT(published); i++) {
        assert_string_equal(kv_config_preset_name((int)i), published[i].name);
        OK(kv_config_preset(published[i].name, &config, &error));
        assert_true(kv_config_parameters(&config) == published[i].parameters);
        assert_int_equal(kv_config_kv_bytes_per_token(&config), published[i].kv_bytes);
    }
    assert_null(kv_config_preset_name((int)COUNT(published)));
    assert_null(kv_config_preset_name(-1));
    assert_null(kv_config_preset_name(INT_MAX));
    static const char *const unknown[] = {"", "gpt2-small", "GPT2", "gpt2 "};
    for (size_t i = 0; i < COUNT(unknown); i++)
        REFUSED(kv_config_preset(unknown[i], &config, &error), KV_ERROR_ARGUMENT, unknown[i], "gpt2-xl");
}

TEST(parameters_overflow)
{
    struct kv_config config = {INT_MAX, 1, INT_MAX, INT_MAX, INT_MAX, INT_MAX, KV_GELU_NEW, 0};
    assert_true(kv_config_parameters(&config) == 0);
    config = (struct kv_config){1, 1, 1, 1, 1, 1, KV_GELU_NEW, 0};
    /* wte, wpe, ln_f 2, ln_1 2, c_attn 3 + 3, c_proj 1 + 1, ln_2 2, c_fc 1 + 1, c_proj 1 + 1 */
    assert_true(kv_config_parameters(&config) == 20);
}

/* The file that was published with the 124M weights. */
FOLDER_TEST(published_file)
{
    static const char text[] =
        "{\"activation_function\": \"gelu_new\", \"architectures\": [\"GPT2LMHeadModel\"], \"attn_pdrop\": 0.1,\n"
        " \"bos_token_id\": 50256, \"embd_pdrop\": 0.1, \"eos_token_id\": 50256, \"initializer_range\": 0.02,\n"
        " \"layer_norm_epsilon\": 1e-05, \"model_type\": \"gpt2\", \"n_ctx\": 1024, \"n_embd\": 768,\n"
        " \"n_head\": 12, \"n_layer\": 12, \"n_positions\": 1024, \"resid_pdrop\": 0.1,\n"
        " \"summary_activation\": null, \"summary_first_dropout\": 0.1, \"summary_proj_to_labels\": true,\n"
        " \"summary_type\": \"cls_index\", \"summary_use_proj\": true,\n"
        " \"task_specific_params\": {\"text-generation\": {\"do_sample\": true, \"max_length\": 50}},\n"
        " \"vocab_size\": 50257}\n";
    struct kv_config config, preset;
    write_bytes(c->config_file, text, sizeof text - 1);
    OK(kv_config_load(c->config_file, &config, &error));
    OK(kv_config_preset("gpt2", &preset, &error));
    assert_memory_equal(&config, &preset, sizeof config);
}

/* ---- Fields ------------------------------------------------------------------------------------- */

FOLDER_TEST(sizes)
{
    static const char *const fields[] = {"n_layer", "n_head", "n_embd", "vocab_size", "n_positions", "n_inner"};
    static const char *const wrong[] = {"0",
                                        "-1",
                                        "-9223372036854775808",
                                        "2147483648",
                                        "9223372036854775807",
                                        "12.5",
                                        "12.0",
                                        "\"12\"",
                                        "true",
                                        "[12]",
                                        "{}",
                                        "1e3",
                                        "\"\""};
    for (size_t f = 0; f < COUNT(fields); f++) {
        for (size_t i = 0; i < COUNT(wrong); i++)
            refuse(c, fields[f], wrong[i], KV_ERROR_FORMAT);
        if (strcmp(fields[f], "n_inner") != 0) {
            refuse(c, fields[f], NULL, KV_ERROR_FORMAT);
            refuse(c, fields[f], "null", KV_ERROR_FORMAT);
        }
    }
    const struct kv_config right = read_config(c, "vocab_size", "2147483647");
    assert_int_equal(right.vocab_size, INT_MAX);
    assert_int_equal(right.n_layer, 2);
    assert_int_equal(right.n_head, 2);
    assert_int_equal(right.n_embd, 8);
    assert_int_equal(right.n_positions, 7);
}

FOLDER_TEST(inner_width)
{
    assert_int_equal(read_config(c, "n_inner", "null").n_inner, 32);
    assert_int_equal(read_config(c, "n_inner", NULL).n_inner, 32);
    assert_int_equal(read_config(c, "n_inner", "5").n_inner, 5);
    assert_int_equal(read_config(c, "n_inner", "2147483647").n_inner, INT_MAX);
}

FOLDER_TEST(widths_that_do_not_fit)
{
    refuse(c, "n_head", "3", KV_ERROR_FORMAT);
    refuse(c, "n_head", "16", KV_ERROR_FORMAT);
    refuse(c, "n_embd", "7", KV_ERROR_FORMAT);
    refuse(c, "n_embd", "2147483646", KV_ERROR_FORMAT); /* 4 n_embd is no int */
    assert_int_equal(read_config(c, "n_head", "8").n_head, 8);
}

FOLDER_TEST(activation)
{
    assert_int_equal(read_config(c, "activation_function", NULL).activation, KV_GELU_NEW);
    assert_int_equal(read_config(c, "activation_function", "\"gelu_new\"").activation, KV_GELU_NEW);
    assert_int_equal(read_config(c, "activation_function", "\"gelu_pytorch_tanh\"").activation, KV_GELU_NEW);
    assert_int_equal(read_config(c, "activation_function", "\"gelu\"").activation, KV_GELU);
    static const char *const other[] = {"\"relu\"", "\"gelu_fast\"", "\"\"", "\"GELU\"", "\"silu\""};
    for (size_t i = 0; i < COUNT(other); i++)
        refuse(c, "activation_function", other[i], KV_ERROR_UNSUPPORTED);
    static const char *const wrong[] = {"null", "1", "[\"gelu\"]", "true"};
    for (size_t i = 0; i < COUNT(wrong); i++)
        refuse(c, "activation_function", wrong[i], KV_ERROR_FORMAT);
}

FOLDER_TEST(epsilon)
{
    assert_true(read_config(c, "layer_norm_epsilon", NULL).layer_norm_epsilon == 1e-5f);
    assert_true(read_config(c, "layer_norm_epsilon", "1e-12").layer_norm_epsilon == 1e-12f);
    assert_true(read_config(c, "layer_norm_epsilon", "0.001").layer_norm_epsilon == 1e-3f);
    assert_true(read_config(c, "layer_norm_epsilon", "0").layer_norm_epsilon == 0);
    assert_true(read_config(c, "layer_norm_epsilon", "0.0").layer_norm_epsilon == 0);
    assert_true(read_config(c, "layer_norm_epsilon", "1").layer_norm_epsilon == 1);
    assert_true(read_config(c, "layer_norm_epsilon", "1e-300").layer_norm_epsilon == 0); /* below float's range */
    static const char *const wrong[] = {"-1e-5", "-1", "1.5", "1e300", "\"1e-5\"", "null", "[]", "true"};
    for (size_t i = 0; i < COUNT(wrong); i++)
        refuse(c, "layer_norm_epsilon", wrong[i], KV_ERROR_FORMAT);
}

/* Models whose arithmetic is not GPT-2's would run, and be wrong. */
FOLDER_TEST(variants)
{
    static const struct {
        const char *field;
        const char *right, *other;
    } flags[] = {{"tie_word_embeddings", "true", "false"},
                 {"scale_attn_weights", "true", "false"},
                 {"scale_attn_by_inverse_layer_idx", "false", "true"},
                 {"add_cross_attention", "false", "true"}};
    for (size_t i = 0; i < COUNT(flags); i++) {
        read_config(c, flags[i].field, flags[i].right);
        refuse(c, flags[i].field, flags[i].other, KV_ERROR_UNSUPPORTED);
        refuse(c, flags[i].field, "1", KV_ERROR_UNSUPPORTED);
        refuse(c, flags[i].field, "\"true\"", KV_ERROR_UNSUPPORTED);
        refuse(c, flags[i].field, "null", KV_ERROR_UNSUPPORTED);
    }
    read_config(c, "reorder_and_upcast_attn", "true"); /* the same arithmetic in another order */
    read_config(c, "model_type", NULL);
    refuse(c, "model_type", "\"bert\"", KV_ERROR_UNSUPPORTED);
    refuse(c, "model_type", "\"gpt_neox\"", KV_ERROR_UNSUPPORTED);
    refuse(c, "model_type", "\"\"", KV_ERROR_UNSUPPORTED);
    refuse(c, "model_type", "7", KV_ERROR_FORMAT);
    refuse(c, "model_type", "null", KV_ERROR_FORMAT);
}

/* A value of any length and content leaves room for the remedy, in one line. */
FOLDER_TEST(long_and_many_lined_values)
{
    char value[2048];
    memset(value, 'x', sizeof value);
    value[0] = value[sizeof value - 2] = '"';
    value[sizeof value - 1] = '\0';
    struct kv_config config;
    put_config(c, "activation_function", value);
    REFUSED(kv_config_load(c->config_file, &config, &error), KV_ERROR_UNSUPPORTED, c->config_file, "gelu_pytorch_tanh");
    put_config(c, "model_type", value);
    REFUSED(kv_config_load(c->config_file, &config, &error), KV_ERROR_UNSUPPORTED, c->config_file, "only gpt2");
    refuse(c, "model_type", "\"a\\nb\\rc\\u001bd\"", KV_ERROR_UNSUPPORTED);
    refuse(c, "activation_function", "\"a\\nb\\rc\\u001bd\"", KV_ERROR_UNSUPPORTED);
}

/* ---- The file ----------------------------------------------------------------------------------- */

FOLDER_TEST(not_json)
{
#define BYTES(literal) literal, sizeof literal - 1
    static const struct {
        const char *bytes;
        size_t n_bytes;
        const char *named;
    } files[] = {
        {BYTES(""), "line 1"},
        {BYTES(" \n\n"), "line 3"},
        {BYTES("hello"), "line 1"},
        {BYTES("{"), "line 1"},
        {BYTES("{\"n_layer\": 2,\n \"n_head\": }"), "line 2"},
        {BYTES("{\"n_layer\": 2,}"), "line 1"},
        {BYTES("{'n_layer': 2}"), "line 1"},
        {BYTES("{\"n_layer\": 2} {\"n_layer\": 3}"), "line 1"},
        {BYTES("{\"n_layer\": 2, \"n_layer\": 3}"), "n_layer"},
        {BYTES("{\"n_layer\": 99999999999999999999}"), "99999999999999999999"},
        {BYTES("{\"layer_norm_epsilon\": 1e999}"), "1e999"},
        {BYTES("{\"layer_norm_epsilon\": NaN}"), "line 1"},
        {BYTES("{\"layer_norm_epsilon\": Infinity}"), "line 1"},
        {BYTES("{\"model_type\": \"\\u0000\"}"), "line 1"},
        {BYTES("{\"model_type\": \"\xff\xfe\"}"), "line 1"},
        {BYTES("{\"model_type\": \"gpt\n2\"}"), "line 1"},
        {BYTES("\xef\xbb\xbf{}"), "line 1"},
        {BYTES("[]"), "object"},
        {BYTES("[{\"n_layer\": 2}]"), "object"},
    };
#undef BYTES
    for (size_t i = 0; i < COUNT(files); i++) {
        struct kv_config config;
        write_bytes(c->config_file, files[i].bytes, files[i].n_bytes);
        REFUSED(kv_config_load(c->config_file, &config, &error), KV_ERROR_FORMAT, c->config_file, files[i].named);
        assert_released(c->config_file);
    }
}

FOLDER_TEST(deep_nesting)
{
    enum { DEPTH = 1000000 };
    char *text = malloc(DEPTH);
    assert_non_null(text);
    memset(text, '[', DEPTH);
    struct kv_config config;
    write_bytes(c->config_file, text, DEPTH);
    REFUSED(kv_config_load(c->config_file, &config, &error), KV_ERROR_FORMAT, c->config_file, "depth");
    free(text);
}

FOLDER_TEST(unreadable)
{
    struct kv_config config;
    REFUSED(kv_config_load(c->config_file, &config, &error), KV_ERROR_IO, c->config_file, "No such file");
    REFUSED(kv_config_load(c->folder, &config, &error), KV_ERROR_IO, c->folder, "directory");
    assert_int_equal(symlink(c->config_file, c->config_file), 0);
    REFUSED(kv_config_load(c->config_file, &config, &error), KV_ERROR_IO, c->config_file, "symbolic");
}

/* Every beginning of a right file is refused, down to the empty one. */
FOLDER_TEST(truncated)
{
    char text[1024];
    put_config(c, "n_inner", "32");
    FILE *stream = fopen(c->config_file, "re");
    assert_non_null(stream);
    const size_t n = fread(text, 1, sizeof text, stream);
    fclose(stream);
    assert_in_range(n, 200, sizeof text - 1);
    for (size_t kept = 0; kept + 2 <= n; kept++) { /* the last byte is only a newline */
        struct kv_config config;
        write_bytes(c->config_file, text, kept);
        REFUSED(kv_config_load(c->config_file, &config, &error), KV_ERROR_FORMAT, c->config_file, NULL);
    }
    assert_released(c->config_file);
}
