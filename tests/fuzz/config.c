/* config.json: what loads is a shape that a model can have, and its tokenizer fits into its vocabulary. */
#include "fuzz.h"

#include <math.h>
#include <string.h>

static void check_shape(const struct kv_config *c)
{
    const int sizes[] = {c->n_layer, c->n_head, c->n_embd, c->n_inner, c->vocab_size, c->n_positions};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        FUZZ_HOLDS(sizes[i] >= 1);
    FUZZ_HOLDS(c->n_embd % c->n_head == 0 && (c->activation == KV_GELU_NEW || c->activation == KV_GELU));
    FUZZ_HOLDS(c->layer_norm_epsilon >= 0 && c->layer_norm_epsilon <= 1);
    /* the count of parameters is the sum, or 0 where 64 bits do not hold it */
    const double C = c->n_embd, I = c->n_inner;
    const double sum = c->n_layer * (C * (4 * C + 9) + I * (2 * C + 1)) +
                       C * ((double)c->vocab_size + c->n_positions + 2);
    const double told = (double)kv_config_parameters(c);
    FUZZ_HOLDS(told > 0 ? fabs(told - sum) <= 1e-9 * sum : sum > 0x1p63);
    FUZZ_HOLDS(kv_config_kv_bytes_per_token(c) / 8 / (size_t)c->n_layer == (size_t)c->n_embd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *file = fuzz_file(data, size), *name;
    struct kv_config config;
    struct kv_error error = {""};
    const kv_status status = kv_config_load(file, &config, &error);
    if (status)
        fuzz_refused(status, &error);
    else
        check_shape(&config);
    const kv_status named = kv_tokenizer_of_config(file, &name, &error);
    FUZZ_HOLDS((named == KV_OK) == (name != NULL));
    if (named) {
        fuzz_refused(named, &error);
        return 0;
    }
    FUZZ_HOLDS(status == KV_OK && config.vocab_size >= (strcmp(name, "gpt2") == 0 ? 50257 : 256));
    fuzz_say("loaded: %d x %d, %s\n", config.n_layer, config.n_embd, name);
    return 0;
}
