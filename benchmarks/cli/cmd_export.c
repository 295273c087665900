#include "cli/cli.h"

#include "base/error.h"
#include "base/file.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct kv_choice targets[] = {
    {"hf", "a folder for Hugging Face's GPT2LMHeadModel, with its tokenizer's files"},
    {"gguf", "a folder with model.gguf for llama.cpp: float32, ids in and ids out"},
};

static const struct kv_choice *target_choice(int index)
{
    return index >= 0 && index < 2 ? &targets[index] : NULL;
}

/* ---- The tokenizer's files ---------------------------------------------------------------------------- */

/* GPT-2's printable stand-in of a byte, in UTF-8: itself where it prints, else the next of U+0100, U+0101, .. */
static int stand_in(unsigned char byte, char text[3])
{
    int code = byte, n_before = 0;
    for (int b = 0; b <= byte; b++) {
        const bool prints = (b >= '!' && b <= '~') || (b >= 0xa1 && b <= 0xac) || b >= 0xae;
        if (b == byte && !prints)
            code = 256 + n_before;
        n_before += !prints;
    }
    if (code < 0x80) {
        text[0] = (char)code;
        return 1;
    }
    text[0] = (char)(0xc0 | code >> 6);
    text[1] = (char)(0x80 | (code & 0x3f));
    return 2;
}

/* {"token": id, ..}, as JSON text for the caller to free(); NULL: no memory. */
static char *vocabulary_text(const struct kv_tokenizer *tokenizer)
{
    json_t *vocabulary = json_object();
    size_t n_bytes;
    bool good = vocabulary != NULL;
    for (int32_t id = 0; good; id++) {
        const char *token = kv_tokenizer_token(tokenizer, id, &n_bytes);
        if (!token)
            break;
        char *name = malloc(2 * n_bytes + 1);
        size_t n = 0;
        for (size_t i = 0; name && i < n_bytes; i++)
            n += (size_t)stand_in((unsigned char)token[i], name + n);
        good = name && json_object_setn_new(vocabulary, name, n, json_integer(id)) == 0;
        free(name);
    }
    char *text = good ? json_dumps(vocabulary, JSON_COMPACT) : NULL;
    json_decref(vocabulary);
    return text;
}

static kv_status write_text(const char *folder, const char *name, const char *text, struct kv_error *error)
{
    char *path;
    if (!text || asprintf(&path, "%s/%s", folder, name) < 0)
        return kv_fail(error, KV_ERROR_MEMORY, "%s/%s: no memory to write it", folder, name);
    const kv_status status = kv_file_put(path, text, strlen(text), error);
    free(path);
    return status;
}

/* vocab.json, merges.txt and tokenizer_config.json; none for a model whose tokenizer nobody named. A byte tokenizer merges
 * nothing. */
static kv_status write_tokenizer(const char *model, const char *folder, struct kv_error *error)
{
    struct kv_tokenizer *tokenizer;
    kv_status status = text_tokenizer(NULL, model, &tokenizer, error);
    if (status)
        return status == KV_ERROR_MEMORY ? status : KV_OK;
    char *vocabulary = vocabulary_text(tokenizer), *merges = NULL;
    size_t n_bytes;
    status = write_text(folder, "vocab.json", vocabulary, error);
    if (!status && strcmp(kv_tokenizer_name(tokenizer), "gpt2") == 0) {
        char *file = text_merges_file();
        status = file ? kv_file_read(file, &merges, &n_bytes, error) : kv_fail(error, KV_ERROR_MEMORY, "no memory");
        free(file);
    }
    if (!status)
        status = write_text(folder, "merges.txt", merges ? merges : "#version: 0.2\n", error);
    if (!status)
        status = write_text(folder, "tokenizer_config.json",
                            "{\"tokenizer_class\": \"GPT2Tokenizer\", \"bos_token\": \"<|endoftext|>\", "
                            "\"eos_token\": \"<|endoftext|>\", \"unk_token\": \"<|endoftext|>\"}\n",
                            error);
    free(vocabulary);
    free(merges);
    kv_tokenizer_free(tokenizer);
    return status;
}

/* ---- The command --------------------------------------------------------------------------------------- */

kv_status export_model(const struct model_options *options, const struct kv_model *model, const char *target,
                       const char *folder, struct kv_error *error)
{
    if (strcmp(target, "hf") == 0) {
        const kv_status status = kv_model_save(model, folder, "F32", NULL, error);
        return status ? status : write_tokenizer(options->model, folder, error);
    }
    char *file;
    kv_status status = kv_folder_make(folder, error);
    if (status)
        return status;
    if (asprintf(&file, "%s/model.gguf", folder) < 0)
        return kv_fail(error, KV_ERROR_MEMORY, "%s: no memory to write it", folder);
    status = kv_model_save_gguf(model, file, options->model, error);
    free(file);
    return status;
}

int command_export(int argc, char **argv)
{
    struct model_options options = model_options_default("gpt2");
    struct source_rows source;
    const char *target = targets[0].name, *folder = NULL;
    const struct option_row rows[] = {
        {.name = "DIR", .help = "the folder to write, made when there is none", .operand = &folder, .required = true},
        {.table = model_source_rows(&source, &options, NULL)},
        {.name = "to", .argument = "NAME", .help = "format (default hf):", .chosen = &target, .choice = target_choice},
    };
    const struct option_table table = {
        .command = argv[0],
        .usage = "DIR [OPTIONS]",
        .summary = "Writes a model for other engines, synthetic weights too: the same float32 values, bit for bit.",
        .rows = rows,
        .n_rows = sizeof rows / sizeof rows[0],
    };
    struct kv_error error = {""};
    struct kv_pool *pool;
    struct kv_model *model;
    int status;
    if (!options_parse(&table, argc, argv, &status))
        return status;
    options.gemm = "reference"; /* which takes the weights as a checkpoint has them */
    status = model_open(argv[0], &options, &pool, &model);
    if (status)
        return status;
    if (export_model(&options, model, target, folder, &error) != KV_OK)
        status = cli_fail(argv[0], CLI_FAILED, "%s", error.message);
    else
        printf("%s: %s\n", folder, target);
    kv_model_free(model);
    kv_pool_free(pool);
    return status;
}
