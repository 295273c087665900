/* The packed product of 8-bit weights, of one level; see level.h and format_int8.c.
 *
 * A row of x becomes 16-bit integers, with a scale for each group of KV_INT8_GROUP, as weights have one:
 *
 *   s = max |x| / KV_X_LARGEST,   q = x / s rounded to nearest,   y = sum_groups (sum_p q_x q_w) s_x s_w
 *
 * Sums within a group are integers, and exact; groups are added in order as float32, those of a sweep from zero, and the
 * sweeps to y. So an element's bits do not depend on rows beside it or on who multiplies. A group that has something
 * which is not finite makes its row NaN; one whose largest is below 2^-100 counts as zeros.
 *
 *   for each sweep of k                      KV_INT8_SWEEP groups at most
 *     for each block of rows                 q_x [rows][sweep], made once as the level multiplies it, fits KV_X_BYTES
 *       for each panel, then each depth      w [KV_INT8_DEPTH groups][KV_INT8_GROUP][KV_PANEL], then from cache
 *         for each KV_TILE_ROWS rows         sums [KV_TILE_ROWS, KV_PANEL] */

#define KV_X_LARGEST (127 * 256 + 127) /* a first byte of at most 127 and a second one, signed both */
#define KV_X_LEAST   0x1p-100f
/* Groups of a sweep and of a depth, and bytes of a row's group: two for each number. */
#define KV_INT8_SWEEP   24
#define KV_INT8_DEPTH   6
#define KV_X_GROUP      (2 * KV_INT8_GROUP)
#define KV_GROUP_BYTES  (KV_INT8_GROUP * KV_PANEL)
#define KV_GROUP_LANES  16
#define KV_GROUP_FLOATS (KV_INT8_GROUP / KV_LANES)

/* What a tile asks memory for, while it multiplies what is there: addresses, since what lies past the weights is never
 * read. */
struct fetch {
    uintptr_t next;
    int lines; /* a step */
};

/* Of a depth of `bytes` in n_steps: a lone tile's own weights, else a share of the depth that follows. */
static struct fetch plan_fetch(const char *w, size_t bytes, int n_steps, int tile, int n_tiles)
{
    const int lines = ceil_div((int)(bytes / KV_LINE_BYTES), n_steps * n_tiles);
    const size_t ahead = n_tiles == 1 ? KV_NEAR_BYTES : bytes + (size_t)(tile * n_steps * lines) * KV_LINE_BYTES;
    return (struct fetch){(uintptr_t)w + ahead, lines};
}

INLINED void fetch_step(struct fetch *fetch)
{
    for (int i = 0; i < fetch->lines; i++, fetch->next += KV_LINE_BYTES)
        __builtin_prefetch((const void *)fetch->next, 0, 2);
}

/* sums [rows, KV_PANEL] of one depth */
struct int8_tile {
    const char *x;         /* [n_groups][KV_TILE_ROWS][KV_X_GROUP] */
    const float *x_scales; /* [n_groups][KV_TILE_ROWS] */
    const char *w;         /* [n_groups][KV_GROUP_LANES][KV_PANEL][4]; row p of a group is byte p / 16 of lane p % 16 */
    const float *w_scales; /* [n_groups][KV_PANEL] */
    int n_groups, rows;
    struct fetch fetch;
    float *sums; /* [KV_TILE_ROWS][KV_PANEL] */
    bool first;  /* from zero, else added to */
};

struct int8_method {
    /* A row's group as the level multiplies it, at the row's place in x of a tile. */
    void (*lay)(const vi q[KV_GROUP_FLOATS], char *x, int row);
    void (*run)(const struct int8_tile *t);
};

/* Returns the scale of x [KV_INT8_GROUP]. */
INLINED float quantise_group(const float *x, vi q[KV_GROUP_FLOATS])
{
    const vf shift = v_set(0x1.8p23f); /* rounds to a whole number in the low mantissa bits */
    vf v[KV_GROUP_FLOATS], most = {0}, not_finite = {0};
    UNROLLED
    for (int i = 0; i < KV_GROUP_FLOATS; i++) {
        v[i] = v_load(x + i * KV_LANES);
        most = v_max(most, v_max(v[i], -v[i]));
        not_finite += v[i] * 0.0f;
    }
    const float largest = v_largest(most);
    const vf factor = v_set(largest < KV_X_LEAST ? 0 : KV_X_LARGEST / largest);
    UNROLLED
    for (int i = 0; i < KV_GROUP_FLOATS; i++)
        q[i] = (vi)(v[i] * factor + shift) - (vi)shift;
    return (largest < KV_X_LEAST ? 0 : largest / KV_X_LARGEST) + v_sum(not_finite);
}

/* total += sum s_x s_w */
INLINED vf add_group(vf total, vi sum, vf x_scale, vf w_scale)
{
    return total + __builtin_convertvector(sum, vf) * x_scale * w_scale;
}

/* ---- With vectors: pairs of 16-bit integers --------------------------------------------------------------------- */

/* A lane's four numbers as pairs [2][KV_GROUP_LANES]: the first and third, then the second and fourth, since that is how
 * four 8-bit weights part with the fewest instructions. */
static void lay_pairs(const vi q[KV_GROUP_FLOATS], char *x, int row)
{
    enum { STEP = KV_GROUP_LANES / KV_LANES };
    char *out = x + row * KV_X_GROUP;
    for (int i = 0; i < STEP; i++)
        for (int half = 0; half < 2; half++) {
            const vu pair = ((vu)q[half * STEP + i] & 0xffff) | (vu)q[(half + 2) * STEP + i] << 16;
            memcpy(out + half * KV_INT8_GROUP + i * KV_LANES * 4, &pair, sizeof pair);
        }
}

INLINED vi set_pair(const char *x)
{
    int32_t pair;
    memcpy(&pair, x, sizeof pair);
    return pair - (vi){0};
}

/* The dot product, the numbers of rows and vectors are constants. */
INLINED void run_pairs(vi (*dot)(vi sum, vi a, vi b), const struct int8_tile *t, int rows, int vectors, int column)
{
    vf total[KV_TILE_ROWS][KV_PANEL_VECTORS];
    const char *x = t->x, *w = t->w + column * 4;
    const float *w_scales = t->w_scales + column;
    UNROLLED
    for (int i = 0; i < rows; i++) {
        UNROLLED
        for (int j = 0; j < vectors; j++)
            total[i][j] = t->first ? (vf){0} : v_load(t->sums + i * KV_PANEL + column + j * KV_LANES);
    }
    struct fetch fetch = column ? (struct fetch){0} : t->fetch;
    for (int g = 0; g < t->n_groups; g++, x += KV_TILE_ROWS * KV_X_GROUP, w_scales += KV_PANEL) {
        vi sum[KV_TILE_ROWS][KV_PANEL_VECTORS] = {0};
        fetch_step(&fetch);
        ROLLED
        for (int lane = 0; lane < KV_GROUP_LANES; lane++, w += KV_PANEL * 4) {
            UNROLLED
            for (int half = 0; half < 2; half++) {
                vi weights[KV_PANEL_VECTORS];
                UNROLLED
                for (int j = 0; j < vectors; j++)
                    weights[j] = v_int8_pairs(w + j * KV_LANES * 4, half);
                UNROLLED
                for (int i = 0; i < rows; i++) {
                    const vi pair = set_pair(x + i * KV_X_GROUP + half * KV_INT8_GROUP + lane * 4);
                    UNROLLED
                    for (int j = 0; j < vectors; j++)
                        sum[i][j] = dot(sum[i][j], weights[j], pair);
                }
            }
        }
        UNROLLED
        for (int j = 0; j < vectors; j++) {
            const vf w_scale = v_load(w_scales + j * KV_LANES);
            UNROLLED
            for (int i = 0; i < rows; i++)
                total[i][j] = add_group(total[i][j], sum[i][j], v_set(t->x_scales[g * KV_TILE_ROWS + i]), w_scale);
        }
    }
    UNROLLED
    for (int i = 0; i < rows; i++) {
        UNROLLED
        for (int j = 0; j < vectors; j++)
            v_store(t->sums + i * KV_PANEL + column + j * KV_LANES, total[i][j]);
    }
}

/* Rows that are not there are zeros, up to the next number that there is a loop for. */
#define RUN_PAIRS(dot)                                                                                                 \
    static void run_##dot(const struct int8_tile *t)                                                                   \
    {                                                                                                                  \
        if (t->rows == 1)                                                                                              \
            run_pairs(dot, t, 1, KV_PANEL_VECTORS, 0);                                                                 \
        for (int column = 0; column < KV_PANEL && t->rows > 1; column += KV_TILE_WIDTH) {                              \
            if (t->rows == 2)                                                                                          \
                run_pairs(dot, t, 2, KV_TILE_VECTORS, column);                                                         \
            else if (t->rows <= 4)                                                                                     \
                run_pairs(dot, t, 4, KV_TILE_VECTORS, column);                                                         \
            else                                                                                                       \
                run_pairs(dot, t, KV_TILE_ROWS, KV_TILE_VECTORS, column);                                              \
        }                                                                                                              \
    }                                                                                                                  \
    static const struct int8_method method_##dot = {lay_pairs, run_##dot};
RUN_PAIRS(v_dot_pairs)
#ifdef V_HAS_DOT
RUN_PAIRS(v_dot_pairs_vnni)
#endif

/* ---- The loops -------------------------------------------------------------------------------------------------- */

/* y [n] = sums (+ y) (+ bias), n up to KV_LANES */
INLINED void finish_vector(float *y, const float *sums, const float *bias, bool accumulate, int n)
{
    vf v = v_load(sums);
    if (accumulate)
        v += n < KV_LANES ? v_load_part(y, n, 0) : v_load(y);
    if (bias)
        v += n < KV_LANES ? v_load_part(bias, n, 0) : v_load(bias);
    if (n < KV_LANES)
        v_store_part(y, n, v);
    else
        v_store(y, v);
}

/* Rows [row, row + rows) of y, columns from `column` on, of what one sweep came to; the first one is not added to
 * another, the last one is finished. */
static void finish_rows(const struct kv_packed_call *c, const float *sums, int row, int rows, int column, bool first,
                        bool last)
{
    const int columns = c->n - column < KV_PANEL ? c->n - column : KV_PANEL;
    const bool accumulate = c->accumulate || !first, activate = last && c->activation;
    const float *bias = last && c->bias && !activate ? c->bias + column : NULL;
    for (int i = 0; i < rows; i++, sums += KV_PANEL) {
        float *y = c->y + (size_t)(row + i) * c->y_stride + column;
        if (columns == KV_PANEL) {
            UNROLLED
            for (int j = 0; j < KV_PANEL; j += KV_LANES)
                finish_vector(y + j, sums + j, bias ? bias + j : NULL, accumulate, KV_LANES);
        } else {
            for (int j = 0; j < columns; j += KV_LANES)
                finish_vector(y + j, sums + j, bias ? bias + j : NULL, accumulate,
                              columns - j < KV_LANES ? columns - j : KV_LANES);
        }
        if (activate)
            c->activation(y, c->bias + column, columns);
    }
}

/* Where part i begins of n steps, divided evenly into parts of `most`. */
static int part_begin(int n, int most, int i)
{
    return (int)((long)n * i / ceil_div(n, most));
}

/* Rows [row, row + n_rows) of x, groups or tiles [begin, end) of k, of n. */
struct packed_sweep {
    const struct kv_packed_call *call;
    int row, n_rows, begin, end, n;
};

/* x [tiles][groups of the sweep][KV_TILE_ROWS][KV_X_GROUP], and its scales. */
static void lay_rows(const struct packed_sweep *s, const struct int8_method *method, char *x, float *scales)
{
    const struct kv_packed_call *c = s->call;
    const int n_rows = c->m == 1 ? 1 : ceil_div(s->n_rows, KV_TILE_ROWS) * KV_TILE_ROWS;
    for (int i = 0; i < n_rows; i++) {
        size_t place = (size_t)(i / KV_TILE_ROWS) * (size_t)(s->end - s->begin) * KV_TILE_ROWS;
        const float *values = c->x + (size_t)(s->row + i) * c->x_stride;
        for (int g = s->begin; g < s->end; g++, place += KV_TILE_ROWS) {
            const int n = c->w->k - g * KV_INT8_GROUP;
            float part[KV_INT8_GROUP];
            vi q[KV_GROUP_FLOATS];
            const float *group = values + (size_t)g * KV_INT8_GROUP;
            if (i >= s->n_rows || n < KV_INT8_GROUP) {
                memset(part, 0, sizeof part);
                group = i < s->n_rows ? memcpy(part, group, (size_t)n * sizeof *part) : part;
            }
            scales[place + (size_t)(i % KV_TILE_ROWS)] = quantise_group(group, q);
            method->lay(q, x + place * KV_X_GROUP, i % KV_TILE_ROWS);
        }
    }
}

enum { KV_INT8_ROWS = KV_X_BYTES / (KV_INT8_SWEEP * KV_X_GROUP) / KV_TILE_ROWS * KV_TILE_ROWS };

static void run_int8_sweep(const struct packed_sweep *s, const struct int8_method *method)
{
    /* as tile rows are loaded, whole cache lines */
    char x[KV_X_BYTES] __attribute__((aligned(KV_LINE_BYTES)));
    float scales[KV_X_BYTES / KV_X_GROUP], sums[KV_INT8_ROWS * KV_PANEL];
    const struct kv_packed_call *c = s->call;
    const int n_sweep = s->end - s->begin, n_depths = ceil_div(n_sweep, KV_INT8_DEPTH);
    const int n_tiles = ceil_div(s->n_rows, KV_TILE_ROWS);
    lay_rows(s, method, x, scales);
    for (int panel = 0; panel < c->n; panel += KV_PANEL) {
        for (int depth = 0; depth < n_depths; depth++) {
            const int group = part_begin(n_sweep, KV_INT8_DEPTH, depth);
            const int n_groups = part_begin(n_sweep, KV_INT8_DEPTH, depth + 1) - group;
            const size_t place = (size_t)(c->first_column + panel) / KV_PANEL * (size_t)s->n +
                                 (size_t)(s->begin + group);
            const char *w = (const char *)c->w->data + place * KV_GROUP_BYTES;
            for (int i = 0; i < n_tiles; i++) {
                const size_t at = ((size_t)i * (size_t)n_sweep + (size_t)group) * KV_TILE_ROWS;
                const int rows = s->n_rows - i * KV_TILE_ROWS;
                method->run(&(struct int8_tile){
                    .x = x + at * KV_X_GROUP,
                    .x_scales = scales + at,
                    .w = w,
                    .w_scales = (const float *)c->w->scales + place * KV_PANEL,
                    .n_groups = n_groups,
                    .rows = rows < KV_TILE_ROWS ? rows : KV_TILE_ROWS,
                    .fetch = plan_fetch(w, (size_t)n_groups * KV_GROUP_BYTES, n_groups, i, n_tiles),
                    .sums = sums + i * KV_TILE_ROWS * KV_PANEL,
                    .first = depth == 0,
                });
            }
        }
        finish_rows(c, sums, s->row, s->n_rows, panel, s->begin == 0, s->end == s->n);
    }
}

/* All of a product: sweeps of k, `most` steps of `step` rows each, and blocks of rows. */
INLINED void for_each_sweep(const struct kv_packed_call *c, int step, int most, int tile_rows, int block_rows,
                            const struct int8_method *method,
                            void (*run)(const struct packed_sweep *s, const struct int8_method *method))
{
    const int n = ceil_div(c->w->k, step), n_sweeps = ceil_div(n, most);
    const int n_blocks = ceil_div(c->m, block_rows), n_tiles = ceil_div(c->m, tile_rows);
    for (int i = 0; i < n_sweeps; i++)
        for (int block = 0; block < n_blocks; block++) {
            struct packed_sweep s = {.call = c, .n = n};
            s.begin = part_begin(n, most, i);
            s.end = part_begin(n, most, i + 1);
            s.row = n_tiles * block / n_blocks * tile_rows;
            s.n_rows = (block + 1 < n_blocks ? n_tiles * (block + 1) / n_blocks * tile_rows : c->m) - s.row;
            run(&s, method);
        }
}

static void multiply_int8(const struct int8_method *method, const struct kv_packed_call *c)
{
    for_each_sweep(c, KV_INT8_GROUP, KV_INT8_SWEEP, KV_TILE_ROWS, KV_INT8_ROWS, method, run_int8_sweep);
}

static void packed_int8(const struct kv_packed_call *c)
{
    const struct int8_method *method = &method_v_dot_pairs;
#ifdef V_HAS_DOT
    if (__builtin_cpu_supports("avx512vnni"))
        method = &method_v_dot_pairs_vnni;
#endif
    multiply_int8(method, c);
}
