/* Inference beside matrix products, at one level; see level.h. */
_Static_assert(KV_KEY_BLOCK % KV_LANES == 0, "a block of keys is a whole number of vectors");
_Static_assert(KV_QUERY_TILE <= KV_MAX_QUERY_TILE, "the scratch holds a tile");
_Static_assert(KV_QUERY_GROUP % KV_QUERY_TILE == 0, "a group is a whole number of tiles");
_Static_assert(KV_ATTENTION_PART % (2 * KV_KEY_BLOCK) == 0, "a part is a whole number of blocks");

static void layer_norm(const float *x, const float *gain, const float *bias, float epsilon, float *y, int n)
{
    const struct row_norm norm = norm_of_row(x, epsilon, n);
    for (int i = 0; i < n; i++)
        y[i] = (x[i] - norm.mean) * norm.scale * gain[i] + bias[i];
}

static void add(float *y, const float *bias, int n)
{
    for (int i = 0; i < n; i++)
        y[i] += bias[i];
}

/* 0.5 x (1 + tanh u) = x / (1 + e^(-2u)),  u = sqrt(2/pi) (x + 0.044715 x^3) */
static inline vf v_gelu_new(vf x)
{
    const vf minus_2u = x * (x * x * (-2 * 0.7978845608f * 0.044715f) - 2 * 0.7978845608f);
    return x / (v_exp(minus_2u) + 1.0f);
}

static void gelu_new(float *y, const float *bias, int n)
{
    const int whole = n - n % KV_LANES, part = n % KV_LANES;
    for (int i = 0; i < whole; i += KV_LANES)
        v_store(y + i, v_gelu_new(v_load(y + i) + v_load(bias + i)));
    if (part)
        v_store_part(y + whole, part,
                     v_gelu_new(v_load_part(y + whole, part, 0.0f) + v_load_part(bias + whole, part, 0.0f)));
}

static void gelu(float *y, const float *bias, int n)
{
    for (int i = 0; i < n; i++) {
        const float x = y[i] + bias[i];
        y[i] = 0.5f * x * (1.0f + erff(x * 0.70710678f));
    }
}

/* ---- Attention ---------------------------------------------------------------------------------------------------
 *
 * The keys are taken in parts of KV_ATTENTION_PART positions, with a running softmax. Of one part c, computed from
 * nothing but it,
 *   s_t = q . k_t scale,   m_c = max s_t,   w_t = e^(s_t - m_c),   l_c = sum w_t,   o_c = sum w_t v_t
 * and what is known of the parts before, (m, l, o), takes it up as
 *   m' = max(m, m_c),   l' = l e^(m - m') + l_c e^(m_c - m'),   o' = o e^(m - m') + o_c e^(m_c - m');   out = o / l
 * (Milakov & Gimelshein 2018, "Online normalizer calculation for softmax"). Parts begin at multiples of
 * KV_ATTENTION_PART and are taken up in order, so that the bits of a query depend neither on the queries that are asked
 * together with it nor on who computes which part. A part is used by a group of queries while the caches hold it, by a
 * tile of them at a time in registers. */

enum { SCORE_STRIDE = KV_ATTENTION_PART + KV_KEY_BLOCK }; /* no two rows of scores in the same set of a cache */

/* A tile of queries on a part of the keys. */
struct tile_part {
    const float *queries; /* [n_queries, head_size], query_stride apart */
    size_t query_stride;
    const float *keys, *values; /* of the part's first position */
    int head_size;
    float scale;
    int n_seen;    /* positions of the part that query 0 sees, less than 1: none; query i sees i more */
    float *scores; /* [n_queries][SCORE_STRIDE] */
};

static int seen_by(const struct tile_part *p, int query)
{
    const int n = p->n_seen + query;
    return n < 0 ? 0 : n < KV_ATTENTION_PART ? n : KV_ATTENTION_PART;
}

/* scores[i][t ..] of n_blocks blocks of keys. Inlined with constant numbers, so that the sums stay in registers. */
INLINED void score_blocks(const struct tile_part *p, int t, int n_queries, int n_blocks)
{
    enum { VECTORS = KV_KEY_BLOCK / KV_LANES };
    const float *keys = p->keys + (size_t)t * (size_t)p->head_size, *queries = p->queries;
    const size_t block = (size_t)p->head_size * KV_KEY_BLOCK;
    vf sum[KV_QUERY_TILE][2 * VECTORS];
    UNROLLED
    for (int i = 0; i < n_queries; i++) {
        UNROLLED
        for (int j = 0; j < n_blocks * VECTORS; j++)
            sum[i][j] = (vf){0};
    }
    ROLLED
    for (int d = 0; d < p->head_size; d++, keys += KV_KEY_BLOCK, queries++) {
        vf key[2 * VECTORS];
        UNROLLED
        for (int j = 0; j < n_blocks * VECTORS; j++)
            key[j] = v_load(keys + (size_t)(j / VECTORS) * block + j % VECTORS * KV_LANES);
        UNROLLED
        for (int i = 0; i < n_queries; i++) {
            UNROLLED
            for (int j = 0; j < n_blocks * VECTORS; j++)
                sum[i][j] += key[j] * queries[(size_t)i * p->query_stride];
        }
    }
    UNROLLED
    for (int i = 0; i < n_queries; i++) {
        UNROLLED
        for (int j = 0; j < n_blocks * VECTORS; j++)
            v_store(p->scores + i * SCORE_STRIDE + t + j * KV_LANES, sum[i][j] * p->scale);
    }
}

/* Of all blocks that hold one of the first n positions. */
INLINED void score(const struct tile_part *p, int n_queries, int n_blocks, int n)
{
    int t = 0;
    for (; t + (n_blocks - 1) * KV_KEY_BLOCK < n; t += n_blocks * KV_KEY_BLOCK)
        score_blocks(p, t, n_queries, n_blocks);
    for (; t < n; t += KV_KEY_BLOCK)
        score_blocks(p, t, n_queries, 1);
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

/* out[i][d .. d + n_vectors * KV_LANES) = sum_t weight_i[t] v_t[d ..], t < n */
INLINED void weigh(const struct tile_part *p, float *out, size_t stride, int n_queries, int n_vectors, int d, int n)
{
    const float *value = p->values + d;
    vf sum[KV_QUERY_TILE][4];
    UNROLLED
    for (int i = 0; i < n_queries; i++) {
        UNROLLED
        for (int g = 0; g < n_vectors; g++)
            sum[i][g] = (vf){0};
    }
    ROLLED
    for (int t = 0; t < n; t++, value += p->head_size) {
        vf v[4];
        UNROLLED
        for (int g = 0; g < n_vectors; g++)
            v[g] = v_load(value + g * KV_LANES);
        UNROLLED
        for (int i = 0; i < n_queries; i++) {
            UNROLLED
            for (int g = 0; g < n_vectors; g++)
                sum[i][g] += v[g] * p->scores[i * SCORE_STRIDE + t];
        }
    }
    UNROLLED
    for (int i = 0; i < n_queries; i++) {
        UNROLLED
        for (int g = 0; g < n_vectors; g++)
            v_store(out + (size_t)i * stride + d + g * KV_LANES, sum[i][g]);
    }
}

/* The same for the last head dimensions, which do not fill a vector. */
static void weigh_rest(const struct tile_part *p, float *out, size_t stride, int n_queries, int d, int n)
{
    for (int i = 0; i < n_queries; i++)
        for (int e = d; e < p->head_size; e++) {
            float sum = 0;
            for (int t = 0; t < n; t++)
                sum += p->scores[i * SCORE_STRIDE + t] * p->values[(size_t)t * (size_t)p->head_size + (size_t)e];
            out[(size_t)i * stride + (size_t)e] = sum;
        }
}

/* out_i = o of the part. Positions that all queries see are weighed together; the few that only later queries see are
 * added one query at a time, so that nothing later can touch an earlier result. */
INLINED void weigh_all(const struct tile_part *p, float *out, size_t stride, int n_queries, int n_vectors)
{
    const int shared = seen_by(p, 0);
    int d = 0;
    for (; d + n_vectors * KV_LANES <= p->head_size; d += n_vectors * KV_LANES)
        weigh(p, out, stride, n_queries, n_vectors, d, shared);
    for (; d + KV_LANES <= p->head_size; d += KV_LANES)
        weigh(p, out, stride, n_queries, 1, d, shared);
    if (d < p->head_size)
        weigh_rest(p, out, stride, n_queries, d, shared);
    for (int i = 1; i < n_queries; i++)
        for (int t = shared; t < seen_by(p, i); t++)
            for (d = 0; d < p->head_size; d++)
                out[(size_t)i * stride + (size_t)d] += p->scores[i * SCORE_STRIDE + t] *
                                                       p->values[(size_t)t * (size_t)p->head_size + (size_t)d];
}

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

/* A tile of queries, of which the first `skip` are there to fill it: they have been attended to. */
INLINED void attend(const struct kv_attention *a, int first, int skip, int part, int n_queries, int n_vectors,
                    int n_blocks, struct softmax *known)
{
    const size_t head_size = (size_t)a->head_size, begin = (size_t)part * KV_ATTENTION_PART;
    const struct tile_part p = {
        .queries = a->queries + (size_t)first * a->query_stride,
        .query_stride = a->query_stride,
        .keys = a->keys + begin * head_size,
        .values = a->values + begin * head_size,
        .head_size = a->head_size,
        .scale = a->scale,
        .n_seen = a->first_position + first + 1 - (int)begin,
        .scores = a->scratch,
    };
    float *out = a->scratch + KV_MAX_QUERY_TILE * SCORE_STRIDE;
    struct softmax of_part[KV_QUERY_TILE];
    score(&p, n_queries, n_blocks, seen_by(&p, n_queries - 1));
    for (int i = skip; i < n_queries; i++)
        if (seen_by(&p, i))
            of_part[i] = weights_of(p.scores + i * SCORE_STRIDE, seen_by(&p, i));
    weigh_all(&p, out, head_size, n_queries, n_vectors);
    for (int i = skip; i < n_queries; i++)
        if (seen_by(&p, i))
            take_up(&known[i], a->out + (size_t)(first + i) * a->out_stride, &of_part[i], out + (size_t)i * head_size,
                    a->head_size);
}

/* Queries [first, first + n), at most KV_QUERY_GROUP, in whole tiles; the last tile begins among the queries before
 * where it has to. A query alone uses each key once, so that memory sets the pace. */
static void attend_group(const struct kv_attention *a, int first, int n)
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
                attend(a, first + query, 0, part, 1, 4, 2, known + KV_QUERY_TILE + query);
            else
                attend(a, first + query, skip, part, KV_QUERY_TILE, KV_WEIGH_VECTORS, KV_SCORE_BLOCKS,
                       known + KV_QUERY_TILE + query);
        }
    for (int i = 0; i < n; i++)
        finish(&known[KV_QUERY_TILE + i], a->out + (size_t)(first + i) * a->out_stride, a->head_size);
}

/* partial = {m, l, o [head_size]} */
static void attend_part(const struct kv_attention *a)
{
    struct kv_attention to_partial = *a;
    struct softmax known = {0, 0};
    to_partial.out = a->partial + 2;
    attend(&to_partial, 0, 0, a->part, 1, 4, 2, &known);
    a->partial[0] = known.largest;
    a->partial[1] = known.sum;
}

static void attention(const struct kv_attention *a)
{
    if (a->partial)
        attend_part(a);
    else
        for (int i = 0; i < a->n_queries; i += KV_QUERY_GROUP)
            attend_group(a, i, a->n_queries - i < KV_QUERY_GROUP ? a->n_queries - i : KV_QUERY_GROUP);
}

static void attention_join(const float *partials, int n, int head_size, float *out)
{
    struct softmax known = {0, 0};
    for (int i = 0; i < n; i++, partials += 2 + head_size)
        take_up(&known, out, &(struct softmax){partials[0], partials[1]}, partials + 2, head_size);
    finish(&known, out, head_size);
}

static int argmax(const float *x, int n)
{
    const int whole = n - n % KV_LANES;
    float largest = -INFINITY;
    vi not_a_number = {0};
    vf lanes = v_set(-INFINITY);
    for (int i = 0; i < whole; i += KV_LANES) {
        const vf v = v_load(x + i);
        not_a_number |= v != v;
        lanes = v_max(lanes, v);
    }
    for (int i = 0; i < KV_LANES; i++)
        if (not_a_number[i])
            return -1;
    largest = v_largest(lanes);
    for (int i = whole; i < n; i++) {
        if (x[i] != x[i])
            return -1;
        largest = x[i] > largest ? x[i] : largest;
    }
    int index = 0;
    while (x[index] != largest)
        index++;
    return index;
}
