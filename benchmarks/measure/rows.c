#include "measure/run.h"

#include "base/error.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define N_COLUMNS(columns) ((int)(sizeof(columns) / sizeof *(columns)))

static const char *const runs_columns[] = {
    "run_id",        "suite",        "path",          "model",         "weights",           "gemm",           "isa",
    "threads",       "batch",        "prompt_tokens", "new_tokens",    "context_tokens",    "repetition",     "status",
    "cold_ttft_ms",  "ttft_ms",      "ttpt_ms",       "ttpt_p50_ms",   "ttpt_p95_ms",       "ttpt_p99_ms",    "e2e_ms",
    "prefill_tok_s", "decode_tok_s", "output_tok_s",  "kv_live_bytes", "kv_reserved_bytes", "rss_peak_bytes", "flops",
    "bytes",         "limit_ms",     "limit_pct",     "error",
};
static const char *const tokens_columns[] = {"run_id",     "suite", "path",           "batch",
                                             "repetition", "token", "context_tokens", "latency_ns"};
static const char *const limits_columns[] = {"run_id",           "moment",
                                             "threads",          "isa",
                                             "read_bytes_per_s", "read_bytes_per_s_median",
                                             "fma_flop_per_s",   "fma_flop_per_s_median"};

static kv_status open_file(struct kv_csv_writer **writer, const char *folder, const char *name,
                           const char *const *columns, int n_columns, struct kv_error *error)
{
    char file[4096];
    if (snprintf(file, sizeof file, "%s/%s", folder, name) >= (int)sizeof file)
        return kv_fail(error, KV_ERROR_ARGUMENT, "%.60s...: the folder's name is too long", folder);
    return kv_csv_append(writer, file, columns, n_columns, error);
}

static kv_status open_tokens(struct kv_csv_writer **writer, const char *folder, const char *name,
                             struct kv_error *error)
{
    return open_file(writer, folder, name, tokens_columns, N_COLUMNS(tokens_columns), error);
}

kv_status kv_rows_open(struct kv_run *run, struct kv_error *error)
{
    const char *folder = run->settings->folder;
    kv_status status = open_file(&run->runs, folder, "runs.csv", runs_columns, N_COLUMNS(runs_columns), error);
    if (!status)
        status = open_tokens(&run->tokens, folder, "tokens.csv", error);
    if (!status)
        status = open_file(&run->limits_rows, folder, "limits.csv", limits_columns, N_COLUMNS(limits_columns), error);
    return status;
}

void kv_rows_close(struct kv_run *run)
{
    kv_csv_close(run->runs);
    kv_csv_close(run->tokens);
    kv_csv_close(run->limits_rows);
    run->runs = run->tokens = run->limits_rows = NULL;
}

static kv_status copy_rows(struct kv_csv_writer *writer, const struct kv_csv_table *rows, const bool *keep,
                           struct kv_error *error)
{
    kv_status status = KV_OK;
    for (size_t row = 0; !status && row < kv_csv_rows(rows); row++) {
        if (!keep[row])
            continue;
        for (int column = 0; column < N_COLUMNS(tokens_columns); column++)
            kv_csv_add_text(writer, kv_csv_text(rows, row, (size_t)column));
        status = kv_csv_end_row(writer, error);
    }
    return status;
}

kv_status kv_rows_keep_tokens(struct kv_run *run, const struct kv_csv_table *rows, const bool *keep,
                              struct kv_error *error)
{
    const char *folder = run->settings->folder, *part_name = "tokens.csv.part";
    char file[4096], part[4096];
    struct kv_csv_writer *writer;
    snprintf(file, sizeof file, "%s/tokens.csv", folder);
    snprintf(part, sizeof part, "%s/%s", folder, part_name);
    unlink(part);
    kv_status status = open_tokens(&writer, folder, part_name, error);
    if (status)
        return status;
    status = copy_rows(writer, rows, keep, error);
    kv_csv_close(writer);
    if (!status && rename(part, file) != 0)
        status = kv_fail(error, KV_ERROR_IO, "%s cannot be written: %s", file, strerror(errno));
    if (status) {
        unlink(part);
        return status;
    }
    kv_csv_close(run->tokens);
    run->tokens = NULL;
    return open_tokens(&run->tokens, folder, "tokens.csv", error);
}

/* The mean step after the first token: its work, and the least time that it can take on this machine. */
struct step_limit {
    double flops, bytes, milliseconds;
};

static struct step_limit mean_step_limit(const struct kv_run *run, const struct kv_cell *cell)
{
    struct step_limit mean = {0, 0, 0};
    const int n_steps = cell->n_new - 1;
    const struct kv_session_options options = {.path = cell->path, .batch = cell->batch};
    for (int i = 0; i < n_steps; i++) {
        const struct kv_work work = kv_step_work(kv_model_config(run->model), kv_model_format(run->model), &options,
                                                 cell->n_prompt + i, 1);
        mean.flops += work.flops / n_steps;
        mean.bytes += work.bytes / n_steps;
        if (run->limits.threads)
            mean.milliseconds += kv_limit_seconds(&run->limits, work.bytes, work.flops) * 1e3 / n_steps;
    }
    if (n_steps < 1)
        mean.flops = mean.bytes = NAN;
    if (n_steps < 1 || !run->limits.threads)
        mean.milliseconds = NAN;
    return mean;
}

static void add_configuration(const struct kv_run *run, const struct kv_row *row)
{
    struct kv_csv_writer *w = run->runs;
    const struct kv_cell *cell = row->cell;
    const struct kv_session *session = row->state ? row->state->decoder.session : NULL;
    const char *const texts[] = {
        run->settings->run_id,
        cell->suite,
        cell->path,
        run->settings->model_name,
        kv_model_source(run->model),
        session ? kv_session_matmul(session) : run->settings->gemm,
        session ? kv_session_isa(session) : run->settings->isa,
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        kv_csv_add_text(w, texts[i]);
    kv_csv_add_integer(w, kv_pool_size(run->pool));
    kv_csv_add_integer(w, cell->batch);
    kv_csv_add_integer(w, cell->n_prompt);
    kv_csv_add_integer(w, cell->n_new);
    kv_csv_add_integer(w, (int64_t)cell->n_prompt + cell->n_new - 1); /* the last token is selected, not run */
    if (row->repetition)
        kv_csv_add_integer(w, row->repetition);
    else
        kv_csv_add_unknown(w);
    kv_csv_add_text(w, row->status);
}

static void add_figures(struct kv_csv_writer *w, const struct kv_row *row)
{
    const struct kv_figures unknown = {NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN};
    const struct kv_figures *f = row->figures ? row->figures : &unknown;
    const double figures[] = {row->state ? row->state->cold_ttft_ms : NAN,
                              f->ttft_ms,
                              f->ttpt_ms,
                              f->ttpt_p50_ms,
                              f->ttpt_p95_ms,
                              f->ttpt_p99_ms,
                              f->e2e_ms,
                              f->prefill_tok_s,
                              f->decode_tok_s,
                              f->output_tok_s};
    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++)
        kv_csv_add_double(w, figures[i]);
}

static void add_memory(struct kv_csv_writer *w, const struct kv_row *row)
{
    if (row->state) {
        kv_csv_add_integer(w, (int64_t)row->state->decoder.generation.kv_live_bytes);
        kv_csv_add_integer(w, (int64_t)kv_session_kv_reserved_bytes(row->state->decoder.session));
    } else {
        kv_csv_add_unknown(w);
        kv_csv_add_unknown(w);
    }
    if (row->rss_peak_bytes)
        kv_csv_add_integer(w, (int64_t)row->rss_peak_bytes);
    else
        kv_csv_add_unknown(w);
}

static kv_status write_tokens(const struct kv_run *run, const struct kv_row *row, struct kv_error *error)
{
    const struct kv_generation *g = &row->state->decoder.generation;
    kv_status status = KV_OK;
    for (int i = 1; !status && i <= g->n_steps; i++) {
        struct kv_csv_writer *w = run->tokens;
        kv_csv_add_text(w, run->settings->run_id);
        kv_csv_add_text(w, row->cell->suite);
        kv_csv_add_text(w, row->cell->path);
        kv_csv_add_integer(w, row->cell->batch);
        kv_csv_add_integer(w, row->repetition);
        kv_csv_add_integer(w, i);
        kv_csv_add_integer(w, row->cell->n_prompt + i - 1);
        kv_csv_add_integer(w, g->stamps[i] - g->stamps[i - 1]);
        status = kv_csv_end_row(w, error);
    }
    return status;
}

kv_status kv_rows_write(const struct kv_run *run, const struct kv_row *row, struct kv_error *error)
{
    if (row->state) {
        const kv_status status = write_tokens(run, row, error);
        if (status)
            return status;
    }
    const struct step_limit limit = mean_step_limit(run, row->cell);
    add_configuration(run, row);
    add_figures(run->runs, row);
    add_memory(run->runs, row);
    kv_csv_add_double(run->runs, limit.flops);
    kv_csv_add_double(run->runs, limit.bytes);
    kv_csv_add_double(run->runs, limit.milliseconds);
    kv_csv_add_double(run->runs, row->figures ? 100 * limit.milliseconds / row->figures->ttpt_ms : NAN);
    kv_csv_add_text(run->runs, row->error);
    return kv_csv_end_row(run->runs, error);
}

kv_status kv_rows_write_limits(const struct kv_run *run, const char *moment, const struct kv_limits *limits,
                               struct kv_error *error)
{
    struct kv_csv_writer *w = run->limits_rows;
    kv_csv_add_text(w, run->settings->run_id);
    kv_csv_add_text(w, moment);
    kv_csv_add_integer(w, limits->threads);
    kv_csv_add_text(w, limits->isa);
    kv_csv_add_double(w, limits->read_bytes_per_s);
    kv_csv_add_double(w, limits->read_bytes_per_s_median);
    kv_csv_add_double(w, limits->fma_flop_per_s);
    kv_csv_add_double(w, limits->fma_flop_per_s_median);
    return kv_csv_end_row(w, error);
}
