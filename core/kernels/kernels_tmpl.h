/* Inference beside matrix products and attention, at one level; see level.h. */
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
