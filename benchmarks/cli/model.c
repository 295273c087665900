/* From --model, --threads and their kin to a team and a model. */
#include "cli/cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct model_options model_options_default(void)
{
    const char *isa = getenv("KVBENCH_ISA");
    return (struct model_options){.model = "gpt2", .seed = 42, .isa = isa && *isa ? isa : NULL};
}

static bool is_folder(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

/* Where data/fetch_gpt2.sh puts a published model; the caller frees it. */
static char *fetched_folder(const char *name)
{
    const char *models = getenv("KVBENCH_MODELS");
    char *folder;
    return asprintf(&folder, "%s/%s", models && *models ? models : KV_MODELS_DIR, name) < 0 ? NULL : folder;
}

static bool holds_weights(const char *folder)
{
    char *file;
    if (!folder || asprintf(&file, "%s/model.safetensors", folder) < 0)
        return false;
    const bool there = access(file, F_OK) == 0;
    free(file);
    return there;
}

static bool is_preset(const char *name)
{
    for (int i = 0; kv_config_preset_name(i); i++)
        if (strcmp(kv_config_preset_name(i), name) == 0)
            return true;
    return false;
}

static kv_status open_preset(const char *command, const struct model_options *options, struct kv_team *team,
                             struct kv_model **model, struct kv_error *error)
{
    struct kv_config config;
    char *folder = is_preset(options->model) ? fetched_folder(options->model) : NULL;
    kv_status status;
    if (!options->synthetic && holds_weights(folder)) {
        status = kv_model_load(model, folder, options->gemm, team, error);
    } else {
        status = kv_config_preset(options->model, &config, error);
        if (!status)
            status = kv_model_synthesize(model, &config, options->seed, options->gemm, team, error);
        if (!status)
            fprintf(stderr, "kvbench %s: %s: synthetic weights, seed %llu (timings are as real, texts are not%s)\n",
                    command, options->model, (unsigned long long)options->seed,
                    options->synthetic ? "" : "; data/fetch_gpt2.sh fetches real ones");
    }
    free(folder);
    return status;
}

int model_shape(const char *command, const struct model_options *options, struct kv_config *config)
{
    struct kv_error error = {""};
    kv_status status;
    if (is_folder(options->model)) {
        char *file;
        if (asprintf(&file, "%s/config.json", options->model) < 0)
            return cli_fail(command, CLI_FAILED, "no memory for the name of %s", options->model);
        status = kv_config_load(file, config, &error);
        free(file);
    } else {
        status = kv_config_preset(options->model, config, &error);
    }
    if (!status)
        return CLI_OK;
    return cli_fail(command, status == KV_ERROR_ARGUMENT ? CLI_USAGE : CLI_FAILED, "%s", error.message);
}

int model_open(const char *command, const struct model_options *options, struct kv_team **team, struct kv_model **model)
{
    struct kv_error error = {""};
    *model = NULL;
    *team = NULL;
    if (options->isa && !kv_isa_supported(options->isa))
        return cli_fail(command, CLI_USAGE,
                        "isa '%.40s' is unknown, or more than this CPU has; kvbench info lists them", options->isa);
    kv_status status = kv_team_create(team, options->threads ? options->threads : kv_default_threads(), &error);
    if (!status)
        status = is_folder(options->model) ? kv_model_load(model, options->model, options->gemm, *team, &error)
                                           : open_preset(command, options, *team, model, &error);
    if (!status)
        return CLI_OK;
    kv_team_free(*team);
    *team = NULL;
    return cli_fail(command, status == KV_ERROR_ARGUMENT ? CLI_USAGE : CLI_FAILED, "%s", error.message);
}
