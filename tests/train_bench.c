#include "train_bench.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const struct kv_config odd_shape = {2, 3, 27, 41, 53, 80, KV_GELU_NEW, 1e-5f};

void open_bench(struct bench *bench, const struct kv_config *config, int B, int T, int n_threads)
{
    const struct kv_trainer_options options = kv_trainer_default_options();
    struct kv_error error;
    uint64_t random = 7;
    const size_t n = (size_t)B * (size_t)T;
    assert_ok(kv_pool_create(&bench->pool, n_threads, &error), error);
    assert_ok(kv_trainer_create(&bench->trainer, config, B, T, bench->pool, &options, &error), error);
    bench->tokens = malloc(n * sizeof *bench->tokens);
    bench->targets = malloc(n * sizeof *bench->targets);
    assert_true(bench->tokens && bench->targets);
    for (size_t i = 0; i < n; i++) {
        bench->tokens[i] = random_between(&random, 0, config->vocab_size - 1);
        bench->targets[i] = random_between(&random, 0, config->vocab_size - 1);
    }
}

void open_synthetic(struct bench *bench, const struct kv_config *config, int B, int T, int n_threads)
{
    struct kv_error error;
    struct kv_model *model;
    open_bench(bench, config, B, T, n_threads);
    assert_ok(kv_model_synthesize(&model, config, 3, NULL, "reference", bench->pool, &error), error);
    assert_ok(kv_trainer_copy_weights(bench->trainer, model, &error), error);
    kv_model_free(model);
}

void close_bench(struct bench *bench)
{
    kv_trainer_free(bench->trainer);
    kv_pool_free(bench->pool);
    free(bench->tokens);
    free(bench->targets);
}

double bench_step(const struct bench *bench, float learning_rate)
{
    struct kv_error error;
    double loss;
    assert_ok(kv_trainer_step(bench->trainer, bench->tokens, bench->targets, learning_rate, &loss, &error), error);
    return loss;
}

double bench_loss(const struct bench *bench)
{
    struct kv_error error;
    double loss;
    assert_ok(kv_trainer_loss(bench->trainer, bench->tokens, bench->targets, &loss, &error), error);
    return loss;
}

double cross_entropy(const float *logits, const int32_t *targets, int n, int V)
{
    double total = 0;
    for (int row = 0; row < n; row++) {
        double sum = 0;
        for (int i = 0; i < V; i++)
            sum += exp((double)logits[row * V + i]);
        total += log(sum) - (double)logits[row * V + targets[row]];
    }
    return total / n;
}
