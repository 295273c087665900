#include "run_folder.h"

#include "results/csv.h"

#include <ftw.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- Files -------------------------------------------------------------------------------------- */

int make_folder(void **state)
{
    char *folder = strdup("/tmp/kvbench-run-XXXXXX");
    *state = folder;
    return folder && mkdtemp(folder) ? 0 : -1;
}

static int remove_one(const char *name, const struct stat *status, int type, struct FTW *walk)
{
    (void)status, (void)type, (void)walk;
    return remove(name);
}

int remove_folder(void **state)
{
    const int result = nftw(*state, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    free(*state);
    return result;
}

void put_file(const char *folder, const char *name, const char *text)
{
    char file[512];
    snprintf(file, sizeof file, "%s/%s", folder, name);
    FILE *stream = fopen(file, "we");
    assert_non_null(stream);
    assert_true(fputs(text, stream) >= 0);
    assert_int_equal(fclose(stream), 0);
}

char *get_file(const char *folder, const char *name)
{
    char file[512], *text = NULL;
    size_t capacity = 0;
    snprintf(file, sizeof file, "%s/%s", folder, name);
    FILE *stream = fopen(file, "re");
    if (!stream)
        return NULL;
    assert_true(getdelim(&text, &capacity, '\0', stream) >= 0);
    fclose(stream);
    return text;
}

/* ---- runs.csv ----------------------------------------------------------------------------------- */

const char *runs_header(void)
{
    static char header[1024];
    const struct kv_file_info *file = kv_file_info(KV_FILE_RUNS);
    header[0] = '\0';
    for (int i = 0; i < file->n_columns; i++)
        snprintf(header + strlen(header), sizeof header - strlen(header), "%s%s", i ? "," : "",
                 kv_column_info(file->columns[i])->name);
    strcat(header, "\n");
    return header;
}

static int number_or(int number, int otherwise)
{
    return number ? number : otherwise;
}

static bool is_peer(const struct result *r)
{
    return r->engine && strcmp(r->engine, "kvbench") != 0;
}

static void describe(struct kv_row *row, const struct result *r, char id[KV_CELL_ID_SIZE])
{
    const bool peer = is_peer(r), keeps_nothing = peer || (r->path && strcmp(r->path, "naive") == 0);
    *row = (struct kv_row){.texts = {
                               [KV_COLUMN_RUN_ID] = "R1",
                               [KV_COLUMN_CELL] = id,
                               [KV_COLUMN_SUITE] = r->suite ? r->suite : "batch",
                               [KV_COLUMN_PATH] = r->path ? r->path : "cached",
                               [KV_COLUMN_MODEL] = "tiny",
                               [KV_COLUMN_ENGINE] = r->engine,
                               [KV_COLUMN_WEIGHTS] = r->weights ? r->weights : "f32",
                               [KV_COLUMN_WEIGHTS_SOURCE] = "synthetic:1",
                               [KV_COLUMN_CACHE] = keeps_nothing ? "" : "contiguous",
                               [KV_COLUMN_KV] = keeps_nothing ? "" : "f32",
                               [KV_COLUMN_GEMM] = peer      ? ""
                                                  : r->gemm ? r->gemm
                                                            : "openblas",
                               [KV_COLUMN_ISA] = peer     ? ""
                                                 : r->isa ? r->isa
                                                          : "avx2",
                           }};
    kv_row_set_number(row, KV_COLUMN_THREADS, number_or(r->threads, 2));
    kv_row_set_number(row, KV_COLUMN_CHUNK, 0);
    kv_row_set_number(row, KV_COLUMN_BATCH, number_or(r->batch, 1));
    kv_row_set_number(row, KV_COLUMN_PROMPT_TOKENS, number_or(r->prompt_tokens, 6));
    kv_row_set_number(row, KV_COLUMN_NEW_TOKENS, number_or(r->new_tokens, 11));
    kv_row_set_number(row, KV_COLUMN_CONTEXT_TOKENS,
                      row->numbers[KV_COLUMN_PROMPT_TOKENS] + row->numbers[KV_COLUMN_NEW_TOKENS] - 1);
    kv_row_cell_id(row, id);
}

static void set_figures(struct kv_row *row, const struct result *r, int repetition)
{
    const double B = row->numbers[KV_COLUMN_BATCH], P = row->numbers[KV_COLUMN_PROMPT_TOKENS],
                 N = row->numbers[KV_COLUMN_NEW_TOKENS], ttpt = r->ttpt_ms[repetition - 1],
                 ttft = r->ttft_ms[repetition - 1] > 0 ? r->ttft_ms[repetition - 1] : 10, e2e = ttft + (N - 1) * ttpt,
                 read = r->probe_read[repetition - 1];
    const struct {
        enum kv_column column;
        double value;
    } figures[] = {
        {KV_COLUMN_REPETITION, repetition},
        {KV_COLUMN_COLD_TTFT_MS, 20},
        {KV_COLUMN_TTFT_MS, ttft},
        {KV_COLUMN_TTPT_MS, ttpt},
        {KV_COLUMN_TTPT_P50_MS, ttpt},
        {KV_COLUMN_TTPT_P95_MS, 2 * ttpt},
        {KV_COLUMN_E2E_MS, e2e},
        {KV_COLUMN_PREFILL_TOK_S, B * P / ttft * 1e3},
        {KV_COLUMN_DECODE_TOK_S, B / ttpt * 1e3},
        {KV_COLUMN_OUTPUT_TOK_S, B * N / e2e * 1e3},
        {KV_COLUMN_KV_LIVE_BYTES, r->live_bytes},
        {KV_COLUMN_KV_RESERVED_BYTES, 2 * r->live_bytes},
        {KV_COLUMN_FLOPS, 5e6},
        {KV_COLUMN_BYTES, 6e6},
        {KV_COLUMN_LIMIT_MS, 1},
        {KV_COLUMN_LIMIT_PCT, 100 / ttpt},
        {KV_COLUMN_ROUND, number_or(r->rounds[repetition - 1], repetition)},
        {KV_COLUMN_PROBE_READ_BYTES_PER_S, read > 0 ? read : NAN},
        {KV_COLUMN_PROBE_FMA_FLOP_PER_S, read > 0 ? 1e11 : NAN},
        {KV_COLUMN_SAME_TOKENS, is_peer(r) ? r->same_tokens : NAN},
        {KV_COLUMN_STARTUP_S, is_peer(r) ? 2.5 : NAN},
        {KV_COLUMN_RSS_PEAK_BYTES, (100 + repetition) << 20},
    };
    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++)
        kv_row_set_number(row, figures[i].column, figures[i].value);
}

void put_runs(const char *folder, const struct result *results, size_t n)
{
    struct kv_csv_writer *writer;
    char file[512], id[KV_CELL_ID_SIZE];
    snprintf(file, sizeof file, "%s/runs.csv", folder);
    unlink(file);
    assert_int_equal(kv_result_file_append(&writer, folder, KV_FILE_RUNS, NULL), KV_OK);
    for (size_t i = 0; i < n; i++) {
        const struct result *r = &results[i];
        struct kv_row row;
        for (int repetition = 1; repetition <= MAX_VALUES && r->ttpt_ms[repetition - 1] > 0; repetition++) {
            describe(&row, r, id);
            row.texts[KV_COLUMN_STATUS] = "ok";
            set_figures(&row, r, repetition);
            assert_int_equal(kv_row_write(writer, KV_FILE_RUNS, &row, NULL), KV_OK);
        }
        if (!r->status)
            continue;
        describe(&row, r, id);
        row.texts[KV_COLUMN_STATUS] = r->status;
        row.texts[KV_COLUMN_ERROR] = r->error;
        assert_int_equal(kv_row_write(writer, KV_FILE_RUNS, &row, NULL), KV_OK);
    }
    kv_csv_close(writer);
}

/* ---- Results ------------------------------------------------------------------------------------ */

struct kv_results *load(const char *folder)
{
    struct kv_results *results;
    struct kv_error error = {""};
    if (kv_results_load(&results, folder, &error) != KV_OK)
        fail_msg("%s", error.message);
    return results;
}

void check_holds(const char *text, const char *part, const char *file, int line)
{
    if (strstr(text, part))
        return;
    print_error("\"%s\" is not in:\n%s\n", part, text);
    _fail(file, line);
}
