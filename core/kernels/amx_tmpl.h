/* Products in the tiles of AMX, a level's of 512-bit vectors. A tile has up to 16 rows of 64 bytes; a product adds to
 * one [16 rows of x][16 columns], of 32-bit numbers, 32 values of k in bfloat16 or 64 in 8 bits, whose weights lie as in
 * a panel: 16 rows of 16 lanes. One tile of x meets the three of a panel's weights, so that 4 loads feed 3 products.
 *
 * A row's sums do not depend on the rows beside it, so the bits are the same for any number of them; there is no other
 * code for few rows, since tiles take weights faster than memory gives them.
 *
 * Assembly, since the level is compiled for CPUs without tiles. Each call configures the tiles of its thread, and
 * releases them. */

enum { TILE_ROWS = 16, TILE_BYTES = 64, PANEL_TILES = KV_PANEL / 16 };

#define TILE_LOAD(tile, p, stride)                                                                                     \
    __asm__ volatile("tileloadd (%0,%1,1), %%tmm" #tile : : "r"(p), "r"((size_t)(stride)) : "memory")
#define TILE_STORE(tile, p, stride)                                                                                    \
    __asm__ volatile("tilestored %%tmm" #tile ", (%0,%1,1)" : : "r"(p), "r"((size_t)(stride)) : "memory")
#define TILE_ZERO(tile)         __asm__ volatile("tilezero %%tmm" #tile : :)
#define TILE_DOT(type, y, x, w) __asm__ volatile("tdp" type " %%tmm" #w ", %%tmm" #x ", %%tmm" #y : :)

/* Tiles 0 to 2 are sums, 3 is of x, 4 to 6 are weights. */
static void configure_tiles(int rows)
{
    struct {
        uint8_t palette, start_row, reserved[14];
        uint16_t bytes[16];
        uint8_t rows[16];
    } config = {.palette = 1};
    for (int tile = 0; tile < 7; tile++) {
        config.bytes[tile] = TILE_BYTES;
        config.rows[tile] = (uint8_t)(tile < 4 ? rows : TILE_ROWS);
    }
    __asm__ volatile("ldtilecfg %0" : : "m"(config));
}

static void release_tiles(void)
{
    __asm__ volatile("tilerelease" : :);
}

/* sums = x w, x in tile 3 */
#define MULTIPLY_TILE(type, sums, weights, w)                                                                          \
    do {                                                                                                               \
        TILE_ZERO(sums);                                                                                               \
        TILE_LOAD(weights, w, KV_PANEL * 4);                                                                           \
        TILE_DOT(type, sums, 3, weights);                                                                              \
    } while (0)

_Static_assert(KV_LANES == 16 && PANEL_TILES == 3, "a panel is three tiles wide, a row of a tile a vector");

/* ---- 8-bit weights ---------------------------------------------------------------------------------------------- */

_Static_assert(KV_X_GROUP == 2 * TILE_BYTES && 2 * KV_TILE_ROWS == TILE_ROWS, "a row of x is two of a tile");

/* A row's group of x is two rows of a tile: q = 256 first + second, bytes with a sign. */
static void lay_bytes(const vi q[KV_GROUP_FLOATS], char *x, int row)
{
    vu first = {0}, second = {0};
    for (int i = 0; i < 4; i++) {
        first |= ((vu)((q[i] + 128) >> 8) & 0xff) << 8 * i;
        second |= ((vu)q[i] & 0xff) << 8 * i;
    }
    memcpy(x + row * KV_X_GROUP, &first, sizeof first);
    memcpy(x + row * KV_X_GROUP + TILE_BYTES, &second, sizeof second);
}

/* Sums of a group and a third of a panel, as its tile stores them. */
typedef int32_t byte_sums[KV_TILE_ROWS][2][KV_LANES];

/* total [rows, third j of a panel] += sums s_x s_w, of group g */
INLINED void add_sums(const struct int8_tile *t, vf total[KV_TILE_ROWS][PANEL_TILES], byte_sums sums[PANEL_TILES],
                      int g, int j, int rows)
{
    const float *x_scales = t->x_scales + g * KV_TILE_ROWS;
    const vf w_scale = v_load(t->w_scales + g * KV_PANEL + j * KV_LANES);
    UNROLLED
    for (int i = 0; i < rows; i++) {
        vi first, second;
        memcpy(&first, sums[j][i][0], sizeof first);
        memcpy(&second, sums[j][i][1], sizeof second);
        total[i][j] = add_group(total[i][j], (vi)((vu)first << 8) + second, v_set(x_scales[i]), w_scale);
    }
}

/* The number of rows is a constant. A tile is stored when it is needed again, and vectors add it while it multiplies the
 * next group. */
INLINED void run_bytes(const struct int8_tile *t, int rows)
{
    byte_sums sums[PANEL_TILES] __attribute__((aligned(TILE_BYTES)));
    vf total[KV_TILE_ROWS][PANEL_TILES];
    const char *x = t->x, *w = t->w;
    const int n = t->n_groups;
    struct fetch fetch = t->fetch;
    UNROLLED
    for (int i = 0; i < rows; i++) {
        UNROLLED
        for (int j = 0; j < PANEL_TILES; j++)
            total[i][j] = t->first ? (vf){0} : v_load(t->sums + i * KV_PANEL + j * KV_LANES);
    }
    TILE_LOAD(3, x, TILE_BYTES);
    MULTIPLY_TILE("bssd", 0, 4, w);
    MULTIPLY_TILE("bssd", 1, 5, w + TILE_BYTES);
    MULTIPLY_TILE("bssd", 2, 6, w + 2 * TILE_BYTES);
    for (int g = 1; g <= n; g++) {
        fetch_step(&fetch);
        x += KV_TILE_ROWS * KV_X_GROUP;
        w += KV_GROUP_BYTES;
        TILE_STORE(0, sums[0], TILE_BYTES);
        if (g < n) {
            TILE_LOAD(3, x, TILE_BYTES);
            MULTIPLY_TILE("bssd", 0, 4, w);
        }
        add_sums(t, total, sums, g - 1, 0, rows);
        TILE_STORE(1, sums[1], TILE_BYTES);
        if (g < n)
            MULTIPLY_TILE("bssd", 1, 5, w + TILE_BYTES);
        add_sums(t, total, sums, g - 1, 1, rows);
        TILE_STORE(2, sums[2], TILE_BYTES);
        if (g < n)
            MULTIPLY_TILE("bssd", 2, 6, w + 2 * TILE_BYTES);
        add_sums(t, total, sums, g - 1, 2, rows);
    }
    UNROLLED
    for (int i = 0; i < rows; i++) {
        UNROLLED
        for (int j = 0; j < PANEL_TILES; j++)
            v_store(t->sums + i * KV_PANEL + j * KV_LANES, total[i][j]);
    }
}

static void run_byte_tile(const struct int8_tile *t)
{
    if (t->rows == 1)
        run_bytes(t, 1);
    else
        run_bytes(t, KV_TILE_ROWS);
}

static void amx_int8(const struct kv_packed_call *c)
{
    static const struct int8_method method = {lay_bytes, run_byte_tile};
    configure_tiles(c->m == 1 ? 2 : TILE_ROWS);
    multiply_int8(&method, c);
    release_tiles();
}

/* ---- bfloat16 weights, x rounded to bfloat16 -------------------------------------------------------------------- */

/* Of k: rows of a tile, tiles of a sweep and of a depth; of x, rows of a block. */
enum {
    BF16_TILE = 32,
    BF16_SWEEP = 48,
    BF16_DEPTH = 8,
    BF16_ROWS = KV_X_BYTES / (BF16_SWEEP * TILE_BYTES) / TILE_ROWS * TILE_ROWS,
    BF16_STEP = PANEL_TILES * TILE_ROWS * TILE_BYTES /* bytes of a panel's tiles */
};

/* x [tiles of rows][tiles of k][TILE_ROWS][BF16_TILE]; rows that are not there, beside others, are zeros. */
static void lay_bf16_rows(const struct packed_sweep *s, char *x)
{
    const struct kv_packed_call *c = s->call;
    const int n_rows = c->m < TILE_ROWS ? c->m : ceil_div(s->n_rows, TILE_ROWS) * TILE_ROWS;
    for (int i = 0; i < n_rows; i++) {
        const float *values = c->x + (size_t)(s->row + i) * c->x_stride;
        char *out = x + ((size_t)(i / TILE_ROWS) * (size_t)(s->end - s->begin) * TILE_ROWS + (size_t)(i % TILE_ROWS)) *
                            TILE_BYTES;
        for (int tile = s->begin; tile < s->end; tile++, out += TILE_ROWS * TILE_BYTES) {
            const int n = c->w->k - tile * BF16_TILE;
            float part[BF16_TILE];
            const float *from = values + (size_t)tile * BF16_TILE;
            if (i >= s->n_rows || n < BF16_TILE) {
                memset(part, 0, sizeof part);
                from = i < s->n_rows ? memcpy(part, from, (size_t)n * sizeof *part) : part;
            }
            const vf rounded = v_round_pairs(v_load(from), v_load(from + KV_LANES));
            memcpy(out, &rounded, sizeof rounded);
        }
    }
}

/* sums [TILE_ROWS, KV_PANEL] += n tiles of k, the last of which is `last`; from zero where they are the first. */
static void run_bf16_tiles(const char *x, const char *w, const char *last, int n, struct fetch fetch, float *sums,
                           bool first)
{
    const size_t stride = KV_PANEL * sizeof *sums;
    if (first) {
        TILE_ZERO(0);
        TILE_ZERO(1);
        TILE_ZERO(2);
    } else {
        TILE_LOAD(0, sums, stride);
        TILE_LOAD(1, sums + KV_LANES, stride);
        TILE_LOAD(2, sums + 2 * KV_LANES, stride);
    }
    for (int i = 0; i < n; i++, x += TILE_ROWS * TILE_BYTES, w += BF16_STEP) {
        const char *weights = i + 1 < n ? w : last;
        fetch_step(&fetch);
        TILE_LOAD(3, x, TILE_BYTES);
        TILE_LOAD(4, weights, KV_PANEL * 4);
        TILE_DOT("bf16ps", 0, 3, 4);
        TILE_LOAD(5, weights + TILE_BYTES, KV_PANEL * 4);
        TILE_DOT("bf16ps", 1, 3, 5);
        TILE_LOAD(6, weights + 2 * TILE_BYTES, KV_PANEL * 4);
        TILE_DOT("bf16ps", 2, 3, 6);
    }
    TILE_STORE(0, sums, stride);
    TILE_STORE(1, sums + KV_LANES, stride);
    TILE_STORE(2, sums + 2 * KV_LANES, stride);
}

/* The last tile of weights of a depth that begins at w. Where k fills it but in part, what lies behind is another
 * panel's, and need not be finite: then it is copied, and filled up with zeros. */
static const char *last_weights(const char *w, int n, int missing_pairs, char copy[BF16_STEP])
{
    const char *last = w + (size_t)(n - 1) * BF16_STEP;
    const size_t bytes = BF16_STEP - (size_t)missing_pairs * KV_PANEL * 4;
    if (missing_pairs == 0)
        return last;
    memset(copy + bytes, 0, BF16_STEP - bytes);
    return memcpy(copy, last, bytes);
}

static void run_bf16_sweep(const struct packed_sweep *s, const struct int8_method *none)
{
    (void)none;
    char x[KV_X_BYTES] __attribute__((aligned(TILE_BYTES))), copy[BF16_STEP] __attribute__((aligned(TILE_BYTES)));
    float sums[BF16_ROWS * KV_PANEL] __attribute__((aligned(TILE_BYTES)));
    const struct kv_packed_call *c = s->call;
    const int n_sweep = s->end - s->begin, n_depths = ceil_div(n_sweep, BF16_DEPTH), pairs = ceil_div(c->w->k, 2);
    const int n_tiles = ceil_div(s->n_rows, TILE_ROWS);
    lay_bf16_rows(s, x);
    for (int panel = 0; panel < c->n; panel += KV_PANEL) {
        const char *weights = (const char *)c->w->data + (size_t)(c->first_column + panel) * (size_t)pairs * 4;
        for (int depth = 0; depth < n_depths; depth++) {
            const int begin = part_begin(n_sweep, BF16_DEPTH, depth), end = part_begin(n_sweep, BF16_DEPTH, depth + 1);
            const char *w = weights + (size_t)(s->begin + begin) * BF16_STEP;
            const bool ends = s->begin + end == s->n;
            const char *last = last_weights(w, end - begin, ends ? s->n * TILE_ROWS - pairs : 0, copy);
            for (int i = 0; i < n_tiles; i++)
                run_bf16_tiles(x + ((size_t)i * (size_t)n_sweep + (size_t)begin) * TILE_ROWS * TILE_BYTES, w, last,
                               end - begin, plan_fetch(w, (size_t)(end - begin) * BF16_STEP, end - begin, i, n_tiles),
                               sums + i * TILE_ROWS * KV_PANEL, depth == 0);
        }
        finish_rows(c, sums, s->row, s->n_rows, panel, s->begin == 0, s->end == s->n);
    }
}

static void amx_bf16x(const struct kv_packed_call *c)
{
    configure_tiles(c->m < TILE_ROWS ? c->m : TILE_ROWS);
    for_each_sweep(c, BF16_TILE, BF16_SWEEP, TILE_ROWS, BF16_ROWS, NULL, run_bf16_sweep);
    release_tiles();
}
