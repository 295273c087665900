/* What the figure `peers` is drawn from: a row a peer at each batch, in it a ratio a precision. */
#include "results/peers.h"
#include "results/picture.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const enum kv_column panels[] = {KV_COLUMN_TTFT_MS, KV_COLUMN_TTPT_MS};
enum { N_PANELS = sizeof panels / sizeof *panels };

/* Rows are numbered from 1 as they appear in what is drawn: by batch, then by engine. */
struct row {
    double batch;
    const char *engine;
};

static bool is_drawn(const struct kv_picture *p, const struct kv_peer_cell *cell)
{
    for (size_t i = 0; i < p->n_cells; i++)
        if (p->cells[i].cell == cell->cell)
            return !cell->is_own && cell->own && cell->cell->n;
    return false;
}

static int compare_rows(const void *left, const void *right)
{
    const struct row *a = left, *b = right;
    return a->batch != b->batch ? (a->batch < b->batch ? -1 : 1) : strcmp(a->engine, b->engine);
}

/* rows [n_cells] of what is drawn; returns how many. */
static int find_rows(const struct kv_picture *p, const struct kv_peer_cell *cells, size_t n_cells, struct row *rows)
{
    int n = 0, n_apart = 0;
    for (size_t i = 0; i < n_cells; i++)
        if (is_drawn(p, &cells[i]))
            rows[n++] = (struct row){cells[i].cell->numbers[KV_COLUMN_BATCH], cells[i].cell->texts[KV_COLUMN_ENGINE]};
    qsort(rows, (size_t)n, sizeof *rows, compare_rows);
    for (int i = 0; i < n; i++)
        if (n_apart == 0 || compare_rows(&rows[n_apart - 1], &rows[i]) != 0)
            rows[n_apart++] = rows[i];
    return n_apart;
}

/* The number of the precision among those that are drawn, from 1; one that is new is added to names [*n]. */
static int number_of(const char **names, int *n, const char *name)
{
    int i = 0;
    while (i < *n && strcmp(names[i], name) != 0)
        i++;
    if (i == *n)
        names[(*n)++] = name;
    return i + 1;
}

/* Table ratios; returns how many points have a ratio. */
static size_t write_ratios(struct kv_picture *p, const struct kv_peer_cell *cells, size_t n_cells,
                           const struct row *rows, int n_rows, const char **weights, int *n_weights)
{
    struct kv_range range = {1, 1};
    size_t n = 0;
    kv_picture_begin(p, "ratios", "panel\trow\tweights\tn\tratio\tlow\thigh");
    for (size_t i = 0; i < n_cells * N_PANELS && !p->status; i++) {
        const struct kv_peer_cell *cell = &cells[i / N_PANELS];
        const int panel = (int)(i % N_PANELS);
        struct kv_judgement j;
        int row = 0;
        if (!is_drawn(p, cell))
            continue;
        while (row < n_rows && (rows[row].batch != cell->cell->numbers[KV_COLUMN_BATCH] ||
                                strcmp(rows[row].engine, cell->cell->texts[KV_COLUMN_ENGINE]) != 0))
            row++;
        p->status = kv_judge(cell->own, cell->cell, panels[panel], KV_JUDGE_THRESHOLD, &j, p->error);
        if (p->status || isnan(j.ratio))
            continue;
        KV_PICTURE_ROW(p, panel + 1, row + 1, number_of(weights, n_weights, cell->cell->texts[KV_COLUMN_WEIGHTS]),
                       (double)j.n_rounds, j.ratio, j.interval.low, j.interval.high);
        kv_range_add(&range, j.ratio);
        kv_range_add(&range, j.interval.low);
        kv_range_add(&range, j.interval.high);
        kv_range_add(&p->repetitions, (double)j.n_rounds);
        n++;
    }
    kv_picture_end(p);
    kv_picture_range(p, "ratio", &range);
    return n;
}

void kv_picture_peers(struct kv_picture *p)
{
    struct kv_peer_cell *cells;
    size_t n_cells;
    p->is_empty = true;
    p->status = kv_peers_find(p->run->results, &cells, &n_cells, p->error);
    if (p->status)
        return;
    struct row *rows = calloc(n_cells + 1, sizeof *rows);
    const char **names = calloc(2 * n_cells + 2, sizeof *names), **weights = names + n_cells + 1;
    double *batches = calloc(n_cells + 1, sizeof *batches);
    if (rows && names && batches) {
        int n_weights = 0;
        const int n_rows = find_rows(p, cells, n_cells, rows);
        for (int i = 0; i < n_rows; i++) {
            names[i] = rows[i].engine;
            batches[i] = rows[i].batch;
        }
        p->is_empty = write_ratios(p, cells, n_cells, rows, n_rows, weights, &n_weights) == 0;
        kv_picture_texts(p, "row", names, n_rows);
        kv_picture_numbers(p, "row_batch", batches, n_rows);
        kv_picture_texts(p, "precision", weights, n_weights);
    } else {
        kv_picture_fail_memory(p);
    }
    free(batches);
    free(names);
    free(rows);
    free(cells);
}
