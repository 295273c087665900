/* Where peers live, and how one is started: benchmarks/peers/NAME.py, by the Python of its environment. */
#include "cli/engines.h"

#include "base/error.h"
#include "base/file.h"
#include "base/number.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Loading, converting and compiling a model takes minutes; a generation does not. $KVBENCH_PEER_SECONDS instead of both,
 * for who has less patience. */
#define START_SECONDS  600.0
#define ANSWER_SECONDS 120.0

/* In an environment that was filled to the end. */
#define ENGINE_WHOLE "kvbench-installed"

static const char *setting(const char *name, const char *otherwise)
{
    const char *value = getenv(name);
    return value && *value ? value : otherwise;
}

const char *engines_home(void)
{
    return setting("KVBENCH_PEERS", "build-peers");
}

/* Where the adapters are: $KVBENCH_ADAPTERS, else beside the data of an installed program, else in the source tree. */
static const char *adapters_home(char text[ENGINE_PATH_SIZE])
{
    const char *data = getenv("KVBENCH_DATA");
    snprintf(text, ENGINE_PATH_SIZE, "%s/peers", data ? data : "");
    if (!data || access(text, R_OK) != 0)
        snprintf(text, ENGINE_PATH_SIZE, "%s", KV_ADAPTERS_DIR);
    return setting("KVBENCH_ADAPTERS", text);
}

bool engine_installed(const struct kv_engine *engine, char python[ENGINE_PATH_SIZE])
{
    snprintf(python, ENGINE_PATH_SIZE, "%s/%s/bin/python3", engines_home(), engine->environment);
    char whole[ENGINE_PATH_SIZE + 64];
    snprintf(whole, sizeof whole, "%s/%s/" ENGINE_WHOLE, engines_home(), engine->environment);
    return access(whole, R_OK) == 0 && access(python, X_OK) == 0;
}

static bool exists(const char *folder, const char *name)
{
    char path[ENGINE_PATH_SIZE + 64];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return access(path, R_OK) == 0;
}

/* The model's float32 weights, as a Hugging Face folder below the folder of peers, and beside them as GGUF: written when
 * they are first needed. */
static kv_status provide_model(const char *command, const struct model_options *asked, char folder[ENGINE_PATH_SIZE],
                               struct kv_error *error)
{
    struct model_options options = *asked;
    struct kv_pool *pool;
    struct kv_model *model;
    options.weights = "f32";
    options.gemm = "reference"; /* plain */
    kv_status status = kv_pool_create(&pool, asked->threads ? asked->threads : kv_default_threads(), error);
    if (status)
        return status;
    status = model_load(command, &options, pool, &model, error);
    if (!status) {
        const char *name = strrchr(asked->model, '/') ? strrchr(asked->model, '/') + 1 : asked->model;
        snprintf(folder, ENGINE_PATH_SIZE, "%s/models/%s-%s", engines_home(), name, kv_model_source(model));
        for (char *colon = folder; (colon = strchr(colon, ':'));)
            *colon = '-'; /* "synthetic:42" */
        status = kv_folder_make(folder, error);
        if (!status && !exists(folder, "model.safetensors"))
            status = export_model(&options, model, "hf", folder, error);
        if (!status && !exists(folder, "model.gguf"))
            status = export_model(&options, model, "gguf", folder, error);
        if (status)
            *folder = '\0'; /* to be tried again */
        kv_model_free(model);
    }
    kv_pool_free(pool);
    return status;
}

kv_status engine_install(const struct kv_engine *engine, struct kv_error *error)
{
    char folder[ENGINE_PATH_SIZE], python[ENGINE_PATH_SIZE], list[ENGINE_PATH_SIZE + 64], whole[ENGINE_PATH_SIZE + 64];
    char home[ENGINE_PATH_SIZE];
    kv_status status = kv_folder_make(engines_home(), error);
    if (status || engine_installed(engine, python))
        return status;
    snprintf(folder, sizeof folder, "%s/%s", engines_home(), engine->environment);
    snprintf(list, sizeof list, "%s/requirements-%s.txt", adapters_home(home), engine->environment);
    const char *const make[] = {"python3", "-m", "venv", folder, NULL};
    const char *const fill[] = {python, "-m", "pip", "install", "--quiet", "-r", list, NULL};
    status = kv_peer_execute(engine->environment, make, error);
    if (!status)
        status = kv_peer_execute(engine->environment, fill, error);
    if (status)
        return status;
    snprintf(whole, sizeof whole, "%s/" ENGINE_WHOLE, folder);
    FILE *mark = fopen(whole, "we"); /* an environment that was only begun is not one */
    if (!mark || fclose(mark) != 0)
        return kv_fail(error, KV_ERROR_IO, "%s cannot be written: %s", whole, strerror(errno));
    return KV_OK;
}

/* Seconds of KVBENCH_PEER_SECONDS; 0: it is not set. */
static kv_status read_patience(double *seconds, struct kv_error *error)
{
    const char *text = setting("KVBENCH_PEER_SECONDS", "0"), *end = text;
    if (kv_number_decimal(&end, 0, 1e6, seconds) && !*end)
        return KV_OK;
    return kv_fail(error, KV_ERROR_ARGUMENT, "KVBENCH_PEER_SECONDS is '%.60s', which is not a number such as 0.5 or 10",
                   text);
}

kv_status engine_start(const char *command, const struct model_options *model, char folder[ENGINE_PATH_SIZE],
                       const struct kv_arm *arm, struct kv_peer **peer, struct kv_error *error)
{
    const char *name = arm->engine;
    const struct kv_engine *engine = kv_engine_find(name);
    char python[ENGINE_PATH_SIZE], adapter[ENGINE_PATH_SIZE + 300], n_threads[16];
    char home[ENGINE_PATH_SIZE];
    if (!engine_installed(engine, python)) {
        if (!getenv("KVBENCH_ADAPTERS"))
            return kv_fail(error, KV_ERROR_UNSUPPORTED, "%s is not installed; kvbench peers --install %s gets it", name,
                           engine->environment);
        snprintf(python, sizeof python, "python3");
    }
    double patience;
    kv_status status = read_patience(&patience, error);
    if (!status && !*folder)
        status = provide_model(command, model, folder, error);
    if (status)
        return status;
    snprintf(adapter, sizeof adapter, "%s/%s.py", adapters_home(home), name);
    for (char *dash = strrchr(adapter, '/'); (dash = strchr(dash, '-'));)
        *dash = '_';
    snprintf(n_threads, sizeof n_threads, "%d", arm->threads);
    const char *const argv[] = {python,      "-IB",        adapter,     "--model", folder,
                                "--weights", arm->weights, "--threads", n_threads, NULL};
    signal(SIGPIPE, SIG_IGN); /* one that has ended is told of by its stderr */
    status = kv_peer_start(peer, name, argv, patience > 0 ? patience : START_SECONDS, error);
    if (!status)
        kv_peer_set_patience(*peer, patience > 0 ? patience : ANSWER_SECONDS);
    return status;
}
