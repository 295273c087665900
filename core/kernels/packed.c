#include "kernels/matmul.h"

size_t kv_packed_columns(int n)
{
    return ((size_t)n + KV_PANEL - 1) / KV_PANEL * KV_PANEL;
}

/* Rows go to ranks by tiles of 8, which every level's tile divides. With 64 of them or more, a product is bound by
 * arithmetic even when its weights are read once more. */
enum { ROW_GRAIN = 8, LEAST_ROWS = 64 };

/* Where share i of `parts` begins, when `size` is divided by whole grains. */
static int share_begin(int size, int grain, int i, int parts)
{
    const long grains = ((long)size + grain - 1) / grain, begin = grains * i / parts * grain;
    return begin < size ? (int)begin : size;
}

/* The work of the busiest rank, in tiles of y, when rows are divided by `row_parts` and columns by the rest. */
static long busiest(int m, int n, int row_parts, int n_ranks)
{
    const long tiles = ((long)m + ROW_GRAIN - 1) / ROW_GRAIN, panels = (long)(kv_packed_columns(n) / KV_PANEL);
    const long column_parts = n_ranks / row_parts;
    return (tiles + row_parts - 1) / row_parts * ((panels + column_parts - 1) / column_parts);
}

struct kv_packed_part kv_packed_part(int m, int n, int rank, int n_ranks)
{
    int row_parts = 1;
    for (int parts = 2; parts <= n_ranks && m / parts >= LEAST_ROWS; parts++)
        if (n_ranks % parts == 0 && busiest(m, n, parts, n_ranks) < busiest(m, n, row_parts, n_ranks))
            row_parts = parts;
    const int column_parts = n_ranks / row_parts, i = rank / column_parts, j = rank % column_parts;
    return (struct kv_packed_part){
        .row_begin = share_begin(m, ROW_GRAIN, i, row_parts),
        .row_end = share_begin(m, ROW_GRAIN, i + 1, row_parts),
        .begin = share_begin(n, KV_PANEL, j, column_parts),
        .end = share_begin(n, KV_PANEL, j + 1, column_parts),
    };
}

void kv_packed_matmul(const struct kv_kernels *kernels, const struct kv_matmul_task *task, int rank, int n_ranks)
{
    const struct kv_packed_part part = kv_packed_part(task->m, task->w->n, rank, n_ranks);
    const size_t row = (size_t)part.row_begin, begin = (size_t)part.begin;
    struct kv_packed_call call = {
        .x = task->x + row * task->x_stride,
        .x_stride = task->x_stride,
        .w = task->w,
        .first_column = part.begin,
        .y = task->y + row * task->y_stride + begin,
        .y_stride = task->y_stride,
        .m = part.row_end - part.row_begin,
        .n = part.end - part.begin,
        .accumulate = task->accumulate,
        .bias = task->bias ? task->bias + begin : NULL,
    };
    if (task->bias && task->epilogue == KV_EPILOGUE_GELU_NEW)
        call.activation = kernels->gelu_new;
    else if (task->bias && task->epilogue == KV_EPILOGUE_GELU)
        call.activation = kernels->gelu;
    if (call.m > 0 && call.n > 0)
        task->w->format->packed(kernels, &call);
}

static void prepare_thread(void) {}

const struct kv_matmul_backend kv_matmul_packed = {
    .choice = {"packed", "kernels of our own on weights packed once, at every instruction-set level"},
    .prepare_thread = prepare_thread,
    .layout = KV_WEIGHTS_PACKED,
    .run = kv_packed_matmul,
};
