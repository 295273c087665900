/* Sinks and a window (Xiao et al. 2023, "Efficient Streaming Language Models with Attention Sinks"): position t attends to
 * positions 0 .. SINKS - 1 and t - RECENT + 1 .. t, each once: to all of 0 .. t as long as t < SINKS + RECENT, where the
 * two meet or overlap. Positions stay those of the text, which GPT-2 has learned into its keys and values. */
#include "cache/budget.h"

enum { SINKS, RECENT };

static int budget(const int numbers[KV_CACHE_NUMBERS])
{
    return numbers[SINKS] + numbers[RECENT];
}

/* A ring behind the sinks. */
static int slot_at(const struct kv_cache *cache, int position)
{
    const int sinks = cache->numbers[SINKS];
    return position < sinks ? position : sinks + (position - sinks) % cache->numbers[RECENT];
}

static int victim(const struct kv_cache *cache, struct kv_cache_place place, int position)
{
    (void)place;
    return slot_at(cache, position);
}

static int slot_of(const struct kv_cache *cache, struct kv_cache_place place, int n_positions, int position)
{
    (void)place;
    const bool is_kept = position < cache->numbers[SINKS] || position >= n_positions - cache->numbers[RECENT];
    return is_kept ? slot_at(cache, position) : -1;
}

const struct kv_cache_kind kv_cache_window[KV_N_KEPT * KV_N_KEPT] =
    KV_BUDGET_KINDS(.cache = {"window:4+28", "the first 4 positions and the newest 28: no others are attended to"},
                    .ranges = {{0, 65536}, {1, 65536}}, .budget = budget, .victim = victim, .slot_of = slot_of);
