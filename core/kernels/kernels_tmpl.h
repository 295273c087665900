/* Inference beside matrix products, at one level; see level.h. */
_Static_assert(KV_KEY_BLOCK % KV_LANES == 0, "a block of keys is a whole number of vectors");
_Static_assert(KV_QUERY_TILE <= KV_MAX_QUERY_TILE, "the scores' scratch holds a tile");

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

/* scores[i][t] = q_i . k_t * scale for all t of the key blocks that hold positions 0..n_positions-1.
 * Inlined with a constant n_queries, so that the accumulators stay in registers. */
INLINED void score(const struct kv_attention *a, const float *queries, int n_queries, int n_positions)
{
    for (int t = 0; t < n_positions; t += KV_KEY_BLOCK) {
        const float *block = a->keys + (size_t)t * (size_t)a->head_size;
        vf sum[KV_QUERY_TILE][KV_KEY_BLOCK / KV_LANES] = {0};
        for (int d = 0; d < a->head_size; d++)
            for (int g = 0; g < KV_KEY_BLOCK / KV_LANES; g++) {
                const vf key = v_load(block + d * KV_KEY_BLOCK + g * KV_LANES);
                for (int i = 0; i < n_queries; i++)
                    sum[i][g] += key * queries[(size_t)i * a->query_stride + (size_t)d];
            }
        for (int i = 0; i < n_queries; i++)
            for (int g = 0; g < KV_KEY_BLOCK / KV_LANES; g++)
                v_store(a->scores + (size_t)i * a->score_stride + t + g * KV_LANES, sum[i][g] * a->scale);
    }
}

/* weights [n, padded with 0 to whole vectors] = e^(s - max s); returns 1 / their sum. */
static float softmax(float *scores, int n)
{
    const int padded = (n + KV_LANES - 1) / KV_LANES * KV_LANES;
    for (int t = n; t < padded; t++)
        scores[t] = -INFINITY;
    vf largest = v_load(scores);
    for (int t = KV_LANES; t < padded; t += KV_LANES)
        largest = v_max(largest, v_load(scores + t));
    const vf shift = v_set(v_largest(largest));
    vf sum = {0};
    for (int t = 0; t < padded; t += KV_LANES) {
        const vf weight = v_exp(v_load(scores + t) - shift);
        v_store(scores + t, weight);
        sum += weight;
    }
    return 1.0f / v_sum(sum);
}

/* out_i[d .. d + n_vectors * KV_LANES) = sum_t weight_i[t] v_t[d ..], t < n_positions */
INLINED void weigh(const struct kv_attention *a, float *out, int n_queries, int n_vectors, int d, int n_positions)
{
    vf sum[KV_QUERY_TILE][4] = {0};
    for (int t = 0; t < n_positions; t++) {
        const float *value = a->values + (size_t)t * (size_t)a->head_size + d;
        for (int g = 0; g < n_vectors; g++) {
            const vf v = v_load(value + g * KV_LANES);
            for (int i = 0; i < n_queries; i++)
                sum[i][g] += v * a->scores[(size_t)i * a->score_stride + (size_t)t];
        }
    }
    for (int i = 0; i < n_queries; i++)
        for (int g = 0; g < n_vectors; g++)
            v_store(out + (size_t)i * a->out_stride + d + g * KV_LANES, sum[i][g]);
}

/* The same for the last head dimensions, which do not fill a vector. */
static void weigh_rest(const struct kv_attention *a, float *out, int n_queries, int d, int n_positions)
{
    for (int i = 0; i < n_queries; i++)
        for (int e = d; e < a->head_size; e++) {
            float sum = 0;
            for (int t = 0; t < n_positions; t++)
                sum += a->scores[(size_t)i * a->score_stride + (size_t)t] *
                       a->values[(size_t)t * (size_t)a->head_size + (size_t)e];
            out[(size_t)i * a->out_stride + (size_t)e] = sum;
        }
}

INLINED void weigh_all(const struct kv_attention *a, float *out, int n_queries, int n_vectors, int n_positions)
{
    int d = 0;
    for (; d + n_vectors * KV_LANES <= a->head_size; d += n_vectors * KV_LANES)
        weigh(a, out, n_queries, n_vectors, d, n_positions);
    for (; d + KV_LANES <= a->head_size; d += KV_LANES)
        weigh(a, out, n_queries, 1, d, n_positions);
    if (d < a->head_size)
        weigh_rest(a, out, n_queries, d, n_positions);
}

/* Query i of a tile sees `n_positions + i` positions: those that all of them see were weighed together; the few
 * that only later ones see are added one query at a time, so that nothing later can touch an earlier result. */
static void finish_query(const struct kv_attention *a, float *out, int i, int n_shared, float inverse_sum)
{
    const float *weights = a->scores + (size_t)i * a->score_stride;
    for (int t = n_shared; t < n_shared + i; t++)
        for (int d = 0; d < a->head_size; d++)
            out[d] += weights[t] * a->values[(size_t)t * (size_t)a->head_size + (size_t)d];
    for (int d = 0; d < a->head_size; d++)
        out[d] *= inverse_sum;
}

INLINED void attend(const struct kv_attention *a, int first, int n_queries, int n_vectors)
{
    const int n_shared = a->first_position + first + 1;
    float *out = a->out + (size_t)first * a->out_stride;
    float inverse_sum[KV_QUERY_TILE];
    score(a, a->queries + (size_t)first * a->query_stride, n_queries, n_shared + n_queries - 1);
    for (int i = 0; i < n_queries; i++)
        inverse_sum[i] = softmax(a->scores + (size_t)i * a->score_stride, n_shared + i);
    weigh_all(a, out, n_queries, n_vectors, n_shared);
    for (int i = 0; i < n_queries; i++)
        finish_query(a, out + (size_t)i * a->out_stride, i, n_shared, inverse_sum[i]);
}

static void attention(const struct kv_attention *a)
{
    int i = 0;
    for (; i + KV_QUERY_TILE <= a->n_queries; i += KV_QUERY_TILE)
        attend(a, i, KV_QUERY_TILE, 2);
    for (; i < a->n_queries; i++)
        attend(a, i, 1, 4);
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
