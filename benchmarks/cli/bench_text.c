/* The text of suite quality, and the model that predicts it; suites speculate and copy take pieces of it. */
#include "cli/bench.h"

#include "base/error.h"
#include "text/evaluate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Tokens that are predicted in every cell, by enum kv_extent; 0: all of the text. */
static const size_t most_scored[] = {2000, 6000, 0};

/* The held-out text of the model that comes along. */
static kv_status read_embedded(char **bytes, size_t *n_bytes, struct kv_error *error)
{
    char *folder = model_folder(EMBEDDED_MODEL), *file = NULL;
    kv_status status = KV_OK;
    if (!folder) {
        status = kv_fail(error, KV_ERROR_IO,
                         "the model " EMBEDDED_MODEL " is missing: KVBENCH_DATA is to name the "
                         "project's data folder, or give a --text");
    } else if (asprintf(&file, "%s/validation.txt", folder) < 0) {
        file = NULL;
        status = kv_fail(error, KV_ERROR_MEMORY, "no memory for the text of suite quality: close other programs");
    }
    if (!status)
        status = kv_text_file_read(file, bytes, n_bytes, error);
    free(file);
    free(folder);
    return status;
}

static kv_status encode(const struct bench_settings *s, struct bench_text *text, struct kv_error *error)
{
    struct kv_tokenizer *tokenizer;
    char *bytes = NULL;
    size_t n_bytes;
    kv_status status = text_tokenizer(NULL, text->model.model, &tokenizer, error);
    if (!status)
        status = s->text ? kv_text_file_read(s->text, &bytes, &n_bytes, error) : read_embedded(&bytes, &n_bytes, error);
    if (!status)
        status = kv_tokenizer_encode(tokenizer, bytes, n_bytes, false, &text->ids, &text->n_ids, error);
    free(bytes);
    kv_tokenizer_free(tokenizer);
    return status;
}

int bench_text_read(const char *command, const struct bench_settings *s, const struct kv_config *config,
                    struct bench_text *text)
{
    struct kv_error error = {""};
    const size_t scored = most_scored[s->full ? KV_EXTENT_FULL : s->quick ? KV_EXTENT_QUICK : KV_EXTENT_REPORT];
    *text = (struct bench_text){.model = s->model, .config = *config, .is_own = true};
    const bool has_own = s->text || (strcmp(s->model.model, EMBEDDED_MODEL) == 0 && !s->model.synthetic);
    if (!bench_has_suite(s, "quality") && !bench_has_suite(s, "precision") && !bench_has_suite(s, "window") &&
        !bench_has_suite(s, "overflow") &&
        !((bench_has_suite(s, "speculate") || bench_has_suite(s, "copy")) && has_own))
        return CLI_OK;
    if (s->text) {
        char *folder = model_folder(s->model.model);
        const bool is_synthetic = !folder || s->model.synthetic;
        free(folder);
        if (is_synthetic)
            return cli_fail(command, CLI_USAGE,
                            "--text: no text means anything to the synthetic weights of %s; name a model with weights, "
                            "or leave --text out for the text and model that come along",
                            s->model.model);
    } else if (!has_own) {
        text->is_own = false;
        text->model = model_options_default(EMBEDDED_MODEL);
        const int status = model_shape(command, &text->model, &text->config);
        if (status)
            return status;
    }
    if (encode(s, text, &error) != KV_OK)
        return cli_fail(command, CLI_FAILED, "%s", error.message);
    const size_t around = (size_t)text->config.n_positions / 2 + 1 + (size_t)text->config.n_positions;
    if (scored && text->n_ids > around + scored)
        text->n_ids = around + scored;
    return CLI_OK;
}
