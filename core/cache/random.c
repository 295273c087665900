/* The baseline of any budget: every position from BUDGET on drops one of those that are kept, drawn evenly, in each head of
 * each layer another. SEED gives the same draws on every machine, whatever is run besides. */
#include "base/random.h"
#include "cache/budget.h"

enum { BUDGET, SEED };

static int budget(const int numbers[KV_CACHE_NUMBERS])
{
    return numbers[BUDGET];
}

static int victim(const struct kv_cache *cache, struct kv_cache_place place, int position)
{
    const uint64_t stream = (uint64_t)place.layer * (uint64_t)cache->n_kv_head + (uint64_t)place.head;
    const uint64_t key = kv_draw64((uint64_t)cache->numbers[SEED], stream);
    return (int)(kv_draw64(key, (uint64_t)position) % (uint64_t)cache->numbers[BUDGET]);
}

const struct kv_cache_kind kv_cache_random[KV_N_KEPT * KV_N_KEPT] =
    KV_BUDGET_KINDS(.cache = {"random:32@1", "32 positions, of which a new one drops any; seed 1"},
                    .ranges = {{1, 65536}, {0, 65536}}, .budget = budget, .victim = victim,
                    .note_bytes = sizeof(int32_t), .slot_of = kv_budget_find);
