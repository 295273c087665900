/* The packed product of one level:
 *
 *   for each block of rows                  x [rows, k], few enough that y [rows, KV_PANEL] stays in cache
 *     for each sweep of depths              x [rows, depths * KV_DEPTH] fits KV_X_BYTES
 *       for each panel, then each depth     w [KV_DEPTH][KV_PANEL], read once from memory, then from cache
 *         for each tile of y                [KV_TILE_ROWS, KV_TILE_WIDTH] in registers, or [1, KV_PANEL] where m is 1
 *
 * A depth of a panel stays in the first-level cache while all tiles pass by, and so does the x of a tile: it is packed,
 * since rows of x, multiples of 3 KiB apart, share few of its sets and push each other out. Weights are asked for
 * before their turn: while one block of them is multiplied, the next comes from memory into the second-level cache.
 * Whatever they are stored as, they become float32 in registers. Weights with scales are multiplied without: what a
 * group of rows that share a scale sums up to is then multiplied by it, y += s sum_p x_p q_p. The product of bfloat16
 * weights is that of the float32 weights that they stand for, to the bit. When x is rounded to bfloat16 as well, pairs
 * are multiplied where the CPU can do that.
 * A y is the sum of its depths in order, each summed from zero, one fused product a step: no choice made here by m or
 * by slice changes that order. */

#define KV_TILE_WIDTH    (KV_TILE_VECTORS * KV_LANES)
#define KV_PANEL_VECTORS (KV_PANEL / KV_LANES)
/* Weights are read again for every so many rows: 2 * 168 / 4 = 84 flops a byte, a tenth of the bandwidth of a CPU that
 * has 8 flops for each byte that it can read. 21 tiles of 8, 42 of 4. (Twice the rows and twice KV_X_BYTES, as a
 * second-level cache of 2 MiB could hold, made no difference, so the sizes are not read at run time.) */
#define KV_BLOCK_ROWS 168
/* Steps between two looks at what to fetch, and the cache lines of weights that so many steps use up. */
#define KV_STEPS               4
#define KV_LINE_BYTES          64
#define KV_LINES(weight_bytes) ((KV_STEPS * KV_PANEL * (weight_bytes) + KV_LINE_BYTES - 1) / KV_LINE_BYTES)
/* How far ahead a lone tile, which waits for memory, fetches: what 60 GB/s deliver in a latency of 130 ns. */
#define KV_NEAR_BYTES 8192

_Static_assert(KV_PANEL % KV_TILE_WIDTH == 0, "a panel is a whole number of tiles");
_Static_assert(KV_BLOCK_ROWS % KV_TILE_ROWS == 0, "a block of rows is a whole number of tiles");
_Static_assert(sizeof(float) * KV_BLOCK_ROWS * KV_DEPTH <= KV_X_BYTES, "a depth of a block of x fits");

/* As what weights are stored. Of bfloat16, two rows lie together, [depth / 2][KV_PANEL][2]: a float32 may be either of
 * them, or both. PAIRS are the same weights, with an x of pairs as well. */
enum stored { F32, BF16, PAIRS, INT8 };

struct tile {
    const float *x;      /* [depth / KV_STEPS][rows][KV_STEPS], rounded up */
    const char *w;       /* [depth][width], rows KV_PANEL weights apart */
    const float *scales; /* [groups][width], rows KV_PANEL apart; NULL: there are none */
    int group;           /* rows of w that the first of them holds for; KV_INT8_GROUP the next, and so on */
    int depth;
    float *y; /* [rows, width] */
    size_t y_stride;
    bool accumulate;
    const float *bias;          /* [width], or NULL */
    uintptr_t fetch, fetch_end; /* addresses, not pointers: what lies past the weights is never read */
    int fetch_lines;            /* every KV_STEPS steps */
    void (*const *run_rows)(struct tile *t);
};

/* KV_LANES weights of the row; of BF16, the one or the other row. */
INLINED vf load_weights(enum stored stored, const char *w, int row)
{
    if (stored == INT8)
        return v_load_int8((const int8_t *)w);
    const vf v = v_load((const float *)(const void *)w);
    if (stored == BF16)
        return (vf)(row ? (vu)v & 0xffff0000 : (vu)v << 16);
    return v;
}

/* sum += x[..][0 .. n - 1] w[0 .. n - 1][..], n rows that lie together */
INLINED void step(enum stored stored, vf sum[KV_TILE_ROWS][KV_PANEL_VECTORS], const float *x, const char *w, int n,
                  int rows, int vectors)
{
    UNROLLED
    for (int row = 0; row < n; row++) {
        vf weights[KV_PANEL_VECTORS];
        UNROLLED
        for (int j = 0; j < vectors; j++)
            weights[j] = load_weights(stored, w + j * KV_LANES * (stored == INT8 ? 1 : 4), row);
        UNROLLED
        for (int i = 0; i < rows; i++) {
            const vf factor = v_set(x[i * KV_STEPS + row]);
            UNROLLED
            for (int j = 0; j < vectors; j++)
                sum[i][j] = stored == PAIRS ? v_dot(sum[i][j], weights[j], factor) : sum[i][j] + weights[j] * factor;
        }
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

/* total += sum * scale, sum = 0 */
INLINED void add_scaled(vf total[KV_TILE_ROWS][KV_PANEL_VECTORS], vf sum[KV_TILE_ROWS][KV_PANEL_VECTORS],
                        const float *scales, int rows, int vectors)
{
    UNROLLED
    for (int j = 0; j < vectors; j++) {
        const vf scale = v_load(scales + j * KV_LANES);
        UNROLLED
        for (int i = 0; i < rows; i++) {
            total[i][j] += sum[i][j] * scale;
            sum[i][j] = (vf){0};
        }
    }
}

/* Into the second-level cache: the first is full of what is in use. One after the other, by a step that the compiler
 * does not know: with addresses that are known at once the same lines took 1.1 to 1.2 times as long (Sapphire Rapids),
 * presumably since they then leave in any order. */
INLINED uintptr_t fetch_ahead(uintptr_t at, int n_lines)
{
    uintptr_t step = KV_LINE_BYTES;
    __asm__("" : "+r"(step));
    ROLLED
    for (int line = 0; line < n_lines; line++, at += step)
        __builtin_prefetch((const void *)at, 0, 2);
    return at;
}

/* What is stored and the numbers of rows and vectors are constants. */
INLINED void run_tile(enum stored stored, struct tile *t, int rows, int vectors)
{
    enum { TOGETHER = 2 };
    vf sum[KV_TILE_ROWS][KV_PANEL_VECTORS], total[KV_TILE_ROWS][KV_PANEL_VECTORS];
    const float *x = t->x, *scales = t->scales;
    const char *w = t->w;
    const int together = stored == BF16 ? TOGETHER : 1, stride = KV_PANEL * (stored == INT8 ? 1 : 4);
    const int n_lines = t->fetch < t->fetch_end ? t->fetch_lines : 0;
    uintptr_t fetch = t->fetch;
    UNROLLED
    for (int i = 0; i < rows; i++) {
        UNROLLED
        for (int j = 0; j < vectors; j++)
            sum[i][j] = total[i][j] = (vf){0};
    }
    UNROLLED
    for (int i = 0; i < rows; i++) {
        UNROLLED
        for (int j = 0; j < vectors; j++) /* the lines of y, on their way while the sums are made */
            __builtin_prefetch(t->y + (size_t)i * t->y_stride + j * KV_LANES, 1);
    }
    for (int depth = t->depth, group = t->group; depth > 0; group = KV_INT8_GROUP) {
        int left = stored == INT8 && group < depth ? group : depth;
        depth -= left;
        for (; left >= KV_STEPS; left -= KV_STEPS) {
            fetch = fetch_ahead(fetch, n_lines);
            ROLLED
            for (int p = 0; p < KV_STEPS; p += together, w += stride)
                step(stored, sum, x + p, w, together, rows, vectors);
            x += rows * KV_STEPS;
        }
        for (; left >= together; left -= together, x += together, w += stride)
            step(stored, sum, x, w, together, rows, vectors);
        if (left)
            step(stored, sum, x, w, 1, rows, vectors);
        if (stored != INT8)
            break;
        add_scaled(total, sum, scales, rows, vectors);
        scales += KV_PANEL;
    }
    t->fetch = fetch;
    UNROLLED
    for (int i = 0; i < rows; i++)
        store_row(t, stored == INT8 ? total[i] : sum[i], t->y + (size_t)i * t->y_stride, vectors);
}

/* How a format is worked on. */
struct format {
    int weight_bytes;
    int together; /* k is filled up to a multiple of so many rows */
    /* Tiles, by their number of rows, less one. Rows are divided so evenly that a tile has one only where m is 1: it is
     * as wide as the panel, which then streams by once. */
    void (*run_rows[KV_TILE_ROWS])(struct tile *t);
};

#define RUN_ROWS(stored, rows, vectors)                                                                                \
    static void run_##stored##_##rows(struct tile *t)                                                                  \
    {                                                                                                                  \
        run_tile(stored, t, rows, vectors);                                                                            \
    }
#if KV_TILE_ROWS == 8
#define RUN_MORE(stored)                                                                                               \
    RUN_ROWS(stored, 5, KV_TILE_VECTORS)                                                                               \
    RUN_ROWS(stored, 6, KV_TILE_VECTORS)                                                                               \
    RUN_ROWS(stored, 7, KV_TILE_VECTORS)                                                                               \
    RUN_ROWS(stored, 8, KV_TILE_VECTORS)
#define MORE(stored) , run_##stored##_5, run_##stored##_6, run_##stored##_7, run_##stored##_8
#else
#define RUN_MORE(stored)
#define MORE(stored)
#endif
#define FORMAT(name, stored, weight_bytes, together)                                                                   \
    RUN_ROWS(stored, 1, KV_PANEL_VECTORS)                                                                              \
    RUN_ROWS(stored, 2, KV_TILE_VECTORS)                                                                               \
    RUN_ROWS(stored, 3, KV_TILE_VECTORS)                                                                               \
    RUN_ROWS(stored, 4, KV_TILE_VECTORS)                                                                               \
    RUN_MORE(stored)                                                                                                   \
    static const struct format name = {                                                                                \
        weight_bytes,                                                                                                  \
        together,                                                                                                      \
        {run_##stored##_1, run_##stored##_2, run_##stored##_3, run_##stored##_4 MORE(stored)},                         \
    };
FORMAT(format_f32, F32, 4, 1)
FORMAT(format_bf16, BF16, 2, 2)
FORMAT(format_int8, INT8, 1, 1)
#ifdef V_HAS_DOT
FORMAT(format_pairs, PAIRS, 4, 1)
#define FORMAT_OF_PAIRS &format_pairs
#else
#define FORMAT_OF_PAIRS NULL
#endif

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
    t->run_rows[rows - 1](&whole);
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
    const struct format *format;
    const float *x; /* for each tile and depth, as struct tile has it */
    int k;
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

static const char *weights_at(const struct sweep *s, int panel, int row)
{
    const int k = ceil_div(s->k, s->format->together) * s->format->together;
    const size_t place = (size_t)(s->call->first_column + panel) * (size_t)k + (size_t)row * KV_PANEL;
    return (const char *)s->call->w->data + place * (size_t)s->format->weight_bytes;
}

static const float *scales_at(const struct kv_packed_call *c, int panel, int row)
{
    const int n_groups = ceil_div(c->w->k, KV_INT8_GROUP);
    return c->w->scales ? (const float *)c->w->scales + (size_t)(c->first_column + panel) * (size_t)n_groups +
                              (size_t)(row / KV_INT8_GROUP) * KV_PANEL
                        : NULL;
}

/* All rows of the sweep for `width` columns, or as many as there are, of one depth. */
static void run_columns(const struct sweep *s, struct tile *t, int depth, int column, int width, bool last)
{
    const int sweep_begin = depth_begin(s->k, s->first), before = depth_begin(s->k, depth) - sweep_begin;
    const int x_depth = ceil_div(depth_begin(s->k, s->end) - sweep_begin, KV_STEPS) * KV_STEPS;
    const struct kv_packed_call *c = s->call;
    const int columns = c->n - column < width ? c->n - column : width;
    const bool activate = last && c->activation;
    t->bias = last && c->bias && !activate ? c->bias + column : NULL;
    for (int i = 0; i < s->n_tiles; i++) {
        const int first = s->n_rows * i / s->n_tiles, rows = s->n_rows * (i + 1) / s->n_tiles - first;
        t->x = s->x + first * x_depth + before * rows;
        t->y = c->y + (size_t)(s->row + first) * c->y_stride + column;
        if (columns == width)
            t->run_rows[rows - 1](t);
        else
            run_edge(t, rows, columns);
        for (int r = 0; r < rows && activate; r++)
            c->activation(t->y + (size_t)r * c->y_stride, c->bias + column, columns);
    }
}

/* One depth of one panel; `next` are the weights that follow, or NULL. */
static void run_depth(const struct sweep *s, int panel, int depth, const char *next)
{
    const struct kv_packed_call *c = s->call;
    const int begin = depth_begin(s->k, depth), end = depth_begin(s->k, depth + 1);
    const int width = s->n_rows == 1 ? KV_PANEL : KV_TILE_WIDTH;
    const int panel_end = c->n - panel < KV_PANEL ? c->n : panel + KV_PANEL;
    /* what lies between two columns: of bfloat16, two rows */
    const int bytes = s->format->weight_bytes, column_bytes = bytes * s->format->together;
    const char *w = weights_at(s, panel, begin);
    const float *scales = scales_at(c, panel, begin);
    struct tile t = {
        .group = KV_INT8_GROUP - begin % KV_INT8_GROUP,
        .depth = end - begin,
        .y_stride = c->y_stride,
        .run_rows = s->format->run_rows,
        .accumulate = c->accumulate || begin > 0,
        .fetch = s->n_tiles == 1 ? (uintptr_t)w + KV_NEAR_BYTES : (uintptr_t)next,
        .fetch_lines = ceil_div(KV_LINES(bytes), s->n_tiles * ceil_div(panel_end - panel, width)),
    };
    t.fetch_end = t.fetch ? t.fetch + (size_t)(end - begin) * KV_PANEL * (size_t)bytes : 0;
    for (int column = panel; column < panel_end; column += width) {
        t.w = w + (column - panel) * column_bytes;
        t.scales = scales ? scales + (column - panel) : NULL;
        run_columns(s, &t, depth, column, width, end == s->k);
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
                      next_panel < c->n ? weights_at(s, next_panel, depth_begin(s->k, next_depth)) : NULL);
        }
}

/* x [n] rounded to bfloat16: as floats, or as pairs, an odd n's last filled up with 0. */
static void round_row(const float *x, int n, bool pairs, float *out)
{
    typedef uint16_t __attribute__((may_alias)) half;
    half *halves = (half *)out;
    if (!pairs) {
        for (int p = 0; p < n; p++)
            out[p] = kv_from_bfloat(kv_to_bfloat(x[p]));
        return;
    }
    for (int p = 0; p < n; p++)
        halves[p] = kv_to_bfloat(x[p]);
    if (n % 2)
        halves[n] = 0;
}

/* out [n / KV_STEPS][rows][KV_STEPS] = x [rows, n], rows `stride` apart */
static void pack_rows(const float *x, size_t stride, int rows, int n, float *out)
{
    int p = 0;
    for (; p + KV_STEPS <= n; p += KV_STEPS)
        for (int i = 0; i < rows; i++, out += KV_STEPS)
            memcpy(out, x + (size_t)i * stride + p, KV_STEPS * sizeof *out);
    for (int i = 0; i < rows && p < n; i++, out += KV_STEPS)
        memcpy(out, x + (size_t)i * stride + p, (size_t)(n - p) * sizeof *out);
}

/* One depth of a tile's rows as it is multiplied; begin, n: in what is multiplied at once, for pairs two of x. */
static void pack_tile(const struct sweep *s, bool rounded, int row, int rows, int begin, int n, float *out)
{
    float of_tile[KV_TILE_ROWS][KV_DEPTH + KV_STEPS];
    const struct kv_packed_call *c = s->call;
    const bool pairs = s->format == FORMAT_OF_PAIRS;
    const int halves = pairs ? 2 : 1, left = c->w->k - halves * begin;
    const float *x = c->x + (size_t)row * c->x_stride + halves * begin;
    for (int i = 0; i < rows && rounded; i++)
        round_row(x + (size_t)i * c->x_stride, halves * n < left ? halves * n : left, pairs, of_tile[i]);
    if (rounded)
        pack_rows(of_tile[0], KV_DEPTH + KV_STEPS, rows, n, out);
    else
        pack_rows(x, c->x_stride, rows, n, out);
}

/* x as the tiles of the sweep read it: side by side, since rows of x a power of two apart would push each other out of
 * the first-level cache, and since it is read once for each tile's width of columns. */
static void pack_x(const struct sweep *s, bool rounded, float *out)
{
    for (int i = 0; i < s->n_tiles; i++) {
        const int first = s->n_rows * i / s->n_tiles, rows = s->n_rows * (i + 1) / s->n_tiles - first;
        for (int depth = s->first; depth < s->end; depth++) {
            const int begin = depth_begin(s->k, depth), n = depth_begin(s->k, depth + 1) - begin;
            pack_tile(s, rounded, s->row + first, rows, begin, n, out);
            out += ceil_div(n, KV_STEPS) * KV_STEPS * rows;
        }
    }
}

static void multiply(const struct format *format, const struct kv_packed_call *c, bool rounded)
{
    float packed[KV_X_BYTES / sizeof(float) + KV_BLOCK_ROWS * KV_STEPS];
    const int k = format == FORMAT_OF_PAIRS ? ceil_div(c->w->k, 2) : c->w->k;
    const int n_tiles = ceil_div(c->m, KV_TILE_ROWS), n_blocks = ceil_div(c->m, KV_BLOCK_ROWS);
    const int n_depths = ceil_div(k, KV_DEPTH);
    for (int i = 0; i < n_blocks; i++) {
        const int row = n_tiles * i / n_blocks * KV_TILE_ROWS;
        const int row_end = i + 1 < n_blocks ? n_tiles * (i + 1) / n_blocks * KV_TILE_ROWS : c->m;
        const int at_once = KV_X_BYTES / ((row_end - row) * KV_DEPTH * (int)sizeof(float));
        for (int first = 0; first < n_depths; first += at_once) {
            struct sweep sweep = {
                .call = c,
                .format = format,
                .x = c->x + (size_t)row * c->x_stride + depth_begin(k, first),
                .k = k,
                .row = row,
                .n_rows = row_end - row,
                .n_tiles = ceil_div(row_end - row, KV_TILE_ROWS),
                .first = first,
                .end = first + at_once < n_depths ? first + at_once : n_depths,
            };
            if (rounded || row_end - row > 1) {
                pack_x(&sweep, rounded, packed);
                sweep.x = packed;
            }
            run_sweep(&sweep);
        }
    }
}

static void packed_f32(const struct kv_packed_call *c)
{
    multiply(&format_f32, c, false);
}

static void packed_bf16(const struct kv_packed_call *c)
{
    multiply(&format_bf16, c, false);
}

static void packed_bf16x(const struct kv_packed_call *c)
{
    const struct format *format = &format_bf16;
#ifdef V_HAS_DOT
    if (__builtin_cpu_supports("avx512bf16"))
        format = &format_pairs;
#endif
    multiply(format, c, true);
}

static void packed_int8(const struct kv_packed_call *c)
{
    multiply(&format_int8, c, false);
}
