/* The figure of where the time of steps goes: a stack of shares a cell. */
#include "results/picture.h"

#include <math.h>

/* Naive and cached stand side by side: by batch, context, then arm. */
static int place_of(const struct kv_picture *p, const struct kv_picture_cell *cell)
{
    int place = 1;
    for (size_t i = 0; i < p->n_cells; i++) {
        const struct kv_picture_cell *other = &p->cells[i];
        place += other->group != cell->group ? other->group < cell->group
                 : other->x != cell->x       ? other->x < cell->x
                                             : other->arm < cell->arm;
    }
    return place;
}

/* Tables `parts`, a row a part with what lies below it in its stack, in percent of the step, and `stacks`, a row a
 * stack. Settings part[] are the names. */
void kv_picture_parts(struct kv_picture *p)
{
    double n_stacks[KV_N_PHASES] = {0};
    for (int pass = 0; pass < 2; pass++) {
        kv_picture_begin(p, pass ? "stacks" : "parts",
                         pass ? "phase\tplace\tarm\tbatch\tcontext_tokens\tstep_ms"
                              : "phase\tplace\tpart\tbelow\tshare\tlimit_pct");
        for (size_t i = 0; i < p->n_cells; i++) {
            const struct kv_picture_cell *cell = &p->cells[i];
            const struct kv_cell_parts *parts = cell->cell->parts;
            for (int phase = 0; parts && phase < KV_N_PHASES; phase++) {
                double below = 0;
                if (!parts->n[phase])
                    continue;
                if (pass)
                    KV_PICTURE_ROW(p, phase, place_of(p, cell), cell->arm + 1, cell->group, cell->x,
                                   parts->step_ns[phase] / 1e6);
                for (int part = 0; !pass && part < KV_N_PARTS; part++) {
                    const double share = 100 * parts->ns[phase][part] / parts->step_ns[phase];
                    KV_PICTURE_ROW(p, phase, place_of(p, cell), part + 1, below, share, parts->limit_pct[phase][part]);
                    below += share;
                }
                n_stacks[phase] += pass;
                kv_range_add(&p->repetitions, (double)parts->n[phase]);
            }
        }
        kv_picture_end(p);
    }
    p->is_empty = n_stacks[KV_PHASE_PREFILL] == 0;
    kv_picture_number(p, "n_places", (double)p->n_cells);
    kv_picture_number(p, "n_prefill", n_stacks[KV_PHASE_PREFILL]);
    kv_picture_number(p, "n_decode", n_stacks[KV_PHASE_DECODE]);
    kv_picture_part_names(p);
}
