/* The packed product of one level:
 *
 *   for each block of rows                  x [rows, k], few enough that y [rows, KV_PANEL] stays in cache
 *     for each sweep of depths              x [rows, depths * KV_DEPTH] fits KV_X_BYTES
 *       for each panel, then each depth     w [KV_DEPTH][KV_PANEL], read once from memory, then from cache
 *         for each tile of y                [KV_TILE_ROWS, KV_TILE_WIDTH] in registers, or [1, KV_PANEL] where m is 1
 *
 * Weights are asked for before their turn: while one block of them is multiplied, the next comes from memory.
 * A y is the sum of its depths in order, each summed from zero, one fused product a step: no choice made here by m or
 * by slice changes that order. */

#define KV_TILE_WIDTH    (KV_TILE_VECTORS * KV_LANES)
#define KV_PANEL_VECTORS (KV_PANEL / KV_LANES)
/* Weights are read again for every so many rows: 2 * 168 / 4 = 84 flops a byte, a tenth of the bandwidth of a CPU that
 * has 8 flops for each byte that it can read. 21 tiles of 8, 42 of 4. */
#define KV_BLOCK_ROWS 168
/* Steps between two looks at what to fetch, and the cache lines of weights that so many steps use up. */
#define KV_STEPS      4
#define KV_LINE_BYTES 64
#define KV_LINES      (KV_STEPS * KV_PANEL * (int)sizeof(float) / KV_LINE_BYTES)
/* How far ahead a lone tile, which waits for memory, fetches: what 60 GB/s deliver in a latency of 130 ns. */
#define KV_NEAR_BYTES 8192

_Static_assert(KV_PANEL % KV_TILE_WIDTH == 0, "a panel is a whole number of tiles");
_Static_assert(KV_BLOCK_ROWS % KV_TILE_ROWS == 0, "a block of rows is a whole number of tiles");

struct tile {
    const float *x; /* [rows, depth] */
    size_t x_stride;
    const float *w; /* [depth][width], rows KV_PANEL apart */
    int depth;
    float *y; /* [rows, width] */
    size_t y_stride;
    bool accumulate;
    const float *bias;          /* [width], or NULL */
    uintptr_t fetch, fetch_end; /* addresses, not pointers: what lies past the weights is never read */
    int fetch_lines;            /* every KV_STEPS steps */
};

/* sum += x[.., 0] w[0][..] */
INLINED void step(vf sum[KV_TILE_ROWS][KV_PANEL_VECTORS], const float *x, size_t x_stride, const float *w, int rows,
                  int vectors)
{
    vf weights[KV_PANEL_VECTORS];
    UNROLLED
    for (int j = 0; j < vectors; j++)
        weights[j] = v_load(w + j * KV_LANES);
    UNROLLED
    for (int i = 0; i < rows; i++) {
        UNROLLED
        for (int j = 0; j < vectors; j++)
            sum[i][j] += weights[j] * x[(size_t)i * x_stride];
    }
}

/* y [rows] = sum (+ y) (+ bias) */
INLINED void store_row(const struct tile *t, const vf sum[KV_PANEL_VECTORS], float *y, int vectors)
{
    UNROLLED
    for (int j = 0; j < vectors; j++) {
        vf v = sum[j];
        if (t->accumulate)
            v += v_load(y + j * KV_LANES);
        if (t->bias)
            v += v_load(t->bias + j * KV_LANES);
        v_store(y + j * KV_LANES, v);
    }
}

/* Inlined with constant numbers of rows and vectors. */
INLINED void run_tile(struct tile *t, int rows, int vectors)
{
    vf sum[KV_TILE_ROWS][KV_PANEL_VECTORS];
    const float *x = t->x, *w = t->w;
    const size_t x_stride = t->x_stride;
    const int n_lines = t->fetch < t->fetch_end ? t->fetch_lines : 0;
    uintptr_t fetch = t->fetch;
    int left = t->depth;
    UNROLLED
    for (int i = 0; i < rows; i++) {
        UNROLLED
        for (int j = 0; j < vectors; j++)
            sum[i][j] = (vf){0};
    }
    for (; left >= KV_STEPS; left -= KV_STEPS) {
        for (int line = 0; line < n_lines; line++, fetch += KV_LINE_BYTES)
            __builtin_prefetch((const void *)fetch);
        ROLLED
        for (int s = 0; s < KV_STEPS; s++, x++, w += KV_PANEL)
            step(sum, x, x_stride, w, rows, vectors);
    }
    for (; left; left--, x++, w += KV_PANEL)
        step(sum, x, x_stride, w, rows, vectors);
    t->fetch = fetch;
    UNROLLED
    for (int i = 0; i < rows; i++)
        store_row(t, sum[i], t->y + (size_t)i * t->y_stride, vectors);
}

#define RUN_ROWS(rows, vectors)                                                                                        \
    static void run_##rows(struct tile *t)                                                                             \
    {                                                                                                                  \
        run_tile(t, rows, vectors);                                                                                    \
    }
RUN_ROWS(1, KV_PANEL_VECTORS)
RUN_ROWS(2, KV_TILE_VECTORS)
RUN_ROWS(3, KV_TILE_VECTORS)
RUN_ROWS(4, KV_TILE_VECTORS)
#if KV_TILE_ROWS == 8
RUN_ROWS(5, KV_TILE_VECTORS)
RUN_ROWS(6, KV_TILE_VECTORS)
RUN_ROWS(7, KV_TILE_VECTORS)
RUN_ROWS(8, KV_TILE_VECTORS)
#endif

/* By number of rows, less one. Rows are divided so evenly that a tile has one only where m is 1: it is as wide as the
 * panel, which then streams by once. */
static void (*const run_rows[KV_TILE_ROWS])(struct tile *) = {
    run_1, run_2, run_3, run_4,
#if KV_TILE_ROWS == 8
    run_5, run_6, run_7, run_8,
#endif
};

/* The last tile of y, where n is no multiple of its width: worked on in a whole tile beside it. */
static void run_edge(struct tile *t, int rows, int columns)
{
    float y[KV_TILE_ROWS][KV_PANEL] = {0}, bias[KV_PANEL] = {0};
    const size_t bytes = (size_t)columns * sizeof(float);
    struct tile whole = *t;
    whole.y = y[0];
    whole.y_stride = KV_PANEL;
    if (t->bias)
        whole.bias = memcpy(bias, t->bias, bytes);
    for (int i = 0; i < rows && t->accumulate; i++)
        memcpy(y[i], t->y + (size_t)i * t->y_stride, bytes);
    run_rows[rows - 1](&whole);
    for (int i = 0; i < rows; i++)
        memcpy(t->y + (size_t)i * t->y_stride, y[i], bytes);
    t->fetch = whole.fetch;
}

static int ceil_div(int a, int b)
{
    return (a + b - 1) / b;
}

/* What the loops of one sweep share. */
struct sweep {
    const struct kv_packed_call *call;
    int row, n_rows;
    int n_tiles;    /* of the rows: as even as can be, since a tile of few rows uses what it loads but little */
    int first, end; /* depths */
};

/* Where depth i begins: k is divided evenly, so that none is much shorter than the others. */
static int depth_begin(int k, int i)
{
    const int n = ceil_div(k, KV_DEPTH);
    return i == n ? k : (int)((long)k * i / n) / KV_STEPS * KV_STEPS;
}

static const float *weights_at(const struct kv_packed_call *c, int panel, int row)
{
    return (const float *)c->w->data + (size_t)(c->first_column + panel) * (size_t)c->w->k + (size_t)row * KV_PANEL;
}

/* All rows of the sweep for `width` columns, or as many as there are, of one depth. */
static void run_columns(const struct sweep *s, struct tile *t, int x_column, int column, int width, bool last)
{
    const struct kv_packed_call *c = s->call;
    const int columns = c->n - column < width ? c->n - column : width;
    const bool activate = last && c->activation;
    t->bias = last && c->bias && !activate ? c->bias + column : NULL;
    for (int i = 0; i < s->n_tiles; i++) {
        const int first = s->n_rows * i / s->n_tiles, rows = s->n_rows * (i + 1) / s->n_tiles - first;
        t->x = c->x + (size_t)(s->row + first) * c->x_stride + x_column;
        t->y = c->y + (size_t)(s->row + first) * c->y_stride + column;
        if (columns == width)
            run_rows[rows - 1](t);
        else
            run_edge(t, rows, columns);
        for (int r = 0; r < rows && activate; r++)
            c->activation(t->y + (size_t)r * c->y_stride, c->bias + column, columns);
    }
}

/* One depth of one panel; `next` are the weights that follow, or NULL. */
static void run_depth(const struct sweep *s, int panel, int depth, const float *next)
{
    const struct kv_packed_call *c = s->call;
    const int begin = depth_begin(c->w->k, depth), end = depth_begin(c->w->k, depth + 1);
    const int width = s->n_rows == 1 ? KV_PANEL : KV_TILE_WIDTH;
    const int panel_end = c->n - panel < KV_PANEL ? c->n : panel + KV_PANEL;
    const float *w = weights_at(c, panel, begin);
    const size_t bytes = (size_t)(end - begin) * KV_PANEL * sizeof *w;
    const uintptr_t fetch = s->n_tiles == 1 ? (uintptr_t)w + KV_NEAR_BYTES : (uintptr_t)next;
    struct tile t = {
        .x_stride = c->x_stride,
        .depth = end - begin,
        .y_stride = c->y_stride,
        .accumulate = c->accumulate || begin > 0,
        .fetch = fetch,
        .fetch_end = fetch ? fetch + bytes : 0,
        .fetch_lines = ceil_div(KV_LINES, s->n_tiles * ceil_div(panel_end - panel, width)),
    };
    for (int column = panel; column < panel_end; column += width) {
        t.w = w + (column - panel);
        run_columns(s, &t, begin, column, width, end == c->w->k);
    }
}

static void run_sweep(const struct sweep *s)
{
    const struct kv_packed_call *c = s->call;
    for (int panel = 0; panel < c->n; panel += KV_PANEL)
        for (int depth = s->first; depth < s->end; depth++) {
            const bool wraps = depth + 1 == s->end;
            const int next_panel = wraps ? panel + KV_PANEL : panel, next_depth = wraps ? s->first : depth + 1;
            run_depth(s, panel, depth,
                      next_panel < c->n ? weights_at(c, next_panel, depth_begin(c->w->k, next_depth)) : NULL);
        }
}

static void packed(const struct kv_packed_call *c)
{
    const int n_tiles = ceil_div(c->m, KV_TILE_ROWS), n_blocks = ceil_div(c->m, KV_BLOCK_ROWS);
    const int n_depths = ceil_div(c->w->k, KV_DEPTH);
    for (int i = 0; i < n_blocks; i++) {
        const int row = n_tiles * i / n_blocks * KV_TILE_ROWS;
        const int row_end = i + 1 < n_blocks ? n_tiles * (i + 1) / n_blocks * KV_TILE_ROWS : c->m;
        const int fitting = KV_X_BYTES / ((row_end - row) * KV_DEPTH * (int)sizeof(float));
        const int at_once = fitting > 1 ? fitting : 1;
        for (int first = 0; first < n_depths; first += at_once)
            run_sweep(&(struct sweep){
                .call = c,
                .row = row,
                .n_rows = row_end - row,
                .n_tiles = ceil_div(row_end - row, KV_TILE_ROWS),
                .first = first,
                .end = first + at_once < n_depths ? first + at_once : n_depths,
            });
    }
}
