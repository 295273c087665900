#include "sampling_bench.h"

struct kv_sampler *open_sampler(struct kv_sampling sampling, int vocab_size, int batch)
{
    struct kv_error error;
    struct kv_sampler *sampler;
    assert_ok(kv_sampler_create(&sampler, &sampling, vocab_size, batch, &error), error);
    return sampler;
}

void select_ok(struct kv_sampler *sampler, const float *logits, int32_t *tokens)
{
    struct kv_error error;
    assert_ok(kv_sampler_select(sampler, logits, tokens, &error), error);
}

void fill_logits(float *logits, int V, float deviation, uint64_t seed)
{
    uint64_t random = seed;
    for (int i = 0; i < V; i++) {
        float sum = 0;
        for (int j = 0; j < 12; j++)
            sum += random_float(&random);
        logits[i] = deviation * sum / 2; /* twelve numbers of -1..1 have the variance 4 */
    }
}
