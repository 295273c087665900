/* Attention of one level, once for each type that keys are kept in, values of each type by a table: kept.h has their
 * layouts.
 *
 * The keys are taken in parts of KV_ATTENTION_PART positions, with a running softmax. Of one part c, computed from
 * nothing but it,
 *   s_t = q . k_t scale,   m_c = max s_t,   w_t = e^(s_t - m_c),   l_c = sum w_t,   o_c = sum w_t v_t
 * and what is known of the parts before, (m, l, o), takes it up as
 *   m' = max(m, m_c),   l' = l e^(m - m') + l_c e^(m_c - m'),   o' = o e^(m - m') + o_c e^(m_c - m');   out = o / l
 * (Milakov & Gimelshein 2018, "Online normalizer calculation for softmax"). Parts begin at multiples of
 * KV_ATTENTION_PART and are taken up in order, so that the bits of a query depend neither on the queries that are asked
 * together with it nor on who computes which part. A part is used by a group of queries while the caches hold it, by a
 * tile of them at a time in registers.
 *
 * Codes are widened in registers. A position's scale is taken out of both sums: of its key it multiplies the score, of
 * its value the weight, once that is part of l. Rotated ones (R, orthogonal) never come back one by one:
 *   q . k = R q . R k,   o_c = R^-1 sum w_t R v_t
 * What a block's keys have in common, their centre, is multiplied with a query once for all of them.
 *
 * A query alone uses each key and value once, so that memory sets the pace. Keys and values lie apart, and the processor
 * sees a stream only when it has begun: so values are fetched while the keys of their part are multiplied, the keys of
 * the next part or head while the values are. Addresses, not pointers: what is fetched may lie past the cache.
 */
_Static_assert(KV_KEY_BLOCK % KV_LANES == 0, "a block of keys is a whole number of vectors");
_Static_assert(KV_QUERY_TILE <= KV_MAX_QUERY_TILE, "the scratch holds a tile");
_Static_assert(KV_QUERY_GROUP % KV_QUERY_TILE == 0, "a group is a whole number of tiles");
_Static_assert(KV_ATTENTION_PART == KV_KEY_BLOCK * KV_KEY_BLOCK, "the centres of a part fill one block");
_Static_assert(KV_ATTENTION_PART % (4 * KV_KEY_BLOCK) == 0, "a part is a whole number of blocks");

/* No two rows of scores in the same set of a cache; behind the scores of positions stand those of centres. */
enum { SCORE_STRIDE = KV_ATTENTION_PART + KV_KEY_BLOCK };

/* A tile of queries on a part of the keys. */
struct tile_part {
    const float *queries; /* [n_queries, head_size], query_stride apart */
    size_t query_stride;
    const int32_t *places;     /* NULL: blocks lie in the order of their positions; else where each of the part lies */
    const char *keys, *values; /* of the part's first position, with places of the first slot; and scales */
    const uint16_t *key_scales, *value_scales;
    const char *centres;
    const uint16_t *centre_scales;
    uintptr_t next_keys, next_end; /* what to fetch while values are weighed, none: 0 */
    const int32_t *next_places;    /* of these keys, as places, and the bytes of a block of them */
    size_t next_block;
    size_t value_bytes; /* of one */
    int head_size;
    float scale;
    int n_seen;    /* positions of the part that query 0 sees, less than 1: none; query i sees i more */
    float *scores; /* [n_queries][SCORE_STRIDE] */
};

/* The causal mask: query i stands i positions behind query 0 and sees i more, up to its own; no score is computed and
 * then struck out, the loops over positions just end here. */
static int seen_by(const struct tile_part *p, int query)
{
    const int n = p->n_seen + query;
    return n < 0 ? 0 : n < KV_ATTENTION_PART ? n : KV_ATTENTION_PART;
}

/* Where block `block` of the part lies, in blocks. */
INLINED size_t place_of(const struct tile_part *p, int block)
{
    return p->places ? (size_t)p->places[block] : (size_t)block;
}

INLINED const char *value_at(const struct tile_part *p, int t, size_t value_bytes)
{
    return p->values + (place_of(p, t / KV_KEY_BLOCK) * KV_KEY_BLOCK + (size_t)(t % KV_KEY_BLOCK)) * value_bytes;
}

enum { LINE_BYTES = 64, VALUES_AHEAD = 8 };

/* The lines of [at, at + bytes), bytes a constant, as far as they lie before `end`. */
INLINED void fetch(uintptr_t at, size_t bytes, uintptr_t end)
{
    if (at < end)
        for (size_t i = 0; i < bytes; i += LINE_BYTES)
            __builtin_prefetch((const void *)(at + i));
}

/* ---- Scores -------------------------------------------------------------------------------------------------- */

enum { KEY_VECTORS = KV_KEY_BLOCK / KV_LANES, MOST_VECTORS = 4 * KEY_VECTORS };

/* The keys of one row of n_vectors / KEY_VECTORS blocks; of int4, its lower or upper dimension. */
INLINED void load_keys(enum kv_kept kept, const char *const rows[], int n_vectors, int upper, vf *key)
{
    UNROLLED
    for (int j = 0; j < n_vectors; j++)
        key[j] = load_codes(kept, rows[j / KEY_VECTORS] + (size_t)(j % KEY_VECTORS * KV_LANES) * kv_code_bytes(kept),
                            upper);
}

/* What stands below, on rows [begin, end) of the blocks: sums grow by queries times keys. Meanwhile the values of a query
 * alone are fetched from `values` on, and for a tile the rows of the blocks that follow. */
INLINED void score_rows(enum kv_kept kept, const struct tile_part *p, const char *rows[], const char *following[],
                        size_t begin, size_t end, uintptr_t values, uintptr_t values_end, int n_queries, int n_blocks,
                        vf sum[KV_QUERY_TILE][MOST_VECTORS])
{
    const size_t row_bytes = KV_KEY_BLOCK * kv_code_bytes(kept), step = (size_t)n_blocks * row_bytes;
    const int n_vectors = n_blocks * KEY_VECTORS, n_dimensions = kept == KV_KEPT_INT4 ? 2 : 1;
    const float *queries = p->queries + begin * (size_t)n_dimensions;
    ROLLED
    for (size_t r = begin; r < end; r++, queries += n_dimensions, values += step) {
        if (n_queries == 1)
            fetch(values, step, values_end);
        UNROLLED
        for (int d = 0; d < n_dimensions; d++) {
            vf key[MOST_VECTORS];
            load_keys(kept, rows, n_vectors, d, key);
            UNROLLED
            for (int i = 0; i < n_queries; i++) {
                UNROLLED
                for (int j = 0; j < n_vectors; j++)
                    sum[i][j] += key[j] * queries[(size_t)i * p->query_stride + (size_t)d];
            }
        }
        UNROLLED
        for (int b = 0; b < n_blocks; b++) {
            rows[b] += row_bytes;
            if (n_queries > 1) {
                __builtin_prefetch(following[b]);
                following[b] += row_bytes;
            }
        }
    }
}

/* scores[i][t ..] of n_blocks blocks of keys. Inlined with constant numbers, so that the sums stay in registers. */
INLINED void score_blocks(enum kv_kept kept, const struct tile_part *p, int t, int n_queries, int n_blocks)
{
    const size_t n_rows = kv_key_rows(kept, p->head_size), block_bytes = n_rows * KV_KEY_BLOCK * kv_code_bytes(kept);
    const size_t value_block = KV_KEY_BLOCK * p->value_bytes;
    const int n_vectors = n_blocks * KEY_VECTORS, block = t / KV_KEY_BLOCK;
    const uintptr_t values_end = (uintptr_t)p->values + (size_t)seen_by(p, 0) * p->value_bytes;
    const char *rows[4], *following[4];
    vf sum[KV_QUERY_TILE][MOST_VECTORS];
    UNROLLED
    for (int b = 0; b < n_blocks; b++) {
        rows[b] = p->keys + place_of(p, block + b) * block_bytes;
        following[b] = n_queries > 1 ? p->keys + place_of(p, block + n_blocks + b) * block_bytes : NULL;
    }
    UNROLLED
    for (int i = 0; i < n_queries; i++) {
        UNROLLED
        for (int j = 0; j < n_vectors; j++)
            sum[i][j] = (vf){0};
    }
    if (n_queries == 1 && n_blocks > 1 && p->places) { /* the values of each block during a share of the rows */
        for (int b = 0; b < n_blocks; b++) {
            const uintptr_t values = (uintptr_t)p->values + place_of(p, block + b) * value_block;
            const size_t end = n_rows * (size_t)(b + 1) / (size_t)n_blocks;
            score_rows(kept, p, rows, following, n_rows * (size_t)b / (size_t)n_blocks, end, values,
                       values + value_block, n_queries, n_blocks, sum);
        }
    } else {
        const uintptr_t values = (uintptr_t)p->values + place_of(p, block) * value_block;
        score_rows(kept, p, rows, following, 0, n_rows, values, p->places ? values + value_block : values_end,
                   n_queries, n_blocks, sum);
    }
    UNROLLED
    for (int j = 0; j < n_vectors; j++) {
        const int first = t + j * KV_LANES;
        const size_t slot = place_of(p, block + j / KEY_VECTORS) * KV_KEY_BLOCK + (size_t)(j % KEY_VECTORS * KV_LANES);
        const vf scale = kv_is_scaled(kept) ? v_load_bfloat(p->key_scales + slot) * p->scale : v_set(p->scale);
        UNROLLED
        for (int i = 0; i < n_queries; i++) {
            float *scores = p->scores + i * SCORE_STRIDE;
            const float centre = kv_is_centred(kept) ? scores[KV_ATTENTION_PART + first / KV_KEY_BLOCK] : 0;
            v_store(scores + first, kv_is_centred(kept) ? sum[i][j] * scale + centre : sum[i][j] * scale);
        }
    }
}

/* Of the centres of the part's blocks, whose scores are kept behind those of the positions. Four sums hide the latency of
 * each. */
INLINED void score_centres(const struct tile_part *p, int n_queries)
{
    const char *row = p->centres;
    const int most = p->head_size / 4 * 4;
    for (int i = 0; i < n_queries; i++) {
        const float *query = p->queries + (size_t)i * p->query_stride;
        for (int j = 0; j < KEY_VECTORS; j++) {
            vf sum[4] = {{0}};
            for (int d = 0; d < most; d += 4) {
                UNROLLED
                for (int e = 0; e < 4; e++)
                    sum[e] += load_codes(KV_KEPT_INT8, row + (d + e) * KV_KEY_BLOCK + j * KV_LANES, 0) * query[d + e];
            }
            for (int d = most; d < p->head_size; d++)
                sum[d % 4] += load_codes(KV_KEPT_INT8, row + d * KV_KEY_BLOCK + j * KV_LANES, 0) * query[d];
            v_store(p->scores + i * SCORE_STRIDE + KV_ATTENTION_PART + j * KV_LANES,
                    ((sum[0] + sum[1]) + (sum[2] + sum[3])) *
                        (v_load_bfloat(p->centre_scales + j * KV_LANES) * p->scale));
        }
    }
}

/* Of all blocks that hold one of the first n positions. */
INLINED void score(enum kv_kept kept, const struct tile_part *p, int n_queries, int n_blocks, int n)
{
    int t = 0;
    if (kv_is_centred(kept))
        score_centres(p, n_queries);
    for (; t + (n_blocks - 1) * KV_KEY_BLOCK < n; t += n_blocks * KV_KEY_BLOCK)
        score_blocks(kept, p, t, n_queries, n_blocks);
    for (; t < n; t += KV_KEY_BLOCK)
        score_blocks(kept, p, t, n_queries, 1);
}

/* What is known of the positions before a certain one: m and l. */
struct softmax {
    float largest, sum;
};

/* scores [n] become e^(s - max s), and 0 up to the end of their last vector. */
static struct softmax weights_of(float *scores, int n)
{
    static const float lane[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    const int last = (n - 1) / KV_LANES * KV_LANES; /* of the vectors; behind n it holds scores that do not count */
    const vi behind = v_load(lane) >= v_set((float)(n - last));
    v_store(scores + last, v_select(behind, v_set(-INFINITY), v_load(scores + last)));
    vf most = v_load(scores);
    ROLLED
    for (int t = KV_LANES; t <= last; t += KV_LANES)
        most = v_max(most, v_load(scores + t));
    const float largest = v_largest(most);
    const vf shift = v_set(largest);
    vf sum = {0};
    ROLLED
    for (int t = 0; t <= last; t += KV_LANES) {
        const vf weight = v_exp(v_load(scores + t) - shift);
        v_store(scores + t, weight);
        sum += weight;
    }
    return (struct softmax){largest, v_sum(sum)};
}

static void scale_weights(const struct tile_part *p, float *weights, int n)
{
    ROLLED
    for (int t = 0; t < n; t += KV_LANES) {
        const size_t slot = place_of(p, t / KV_KEY_BLOCK) * KV_KEY_BLOCK + (size_t)(t % KV_KEY_BLOCK);
        v_store(weights + t, v_load(weights + t) * v_load_bfloat(p->value_scales + slot));
    }
}

/* ---- Values -------------------------------------------------------------------------------------------------- */

/* KV_LANES dimensions of a value from d on, a multiple of KV_LANES. */
INLINED vf load_value(enum kv_kept kept, const char *value, int d)
{
    return load_codes(kept, value + kv_value_offset(kept, d), kv_value_is_upper(kept, d));
}

INLINED float load_element(enum kv_kept kept, const char *value, int d)
{
    return kv_code(kept, value + kv_value_offset(kept, d), kv_value_is_upper(kept, d));
}

/* Positions [begin, end), which lie side by side from `value` on: sums grow by weights times values. Meanwhile keys are
 * fetched from `next` on, `step` bytes a position. */
INLINED void weigh_run(enum kv_kept kept, const struct tile_part *p, const char *value, int begin, int end,
                       uintptr_t next, uintptr_t next_end, size_t step, int n_queries, int n_vectors, int in_group,
                       vf sum[KV_QUERY_TILE][4])
{
    const size_t value_bytes = kv_value_bytes(kept, p->head_size);
    ROLLED
    for (int t = begin; t < end; t++, value += value_bytes, next += step) {
        vf v[4];
        if (n_queries == 1 && n_vectors > 1)
            fetch(next, step, next_end);
        else if (n_queries > 1)
            fetch((uintptr_t)value + VALUES_AHEAD * value_bytes, step, UINTPTR_MAX);
        UNROLLED
        for (int g = 0; g < n_vectors; g++)
            v[g] = load_value(kept, value, in_group + g * KV_LANES);
        UNROLLED
        for (int i = 0; i < n_queries; i++) {
            UNROLLED
            for (int g = 0; g < n_vectors; g++)
                sum[i][g] += v[g] * p->scores[i * SCORE_STRIDE + t];
        }
    }
}

/* out[i][d .. d + n_vectors * KV_LANES) = sum_t weight_i[t] v_t[d ..], t < n */
INLINED void weigh(enum kv_kept kept, const struct tile_part *p, float *out, size_t stride, int n_queries,
                   int n_vectors, int d, int n)
{
    const size_t value_bytes = kv_value_bytes(kept, p->head_size);
    const int in_group = n_vectors * KV_LANES % KV_VALUE_GROUP ? d % KV_VALUE_GROUP : 0; /* often known early */
    const size_t first = kv_value_offset(kept, d - in_group);
    const size_t step = (size_t)(n_vectors * KV_LANES) * kv_code_bytes(kept) / (kept == KV_KEPT_INT4 ? 2 : 1);
    vf sum[KV_QUERY_TILE][4];
    UNROLLED
    for (int i = 0; i < n_queries; i++) {
        UNROLLED
        for (int g = 0; g < n_vectors; g++)
            sum[i][g] = (vf){0};
    }
    if (!p->places)
        weigh_run(kept, p, p->values + first, 0, n, p->next_keys, p->next_end, step, n_queries, n_vectors, in_group,
                  sum);
    for (int t = 0, end; p->places && t < n; t = end) {
        const size_t share = (size_t)(d / (n_vectors * KV_LANES)) * step * KV_KEY_BLOCK; /* each d fetches its own */
        const uintptr_t next = p->next_places ? p->next_keys + (size_t)p->next_places[t / KV_KEY_BLOCK] * p->next_block
                                              : 0;
        end = t + KV_KEY_BLOCK < n ? t + KV_KEY_BLOCK : n;
        weigh_run(kept, p, value_at(p, t, value_bytes) + first, t, end, next + share, next ? next + p->next_block : 0,
                  step, n_queries, n_vectors, in_group, sum);
    }
    UNROLLED
    for (int i = 0; i < n_queries; i++) {
        UNROLLED
        for (int g = 0; g < n_vectors; g++)
            v_store(out + (size_t)i * stride + d + g * KV_LANES, sum[i][g]);
    }
}

/* out [d .. head_size) += weight * value */
INLINED void add_rest(enum kv_kept kept, float *out, const char *value, float weight, int d, int head_size)
{
    for (; d < head_size; d++)
        out[d] += weight * load_element(kept, value, d);
}

/* As weigh, for the last head dimensions, which do not fill a vector. In memory: sums of a scalar's products would not
 * be fused as those of add_value are. */
INLINED void weigh_rest(enum kv_kept kept, const struct tile_part *p, float *out, size_t stride, int n_queries, int d,
                        int n)
{
    const size_t value_bytes = kv_value_bytes(kept, p->head_size);
    for (int i = 0; i < n_queries; i++) {
        float *sum = out + (size_t)i * stride;
        memset(sum + d, 0, (size_t)(p->head_size - d) * sizeof *sum);
        for (int t = 0; t < n; t++)
            add_rest(kept, sum, value_at(p, t, value_bytes), p->scores[i * SCORE_STRIDE + t], d, p->head_size);
    }
}

/* out += weight * value */
INLINED void add_value(enum kv_kept kept, float *out, const char *value, float weight, int head_size)
{
    int d = 0;
    for (; d + KV_LANES <= head_size; d += KV_LANES)
        v_store(out + d, v_load(out + d) + load_value(kept, value, d) * weight);
    add_rest(kept, out, value, weight, d, head_size);
}

/* out_i = o of the part. Positions that all queries see are weighed together; the few that only later queries see are
 * added one query at a time, so that nothing later can touch an earlier result. */
INLINED void weigh_all(enum kv_kept kept, const struct tile_part *p, float *out, size_t stride, int n_queries,
                       int n_vectors)
{
    const size_t value_bytes = kv_value_bytes(kept, p->head_size);
    const int shared = seen_by(p, 0);
    int d = 0;
    for (; d + n_vectors * KV_LANES <= p->head_size; d += n_vectors * KV_LANES)
        weigh(kept, p, out, stride, n_queries, n_vectors, d, shared);
    for (; d + KV_LANES <= p->head_size; d += KV_LANES)
        weigh(kept, p, out, stride, n_queries, 1, d, shared);
    if (d < p->head_size)
        weigh_rest(kept, p, out, stride, n_queries, d, shared);
    for (int i = 1; i < n_queries; i++)
        for (int t = shared; t < seen_by(p, i); t++)
            add_value(kept, out + (size_t)i * stride, value_at(p, t, value_bytes), p->scores[i * SCORE_STRIDE + t],
                      p->head_size);
}

/* Of values whose type is not that of the keys, by their type: of a query alone, and of a tile. Code for each pair of types
 * would gain nothing but size. A query alone uses each value once, so that memory sets the pace: vectors enough to hide the
 * latency of the sums. */
enum { ALONE_VECTORS = 4 };
#define WEIGHER(NAME, KEPT)                                                                                            \
    static void weigh_alone_##NAME(const struct tile_part *p, float *out, size_t stride)                               \
    {                                                                                                                  \
        weigh_all(KEPT, p, out, stride, 1, ALONE_VECTORS);                                                             \
    }                                                                                                                  \
    static void weigh_tile_##NAME(const struct tile_part *p, float *out, size_t stride)                                \
    {                                                                                                                  \
        weigh_all(KEPT, p, out, stride, KV_QUERY_TILE, KV_WEIGH_VECTORS);                                              \
    }
WEIGHER(f32, KV_KEPT_F32)
WEIGHER(bf16, KV_KEPT_BF16)
WEIGHER(int8, KV_KEPT_INT8)
WEIGHER(int4, KV_KEPT_INT4)
static const struct {
    void (*alone)(const struct tile_part *p, float *out, size_t stride);
    void (*tile)(const struct tile_part *p, float *out, size_t stride);
} weighers[KV_N_KEPT] = {
    [KV_KEPT_F32] = {weigh_alone_f32, weigh_tile_f32},
    [KV_KEPT_BF16] = {weigh_alone_bf16, weigh_tile_bf16},
    [KV_KEPT_INT8] = {weigh_alone_int8, weigh_tile_int8},
    [KV_KEPT_INT4] = {weigh_alone_int4, weigh_tile_int4},
};

static float exp_of(float x)
{
    return v_exp(v_set(x))[0];
}

/* (m, l, o) takes up a part; l = 0: it is the first. */
static void take_up(struct softmax *known, float *out, const struct softmax *part, const float *part_out, int head_size)
{
    if (known->sum == 0) {
        *known = *part;
        memcpy(out, part_out, (size_t)head_size * sizeof *out);
        return;
    }
    const float largest = part->largest > known->largest ? part->largest : known->largest;
    const float a = exp_of(known->largest - largest), b = exp_of(part->largest - largest);
    for (int d = 0; d < head_size; d++)
        out[d] = out[d] * a + part_out[d] * b;
    *known = (struct softmax){largest, known->sum * a + part->sum * b};
}

static void finish(const struct softmax *known, float *out, int head_size)
{
    const float inverse = 1.0f / known->sum;
    for (int d = 0; d < head_size; d++)
        out[d] *= inverse;
}

/* ---- Queries ------------------------------------------------------------------------------------------------- */

/* p->queries become R q, in `rotated`, with a 0 behind an odd number of dimensions. */
static void rotate_queries(struct tile_part *p, float *rotated, int n_queries)
{
    const size_t size = (size_t)p->head_size, stride = size + size % 2;
    for (int i = 0; i < n_queries; i++) {
        float *to = rotated + (size_t)i * stride;
        to[stride - 1] = 0;
        memcpy(to, p->queries + (size_t)i * p->query_stride, size * sizeof *to);
        rotate(to, p->head_size);
    }
    p->queries = rotated;
    p->query_stride = stride;
}

/* Whether n blocks lie one behind the other. */
INLINED bool is_run(const int32_t *places, int n)
{
    bool run = true;
    for (int i = 1; i < n; i++)
        run &= places[i] == places[0] + i;
    return run;
}

enum { PART_BLOCKS = KV_ATTENTION_PART / KV_KEY_BLOCK };

/* Notes where the keys lie that come next, in places, and fetches what goes with them. */
INLINED void look_ahead_by_places(enum kv_kept kept, const struct kv_attention *a, int part, int position,
                                  struct tile_part *p)
{
    const int n_blocks = position / KV_KEY_BLOCK + 1, first = (part + 1) * PART_BLOCKS;
    const bool same_head = first < n_blocks;
    const size_t slot = same_head ? 0 : a->next, key_bytes = kv_key_bytes(kept, a->head_size);
    const int32_t *places = same_head ? a->places + first : a->next_places;
    const int left = same_head ? n_blocks - first : n_blocks, n = left < PART_BLOCKS ? left : PART_BLOCKS;
    if (!places)
        return;
    p->next_keys = (uintptr_t)a->keys + slot * key_bytes;
    p->next_block = KV_KEY_BLOCK * key_bytes;
    if (p->places) {
        p->next_places = places;
    } else { /* as much as lies one behind the other, at least a block */
        p->next_keys += (size_t)places[0] * p->next_block;
        p->next_end = p->next_keys + (is_run(places, n) ? (size_t)n : 1) * p->next_block;
    }
    for (int i = 0; i < n; i++) {
        const size_t at = (slot + (size_t)places[i] * KV_KEY_BLOCK) * sizeof(uint16_t);
        if (kv_is_scaled(kept))
            __builtin_prefetch((const void *)((uintptr_t)a->key_scales + at));
        if (kv_is_scaled(a->values_kept))
            __builtin_prefetch((const void *)((uintptr_t)a->value_scales + at));
    }
}

/* The same where they lie in the order of their positions. */
INLINED void look_ahead(enum kv_kept kept, const struct kv_attention *a, int part, int position, struct tile_part *p)
{
    const size_t n_positions = (size_t)position + 1, key_bytes = kv_key_bytes(kept, a->head_size);
    size_t begin = (size_t)(part + 1) * KV_ATTENTION_PART, n = n_positions - begin;
    if (begin >= n_positions) {
        begin = a->next;
        n = n_positions;
    }
    n = n < KV_ATTENTION_PART ? n : KV_ATTENTION_PART;
    if (begin == 0)
        return;
    p->next_keys = (uintptr_t)a->keys + begin * key_bytes;
    p->next_end = p->next_keys + n * key_bytes;
    for (size_t i = 0; i < n; i += LINE_BYTES / sizeof(uint16_t)) {
        if (kv_is_scaled(kept))
            __builtin_prefetch((const void *)((uintptr_t)(a->key_scales + begin) + i * sizeof(uint16_t)));
        if (kv_is_scaled(a->values_kept))
            __builtin_prefetch((const void *)((uintptr_t)(a->value_scales + begin) + i * sizeof(uint16_t)));
    }
    if (kv_is_centred(kept)) {
        const size_t block = (begin / KV_KEY_BLOCK + KV_KEY_BLOCK - 1) / KV_KEY_BLOCK * KV_KEY_BLOCK;
        __builtin_prefetch((const void *)((uintptr_t)a->centre_scales + block * sizeof(uint16_t)));
        for (size_t i = 0; i < KV_KEY_BLOCK * (size_t)a->head_size; i += LINE_BYTES)
            __builtin_prefetch((const void *)((uintptr_t)a->centres + block * (size_t)a->head_size + i));
    }
}

/* The centres of the part's n blocks side by side, as without places; gathered [kv_attention_scratch's]: where they
 * are copied to unless they lie so and fill their vectors, beside which another sequence's may just be written. */
INLINED void find_centres(const struct kv_attention *a, const int32_t *places, int n, bool run, struct tile_part *p,
                          char *gathered)
{
    const size_t size = (size_t)a->head_size, first = (size_t)places[0];
    const bool side_by_side = run && n == KV_KEY_BLOCK && first % KV_KEY_BLOCK == 0;
    uint16_t *scales = (uint16_t *)(void *)(gathered + KV_KEY_BLOCK * size);
    p->centres = side_by_side ? (const char *)a->centres + first * size : gathered;
    p->centre_scales = side_by_side ? a->centre_scales + first : scales;
    for (int i = 0; !side_by_side && i < n; i++) {
        const size_t place = (size_t)places[i], column = place % KV_KEY_BLOCK;
        const char *codes = (const char *)a->centres + (place - column) * size + column;
        for (size_t d = 0; d < size; d++)
            gathered[d * KV_KEY_BLOCK + (size_t)i] = codes[d * KV_KEY_BLOCK];
        scales[i] = a->centre_scales[place];
    }
}

/* Where the part's blocks, as far as they are seen, lie: where one behind the other, as without places. */
INLINED void find_places(enum kv_kept kept, const struct kv_attention *a, int part, int n_seen, struct tile_part *p,
                         char *gathered)
{
    const int32_t *places = a->places + part * PART_BLOCKS;
    const int n = (n_seen + KV_KEY_BLOCK - 1) / KV_KEY_BLOCK;
    const bool run = is_run(places, n);
    const size_t slot = run ? (size_t)places[0] * KV_KEY_BLOCK : 0;
    p->places = run ? NULL : places;
    p->keys += slot * kv_key_bytes(kept, a->head_size);
    p->values += slot * p->value_bytes;
    p->key_scales += kv_is_scaled(kept) ? slot : 0;
    p->value_scales += kv_is_scaled(a->values_kept) ? slot : 0;
    if (kv_is_centred(kept))
        find_centres(a, places, n, run, p, gathered);
}

/* A tile of queries, of which the first `skip` are there to fill it: they have been attended to. */
INLINED void attend(enum kv_kept kept, const struct kv_attention *a, int first, int skip, int part, int n_queries,
                    int n_blocks, struct softmax *known)
{
    const size_t head_size = (size_t)a->head_size, first_position = (size_t)part * KV_ATTENTION_PART;
    const size_t begin = a->places ? 0 : first_position; /* the slot that pointers are of */
    const size_t value_bytes = kv_value_bytes(a->values_kept, a->head_size);
    const bool scales_values = kv_is_scaled(a->values_kept);
    struct tile_part p = {
        .queries = a->queries + (size_t)first * a->query_stride,
        .query_stride = a->query_stride,
        .keys = (const char *)a->keys + begin * kv_key_bytes(kept, a->head_size),
        .values = (const char *)a->values + begin * value_bytes,
        .key_scales = kv_is_scaled(kept) ? a->key_scales + begin : NULL,
        .value_scales = scales_values ? a->value_scales + begin : NULL,
        .centres = kv_is_centred(kept) ? (const char *)a->centres + begin / KV_KEY_BLOCK * head_size : NULL,
        .centre_scales = kv_is_centred(kept) ? a->centre_scales + begin / KV_KEY_BLOCK : NULL,
        .value_bytes = value_bytes,
        .head_size = a->head_size,
        .scale = a->scale,
        .n_seen = a->first_position + first + 1 - (int)first_position,
        .scores = a->scratch,
    };
    float *out = a->scratch + KV_MAX_QUERY_TILE * SCORE_STRIDE;
    struct softmax of_part[KV_QUERY_TILE];
    if (a->places)
        find_places(kept, a, part, seen_by(&p, n_queries - 1), &p,
                    (char *)(out + 2 * KV_MAX_QUERY_TILE * (head_size + 1)));
    if (n_queries == 1 && a->places)
        look_ahead_by_places(kept, a, part, a->first_position + first, &p);
    else if (n_queries == 1)
        look_ahead(kept, a, part, a->first_position + first, &p);
    if (kept == KV_KEPT_INT4)
        rotate_queries(&p, out + KV_MAX_QUERY_TILE * (head_size + 1), n_queries);
    score(kept, &p, n_queries, n_blocks, seen_by(&p, n_queries - 1));
    if (n_queries == 1 && a->scores)
        memcpy(a->scores + begin, p.scores, (size_t)seen_by(&p, 0) * sizeof *p.scores);
    for (int i = skip; i < n_queries; i++)
        if (seen_by(&p, i)) {
            of_part[i] = weights_of(p.scores + i * SCORE_STRIDE, seen_by(&p, i));
            if (scales_values)
                scale_weights(&p, p.scores + i * SCORE_STRIDE, seen_by(&p, i));
        }
    if (a->values_kept == kept)
        weigh_all(kept, &p, out, head_size, n_queries, n_queries == 1 ? ALONE_VECTORS : KV_WEIGH_VECTORS);
    else
        (n_queries == 1 ? weighers[a->values_kept].alone : weighers[a->values_kept].tile)(&p, out, head_size);
    for (int i = skip; i < n_queries; i++)
        if (seen_by(&p, i)) {
            if (a->values_kept == KV_KEPT_INT4)
                rotate(out + (size_t)i * head_size, a->head_size);
            take_up(&known[i], a->out + (size_t)(first + i) * a->out_stride, &of_part[i], out + (size_t)i * head_size,
                    a->head_size);
        }
}

/* A query alone uses each key once, so that memory sets the pace: vectors and blocks enough to hide the latency of the
 * sums. Codes of few bytes come faster than floats, and need more of them. */
INLINED void attend_alone(enum kv_kept kept, const struct kv_attention *a, int query, int part, struct softmax *known)
{
    attend(kept, a, query, 0, part, 1, kept == KV_KEPT_F32 || KV_LANES < 8 ? 2 : 4, known);
}

/* Queries [first, first + n), at most KV_QUERY_GROUP, in whole tiles; the last tile begins among the queries before
 * where it has to. */
INLINED void attend_group(enum kv_kept kept, const struct kv_attention *a, int first, int n)
{
    const int n_parts = (a->first_position + first + n - 1) / KV_ATTENTION_PART + 1;
    const int width = first + n < KV_QUERY_TILE ? 1 : KV_QUERY_TILE;
    struct softmax known[KV_QUERY_TILE + KV_QUERY_GROUP] = {{0, 0}}; /* of query `first` at KV_QUERY_TILE */
    for (int part = 0; part < n_parts; part++)
        for (int i = 0; i < n; i += width) {
            const int skip = n - i < width ? width - (n - i) : 0, query = i - skip;
            if (a->first_position + first + query + width <= part * KV_ATTENTION_PART)
                continue; /* all of the part lies behind these queries */
            if (width == 1)
                attend_alone(kept, a, first + query, part, known + KV_QUERY_TILE + query);
            else
                attend(kept, a, first + query, skip, part, KV_QUERY_TILE, KV_SCORE_BLOCKS,
                       known + KV_QUERY_TILE + query);
        }
    for (int i = 0; i < n; i++)
        finish(&known[KV_QUERY_TILE + i], a->out + (size_t)(first + i) * a->out_stride, a->head_size);
}

/* partial = {m, l, o [head_size]} */
INLINED void attend_part(enum kv_kept kept, const struct kv_attention *a)
{
    struct kv_attention to_partial = *a;
    struct softmax known = {0, 0};
    to_partial.out = a->partial + 2;
    attend_alone(kept, &to_partial, 0, a->part, &known);
    a->partial[0] = known.largest;
    a->partial[1] = known.sum;
}

INLINED void attention(enum kv_kept kept, const struct kv_attention *a)
{
    if (a->partial)
        attend_part(kept, a);
    else
        for (int i = 0; i < a->n_queries; i += KV_QUERY_GROUP)
            attend_group(kept, a, i, a->n_queries - i < KV_QUERY_GROUP ? a->n_queries - i : KV_QUERY_GROUP);
}

static void attention_f32(const struct kv_attention *a)
{
    attention(KV_KEPT_F32, a);
}

static void attention_bf16(const struct kv_attention *a)
{
    attention(KV_KEPT_BF16, a);
}

static void attention_int8(const struct kv_attention *a)
{
    attention(KV_KEPT_INT8, a);
}

static void attention_int4(const struct kv_attention *a)
{
    attention(KV_KEPT_INT4, a);
}

static void attention_join(const float *partials, int n, int head_size, float *out)
{
    struct softmax known = {0, 0};
    for (int i = 0; i < n; i++, partials += 2 + head_size)
        take_up(&known, out, &(struct softmax){partials[0], partials[1]}, partials + 2, head_size);
    finish(&known, out, head_size);
}
