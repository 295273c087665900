#include "urn.h"

#include <string.h>

#define NO_CHANCE (-1000.0f)

enum { WIDTH = 8 };

static float *tensor(const struct checkpoint *c, const char *name)
{
    const json_t *offsets = json_object_get(json_object_get(c->header, name), "data_offsets");
    assert_non_null(offsets);
    return (float *)(void *)(c->data + json_integer_value(json_array_get(offsets, 0)));
}

/* All weights are 0 but the last layer norm's first bias, which is 1: a token's logit is the first number of its
 * embedding, whatever came before. */
void build_urn(struct checkpoint *c, int vocab_size, int n_positions, const struct urn_token *tokens, size_t n_tokens)
{
    const struct checkpoint_options options = {
        .config = {1, 1, WIDTH, WIDTH, vocab_size, n_positions, KV_GELU_NEW, 1e-5f}};
    checkpoint_build(c, &options);
    memset(c->data, 0, c->n_data);
    tensor(c, "ln_f.bias")[0] = 1;
    float *embedding = tensor(c, "wte.weight");
    for (int id = 0; id < vocab_size; id++)
        embedding[id * WIDTH] = NO_CHANCE;
    for (size_t i = 0; i < n_tokens; i++)
        embedding[tokens[i].id * WIDTH] = tokens[i].logit;
}

void build_byte_model(struct checkpoint *c, int n_positions)
{
    const struct checkpoint_options options = {.config = {2, 2, 16, 64, 256, n_positions, KV_GELU_NEW, 1e-5f}};
    checkpoint_build(c, &options);
}
