/* The model's matrix products, y = epilogue(x w + bias), with weights as the model stores them. */
#include "measure/kernel_cell.h"

static const int full_rows[] = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024};
static const int quick_rows[] = {1, 8, 64, 512};

enum dimension { EMBEDDING, EMBEDDING_3, INNER, VOCABULARY };

/* As run_layer and run_head of forward/forward.c call them. */
static const struct shape {
    const char *name;
    enum dimension k, n;
    bool accumulate;
    bool activation;
    bool head; /* wte: transposed, and without a bias */
} shapes[] = {
    {.name = "c_attn", .k = EMBEDDING, .n = EMBEDDING_3},
    {.name = "attn_proj", .k = EMBEDDING, .n = EMBEDDING, .accumulate = true},
    {.name = "c_fc", .k = EMBEDDING, .n = INNER, .activation = true},
    {.name = "mlp_proj", .k = INNER, .n = EMBEDDING, .accumulate = true},
    {.name = "lm_head", .k = EMBEDDING, .n = VOCABULARY, .head = true},
};
enum { N_SHAPES = sizeof shapes / sizeof shapes[0] };

static int size_of(const struct kv_config *c, enum dimension dimension)
{
    switch (dimension) {
    case EMBEDDING:
        return c->n_embd;
    case EMBEDDING_3:
        return 3 * c->n_embd;
    case INNER:
        return c->n_inner;
    case VOCABULARY:
        break;
    }
    return c->vocab_size;
}

static enum kv_epilogue epilogue_of(const struct shape *shape, const struct kv_config *c)
{
    if (!shape->activation)
        return KV_EPILOGUE_NONE;
    return c->activation == KV_GELU ? KV_EPILOGUE_GELU : KV_EPILOGUE_GELU_NEW;
}

/* The shape's weights, in the layout of the cell's backend. */
static struct kv_matrix matrix_of(const struct kv_kernel_cell *cell, const float *item)
{
    return (struct kv_matrix){
        .data = (float *)(uintptr_t)item, /* only read here */
        .k = cell->row.k,
        .n = cell->row.n,
        .format = &kv_format_f32,
        .layout = cell->backend->layout,
        .transposed = shapes[cell->shape].head,
    };
}

static void call(const struct kv_kernel_cell *cell, const struct kv_kernel_work *work, const float *item, int rank,
                 int n_ranks)
{
    const struct shape *shape = &shapes[cell->shape];
    const struct kv_matrix w = matrix_of(cell, item);
    const struct kv_matmul_task task = {
        .x = work->x,
        .x_stride = (size_t)cell->row.k,
        .w = &w,
        .bias = shape->head ? NULL : work->bias,
        .y = work->y,
        .y_stride = (size_t)cell->row.n,
        .m = cell->row.rows,
        .accumulate = shape->accumulate,
        .epilogue = epilogue_of(shape, cell->config),
    };
    kv_matmul(cell->backend, cell->kernels, &task, rank, n_ranks);
}

static struct kv_kernel_cell make_cell(const struct kv_config *config, int index, int rows)
{
    const struct shape *shape = &shapes[index];
    const int n = size_of(config, shape->n), k = size_of(config, shape->k);
    const size_t N = (size_t)n, K = (size_t)k, M = (size_t)rows;
    const size_t bias = shape->head ? 0 : N;
    return (struct kv_kernel_cell){
        .row = {.kernel = "matmul", .shape = shape->name, .rows = rows, .n = n, .k = k},
        .config = config,
        .call = call,
        .shape = index,
        .x_floats = M * K,
        .y_floats = M * N,
        .bias_floats = bias,
        .flops = 2.0 * rows * n * k,
        .bytes = ((double)k * n + (double)bias) * sizeof(float),
    };
}

/* The ring holds random numbers, and those are random in any layout: only its size matters. */
static size_t weight_floats(const struct kv_kernel_cell *cell)
{
    const struct kv_matrix w = matrix_of(cell, NULL);
    struct kv_layout layout = {0};
    size_t data, scales;
    w.format->lay_out(&w, &layout, &data, &scales);
    return layout.bytes / sizeof(float);
}

static kv_status add_group(struct kv_kernel_plan *plan, struct kv_kernel_cell cell, const struct kv_kernel_arms *arms,
                           struct kv_error *error)
{
    kv_status status = KV_OK;
    cell.group = plan->n_groups++;
    for (int level = 0; level < arms->n_product_levels; level++)
        for (int i = 0; !status && i < arms->n_backends; i++) {
            cell.backend = arms->backends[i];
            cell.kernels = arms->product_levels[level];
            cell.item_floats = kv_kernel_item_floats(weight_floats(&cell));
            cell.row.gemm = cell.backend->choice.name;
            cell.row.isa = cell.kernels->choice.name;
            status = kv_kernel_plan_add(plan, &cell, error);
        }
    return status;
}

kv_status kv_kernel_plan_matmul(struct kv_kernel_plan *plan, const struct kv_kernel_suite_options *options,
                                const struct kv_kernel_arms *arms, struct kv_error *error)
{
    const int *rows = options->quick ? quick_rows : full_rows;
    const int n_rows = (int)(options->quick ? sizeof quick_rows : sizeof full_rows) / (int)sizeof *rows;
    kv_status status = KV_OK;
    for (int shape = 0; shape < N_SHAPES; shape++)
        for (int i = 0; !status && i < n_rows; i++)
            status = add_group(plan, make_cell(options->config, shape, rows[i]), arms, error);
    return status;
}
