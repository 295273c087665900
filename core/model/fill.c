/* From a checkpoint's order of weights to the model's, by all threads. */
#include "base/error.h"
#include "kernels/packed.h"
#include "model/weights.h"

#include <stdlib.h>

/* Rows of [k, n] that are packed at a time; of [n, k] it is a panel. */
#define STRIP_ROWS 16

struct filling {
    const struct kv_tensor_slot *slots; /* [n_slots] */
    int n_slots;
    int n_threads;
    kv_weight_source source;
    const void *context;
    float *strips; /* [n_threads, strip_floats] */
    size_t strip_floats;
};

static size_t share_begin(size_t n, int rank, int n_ranks)
{
    return n * (size_t)rank / (size_t)n_ranks;
}

static void fill_plain(const struct filling *job, int index, int rank)
{
    const struct kv_tensor_slot *slot = &job->slots[index];
    const size_t begin = share_begin(slot->n_elements, rank, job->n_threads);
    const size_t end = share_begin(slot->n_elements, rank + 1, job->n_threads);
    if (begin < end)
        job->source(job->context, index, begin, end - begin, slot->data + begin);
}

/* Rows `step` at a time, the first a multiple of it: distinct threads then pack distinct panels. */
static void fill_packed(const struct filling *job, int index, int rank, size_t step)
{
    const struct kv_tensor_slot *slot = &job->slots[index];
    const size_t n_rows = slot->shape[0], n_columns = slot->shape[1], n_strips = (n_rows + step - 1) / step;
    float *strip = job->strips + (size_t)rank * job->strip_floats;
    for (size_t i = share_begin(n_strips, rank, job->n_threads); i < share_begin(n_strips, rank + 1, job->n_threads);
         i++) {
        const size_t first = i * step, count = n_rows - first < step ? n_rows - first : step;
        job->source(job->context, index, first * n_columns, count * n_columns, strip);
        if (slot->packing == KV_PACKING_ROWS)
            kv_pack_rows(slot->data, (int)n_rows, (int)n_columns, (int)first, (int)count, strip, n_columns);
        else
            kv_pack_columns(slot->data, (int)n_columns, (int)n_rows, (int)first, (int)count, strip, n_columns);
    }
}

static size_t strip_rows(enum kv_packing packing)
{
    return packing == KV_PACKING_ROWS ? STRIP_ROWS : KV_PANEL;
}

static void fill_job(void *argument, int rank)
{
    const struct filling *job = argument;
    for (int i = 0; i < job->n_slots; i++) {
        if (job->slots[i].packing == KV_PACKING_NONE)
            fill_plain(job, i, rank);
        else
            fill_packed(job, i, rank, strip_rows(job->slots[i].packing));
    }
}

kv_status kv_model_fill(const struct kv_tensor_slot *slots, int n_slots, kv_weight_source source, const void *context,
                        struct kv_pool *pool, struct kv_error *error)
{
    struct filling job = {slots, n_slots, kv_pool_size(pool), source, context, NULL, 1};
    for (int i = 0; i < n_slots; i++) {
        const size_t floats = strip_rows(slots[i].packing) * slots[i].shape[1];
        if (slots[i].packing != KV_PACKING_NONE && floats > job.strip_floats)
            job.strip_floats = floats;
    }
    job.strips = calloc((size_t)job.n_threads, job.strip_floats * sizeof *job.strips);
    if (!job.strips)
        return kv_fail(error, KV_ERROR_MEMORY, "model weights: no memory to pack them");
    kv_pool_run(pool, fill_job, &job);
    free(job.strips);
    return KV_OK;
}
