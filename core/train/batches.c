#include "base/random.h"
#include "train/train.h"

#include <string.h>

void kv_training_batch(const int32_t *ids, size_t n_ids, uint64_t seed, int64_t step, int batch, int n_positions,
                       int32_t *tokens, int32_t *targets)
{
    const size_t T = (size_t)n_positions;
    for (int b = 0; b < batch; b++) {
        const uint64_t draw = kv_draw64(kv_mix64(seed), (uint64_t)step * (uint64_t)batch + (uint64_t)b);
        const size_t start = draw % (n_ids - T); /* n_ids is so far below 2^64 that no window is favoured */
        memcpy(tokens + (size_t)b * T, ids + start, T * sizeof *ids);
        memcpy(targets + (size_t)b * T, ids + start + 1, T * sizeof *ids);
    }
}
