/* The figures of suites paged and prefix: what blocks cost, and what sharing them gains. */
#include "results/picture.h"
#include "results/prefix.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MIB 1048576.0

/* Positions of a block, 0: not in blocks. */
static int block_of(const struct kv_cell_results *cell)
{
    const char *cache = cell->texts[KV_COLUMN_CACHE];
    return strncmp(cache, "paged:", 6) == 0 ? atoi(cache + 6) : 0;
}

/* The contiguous cell of the same point; NULL: not measured. */
static const struct kv_cell_results *contiguous_at(const struct kv_picture *p, const struct kv_cell_results *cell)
{
    for (size_t i = 0; i < p->n_cells; i++)
        if (kv_cell_is(p->cells[i].cell, KV_COLUMN_CACHE, "contiguous") &&
            kv_cells_agree(p->cells[i].cell, cell, kv_key_columns() & ~KV_BIT(KV_COLUMN_CACHE)))
            return p->cells[i].cell;
    return NULL;
}

static int by_load(const void *left, const void *right)
{
    const struct kv_picture_cell *a = left, *b = right;
    const int load_a = a->cell->figures[KV_COLUMN_HELD_SEQUENCES].n > 0,
              load_b = b->cell->figures[KV_COLUMN_HELD_SEQUENCES].n > 0;
    return load_a != load_b ? load_a - load_b : (a->cell > b->cell) - (a->cell < b->cell);
}

/* Table `loads`: a row a cell from `first` on, with how many sequences of mixed lengths it holds and the percentage of
 * its bytes in use; block 0 is contiguous. */
static void write_loads(struct kv_picture *p, size_t first)
{
    struct kv_range held = {0, 0};
    double batch = NAN, context = NAN;
    kv_picture_begin(p, "loads", "arm\tblock\theld\tuse");
    for (size_t i = first; i < p->n_cells; i++) {
        const struct kv_picture_cell *cell = &p->cells[i];
        const double n = cell->cell->figures[KV_COLUMN_HELD_SEQUENCES].median;
        KV_PICTURE_ROW(p, cell->arm + 1, block_of(cell->cell), n, 100 * kv_load_use(cell->cell));
        kv_range_add(&held, n);
        batch = cell->group;
        context = cell->x;
    }
    kv_picture_end(p);
    kv_picture_range(p, "held", &held);
    kv_picture_number(p, "n_loads", (double)(p->n_cells - first));
    kv_picture_number(p, "load_batch", batch);
    kv_picture_number(p, "load_context", context);
}

/* Table `blocks`: a row a cell in blocks, with the time of its step over that of contiguous, within rounds. */
void kv_picture_paged(struct kv_picture *p)
{
    struct kv_range ratio = {NAN, NAN}, size = {NAN, NAN};
    const size_t n_cells = p->n_cells;
    p->is_empty = true;
    qsort(p->cells, n_cells, sizeof *p->cells, by_load);
    while (p->n_cells && p->cells[p->n_cells - 1].cell->figures[KV_COLUMN_HELD_SEQUENCES].n)
        p->n_cells--; /* panels are of steps */
    kv_picture_begin(p, "blocks", "arm\tbatch\tcontext_tokens\tblock\tratio\tlow\thigh");
    for (size_t i = 0; i < p->n_cells && !p->status; i++) {
        const struct kv_picture_cell *cell = &p->cells[i];
        const struct kv_cell_results *base = contiguous_at(p, cell->cell);
        struct kv_judgement j;
        if (!block_of(cell->cell) || !base)
            continue;
        p->status = kv_judge(base, cell->cell, KV_COLUMN_TTPT_MS, KV_JUDGE_THRESHOLD, &j, p->error);
        if (p->status || isnan(j.ratio))
            continue;
        KV_PICTURE_ROW(p, cell->arm + 1, cell->group, cell->x, block_of(cell->cell), j.ratio, j.interval.low,
                       j.interval.high);
        kv_range_add(&ratio, j.ratio);
        kv_range_add(&ratio, j.interval.low);
        kv_range_add(&ratio, j.interval.high);
        kv_range_add(&size, block_of(cell->cell));
        kv_range_add(&p->repetitions, (double)j.n_rounds);
        p->is_empty = false;
    }
    kv_picture_end(p);
    kv_picture_keys(p, "batch", KV_COLUMN_BATCH);
    kv_picture_keys(p, "context", KV_COLUMN_CONTEXT_TOKENS);
    kv_picture_range(p, "ratio", &ratio);
    kv_picture_range(p, "block", &size);
    const size_t n_steps = p->n_cells;
    p->n_cells = n_cells;
    write_loads(p, n_steps);
}

/* Table `shares`: a row a cell with what is shared, how many times as fast its first token is as without, what that is
 * at most, and its bytes. */
void kv_picture_prefix(struct kv_picture *p)
{
    struct kv_range gain = {NAN, NAN}, live = {NAN, NAN};
    p->is_empty = true;
    kv_picture_begin(p, "shares", "arm\tbatch\tshare\tgain\tlow\thigh\tbound\tlive");
    for (size_t i = 0; i < p->n_cells && !p->status; i++) {
        const struct kv_picture_cell *cell = &p->cells[i];
        const struct kv_sample *bytes = &cell->cell->figures[KV_COLUMN_KV_LIVE_BYTES];
        struct kv_prefix prefix;
        p->status = kv_prefix_of(p->run->results, cell->cell, &prefix, p->error);
        if (p->status || !prefix.base)
            continue;
        KV_PICTURE_ROW(p, cell->arm + 1, cell->group, 100 * prefix.share, prefix.gain, prefix.interval.low,
                       prefix.interval.high, prefix.bound, bytes->median / MIB);
        kv_range_add(&gain, prefix.gain);
        kv_range_add(&gain, prefix.bound);
        kv_range_add(&live, bytes->median / MIB);
        kv_range_add(&p->repetitions, (double)prefix.n_rounds);
        p->is_empty = false;
    }
    kv_picture_end(p);
    kv_picture_keys(p, "batch", KV_COLUMN_BATCH);
    kv_picture_range(p, "gain", &gain);
    kv_picture_range(p, "live", &live);
}
