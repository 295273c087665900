#include "results/figures.h"

#include "base/error.h"
#include "results/picture.h"
#include "results/speculation.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MIB 1048576.0

/* ---- By batch or length -------------------------------------------------------------------------------------- */

static void write_batch(struct kv_picture *p)
{
    static const struct kv_picture_value values[] = {
        {"ttft", KV_COLUMN_TTFT_MS, 1},
        {"ttpt", KV_COLUMN_TTPT_MS, 1},
        {"throughput", KV_COLUMN_DECODE_TOK_S, 1},
        {"kv_memory", KV_COLUMN_KV_LIVE_BYTES, MIB},
    };
    p->is_empty = kv_picture_points(p, values, 4) == 0;
    kv_picture_keys(p, "batch", KV_COLUMN_BATCH);
}

static bool arm_keeps(const struct kv_picture *p, int arm)
{
    for (size_t i = 0; i < p->n_cells; i++)
        if (p->cells[i].arm == arm && p->cells[i].cell->figures[KV_COLUMN_KV_LIVE_BYTES].median > 0)
            return true;
    return false;
}

/* 1 for an arm that keeps something, or else 0. */
static void write_keeps(struct kv_picture *p)
{
    double keeps[KV_PICTURE_MAX_ARMS];
    for (int arm = 0; arm < p->n_arms; arm++)
        keeps[arm] = arm_keeps(p, arm);
    kv_picture_numbers(p, "keeps", keeps, p->n_arms);
}

static void write_depth(struct kv_picture *p)
{
    static const struct kv_picture_value values[] = {
        {"ttpt", KV_COLUMN_TTPT_MS, 1},
        {"limit", KV_COLUMN_LIMIT_PCT, 1},
    };
    struct kv_range close = {NAN, NAN};
    p->is_empty = true;
    kv_picture_points(p, values, 2);
    kv_picture_keys(p, "context", KV_COLUMN_CONTEXT_TOKENS);
    for (size_t i = 0; i < p->n_cells; i++) {
        const struct kv_sample *ttpt = &p->cells[i].cell->figures[KV_COLUMN_TTPT_MS];
        p->is_empty = p->is_empty && !ttpt->n;
        if (ttpt->n && arm_keeps(p, p->cells[i].arm))
            kv_range_add(&close, kv_picture_bar(ttpt).high);
    }
    kv_picture_number(p, "close_high", close.high);
    write_keeps(p);
    kv_picture_trends(p);
}

static void write_memory(struct kv_picture *p)
{
    static const struct kv_picture_value values[] = {
        {"live", KV_COLUMN_KV_LIVE_BYTES, MIB},
        {"reserved", KV_COLUMN_KV_RESERVED_BYTES, MIB},
        {"rss", KV_COLUMN_RSS_PEAK_BYTES, MIB},
    };
    struct kv_range live = {NAN, NAN};
    p->is_empty = kv_picture_points(p, values, 3) == 0;
    kv_picture_keys(p, "batch", KV_COLUMN_BATCH);
    kv_picture_keys(p, "context", KV_COLUMN_CONTEXT_TOKENS);
    for (size_t i = 0; i < p->n_cells; i++) {
        const struct kv_sample *sample = &p->cells[i].cell->figures[KV_COLUMN_KV_LIVE_BYTES];
        if (sample->n && sample->values[0] > 0)
            kv_range_add(&live, sample->values[0] / MIB);
    }
    kv_picture_range(p, "kept", &live);
    write_keeps(p);
}

/* ---- Speed-up ------------------------------------------------------------------------------------------------- */

/* naive at that point, of an arm that is otherwise the same; NULL: not measured. */
static const struct kv_cell_results *naive_at(const struct kv_picture *p, const struct kv_picture_cell *other)
{
    for (size_t i = 0; i < p->n_cells; i++)
        if (kv_cell_is(p->cells[i].cell, KV_COLUMN_PATH, "naive") && p->cells[i].group == other->group &&
            p->cells[i].x == other->x &&
            kv_cells_agree(p->cells[i].cell, other->cell,
                           kv_key_columns() & ~(KV_BIT(KV_COLUMN_PATH) | KV_PICTURE_SIZES)))
            return p->cells[i].cell;
    return NULL;
}

/* One field of the grid; returns the ratio. */
static double write_speedup(struct kv_picture *p, int arm, int batch, int length, const struct kv_cell_results *cell,
                            const struct kv_cell_results *naive, bool *is_told)
{
    struct kv_judgement j = {.speed = NAN};
    if (cell && naive && !p->status)
        p->status = kv_judge(naive, cell, KV_COLUMN_TTPT_MS, KV_JUDGE_THRESHOLD, &j, p->error);
    *is_told = j.verdict != KV_EFFECT_UNDECIDED;
    KV_PICTURE_ROW(p, arm + 1, batch + 1, length + 1, naive ? naive->figures[KV_COLUMN_TTPT_MS].median : NAN,
                   cell ? cell->figures[KV_COLUMN_TTPT_MS].median : NAN, j.speed, *is_told);
    return j.speed;
}

/* The cell of an arm at that point; where it was not measured, one of the same arm to look for naive with. */
static struct kv_picture_cell cell_at(const struct kv_picture *p, int arm, double batch, double context, bool *found)
{
    struct kv_picture_cell cell = {0};
    *found = false;
    for (size_t i = 0; i < p->n_cells && !*found; i++)
        if (p->cells[i].arm == arm) {
            cell = p->cells[i];
            *found = cell.group == batch && cell.x == context;
        }
    cell.group = batch;
    cell.x = context;
    return cell;
}

static void write_grid(struct kv_picture *p)
{
    static const struct kv_picture_value step = {"ttpt", KV_COLUMN_TTPT_MS, 1};
    double batches[KV_PICTURE_MAX_KEYS], lengths[KV_PICTURE_MAX_KEYS], others[KV_PICTURE_MAX_ARMS];
    double best = 0, missing = 0, untold = 0;
    int n_others = 0;
    const int n_batches = kv_picture_sizes(p, KV_COLUMN_BATCH, batches);
    const int n_lengths = kv_picture_sizes(p, KV_COLUMN_CONTEXT_TOKENS, lengths);
    kv_picture_points(p, &step, 1);
    kv_picture_begin(p, "speedup", "arm\tbatch\tlength\tnaive_ms\tarm_ms\tratio\tis_told");
    for (int arm = 0; arm < p->n_arms; arm++) {
        if (kv_cell_is(p->arms[arm]->cell, KV_COLUMN_PATH, "naive"))
            continue;
        others[n_others++] = arm + 1;
        for (int i = 0; i < n_batches * n_lengths; i++) {
            const int b = i / n_lengths, l = i % n_lengths;
            bool found;
            const struct kv_picture_cell cell = cell_at(p, arm, batches[b], lengths[l], &found);
            bool is_told;
            const double speed = write_speedup(p, arm, b, l, found ? cell.cell : NULL, naive_at(p, &cell), &is_told);
            best = fmax(best, speed);
            missing += isnan(speed);
            untold += !isnan(speed) && !is_told;
        }
    }
    kv_picture_end(p);
    p->is_empty = best == 0;
    kv_picture_keys(p, "batch", KV_COLUMN_BATCH);
    kv_picture_keys(p, "context", KV_COLUMN_CONTEXT_TOKENS);
    kv_picture_number(p, "n_others", n_others);
    kv_picture_numbers(p, "others", others, n_others);
    kv_picture_number(p, "best_speedup", best);
    kv_picture_number(p, "missing", missing);
    kv_picture_number(p, "untold", untold);
}

/* ---- Tokens --------------------------------------------------------------------------------------------------- */

static int compare_by_token(const void *left, const void *right)
{
    const struct kv_token_row *a = left, *b = right;
    if (a->token != b->token)
        return a->token < b->token ? -1 : 1;
    return (a->latency_ns > b->latency_ns) - (a->latency_ns < b->latency_ns);
}

/* The tokens of a cell by token, then latency, for the caller to free; NULL without any. */
static struct kv_token_row *tokens_of(struct kv_picture *p, const struct kv_picture_cell *cell, size_t *n)
{
    const struct kv_token_row *rows = kv_results_tokens(p->run->results, cell->cell, n);
    struct kv_token_row *sorted = *n ? malloc(*n * sizeof *sorted) : NULL;
    if (*n && !sorted) {
        kv_picture_fail_memory(p);
        *n = 0;
    } else if (*n) {
        memcpy(sorted, rows, *n * sizeof *sorted);
        qsort(sorted, *n, sizeof *sorted, compare_by_token);
    }
    return sorted;
}

/* Median limit in ms of the first of rows [n] that are of one token; NaN: unknown. ms is scratch. */
static double limit_of_token(const struct kv_token_row *rows, size_t n, double *ms)
{
    size_t count = 0;
    for (size_t i = 0; i < n && rows[i].token == rows[0].token; i++)
        if (!isnan(rows[i].limit_ns))
            ms[count++] = rows[i].limit_ns / 1e6;
    kv_stats_sort(ms, count);
    return kv_stats_median(ms, count);
}

/* A row a token of every arm; returns how many. */
static size_t write_token_rows(struct kv_picture *p)
{
    struct kv_range latency = {NAN, NAN}, limit = {NAN, NAN};
    size_t n_tokens = 0, n_limits = 0, n_faults = 0, n_rows = 0, n;
    double last = 0;
    kv_picture_begin(p, "tokens", "arm\ttoken\tcontext_tokens\tn\tmean\tmedian\tlow\thigh\tlimit_ms");
    for (size_t i = 0; i < p->n_cells; i++) {
        struct kv_token_row *rows = tokens_of(p, &p->cells[i], &n);
        double *ms = malloc((n + 1) * sizeof *ms);
        if (!ms)
            kv_picture_fail_memory(p);
        for (size_t at = 0, next; ms && at < n; at = next) {
            const double own = limit_of_token(rows + at, n - at, ms);
            for (next = at; next < n && rows[next].token == rows[at].token; next++)
                ms[next - at] = rows[next].latency_ns / 1e6;
            const size_t count = next - at;
            /* the least that is drawn of them; where the limit is above, its probes are at fault */
            const double drawn = fmin(kv_stats_mean(ms, count), kv_stats_median(ms, count));
            const double of_token = own <= drawn ? own : NAN;
            n_faults += own > drawn;
            KV_PICTURE_ROW(p, p->cells[i].arm + 1, rows[at].token, rows[at].context_tokens, (double)count,
                           kv_stats_mean(ms, count), kv_stats_median(ms, count), ms[0], ms[count - 1], of_token);
            kv_range_add(&latency, ms[0]);
            kv_range_add(&latency, ms[count - 1]);
            kv_range_add(&limit, of_token);
            kv_range_add(&p->repetitions, (double)count);
            last = fmax(last, rows[at].token);
            n_limits += !isnan(of_token);
            n_rows++;
        }
        n_tokens = (size_t)last;
        free(ms);
        free(rows);
    }
    kv_picture_end(p);
    kv_picture_range(p, "tokens", &latency);
    kv_picture_range(p, "limit", &limit);
    kv_picture_number(p, "n_tokens", (double)n_tokens);
    kv_picture_number(p, "n_limits", (double)n_limits);
    kv_picture_number(p, "token_faults", (double)n_faults);
    return n_rows;
}

static void write_token_latency(struct kv_picture *p)
{
    p->is_empty = write_token_rows(p) == 0;
}

/* The arm of the figure that has the cell's cache and policy, from 1; 0: none. */
static int arm_beside(const struct kv_picture *p, const struct kv_cell_results *cell)
{
    static const kv_column_set axes = KV_BIT(KV_COLUMN_CACHE) | KV_BIT(KV_COLUMN_OVERFLOW) | KV_BIT(KV_COLUMN_KV) |
                                      KV_BIT(KV_COLUMN_WEIGHTS) | KV_BIT(KV_COLUMN_PATH);
    for (int i = 0; i < p->n_arms; i++)
        if (kv_cells_agree(p->arms[i]->cell, cell, axes))
            return i + 1;
    return 0;
}

/* Time a token along the text, and how well each window of it is predicted. */
static void write_overflow(struct kv_picture *p)
{
    struct kv_range contexts = {NAN, NAN}, ratios = {1, 1};
    p->is_empty = write_token_rows(p) == 0;
    kv_picture_begin(p, "windows", "arm\tcontext\tperplexity\tratio\tlow\thigh");
    for (size_t i = 0; i < p->run->results->n_cells && !p->status; i++) {
        const struct kv_cell_results *cell = &p->run->results->cells[i];
        const struct kv_sample *of = cell->figures;
        if (cell->file != KV_FILE_QUALITY || !kv_cell_is(cell, KV_COLUMN_SUITE, "overflow") ||
            cell->status != KV_CELL_OK || !arm_beside(p, cell))
            continue;
        KV_PICTURE_ROW(p, arm_beside(p, cell), cell->numbers[KV_COLUMN_CONTEXT_TOKENS], of[KV_COLUMN_PERPLEXITY].median,
                       of[KV_COLUMN_PERPLEXITY_RATIO].median, of[KV_COLUMN_PERPLEXITY_RATIO_LOW].median,
                       of[KV_COLUMN_PERPLEXITY_RATIO_HIGH].median);
        kv_range_add(&contexts, cell->numbers[KV_COLUMN_CONTEXT_TOKENS]);
        for (int k = 0; k < 3; k++)
            kv_range_add(&ratios, of[KV_COLUMN_PERPLEXITY_RATIO + k].median);
    }
    kv_picture_end(p);
    kv_picture_range(p, "text", &contexts);
    kv_picture_range(p, "ratio", &ratios);
}

static void write_time_vs_cache(struct kv_picture *p)
{
    double kept[KV_PICTURE_MAX_ARMS] = {0};
    struct kv_range cache = {NAN, NAN};
    p->is_empty = write_token_rows(p) == 0;
    for (size_t i = 0; i < p->n_cells; i++) {
        const struct kv_picture_cell *cell = &p->cells[i];
        const struct kv_sample *live = &cell->cell->figures[KV_COLUMN_KV_LIVE_BYTES];
        if (!live->n)
            continue;
        kept[cell->arm] = live->median / MIB / cell->x;
        kv_range_add(&cache, live->values[live->n - 1] / MIB);
        kv_range_add(&p->repetitions, (double)live->n);
    }
    kv_picture_numbers(p, "kept", kept, p->n_arms);
    kv_picture_range(p, "cache", &cache);
}

/* The latencies of a cell's steps in ms, ascending, without the first tokens'. */
static double *steps_of(struct kv_picture *p, const struct kv_picture_cell *cell, size_t *n_steps)
{
    size_t n;
    const struct kv_token_row *rows = kv_results_tokens(p->run->results, cell->cell, &n);
    double *steps = malloc((n + 1) * sizeof *steps);
    *n_steps = 0;
    if (!steps)
        kv_picture_fail_memory(p);
    for (size_t i = 0; steps && i < n; i++)
        if (rows[i].token > 1)
            steps[(*n_steps)++] = rows[i].latency_ns / 1e6;
    kv_stats_sort(steps, *n_steps);
    return steps;
}

/* The share of steps that were done within a time, at 400 of them at most. */
static void write_distribution_rows(struct kv_picture *p, int arm, const double *steps, size_t n)
{
    const double stride = n > 400 ? (double)n / 400 : 1;
    KV_PICTURE_ROW(p, arm, steps[0], 0);
    for (double i = 1; i < (double)n; i += stride)
        KV_PICTURE_ROW(p, arm, steps[(size_t)i - 1], floor(i) / (double)n);
    KV_PICTURE_ROW(p, arm, steps[n - 1], 1);
}

static void write_distribution(struct kv_picture *p)
{
    static const int percentiles[] = {50, 95, 99};
    struct kv_range range = {NAN, NAN};
    size_t n;
    for (int pass = 0; pass < 2; pass++) {
        kv_picture_begin(p, pass ? "percentiles" : "distribution", pass ? "arm\tn\tpercentile\tms" : "arm\tms\tshare");
        for (size_t i = 0; i < p->n_cells; i++) {
            double *steps = steps_of(p, &p->cells[i], &n);
            const int arm = p->cells[i].arm + 1;
            if (n && pass == 0) {
                write_distribution_rows(p, arm, steps, n);
                kv_range_add(&range, steps[0]);
                kv_range_add(&range, steps[n - 1]);
            }
            /* A percentile needs as many steps as leave one above it. */
            for (int k = 0; n && pass == 1 && k < 3; k++)
                if (n * (size_t)(100 - percentiles[k]) >= 100)
                    KV_PICTURE_ROW(p, arm, (double)n, percentiles[k],
                                   kv_stats_quantile(steps, n, percentiles[k] / 100.0));
            free(steps);
        }
        kv_picture_end(p);
    }
    p->is_empty = isnan(range.low);
    kv_picture_range(p, "steps", &range);
}

/* ---- Roofline ------------------------------------------------------------------------------------------------- */

/* The best that the machine did during the run: the limits at its start and end, and the probes of what is drawn. */
struct roof {
    double bandwidth, peak; /* GB/s and GFLOPS; NaN unknown */
};

static struct roof find_roof(const struct kv_picture *p, double threads)
{
    struct roof roof = {kv_results_bandwidth(p->run->results, (int)threads) / 1e9,
                        kv_results_peak(p->run->results, (int)threads) / 1e9};
    for (size_t i = 0; i < p->n_cells; i++) {
        const struct kv_sample *figures = p->cells[i].cell->figures;
        const struct kv_sample *reading = &figures[KV_COLUMN_PROBE_READ_BYTES_PER_S];
        const struct kv_sample *arithmetic = &figures[KV_COLUMN_PROBE_FMA_FLOP_PER_S];
        if (p->cells[i].cell->numbers[KV_COLUMN_THREADS] != threads)
            continue;
        if (reading->n)
            roof.bandwidth = fmax(roof.bandwidth, reading->values[reading->n - 1] / 1e9);
        if (arithmetic->n)
            roof.peak = fmax(roof.peak, arithmetic->values[arithmetic->n - 1] / 1e9);
    }
    return roof;
}

/* A point above the roof was faster than all that was probed, which shows nothing but a fault of the probes: it is left
 * out, and counted. */
struct phases {
    struct roof roof;
    struct kv_range intensity, gflops;
    int n[2], n_above;
};

static void write_phase(struct kv_picture *p, struct phases *phases, const struct kv_picture_cell *cell, bool prefill)
{
    const struct kv_sample *figures = cell->cell->figures;
    const double ms = figures[prefill ? KV_COLUMN_TTFT_MS : KV_COLUMN_TTPT_MS].median;
    const double flops = figures[prefill ? KV_COLUMN_PREFILL_FLOPS : KV_COLUMN_FLOPS].median;
    const double intensity = flops / figures[prefill ? KV_COLUMN_PREFILL_BYTES : KV_COLUMN_BYTES].median;
    const double gflops = flops / ms / 1e6;
    if (!(ms > 0 && intensity > 0))
        return;
    if (gflops > fmin(phases->roof.peak, intensity * phases->roof.bandwidth)) {
        phases->n_above++;
        return;
    }
    KV_PICTURE_ROW(p, prefill, cell->arm + 1, cell->group, intensity, gflops);
    kv_range_add(&phases->intensity, intensity);
    kv_range_add(&phases->gflops, gflops);
    phases->n[prefill]++;
}

static void write_roofline(struct kv_picture *p)
{
    struct phases phases = {.intensity = {NAN, NAN}, .gflops = {NAN, NAN}};
    double threads = 0;
    int prefills = 0;
    /* The paths prefill alike: it is drawn of the first that keeps something, or else of the first. */
    while (prefills < p->n_arms && !arm_keeps(p, prefills))
        prefills++;
    prefills = prefills < p->n_arms ? prefills : 0;
    for (size_t i = 0; i < p->n_cells; i++)
        threads = fmax(threads, p->cells[i].cell->numbers[KV_COLUMN_THREADS]);
    phases.roof = find_roof(p, threads);
    kv_picture_begin(p, "phases", "prefill\tarm\tbatch\tintensity\tgflops");
    for (size_t i = 0; i < p->n_cells; i++) {
        kv_range_add(&p->repetitions, (double)p->cells[i].cell->n);
        write_phase(p, &phases, &p->cells[i], false);
        if (p->cells[i].arm == prefills)
            write_phase(p, &phases, &p->cells[i], true);
    }
    kv_picture_end(p);
    p->is_empty = phases.n[0] + phases.n[1] == 0;
    kv_picture_keys(p, "batch", KV_COLUMN_BATCH);
    kv_picture_number(p, "threads", threads);
    kv_picture_text(p, "prefill_label", p->run->n_varying ? "prefill, " : "prefill",
                    p->run->n_varying ? p->arms[prefills]->label : "");
    kv_picture_number(p, "n_prefill", phases.n[1]);
    kv_picture_number(p, "n_above", phases.n_above);
    kv_picture_number(p, "bandwidth", isnan(phases.roof.bandwidth) ? 0 : phases.roof.bandwidth);
    kv_picture_number(p, "peak", isnan(phases.roof.peak) ? 0 : phases.roof.peak);
    kv_picture_number(p, "left", phases.intensity.low);
    kv_picture_number(p, "right", phases.intensity.high);
    kv_picture_number(p, "bottom", phases.gflops.low);
    kv_picture_number(p, "top", phases.gflops.high);
}

/* ---- Kernels -------------------------------------------------------------------------------------------------- */

/* The limit of a shape at a size, whoever computes it, which no median is above: the largest rate / share; NaN: none has
 * a share. */
static double kernel_limit(const struct kv_picture *p, const struct kv_picture_cell *of)
{
    double limit = NAN;
    for (size_t i = 0; i < p->n_cells; i++) {
        const struct kv_picture_cell *cell = &p->cells[i];
        const struct kv_sample *figures = cell->cell->figures;
        if (cell->group == of->group && cell->x == of->x && cell->limit_group == of->limit_group)
            limit = fmax(limit, 100 * figures[KV_COLUMN_GFLOPS].median / figures[KV_COLUMN_LIMIT_PCT].median);
    }
    return limit >= of->cell->figures[KV_COLUMN_GFLOPS].median ? limit : NAN;
}

/* A kernel and shape a panel, in which `arm` is the series and x the rows, or of attention the tokens. */
static void write_kernels(struct kv_picture *p)
{
    struct kv_range gflops = {NAN, NAN};
    double threads = 0, fastest = 0;
    kv_picture_begin(p, "kernels", "panel\tarm\tx\tn\tmean\tmedian\tlow\thigh\tlimit_group\tlimit");
    for (size_t i = 0; i < p->n_cells; i++) {
        const struct kv_picture_cell *cell = &p->cells[i];
        const struct kv_sample *sample = &cell->cell->figures[KV_COLUMN_GFLOPS];
        threads = fmax(threads, cell->cell->numbers[KV_COLUMN_THREADS]);
        if (!sample->n)
            continue;
        const struct kv_stats_interval bar = kv_picture_bar(sample);
        KV_PICTURE_ROW(p, cell->group + 1, cell->arm + 1, cell->x, (double)sample->n,
                       kv_stats_mean(sample->values, sample->n), sample->median, bar.low, bar.high,
                       cell->limit_group + 1, kernel_limit(p, cell));
        kv_range_add(&gflops, bar.low);
        kv_range_add(&gflops, bar.high);
        kv_range_add(&p->repetitions, (double)sample->n);
        fastest = fmax(fastest, sample->median);
    }
    kv_picture_end(p);
    const struct roof roof = find_roof(p, threads);
    p->is_empty = isnan(gflops.low);
    kv_picture_kernel_settings(p);
    kv_picture_keys(p, "rows", KV_COLUMN_ROWS);
    kv_picture_keys(p, "context", KV_COLUMN_CONTEXT_TOKENS);
    kv_picture_range(p, "gflops", &gflops);
    kv_picture_number(p, "threads", threads);
    kv_picture_number(p, "peak_is_below", fastest > roof.peak);
    kv_picture_number(p, "peak", roof.peak >= fastest ? roof.peak : 0);
}

/* ---- All figures ---------------------------------------------------------------------------------------------- */

#define WORKLOAD (KV_BIT(KV_COLUMN_PROMPT_TOKENS) | KV_BIT(KV_COLUMN_NEW_TOKENS))

static bool has_suite(const struct kv_results *results, const char *suite)
{
    for (size_t i = 0; i < results->n_cells; i++)
        if (kv_cell_is(&results->cells[i], KV_COLUMN_SUITE, suite))
            return true;
    return false;
}

/* A new figure is a row here, and its file plots/NAME.gp. */
static const struct kv_figure figures[] = {
    {.name = "benchmark_results",
     .suite = "batch",
     .otherwise = "grid",
     .needs = kv_suite_has_ratio,
     .files = {"runs.csv"},
     .same = WORKLOAD,
     .write = write_batch},
    {.name = "peers",
     .suite = "batch",
     .files = {"runs.csv"},
     .same = WORKLOAD | KV_BIT(KV_COLUMN_THREADS),
     .varying = KV_COLUMN_ENGINE,
     .write = kv_picture_peers},
    {.name = "token_latency",
     .suite = "trace",
     .files = {"tokens.csv", "runs.csv"},
     .same = WORKLOAD | KV_BIT(KV_COLUMN_BATCH),
     .write = write_token_latency},
    {.name = "time_vs_cache",
     .suite = "trace",
     .files = {"tokens.csv", "runs.csv"},
     .same = WORKLOAD | KV_BIT(KV_COLUMN_BATCH),
     .write = write_time_vs_cache},
    {.name = "speedup_grid", .suite = "grid", .files = {"runs.csv"}, .write = write_grid},
    {.name = "depth", .suite = "depth", .files = {"runs.csv"}, .same = KV_BIT(KV_COLUMN_BATCH), .write = write_depth},
    {.name = "memory", .suite = "memory", .files = {"runs.csv"}, .write = write_memory},
    {.name = "roofline",
     .suite = "batch",
     .files = {"runs.csv", "limits.csv"},
     .same = WORKLOAD,
     .write = write_roofline},
    {.name = "kernels", .suite = "kernels", .files = {"kernels.csv"}, .write = write_kernels},
    {.name = "latency_distribution",
     .suite = "trace",
     .files = {"tokens.csv", "runs.csv"},
     .same = WORKLOAD | KV_BIT(KV_COLUMN_BATCH),
     .write = write_distribution},
    {.name = "parts", .suite = "parts", .files = {"parts.csv", "runs.csv"}, .write = kv_picture_parts},
    {.name = "precision",
     .suite = "precision",
     .files = {"runs.csv", "quality.csv"},
     .same = KV_BIT(KV_COLUMN_NEW_TOKENS),
     .write = kv_picture_precision},
    {.name = "paged", .suite = "paged", .files = {"runs.csv"}, .write = kv_picture_paged},
    {.name = "prefix", .suite = "prefix", .files = {"runs.csv"}, .same = WORKLOAD, .write = kv_picture_prefix},
    {.name = "quality", .suite = "quality", .files = {"quality.csv"}, .write = kv_picture_quality},
    {.name = "window",
     .suite = "window",
     .files = {"quality.csv", "runs.csv"},
     .same = KV_BIT(KV_COLUMN_CONTEXT_TOKENS),
     .write = kv_picture_window},
    {.name = "speculate",
     .suite = "speculate",
     .otherwise = "copy",
     .needs = has_suite,
     .files = {"runs.csv"},
     .same = WORKLOAD,
     .write = kv_picture_speculate},
    {.name = "overflow",
     .suite = "overflow",
     .files = {"tokens.csv", "runs.csv"},
     .same = KV_BIT(KV_COLUMN_PROMPT_TOKENS) | KV_BIT(KV_COLUMN_BATCH),
     .write = write_overflow},
    {.name = "training", .suite = "training", .files = {"training.csv"}, .write = kv_picture_training},
    {.name = "calibration", .suite = "calibration", .files = {"power.csv"}, .write = kv_picture_calibration},
};

const struct kv_figure *kv_figure(int index)
{
    return index >= 0 && (size_t)index < sizeof figures / sizeof *figures ? &figures[index] : NULL;
}

const char *kv_figure_suite(const struct kv_figure *figure, const struct kv_results *results)
{
    const bool other = figure->otherwise && !figure->needs(results, figure->suite) &&
                       figure->needs(results, figure->otherwise);
    return other ? figure->otherwise : figure->suite;
}

bool kv_figure_concerns(const struct kv_figure *figure, const struct kv_results *results)
{
    return !figure->varying || kv_column_varies(results, figure->suite, figure->varying);
}
