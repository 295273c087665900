#include "results/prefix.h"

#include <math.h>

static bool is_timed(const struct kv_cell_results *cell)
{
    return kv_cell_is(cell, KV_COLUMN_SUITE, "prefix") && cell->status == KV_CELL_OK &&
           cell->figures[KV_COLUMN_TTFT_MS].n > 0;
}

kv_status kv_prefix_of(const struct kv_results *results, const struct kv_cell_results *cell, struct kv_prefix *prefix,
                       struct kv_error *error)
{
    const kv_column_set same = kv_key_columns() & ~KV_BIT(KV_COLUMN_PREFIX_TOKENS);
    const double batch = cell->numbers[KV_COLUMN_BATCH], shared = cell->numbers[KV_COLUMN_PREFIX_TOKENS];
    struct kv_judgement j;
    *prefix = (struct kv_prefix){.gain = NAN, .interval = {NAN, NAN}};
    for (size_t i = 0; is_timed(cell) && i < results->n_cells && !prefix->base; i++)
        if (is_timed(&results->cells[i]) && !*results->cells[i].texts[KV_COLUMN_PREFIX_TOKENS] &&
            kv_cells_agree(&results->cells[i], cell, same))
            prefix->base = &results->cells[i];
    if (!prefix->base)
        return KV_OK;
    prefix->share = *cell->texts[KV_COLUMN_PREFIX_TOKENS] ? shared / cell->numbers[KV_COLUMN_PROMPT_TOKENS] : 0;
    prefix->bound = batch / (prefix->share + batch * (1 - prefix->share));
    prefix->gain = 1;
    if (prefix->base == cell)
        return KV_OK;
    const kv_status status = kv_judge(prefix->base, cell, KV_COLUMN_TTFT_MS, KV_JUDGE_THRESHOLD, &j, error);
    prefix->gain = j.speed;
    prefix->interval = (struct kv_stats_interval){1 / j.interval.high, 1 / j.interval.low};
    prefix->verdict = j.verdict;
    prefix->n_rounds = j.n_rounds;
    return status;
}
