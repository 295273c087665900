/* From --model, --tokenizer and --prompt to a tokenizer and its ids. */
#include "cli/cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static kv_status no_memory(struct kv_error *error)
{
    snprintf(error->message, sizeof error->message, "no memory for a tokenizer: close other programs");
    return KV_ERROR_MEMORY;
}

/* The tokenizer of a model on disk, or of a published one. */
static kv_status name_of_model(const char *model, const char **name, struct kv_error *error)
{
    struct kv_config config;
    char *folder = model_folder(model), *file;
    if (!folder) {
        *name = "gpt2";
        return model_preset(model, &config, error);
    }
    const bool joined = asprintf(&file, "%s/config.json", folder) >= 0;
    free(folder);
    if (!joined)
        return no_memory(error);
    const kv_status status = kv_tokenizer_of_config(file, name, error);
    free(file);
    return status;
}

kv_status text_tokenizer(const char *name, const char *model, struct kv_tokenizer **tokenizer, struct kv_error *error)
{
    const char *data = getenv("KVBENCH_DATA");
    *tokenizer = NULL;
    kv_status status = name || !model ? KV_OK : name_of_model(model, &name, error);
    if (status)
        return status;
    char *file;
    if (asprintf(&file, "%s/gpt2/vocab.bpe", data && *data ? data : KV_DATA_DIR) < 0)
        return no_memory(error);
    status = kv_tokenizer_create(tokenizer, name, file, error);
    free(file);
    return status;
}

kv_status text_rows(const struct kv_tokenizer *tokenizer, const char *text, struct token_rows *rows,
                    struct kv_error *error)
{
    int32_t *ids;
    size_t n_ids;
    const kv_status status = kv_tokenizer_encode(tokenizer, text, strlen(text), false, &ids, &n_ids, error);
    if (status)
        return status;
    if (n_ids == 0) {
        free(ids);
        snprintf(error->message, sizeof error->message, "--prompt: the text is empty; give at least one character");
        return KV_ERROR_ARGUMENT;
    }
    token_rows_free(rows);
    *rows = (struct token_rows){ids, 1, (int)n_ids};
    return KV_OK;
}
