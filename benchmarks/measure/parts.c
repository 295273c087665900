/* Where the time of a generation's steps goes, from the accounts of its threads: of each part the mean over the threads,
 * so that the parts add up to the step. Its limit is that of its own bytes and flops, by the probes of the repetition. */
#include "measure/fixture.h"

#include "base/error.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct kv_parts {
    int n_threads;
    struct kv_account *now;     /* [n_threads] the session adds to these */
    struct kv_account *prefill; /* [n_threads] what they were after the first step */
    struct kv_account accounts[];
};

kv_status kv_parts_open(struct kv_parts **parts, const struct kv_cell *cell, struct kv_session *session,
                        struct kv_error *error)
{
    const size_t n = (size_t)cell->arm.threads;
    struct kv_parts *p = calloc(1, sizeof *p + 2 * n * sizeof *p->accounts);
    *parts = p;
    if (!p)
        return kv_fail(error, KV_ERROR_MEMORY, "no memory for the parts of a step; close other programs");
    p->n_threads = cell->arm.threads;
    p->now = p->accounts;
    p->prefill = p->accounts + n;
    kv_session_account(session, p->now);
    return KV_OK;
}

void kv_parts_begin(struct kv_parts *p)
{
    memset(p->accounts, 0, 2 * (size_t)p->n_threads * sizeof *p->accounts);
}

void kv_parts_prefilled(struct kv_parts *p)
{
    memcpy(p->prefill, p->now, (size_t)p->n_threads * sizeof *p->prefill);
}

/* Of one mean step of the phase. */
struct part {
    double ns, calls;
    struct kv_work work;
};

static struct part part_of(const struct kv_cell_run *cell, const struct kv_parts *p, enum kv_part name, bool decode,
                           int n_steps)
{
    const struct kv_point *point = &cell->cell->point;
    const struct kv_session_options options = kv_cell_session_options(cell->cell);
    const int n = decode ? n_steps - 1 : 1;
    struct part part = {0};
    for (int i = 0; i < p->n_threads; i++) {
        const struct kv_account *end = decode ? &p->now[i] : &p->prefill[i];
        part.ns += (double)(end->ns[name] - (decode ? p->prefill[i].ns[name] : 0)) / p->n_threads / n;
        part.calls += (double)(end->calls[name] - (decode ? p->prefill[i].calls[name] : 0)) / p->n_threads / n;
    }
    for (int i = 0; i < n; i++) {
        const struct kv_work work = kv_part_work(name, cell->run->settings->config, cell->cell->arm.weights, &options,
                                                 decode ? point->n_prompt + i : 0, decode ? 1 : point->n_prompt);
        part.work.flops += work.flops / n;
        part.work.bytes += work.bytes / n;
    }
    return part;
}

static kv_status write_part(struct kv_cell_run *cell, const struct kv_parts *p, enum kv_part name, bool decode,
                            int n_steps, struct kv_error *error)
{
    const struct part part = part_of(cell, p, name, decode, n_steps);
    const double limit_ns = cell->limits.threads
                                ? kv_limit_seconds(&cell->limits, part.work.bytes, part.work.flops) * 1e9
                                : 0;
    const bool has_work = part.work.flops > 0;
    struct kv_row row = cell->newest;
    kv_row_set_text(&row, KV_COLUMN_PHASE, decode ? "decode" : "prefill");
    kv_row_set_text(&row, KV_COLUMN_PART, kv_part_name(name));
    kv_row_set_number(&row, KV_COLUMN_PART_NS, part.ns);
    kv_row_set_number(&row, KV_COLUMN_CALLS, part.calls);
    kv_row_set_number(&row, KV_COLUMN_FLOPS, has_work ? part.work.flops : NAN);
    kv_row_set_number(&row, KV_COLUMN_BYTES, part.work.bytes > 0 ? part.work.bytes : NAN);
    /* Faster than the probes: there is no share. */
    kv_row_set_number(&row, KV_COLUMN_LIMIT_PCT, limit_ns > 0 && limit_ns <= part.ns ? 100 * limit_ns / part.ns : NAN);
    return kv_row_write(cell->run->files[KV_FILE_PARTS], KV_FILE_PARTS, &row, error);
}

kv_status kv_parts_write(struct kv_cell_run *cell, const struct kv_parts *p, int n_steps, struct kv_error *error)
{
    kv_status status = KV_OK;
    for (int decode = 0; decode < (n_steps > 1 ? 2 : 1); decode++)
        for (int name = 0; !status && name < KV_N_PARTS; name++)
            status = write_part(cell, p, (enum kv_part)name, decode, n_steps, error);
    return status;
}
