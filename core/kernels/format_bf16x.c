/* Weights as bfloat16, whose products round the activations to bfloat16 as well. */
#include "kernels/format_bf16.h"

static void packed(const struct kv_kernels *level, const struct kv_packed_call *call)
{
    level->packed_bf16x(call);
}

const struct kv_weight_format kv_format_bf16x = {
    .choice = {"bf16x", "bfloat16, and so are the activations in products: faster prompts with AMX"},
    KV_BF16_STORAGE,
    .packed = packed,
};
