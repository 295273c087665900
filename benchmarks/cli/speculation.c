/* From --speculate to what drafts. */
#include "cli/cli.h"

#include "base/error.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Two models that have as many tokens may still mean others by them; where it cannot be told they are only ids. */
static kv_status check_tokenizers(const char *model, const char *draft, struct kv_error *error)
{
    const char *of_model, *of_draft;
    if (text_tokenizer_name(model, &of_model, NULL) || text_tokenizer_name(draft, &of_draft, NULL) ||
        strcmp(of_model, of_draft) == 0)
        return KV_OK;
    return kv_fail(error, KV_ERROR_ARGUMENT,
                   "the draft '%.80s' has another vocabulary, %s where the model has %s; choose one with the same",
                   draft, of_draft, of_model);
}

kv_status speculation_open(const char *command, const char *name, const struct model_options *options,
                           struct kv_pool *pool, struct kv_speculation *speculation, struct kv_model **draft,
                           struct kv_error *error)
{
    struct kv_speculate_name read;
    *speculation = (struct kv_speculation){.k = 0};
    *draft = NULL;
    kv_status status = name ? kv_speculate_read(name, &read, error) : KV_OK;
    if (status || !name)
        return status;
    if (read.model) {
        struct model_options draft_options = *options;
        char *model = strndup(read.model, (size_t)read.n_model);
        if (!model)
            return kv_fail(error, KV_ERROR_MEMORY, "no memory for the name of a draft: close other programs");
        draft_options.model = model;
        status = check_tokenizers(options->model, model, error);
        if (!status)
            status = model_load(command, &draft_options, pool, draft, error);
        free(model);
    }
    *speculation = (struct kv_speculation){
        .k = read.k, .draft = *draft, .session = model_session_options(options, "cached")};
    return status;
}

#define DRAFTS(model)                                                                                                  \
    {                                                                                                                  \
        "draft:" model ":1", "draft:" model ":2", "draft:" model ":4", "draft:" model ":8"                             \
    }

static bool has_weights(const char *model)
{
    char *folder = model_folder(model);
    free(folder);
    return folder != NULL;
}

const char *const *speculation_drafts(const struct model_options *options, int *n)
{
    static const struct {
        const char *model, *draft, *names[4];
    } pairs[] = {
        {EMBEDDED_MODEL, EMBEDDED_DRAFT, DRAFTS(EMBEDDED_DRAFT)},
        {"gpt2-medium", "gpt2", DRAFTS("gpt2")},
        {"gpt2-large", "gpt2", DRAFTS("gpt2")},
        {"gpt2-xl", "gpt2", DRAFTS("gpt2")},
    };
    *n = 0;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        if (strcmp(pairs[i].model, options->model) == 0 && !options->synthetic && has_weights(pairs[i].model) &&
            has_weights(pairs[i].draft)) {
            *n = sizeof pairs[i].names / sizeof *pairs[i].names;
            return pairs[i].names;
        }
    return NULL;
}
