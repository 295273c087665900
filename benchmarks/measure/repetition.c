/* One repetition of a cell, as Google Benchmark calls it: probes and counts around it, its row, and what a stalled machine
 * does to it. */
#include "measure/fixture.h"

#include "base/error.h"
#include "results/stats.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LEAST_TICKS        20 /* fewer make the stolen part too coarse */
#define STALL_STOLEN_PCT   25
#define STALL_PROBE_SHARE  0.5
#define HISTORY_FOR_MEDIAN 5
enum { MOST_TIMES_AGAIN = 2 };

/* ---- Probes ----------------------------------------------------------------------------------------- */

/* The newest probes of one pool. */
enum { HISTORY = 256 };
struct kv_probe_history {
    long n; /* taken so far */
    struct kv_probe last;
    double read[HISTORY], fma[HISTORY];
};

void kv_probe_histories_free(struct kv_run *run)
{
    for (int i = 0; i <= KV_MAX_THREADS; i++)
        free(run->probes[i]);
}

static double median_of(const double *values, long n)
{
    double sorted[HISTORY];
    const size_t used = (size_t)(n < HISTORY ? n : HISTORY);
    if (n < HISTORY_FOR_MEDIAN)
        return NAN;
    memcpy(sorted, values, used * sizeof *sorted);
    kv_stats_sort(sorted, used);
    return kv_stats_median(sorted, used);
}

static void add_probe(struct kv_probes *probes, const struct kv_probe *probe)
{
    struct kv_probe *best = &probes->best, *worst = &probes->worst;
    if (probes->n++ == 0)
        *best = *worst = *probe;
    best->read_bytes_per_s = fmax(best->read_bytes_per_s, probe->read_bytes_per_s);
    best->fma_flop_per_s = fmax(best->fma_flop_per_s, probe->fma_flop_per_s);
    worst->read_bytes_per_s = fmin(worst->read_bytes_per_s, probe->read_bytes_per_s);
    worst->fma_flop_per_s = fmin(worst->fma_flop_per_s, probe->fma_flop_per_s);
}

/* The history of the cell's pool; NULL where there is no memory for probes. */
static struct kv_probe_history *history_of(struct kv_cell_run *cell, struct kv_pool **pool)
{
    struct kv_run *run = cell->run;
    const int threads = cell->cell->arm.threads;
    if (!run->prober || kv_run_pool(run, threads, pool, NULL) != KV_OK)
        return NULL;
    if (!run->probes[threads])
        run->probes[threads] = calloc(1, sizeof *run->probes[threads]);
    return run->probes[threads];
}

void kv_cell_probe(struct kv_cell_run *cell)
{
    struct kv_pool *pool;
    struct kv_probe_history *history = history_of(cell, &pool);
    if (!history || !kv_prober_due(cell->run->prober))
        return;
    kv_prober_take(cell->run->prober, pool, &history->last);
    history->read[history->n % HISTORY] = history->last.read_bytes_per_s;
    history->fma[history->n++ % HISTORY] = history->last.fma_flop_per_s;
    add_probe(&cell->probes, &history->last);
}

/* A new one, or, where the last one is too new for another, that. */
static void probe_before(struct kv_cell_run *cell)
{
    const struct kv_probe_history *history;
    cell->probes = (struct kv_probes){.n = 0};
    kv_cell_probe(cell);
    history = cell->run->probes[cell->cell->arm.threads];
    if (cell->probes.n == 0 && history && history->n)
        add_probe(&cell->probes, &history->last);
}

/* ---- Stalls and limits ------------------------------------------------------------------------------- */

bool kv_is_stalled(const struct kv_strain *strain, const struct kv_probes *probes, const struct kv_probe *medians)
{
    if (strain->cpu_ticks >= LEAST_TICKS && strain->stolen_pct > STALL_STOLEN_PCT)
        return true;
    return probes->n >= 2 && (probes->best.read_bytes_per_s < STALL_PROBE_SHARE * medians->read_bytes_per_s ||
                              probes->best.fma_flop_per_s < STALL_PROBE_SHARE * medians->fma_flop_per_s);
}

static bool is_stalled(const struct kv_cell_run *cell)
{
    const struct kv_probe_history *history = cell->run->probes[cell->cell->arm.threads];
    const struct kv_probe medians = {history ? median_of(history->read, history->n) : NAN,
                                     history ? median_of(history->fma, history->n) : NAN};
    return kv_is_stalled(&cell->strain, &cell->probes, &medians);
}

void kv_cell_set_share(struct kv_cell_run *cell, double limit_seconds, double seconds, double bytes)
{
    const double percent = 100 * limit_seconds / seconds;
    const bool above = percent > 100;
    kv_row_set_number(&cell->newest, KV_COLUMN_LIMIT_PCT, above ? NAN : percent);
    if (!above)
        return;
    snprintf(cell->fault, sizeof cell->fault, "faster than its probes: %.0f %% of what they allow; %s", percent,
             bytes <= cell->run->cache_bytes ? "the caches held what it reads" : "the machine was faster just then");
    kv_row_set_text(&cell->newest, KV_COLUMN_LIMIT_FAULT, cell->fault);
}

static void fill_strain(struct kv_cell_run *cell)
{
    const struct kv_probes *p = &cell->probes;
    const struct {
        enum kv_column column;
        double value;
    } values[] = {
        {KV_COLUMN_ROUND, cell->run->round},
        {KV_COLUMN_PLACE, cell->run->place},
        {KV_COLUMN_STARTED_S, cell->started_s},
        {KV_COLUMN_PROBES, p->n},
        {KV_COLUMN_PROBE_READ_BYTES_PER_S, p->n ? p->best.read_bytes_per_s : NAN},
        {KV_COLUMN_PROBE_FMA_FLOP_PER_S, p->n ? p->best.fma_flop_per_s : NAN},
        {KV_COLUMN_PROBE_CHANGE_PCT, p->n > 1 ? 100 * fmax(p->best.read_bytes_per_s / p->worst.read_bytes_per_s - 1,
                                                           p->best.fma_flop_per_s / p->worst.fma_flop_per_s - 1)
                                              : NAN},
        {KV_COLUMN_STOLEN_PCT, cell->strain.stolen_pct},
        {KV_COLUMN_PRESSURE_PCT, cell->strain.pressure_pct},
        {KV_COLUMN_SWITCHES, cell->strain.switches},
        {KV_COLUMN_PAGE_FAULTS, cell->strain.page_faults},
        {KV_COLUMN_CLOCK_HZ, kv_clock_hz(NULL)},
    };
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        kv_row_set_number(&cell->newest, values[i].column, values[i].value);
}

/* ---- Rows ------------------------------------------------------------------------------------------- */

static void write_row(struct kv_cell_run *cell, bool measured)
{
    struct kv_run *run = cell->run;
    if (!run->broken)
        run->broken = kv_rows_write(cell, measured, &run->broken_error);
    if (run->broken)
        gb_request_stop();
}

void kv_cell_close(struct kv_cell_run *cell)
{
    if (cell->state)
        cell->fixture->close(cell);
    cell->state = NULL;
    cell->resident_bytes = 0;
}

void kv_cell_give_up(struct kv_cell_run *cell, const char *reason)
{
    struct kv_run *run = cell->run;
    struct kv_cell_result *result = &cell->result;
    snprintf(result->error, sizeof result->error, "%s", reason);
    result->given_up = true;
    result->failed = !cell->skip;
    if (result->failed)
        ++*(kv_kind_info(cell->cell->kind)->file == KV_FILE_RUNS ? &run->n_failed : &run->n_kernels_failed);
    kv_cell_close(cell);
    cell->newest = cell->row;
    kv_row_set_text(&cell->newest, KV_COLUMN_STATUS, result->failed ? "failed" : "skipped");
    kv_row_set_text(&cell->newest, KV_COLUMN_ERROR, result->error);
    if (run->round)
        kv_row_set_number(&cell->newest, KV_COLUMN_ROUND, run->round);
    write_row(cell, false);
    kv_progress(cell);
}

kv_status kv_cell_keep_time(struct kv_cell_run *cell, int round, double call_seconds, struct kv_error *error)
{
    struct kv_cell_result *result = &cell->result;
    const size_t n = (size_t)result->n_done;
    if ((n & (n - 1)) == 0) { /* 0 or a power of two: full, and the room doubles */
        struct kv_round_time *times = realloc(cell->times, (n ? 2 * n : 1) * sizeof *times);
        if (!times)
            return kv_fail(error, KV_ERROR_MEMORY, "no memory for %zu repetitions: close other programs", n + 1);
        cell->times = times;
    }
    cell->times[n] = (struct kv_round_time){round, call_seconds};
    result->n_done++;
    result->call_seconds += call_seconds;
    result->last_round = round;
    return KV_OK;
}

static void keep_result(struct kv_cell_run *cell)
{
    struct kv_run *run = cell->run;
    const struct kv_row *row = &cell->newest;
    const double step_ms = row->known[KV_COLUMN_TTPT_MS] ? row->numbers[KV_COLUMN_TTPT_MS] : 0;
    if (!run->broken)
        run->broken = kv_cell_keep_time(cell, run->round, cell->call_seconds, &run->broken_error);
    cell->result.seconds += cell->seconds;
    if (step_ms > 0 && !(run->shortest_step_ms > 0 && run->shortest_step_ms < step_ms))
        run->shortest_step_ms = step_ms;
    write_row(cell, true);
    kv_progress(cell);
}

/* ---- Opening ----------------------------------------------------------------------------------------- */

static void start_row(struct kv_cell_run *cell)
{
    const struct kv_run_settings *settings = cell->run->settings;
    cell->row = (struct kv_row){0};
    kv_cell_describe(cell->cell, &cell->row);
    kv_row_set_text(&cell->row, KV_COLUMN_RUN_ID, settings->run_id);
    kv_row_set_text(&cell->row, KV_COLUMN_MODEL, settings->model_name);
    if (cell->run->n_models)
        kv_row_set_text(&cell->row, KV_COLUMN_WEIGHTS_SOURCE, kv_model_source(cell->run->models[0]));
    cell->fixture->expect(cell);
}

/* Closes the open cell that was used longest ago, but not that one; false: there is none. */
static bool close_oldest(struct kv_run *run, const struct kv_cell_run *but)
{
    struct kv_cell_run *oldest = NULL;
    for (int i = 0; i < run->plan->n_cells; i++) {
        struct kv_cell_run *cell = &run->cells[i];
        if (cell != but && cell->state && cell->cell->kind == KV_KIND_GENERATION &&
            (!oldest || cell->last_use < oldest->last_use))
            oldest = cell;
    }
    if (oldest)
        kv_cell_close(oldest);
    return oldest;
}

static size_t bytes_open(const struct kv_run *run)
{
    size_t bytes = 0;
    for (int i = 0; i < run->plan->n_cells; i++)
        bytes += run->cells[i].resident_bytes;
    return bytes;
}

size_t kv_cell_foreign_bytes(const struct kv_cell_run *cell)
{
    const struct kv_run *run = cell->run;
    return bytes_open(run) - cell->resident_bytes + (run->prober ? kv_prober_buffer(run->prober)->bytes : 0);
}

/* What the process grew by since it had `before` is the cell's. Kernels hold nothing of their own. */
static void count_memory(struct kv_cell_run *cell, size_t before)
{
    const size_t now = kv_rss();
    if (cell->cell->kind == KV_KIND_GENERATION)
        cell->resident_bytes += now > before ? now - before : 0;
    while (bytes_open(cell->run) > cell->run->open_bytes_most && close_oldest(cell->run, cell))
        ;
}

static kv_status open_cell(struct kv_cell_run *cell, struct kv_error *error)
{
    const struct kv_arm *arm = &cell->cell->arm;
    const struct kv_model *model;
    struct kv_pool *pool;
    /* The model is the run's. Where it cannot be loaded, the fixture says so. */
    if (cell->cell->kind == KV_KIND_GENERATION && kv_run_pool(cell->run, arm->threads, &pool, NULL) == KV_OK)
        (void)kv_run_model(cell->run, arm->weights, arm->gemm, pool, &model, NULL);
    const size_t before = kv_rss();
    kv_status status = cell->fixture->open(cell, error);
    while (status == KV_ERROR_MEMORY && close_oldest(cell->run, cell)) {
        kv_cell_close(cell);
        status = cell->fixture->open(cell, error);
    }
    cell->opened |= status == KV_OK;
    if (!status)
        count_memory(cell, before);
    return status;
}

/* Whether the cell is predicted to take longer than its budget, or, with what was opened before it, than what is left of
 * the run's time; the reason in `error`. */
static bool is_too_long(struct kv_cell_run *cell, struct kv_error *error)
{
    struct kv_run *run = cell->run;
    const int index = (int)(cell - run->cells);
    const double budget = run->settings->cell_budget_s, once = kv_predict_seconds(run, index);
    const double rounds = fmin(cell->wanted, KV_LEAST_ROUNDS);
    double needed = kv_predict_opening(run, index);
    char reason[sizeof cell->result.error];
    if (cell->result.n_done)
        return false;
    if (budget > 0 && once * cell->wanted > budget) {
        kv_fail(error, KV_ERROR_UNSUPPORTED, "predicted to take %.1f s, the budget of a cell is %.1f s",
                once * cell->wanted, budget);
        return true;
    }
    for (int i = 0; i < run->plan->n_cells; i++)
        if ((i == index || run->cells[i].opened) && kv_cell_wants_more(&run->cells[i]))
            needed += kv_predict_seconds(run, i) * fmin(run->cells[i].wanted, KV_LEAST_ROUNDS);
    if (needed <= kv_run_time_left(run))
        return false;
    kv_fail(error, KV_ERROR_UNSUPPORTED, "%s",
            kv_cell_leave_out(cell, (int)rounds, once * rounds, reason, sizeof reason));
    return true;
}

/* The next functions are what Google Benchmark calls. Their errors stay in cell->error. */

static const char *outcome(struct kv_cell_run *cell, kv_status status, const struct kv_error *error)
{
    if (status)
        snprintf(cell->error, sizeof cell->error, "%s", error->message);
    return status ? cell->error : NULL;
}

/* In the opening every cell that --benchmark_filter matches comes here, and nothing is measured. */
static const char *prepare_opening(struct kv_cell_run *cell)
{
    struct kv_error error = {""};
    start_row(cell);
    cell->skip = is_too_long(cell, &error);
    const char *reason = outcome(cell, cell->skip ? KV_ERROR_UNSUPPORTED : open_cell(cell, &error), &error);
    if (!reason)
        kv_progress(cell);
    return reason ? reason : gb_pass_over;
}

static const char *prepare(void *context)
{
    struct kv_cell_run *cell = context;
    struct kv_run *run = cell->run;
    struct kv_error error = {""};
    if (run->broken || run->time_over || cell->result.given_up)
        return gb_pass_over;
    if (run->round == 0)
        return prepare_opening(cell);
    if (run->current != cell) { /* the first call of a repetition */
        if (kv_predict_seconds(run, (int)(cell - run->cells)) > kv_run_time_left(run)) {
            run->time_over = true;
            return gb_pass_over;
        }
        run->current = cell;
        run->place++;
        cell->last_use = ++run->n_uses;
    }
    return cell->state ? NULL : outcome(cell, open_cell(cell, &error), &error);
}

/* ---- Measuring --------------------------------------------------------------------------------------- */

static double seconds_since_1970(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static kv_status measure(struct kv_cell_run *cell, int64_t n, struct kv_error *error)
{
    struct kv_counts start, end;
    probe_before(cell);
    const size_t before = kv_rss();
    kv_status status = cell->fixture->settle(cell, error);
    if (status)
        return status;
    cell->started_s = seconds_since_1970();
    kv_counts_read(&start, NULL);
    gb_resume();
    status = cell->fixture->repeat(cell, n, &cell->seconds, error);
    gb_pause();
    kv_counts_read(&end, NULL);
    if (status)
        return status;
    kv_cell_probe(cell);
    count_memory(cell, before);
    cell->call_seconds = cell->seconds / (double)n;
    cell->strain = kv_strain_between(&start, &end);
    cell->limits = (struct kv_limits){
        .threads = cell->probes.n ? cell->cell->arm.threads : 0,
        .read_bytes_per_s = cell->probes.best.read_bytes_per_s,
        .fma_flop_per_s = cell->probes.best.fma_flop_per_s,
    };
    cell->newest = cell->row;
    kv_row_set_number(&cell->newest, KV_COLUMN_REPETITION, cell->result.n_done + 1);
    fill_strain(cell);
    return cell->fixture->fill(cell, error);
}

/* Not of a call that only finds out how many of them fill the time. */
static bool is_whole(const struct kv_cell_run *cell)
{
    return cell->fixture->calls || cell->seconds >= cell->run->settings->kernel_min_time_s;
}

static const char *repeat(void *context, int64_t n, double *seconds)
{
    struct kv_cell_run *cell = context;
    struct kv_error error = {""};
    gb_pause(); /* all but the repetition itself */
    kv_status status = measure(cell, n, &error);
    for (int again = 0; !status && again < MOST_TIMES_AGAIN && is_whole(cell) && is_stalled(cell); again++) {
        kv_row_set_text(&cell->newest, KV_COLUMN_STATUS, "stalled");
        write_row(cell, false);
        cell->result.n_stalled++;
        status = measure(cell, n, &error);
    }
    kv_row_set_text(&cell->newest, KV_COLUMN_STATUS, "ok");
    *seconds = cell->seconds;
    gb_resume();
    return outcome(cell, status, &error);
}

/* Figures that go into the file of --benchmark_out. */
static const struct gb_counter *counters(void *context)
{
    static const enum kv_column columns[KV_MAX_COUNTERS] = {
        KV_COLUMN_TTFT_MS,       KV_COLUMN_TTPT_MS, KV_COLUMN_DECODE_TOK_S, KV_COLUMN_OUTPUT_TOK_S,
        KV_COLUMN_KV_LIVE_BYTES, KV_COLUMN_GFLOPS,  KV_COLUMN_GBYTES_S,     KV_COLUMN_LIMIT_PCT};
    struct kv_cell_run *cell = context;
    int n = 0;
    for (int i = 0; i < KV_MAX_COUNTERS; i++)
        if (cell->newest.known[columns[i]])
            cell->counters[n++] = (struct gb_counter){kv_column_info(columns[i])->name,
                                                      cell->newest.numbers[columns[i]]};
    cell->counters[n] = (struct gb_counter){NULL, 0};
    return cell->counters;
}

static void repeated(void *context, const char *error)
{
    struct kv_cell_run *cell = context;
    cell->run->current = NULL;
    if (error)
        kv_cell_give_up(cell, error);
    else
        keep_result(cell);
}

/* SUITE/PATH/batch:1/prompt:21/new:50, or SUITE/KERNEL/SHAPE/.., and /AXIS:VALUE for every other axis that has more
 * values than one. */
static void name_cell(const struct kv_cell_run *cell, char *name, size_t size)
{
    static const enum kv_column in_name[] = {KV_COLUMN_PATH, KV_COLUMN_GEMM, KV_COLUMN_ISA};
    const bool is_kernel = cell->cell->kind != KV_KIND_GENERATION;
    char text[KV_CELL_TEXT_SIZE], value[KV_AXIS_TEXT_SIZE];
    cell->fixture->name(cell->cell, text);
    size_t n = (size_t)snprintf(name, size, "%s/%s", cell->cell->suite, text);
    for (int i = 0; kv_axis_at(i); i++) {
        const struct kv_axis *axis = kv_axis_at(i);
        if (axis->column == in_name[0] || (is_kernel && (axis->column == in_name[1] || axis->column == in_name[2])))
            continue;
        if (n < size && kv_plan_varies(cell->run->plan, cell->cell->kind, axis) &&
            *kv_axis_text(axis, &cell->cell->arm, value))
            n += (size_t)snprintf(name + n, size - n, "/%s:%s", kv_column_info(axis->column)->name, value);
    }
}

kv_status kv_cell_register(struct kv_cell_run *cell, struct kv_error *error)
{
    char name[512];
    name_cell(cell, name, sizeof name);
    return gb_register(
        &(struct gb_benchmark){.name = name,
                               .prepare = prepare,
                               .run = repeat,
                               .counters = counters,
                               .done = repeated,
                               .context = cell,
                               .iterations = cell->fixture->calls,
                               .min_time_s = cell->fixture->calls ? 0 : cell->run->settings->kernel_min_time_s,
                               .unit = cell->fixture->unit},
        error);
}
