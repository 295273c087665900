#include "results/speculation.h"

#include <math.h>
#include <string.h>

bool kv_is_of_speculation(const struct kv_cell_results *cell)
{
    return cell->file == KV_FILE_RUNS &&
           (kv_cell_is(cell, KV_COLUMN_SUITE, KV_SPECULATE_SUITE) || kv_cell_is(cell, KV_COLUMN_SUITE, KV_COPY_SUITE));
}

static bool is_timed(const struct kv_cell_results *cell)
{
    return kv_is_of_speculation(cell) && cell->status == KV_CELL_OK && cell->figures[KV_COLUMN_TTPT_MS].n > 0;
}

static double median_of(const struct kv_cell_results *cell, enum kv_column column)
{
    return cell->figures[column].n ? cell->figures[column].median : NAN;
}

static const struct kv_cell_results *plain_at(const struct kv_results *results, const struct kv_cell_results *cell)
{
    const kv_column_set same = kv_key_columns() & ~KV_BIT(KV_COLUMN_SPECULATE);
    for (size_t i = 0; i < results->n_cells; i++)
        if (is_timed(&results->cells[i]) && kv_cell_is(&results->cells[i], KV_COLUMN_SPECULATE, "none") &&
            kv_cells_agree(&results->cells[i], cell, same))
            return &results->cells[i];
    return NULL;
}

kv_status kv_speculated_of(const struct kv_results *results, const struct kv_cell_results *cell,
                           struct kv_speculated *speculated, struct kv_error *error)
{
    struct kv_speculated *s = speculated;
    struct kv_judgement gain, verify;
    *s = (struct kv_speculated){.alpha = NAN,
                                .step_tokens = NAN,
                                .tokens = NAN,
                                .verify = NAN,
                                .draft = NAN,
                                .foretold = NAN,
                                .gain = NAN,
                                .interval = {NAN, NAN}};
    if (!is_timed(cell) || kv_speculate_read(cell->texts[KV_COLUMN_SPECULATE], &s->name, NULL) || !s->name.k)
        return KV_OK;
    s->base = plain_at(results, cell);
    if (!s->base)
        return KV_OK;
    kv_status status = kv_judge(s->base, cell, KV_COLUMN_TTPT_MS, KV_JUDGE_THRESHOLD, &gain, error);
    if (!status)
        status = kv_judge_samples(&s->base->figures[KV_COLUMN_TTPT_MS], &cell->figures[KV_COLUMN_VERIFY_MS], false,
                                  KV_JUDGE_THRESHOLD, &verify, error);
    if (status)
        return status;
    s->alpha = median_of(cell, KV_COLUMN_ACCEPTANCE);
    s->step_tokens = median_of(cell, KV_COLUMN_STEP_TOKENS);
    s->tokens = isnan(s->alpha) ? NAN : kv_speculation_tokens(s->alpha, s->name.k);
    s->verify = verify.ratio;
    s->draft = verify.ratio * median_of(cell, KV_COLUMN_DRAFT_MS) / median_of(cell, KV_COLUMN_VERIFY_MS);
    s->foretold = s->tokens / (s->verify + s->draft);
    s->gain = gain.speed;
    s->interval = (struct kv_stats_interval){1 / gain.interval.high, 1 / gain.interval.low};
    s->n_rounds = gain.n_rounds;
    return KV_OK;
}

bool kv_speculated_alike(const struct kv_speculated *a, const struct kv_speculated *b)
{
    return a->name.n_model == b->name.n_model && !a->name.model == !b->name.model &&
           (!a->name.model || strncmp(a->name.model, b->name.model, (size_t)a->name.n_model) == 0);
}

kv_status kv_speculated_is_fastest(const struct kv_results *results, const struct kv_cell_results *cell,
                                   const struct kv_speculated *s, bool *is_fastest, size_t *n, struct kv_error *error)
{
    const kv_column_set same = kv_key_columns() & ~KV_BIT(KV_COLUMN_SPECULATE);
    kv_status status = KV_OK;
    bool fastest = true;
    *n = 0;
    for (size_t i = 0; !status && i < results->n_cells; i++) {
        const struct kv_cell_results *other = &results->cells[i];
        struct kv_speculated o;
        if (!kv_is_of_speculation(other) || !kv_cells_agree(other, cell, same))
            continue;
        status = kv_speculated_of(results, other, &o, error);
        if (status || !o.base || !kv_speculated_alike(&o, s))
            continue;
        fastest = fastest && (o.gain < s->gain || (o.gain == s->gain && other >= cell));
        ++*n;
    }
    *is_fastest = fastest && !status;
    return status;
}
