/* Heavy hitters (Zhang et al. 2023, "H2O: Heavy-Hitter Oracle for Efficient Generative Inference of Large Language
 * Models"): of a head's BUDGET positions the newer half, rounded up, are the most recent ones; the others are those that
 * were attended to most, by the sum of the weights that all queries since gave them. A new position drops the one with the
 * least sum of those that are not recent, of equals the earliest. A prompt is run as if it were generated: its positions,
 * too, see what was kept before them. */
#include "cache/budget.h"

enum { BUDGET };

static int budget(const int numbers[KV_CACHE_NUMBERS])
{
    return numbers[BUDGET];
}

static int victim(const struct kv_cache *cache, struct kv_cache_place place, int position)
{
    const int32_t *positions = kv_budget_positions(cache, place);
    const float *weights = kv_budget_weights(cache, place);
    const int n = cache->numbers[BUDGET], recent = n - n / 2;
    int least = -1;
    for (int slot = 0; slot < n; slot++) {
        if (positions[slot] > position - recent)
            continue;
        if (least < 0 || weights[slot] < weights[least] ||
            (weights[slot] == weights[least] && positions[slot] < positions[least]))
            least = slot;
    }
    return least;
}

const struct kv_cache_kind kv_cache_heavy[KV_N_KEPT * KV_N_KEPT] =
    KV_BUDGET_KINDS(.cache = {"heavy:32", "the newest 16 positions and the 16 that were attended to most (H2O)"},
                    .ranges = {{2, KV_MOST_WEIGHED}}, .budget = budget, .victim = victim,
                    .note_bytes = sizeof(int32_t) + sizeof(float), .slot_of = kv_budget_find);
