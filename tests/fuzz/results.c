/* The folder of a run or of a training: an input is its files, "=== runs.csv" and what follows. What loads has samples in
 * order, cells whose counts add up, and goes through all that tells of a run: tables of the figures, page, history,
 * comparison, capacity, pack. A pack of it unpacks to a run of as many cells. */
#include "fuzz.h"

#include "report/report.h"
#include "results/capacity.h"
#include "results/compare.h"
#include "results/figures.h"
#include "results/history.h"
#include "results/pack.h"
#include "results/peers.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static void check_sample(const struct kv_sample *sample)
{
    for (size_t i = 1; i < sample->n; i++)
        FUZZ_HOLDS(sample->values[i - 1] <= sample->values[i] &&
                   sample->rounds[i - 1].round <= sample->rounds[i].round);
    if (sample->n)
        FUZZ_HOLDS(sample->values[0] >= 0 && sample->median >= sample->values[0] &&
                   sample->median <= sample->values[sample->n - 1]);
}

static void check_cells(const struct kv_results *run)
{
    for (size_t i = 0; i < run->n_cells; i++) {
        const struct kv_cell_results *cell = &run->cells[i];
        FUZZ_HOLDS(cell->n + cell->n_failed + cell->n_skipped + cell->n_stalled > 0 && *cell->id);
        FUZZ_HOLDS(cell->status != KV_CELL_OK || cell->n > 0);
        for (int c = 0; c < KV_N_COLUMNS; c++) {
            FUZZ_HOLDS(cell->texts[c] && cell->figures[c].n <= cell->n);
            check_sample(&cell->figures[c]);
        }
        size_t n;
        const struct kv_token_row *tokens = kv_results_tokens(run, cell, &n);
        for (size_t t = 0; t < n; t++)
            FUZZ_HOLDS(tokens[t].latency_ns >= 0 && tokens[t].token >= 1);
    }
}

static void told(kv_status status, struct kv_error *error)
{
    if (status)
        fuzz_refused(status, error);
}

static void compare_paths(const struct kv_results *run)
{
    const struct kv_compare_settings settings = {
        .metrics = {KV_COLUMN_TTPT_MS, KV_COLUMN_TTFT_MS}, .n_metrics = 2, .by = KV_COLUMN_PATH, .threshold = 0.02};
    struct kv_comparison *comparison = NULL;
    struct kv_error error = {""};
    FILE *sink = fopen("/dev/null", "w");
    kv_status status = kv_compare(&comparison, run, NULL, &settings, &error);
    if (!status)
        status = kv_compare_print(comparison, KV_FORMAT_JSON, sink, &error);
    told(status, &error);
    kv_comparison_free(comparison);
    told(kv_peers_print(run, KV_FORMAT_TEXT, sink, &error), &error);
    fclose(sink);
}

static void write_page(const char *folder, const char *out)
{
    char page[700];
    snprintf(page, sizeof page, "%s/page.html", out);
    const struct kv_report_settings settings = {.folder = folder, .file = page};
    struct kv_report_outcome outcome;
    struct kv_error error = {""};
    told(kv_report_write(&settings, &outcome, &error), &error);
}

static void write_history(const char *folder, const char *out)
{
    struct kv_results *runs[2] = {NULL, NULL};
    struct kv_history *history = NULL;
    struct kv_error error = {""};
    char page[700];
    snprintf(page, sizeof page, "%s/history.html", out);
    FUZZ_HOLDS(kv_results_load(&runs[0], folder, &error) == KV_OK);
    kv_status status = kv_history_create(&history, runs, 1, &error);
    if (!status)
        status = kv_history_write_page(history, page, &error);
    told(status, &error);
    kv_history_free(history);
}

static void pack_and_unpack(const struct kv_results *run, const char *folder, const char *out)
{
    char pack[700];
    struct kv_results *again = NULL;
    struct kv_error error = {""};
    snprintf(pack, sizeof pack, "%s/run.kvbench", out);
    const kv_status status = kv_pack_write(folder, pack, true, &error);
    if (status) {
        fuzz_refused(status, &error);
        return;
    }
    FUZZ_HOLDS(kv_results_load(&again, pack, &error) == KV_OK);
    FUZZ_HOLDS(again->n_cells == run->n_cells);
    kv_results_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *names[KV_PACK_N_FILES + 3];
    char folder[600], out[600];
    int n = 0;
    for (; n < KV_PACK_N_FILES; n++)
        names[n] = kv_pack_file(n);
    names[n++] = "training.csv";
    names[n++] = "power.csv";
    names[n++] = "calibration.csv";
    snprintf(folder, sizeof folder, "%s/run", fuzz_folder());
    snprintf(out, sizeof out, "%s/out", fuzz_folder());
    FUZZ_HOLDS(mkdir(folder, 0700) == 0 && mkdir(out, 0700) == 0);
    fuzz_put_parts(folder, data, size, names, n);

    struct kv_results *run;
    struct kv_error error = {""};
    FILE *list = fopen("/dev/null", "w");
    told(kv_figures_write(folder, out, list, &error), &error);
    fclose(list);
    const kv_status status = kv_results_load(&run, folder, &error);
    FUZZ_HOLDS((status == KV_OK) == (run != NULL));
    if (status) {
        fuzz_refused(status, &error);
    } else {
        check_cells(run);
        compare_paths(run);
        write_page(folder, out);
        write_history(folder, out);
        pack_and_unpack(run, folder, out);
        fuzz_say("loaded: %zu cells, %zu limits\n", run->n_cells, run->n_limits);
        kv_results_free(run);
    }
    fuzz_clear(fuzz_folder());
    return 0;
}
