/* Eight tokens of a GPT-2 of random weights, greedily, once with the cache and once without:
 *
 *     cc generate.c $(pkg-config --cflags --libs kvbench-core) -o generate
 *     ./generate                # or: ./generate FOLDER, with config.json and model.safetensors
 */
#include <kvbench.h>

#include <stdio.h>

enum { N_PROMPT = 4, N_NEW = 8 };

static kv_status load(const char *folder, struct kv_pool *pool, struct kv_model **model, struct kv_error *error)
{
    struct kv_config config;
    if (folder)
        return kv_model_load(model, folder, NULL, NULL, pool, error);
    const kv_status status = kv_config_preset("gpt2", &config, error);
    config.n_layer = 2; /* small enough to be made at once */
    return status ? status : kv_model_synthesize(model, &config, 42, NULL, NULL, pool, error);
}

static kv_status generate(const struct kv_model *model, struct kv_pool *pool, const char *path, struct kv_error *error)
{
    const int32_t prompt[N_PROMPT] = {464, 2068, 7586, 21831};
    int32_t token = 0;
    struct kv_session *session;
    const struct kv_session_options options = {.path = path, .batch = 1};
    kv_status status = kv_session_create(&session, model, pool, &options, error);
    for (int i = 0; !status && i < N_NEW; i++) {
        status = i ? kv_session_decode(session, &token, error)
                   : kv_session_prefill(session, prompt, N_PROMPT, NULL, error);
        if (!status)
            status = kv_session_greedy(session, &token, error);
        if (!status)
            printf("%s%d", i ? " " : "", (int)token);
    }
    putchar('\n');
    kv_session_free(session);
    return status;
}

int main(int argc, char **argv)
{
    struct kv_error error = {""};
    struct kv_pool *pool;
    struct kv_model *model = NULL;
    kv_status status = kv_pool_create(&pool, kv_default_threads(), &error);
    if (!status)
        status = load(argc > 1 ? argv[1] : NULL, pool, &model, &error);
    if (!status)
        status = generate(model, pool, "cached", &error);
    if (!status)
        status = generate(model, pool, "naive", &error);
    if (status)
        fprintf(stderr, "generate: %s\n", error.message);
    kv_model_free(model);
    kv_pool_free(pool);
    return status ? 1 : 0;
}
