/* Attention of all heads of one sequence: one new query over a context (decode), or as many queries as there are
 * positions (prefill). */
#include "measure/kernel_cell.h"

#include <math.h>

#define FIRST_CONTEXT 64
enum { DECODE, PREFILL, N_SHAPES };
static const char *const shape_names[N_SHAPES] = {"decode", "prefill"};

/* As attend of forward/forward.c: a rank's heads one after the other, read from a cache of just that capacity. */
static void call(const struct kv_kernel_cell *cell, const struct kv_kernel_work *work, const float *item, int rank,
                 int n_ranks)
{
    const int n_head = cell->config->n_head, head_size = cell->config->n_embd / n_head;
    const size_t C = (size_t)cell->config->n_embd;
    const size_t capacity = (size_t)kv_round_to_key_block(cell->row.context_tokens);
    const int end = (int)((long)n_head * (rank + 1) / n_ranks);
    for (int head = (int)((long)n_head * rank / n_ranks); head < end; head++) {
        const size_t column = (size_t)head * (size_t)head_size;
        const struct kv_attention attention = {
            .queries = work->x + column,
            .query_stride = 3 * C,
            .n_queries = cell->row.rows,
            .first_position = cell->row.context_tokens - cell->row.rows,
            .keys = item + column * capacity,
            .values = item + (C + column) * capacity,
            .head_size = head_size,
            .scale = 1.0f / sqrtf((float)head_size),
            .out = work->y + column,
            .out_stride = C,
            .scores = work->scores + (size_t)rank * cell->scores_floats,
            .score_stride = capacity,
        };
        cell->kernels->attention(&attention);
    }
}

static struct kv_kernel_cell make_cell(const struct kv_config *config, int shape, int context)
{
    const int rows = shape == DECODE ? 1 : context;
    const double T = context, C = config->n_embd;
    const double pairs = shape == DECODE ? T : T * (T + 1) / 2;
    const size_t capacity = (size_t)kv_round_to_key_block(context), M = (size_t)rows, width = (size_t)config->n_embd;
    return (struct kv_kernel_cell){
        .row = {.kernel = "attention", .shape = shape_names[shape], .rows = rows, .context_tokens = context},
        .config = config,
        .call = call,
        .shape = shape,
        .item_floats = kv_kernel_item_floats(2 * capacity * width),
        .x_floats = M * 3 * width,
        .y_floats = M * width,
        .scores_floats = KV_MAX_QUERY_TILE * capacity,
        .flops = 4 * pairs * C,
        .bytes = 2 * T * C * sizeof(float),
    };
}

static kv_status add_group(struct kv_kernel_plan *plan, struct kv_kernel_cell cell, const struct kv_kernel_arms *arms,
                           struct kv_error *error)
{
    kv_status status = KV_OK;
    cell.group = plan->n_groups++;
    for (int i = 0; !status && i < arms->n_attention_levels; i++) {
        cell.kernels = arms->attention_levels[i];
        cell.row.isa = cell.kernels->choice.name;
        status = kv_kernel_plan_add(plan, &cell, error);
    }
    return status;
}

kv_status kv_kernel_plan_attention(struct kv_kernel_plan *plan, const struct kv_kernel_suite_options *options,
                                   const struct kv_kernel_arms *arms, struct kv_error *error)
{
    const int longest = options->config->n_positions;
    kv_status status = KV_OK;
    for (int shape = 0; shape < N_SHAPES; shape++) {
        /* Doubling, the longest always included; quick: the first and the longest. */
        for (long context = FIRST_CONTEXT; !status && context < longest;
             context = options->quick ? longest : 2 * context)
            status = add_group(plan, make_cell(options->config, shape, (int)context), arms, error);
        if (!status)
            status = add_group(plan, make_cell(options->config, shape, longest), arms, error);
    }
    return status;
}
