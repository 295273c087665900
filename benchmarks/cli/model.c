/* From --model, --threads, --tokenizer and --prompt to a pool, a model, and the ids of a text. */
#include "cli/cli.h"

#include "base/error.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct model_options model_options_default(const char *model)
{
    const char *isa = getenv("KVBENCH_ISA");
    return (struct model_options){.model = model, .seed = 42, .isa = isa && *isa ? isa : NULL};
}

const struct option_table *model_source_rows(struct source_rows *r, struct model_options *o, const char *seed_help)
{
    snprintf(r->model_help, sizeof r->model_help,
             "gpt2, gpt2-medium, gpt2-large, gpt2-xl, " EMBEDDED_MODEL ", or a checkpoint's folder (default %s)",
             o->model);
    const struct option_row rows[] = {
        {.name = "model", .letter = 'm', .argument = "MODEL", .help = r->model_help, .text = &o->model},
        {.name = "synthetic",
         .help = "synthetic weights even where a checkpoint has been fetched",
         .flag = &o->synthetic},
        {.name = "seed",
         .argument = "N",
         .help = seed_help ? seed_help : "seed of synthetic weights (default 42)",
         .seed = &o->seed},
    };
    memcpy(r->rows, rows, sizeof rows);
    r->table = (struct option_table){.rows = r->rows, .n_rows = sizeof rows / sizeof rows[0]};
    return &r->table;
}

const struct option_table *engine_rows(struct engine_rows *r, struct model_options *o)
{
    const struct option_row rows[] = {
        {.name = "threads",
         .letter = 't',
         .argument = "N",
         .help = "threads (default: the physical cores)",
         .integer = &o->threads,
         .low = 1,
         .high = KV_MAX_THREADS},
        {.name = "weights",
         .argument = "NAME",
         .help = "format of the weights in memory:",
         .chosen = &o->weights,
         .choice = kv_weights_choice},
        {.name = "cache",
         .argument = "NAME",
         .help = "layout of the KV cache:",
         .chosen = &o->cache,
         .choice = kv_cache_choice,
         .more = kv_cache_name,
         .besides = ", or one with other numbers",
         .misspelt = kv_cache_misspelt},
        {.name = "kv",
         .argument = "NAME",
         .help = "type of keys and values in it, or KEYS/VALUES such as int8/int4:",
         .chosen = &o->kv,
         .choice = kv_kv_choice,
         .more = kv_kv_name,
         .besides = ", or two of them as KEYS/VALUES"},
        {.name = "gemm", .argument = "NAME", .help = "matrix product:", .chosen = &o->gemm, .choice = kv_matmul_choice},
        {.name = "isa",
         .argument = "NAME",
         .help = "instruction set of the other kernels (or KVBENCH_ISA):",
         .chosen = &o->isa,
         .choice = kv_isa_choice},
    };
    memcpy(r->rows, rows, sizeof rows);
    r->table = (struct option_table){.rows = r->rows, .n_rows = sizeof rows / sizeof rows[0]};
    return &r->table;
}

struct kv_session_options model_session_options(const struct model_options *o, const char *path)
{
    return (struct kv_session_options){.path = path, .cache = o->cache, .kv = o->kv, .matmul = o->gemm, .isa = o->isa};
}

static bool is_folder(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

static char *join(const char *folder, const char *name)
{
    const size_t size = strlen(folder) + strlen(name) + 2;
    char *path = cli_memory(NULL, size);
    snprintf(path, size, "%s/%s", folder, name);
    return path;
}

static bool holds_weights(const char *folder)
{
    char *file = join(folder, "model.safetensors");
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

static bool is_embedded(const char *name)
{
    return strcmp(name, EMBEDDED_MODEL) == 0 || strcmp(name, EMBEDDED_DRAFT) == 0;
}

/* A known name always means that model; a folder of the same name is given as ./NAME. */
static bool is_name(const char *model)
{
    return is_preset(model) || is_embedded(model);
}

/* Published models are where data/fetch_gpt2.sh puts them, the others in the repository. */
static char *named_folder(const char *name)
{
    const char *setting = getenv(is_preset(name) ? "KVBENCH_MODELS" : "KVBENCH_DATA");
    if (!setting || !*setting)
        return join(KV_MODELS_DIR, name);
    if (is_preset(name))
        return join(setting, name);
    char *models = join(setting, "models"), *folder = join(models, name);
    free(models);
    return folder;
}

char *model_folder(const char *model)
{
    if (!is_name(model))
        return is_folder(model) ? strcpy(cli_memory(NULL, strlen(model) + 1), model) : NULL;
    char *folder = named_folder(model);
    if (holds_weights(folder))
        return folder;
    free(folder);
    return NULL;
}

kv_status model_preset(const char *model, struct kv_config *config, struct kv_error *error)
{
    if (is_preset(model))
        return kv_config_preset(model, config, error);
    char names[200] = "";
    if (is_embedded(model))
        return kv_fail(error, KV_ERROR_ARGUMENT,
                       "model '%s' is missing: KVBENCH_DATA is to name the project's data folder, with models/%s in it",
                       model, model);
    for (int i = 0, at = 0; kv_config_preset_name(i); i++)
        at += snprintf(names + at, sizeof names - (size_t)at, "%s, ", kv_config_preset_name(i));
    return kv_fail(error, KV_ERROR_ARGUMENT, "model '%.100s' is neither a folder nor one of %s%s", model, names,
                   EMBEDDED_MODEL);
}

static kv_status shape_of(const char *model, const char *folder, struct kv_config *config, struct kv_error *error)
{
    if (!folder || is_preset(model))
        return model_preset(model, config, error);
    char *file = join(folder, "config.json");
    if (!file)
        return kv_fail(error, KV_ERROR_MEMORY, "%.400s: no memory for its name", folder);
    const kv_status status = kv_config_load(file, config, error);
    free(file);
    return status;
}

kv_status model_load(const char *command, const struct model_options *options, struct kv_pool *pool,
                     struct kv_model **model, struct kv_error *error)
{
    struct kv_config config;
    char *folder = model_folder(options->model);
    kv_status status;
    if (folder && !options->synthetic) {
        status = kv_model_load(model, folder, options->weights, options->gemm, pool, error);
    } else {
        status = shape_of(options->model, folder, &config, error);
        if (!status)
            status = kv_model_synthesize(model, &config, options->seed, options->weights, options->gemm, pool, error);
        if (!status)
            fprintf(stderr,
                    "kvbench %s: %s: synthetic weights, seed %llu (times are those of real weights, the text makes no "
                    "sense%s)\n",
                    command, options->model, (unsigned long long)options->seed,
                    options->synthetic ? "" : "; data/fetch_gpt2.sh fetches real ones");
    }
    free(folder);
    return status;
}

int model_shape(const char *command, const struct model_options *options, struct kv_config *config)
{
    struct kv_error error = {""};
    char *folder = model_folder(options->model);
    const kv_status status = shape_of(options->model, folder, config, &error);
    free(folder);
    if (!status)
        return CLI_OK;
    return cli_fail(command, status == KV_ERROR_ARGUMENT ? CLI_USAGE : CLI_FAILED, "%s", error.message);
}

int model_open(const char *command, const struct model_options *options, struct kv_pool **pool, struct kv_model **model)
{
    struct kv_error error = {""};
    *model = NULL;
    *pool = NULL;
    if (options->isa && !kv_isa_supported(options->isa))
        return cli_fail(command, CLI_USAGE,
                        "isa '%.40s' is unknown, or more than this CPU has; kvbench info lists them", options->isa);
    kv_status status = kv_pool_create(pool, options->threads ? options->threads : kv_default_threads(), &error);
    if (!status)
        status = model_load(command, options, *pool, model, &error);
    if (!status)
        return CLI_OK;
    kv_pool_free(*pool);
    *pool = NULL;
    return cli_fail(command, status == KV_ERROR_ARGUMENT ? CLI_USAGE : CLI_FAILED, "%s", error.message);
}

/* ---- Text -------------------------------------------------------------------------------------------- */

static kv_status no_memory(struct kv_error *error)
{
    return kv_fail(error, KV_ERROR_MEMORY, "no memory for a tokenizer: close other programs");
}

/* The tokenizer of a model on disk, or of a published one. */
kv_status text_tokenizer_name(const char *model, const char **name, struct kv_error *error)
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

char *text_merges_file(void)
{
    const char *data = getenv("KVBENCH_DATA");
    return join(data && *data ? data : KV_DATA_DIR, "gpt2/vocab.bpe");
}

kv_status text_tokenizer(const char *name, const char *model, struct kv_tokenizer **tokenizer, struct kv_error *error)
{
    *tokenizer = NULL;
    kv_status status = name || !model ? KV_OK : text_tokenizer_name(model, &name, error);
    if (status)
        return status;
    char *file = text_merges_file();
    if (!file)
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
        return kv_fail(error, KV_ERROR_ARGUMENT, "--prompt: the text is empty; give at least one character");
    }
    token_rows_free(rows);
    *rows = (struct token_rows){ids, 1, (int)n_ids};
    return KV_OK;
}
