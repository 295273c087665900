#include "run/run.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Every column of runs.csv, in order. */
static const char *const columns[] = {
    "run_id",        "suite",          "path",          "model",         "weights",       "gemm",
    "isa",           "threads",        "batch",         "prompt_tokens", "new_tokens",    "context_tokens",
    "repetition",    "status",         "cold_ttft_ms",  "ttft_ms",       "ttpt_ms",       "ttpt_p50_ms",
    "ttpt_p95_ms",   "ttpt_p99_ms",    "e2e_ms",        "prefill_tok_s", "decode_tok_s",  "output_tok_s",
    "kv_live_bytes", "kv_reserved_bytes", "rss_peak_bytes", "flops",     "bytes",         "limit_ms",
    "limit_pct",     "error",
};

kv_status kv_rows_open(struct kv_csv_writer **writer, const char *folder, struct kv_error *error)
{
    char file[4096];
    snprintf(file, sizeof file, "%s/runs.csv", folder);
    return kv_csv_append(writer, file, columns, (int)(sizeof columns / sizeof columns[0]), error);
}

static void add_figures(struct kv_csv_writer *writer, const struct kv_row *row)
{
    const struct kv_figures unknown = {NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN};
    const struct kv_figures *f = row->figures ? row->figures : &unknown;
    const double figures[] = {row->figures ? row->cold_ttft_ms : NAN,
                              f->ttft_ms,
                              f->ttpt_ms,
                              f->ttpt_p50_ms,
                              f->ttpt_p95_ms,
                              f->ttpt_p99_ms,
                              f->e2e_ms,
                              f->prefill_tok_s,
                              f->decode_tok_s,
                              f->output_tok_s};
    for (size_t i = 0; i < sizeof figures / sizeof figures[0]; i++)
        kv_csv_add_double(writer, figures[i]);
}

static void add_memory(struct kv_csv_writer *writer, const struct kv_row *row)
{
    if (row->figures) {
        kv_csv_add_integer(writer, (int64_t)row->kv_live_bytes);
        kv_csv_add_integer(writer, (int64_t)row->kv_reserved_bytes);
    } else {
        kv_csv_add_unknown(writer);
        kv_csv_add_unknown(writer);
    }
    if (row->figures && row->rss_peak_bytes)
        kv_csv_add_integer(writer, (int64_t)row->rss_peak_bytes);
    else
        kv_csv_add_unknown(writer);
}

kv_status kv_rows_write(const struct kv_run *run, const struct kv_row *row, struct kv_error *error)
{
    struct kv_csv_writer *w = run->runs;
    const struct kv_cell *cell = row->cell;
    kv_csv_add_text(w, run->settings->run_id);
    kv_csv_add_text(w, cell->suite);
    kv_csv_add_text(w, cell->path);
    kv_csv_add_text(w, run->settings->model_name);
    kv_csv_add_text(w, kv_model_weights(run->model));
    kv_csv_add_text(w, row->gemm);
    kv_csv_add_text(w, row->isa);
    kv_csv_add_integer(w, kv_team_size(run->team));
    kv_csv_add_integer(w, cell->batch);
    kv_csv_add_integer(w, cell->n_prompt);
    kv_csv_add_integer(w, cell->n_new);
    kv_csv_add_integer(w, cell->n_prompt + cell->n_new - 1); /* positions that were run; the last token is not */
    if (row->repetition)
        kv_csv_add_integer(w, row->repetition);
    else
        kv_csv_add_unknown(w);
    kv_csv_add_text(w, row->figures ? "ok" : "failed");
    add_figures(w, row);
    add_memory(w, row);
    for (int i = 0; i < 4; i++)
        kv_csv_add_unknown(w); /* flops, bytes, limit_ms, limit_pct: this run measured no limits to hold against */
    kv_csv_add_text(w, row->error);
    return kv_csv_end_row(w, error);
}
