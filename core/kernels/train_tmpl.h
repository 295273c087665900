/* Training beside matrix products, at one level; see level.h. */

/* Floats that are summed in float32 before they go into a double. */
#define SUM_BLOCK 1024

static int whole_vectors(int n)
{
    return n - n % KV_LANES;
}

static float train_normalize(const float *x, float epsilon, float *normalized, int n)
{
    const struct row_norm norm = norm_of_row(x, epsilon, n);
    for (int i = 0; i < n; i++)
        normalized[i] = (x[i] - norm.mean) * norm.scale;
    return norm.scale;
}

static void train_affine(const float *x, const float *gain, const float *bias, float *y, int n)
{
    for (int i = 0; i < n; i++)
        y[i] = x[i] * gain[i] + bias[i];
}

static void train_multiply_add(float *y, const float *a, const float *b, int n)
{
    for (int i = 0; i < n; i++)
        y[i] += a[i] * b[i];
}

/* With g = dy * gain and z = normalized:  dx += scale (g - mean(g) - z mean(g z)) */
static void normalize_backward(const float *dy, const float *gain, const float *normalized, float scale, float *dx,
                               int n)
{
    const int whole = whole_vectors(n);
    vf sum = {0}, product = {0};
    for (int i = 0; i < whole; i += KV_LANES) {
        const vf g = v_load(dy + i) * v_load(gain + i);
        sum += g;
        product += g * v_load(normalized + i);
    }
    float mean = v_sum(sum), mean_product = v_sum(product);
    for (int i = whole; i < n; i++) {
        mean += dy[i] * gain[i];
        mean_product += dy[i] * gain[i] * normalized[i];
    }
    mean /= (float)n;
    mean_product /= (float)n;
    for (int i = 0; i < n; i++)
        dx[i] += scale * (dy[i] * gain[i] - mean - normalized[i] * mean_product);
}

/* y / x is what gelu multiplies x by: 0.5 (1 + tanh u), or 0.5 (1 + erf(x / sqrt 2)). */
static inline vf v_factor(vf x, vf y)
{
    const vi zero = x == v_set(0.0f);
    return v_select(zero, v_set(0.5f), y / v_select(zero, v_set(1.0f), x));
}

/* f = 0.5 (1 + tanh u) is the logistic function of 2u, so f' = 2 f (1 - f) u' */
static inline vf v_gelu_new_slope(vf x, vf y)
{
    const vf f = v_factor(x, y);
    const vf du = x * x * (3 * 0.7978845608f * 0.044715f) + 0.7978845608f;
    return f + x * f * (1.0f - f) * du * 2.0f;
}

/* f is the normal distribution function, so f' = e^(-x^2 / 2) / sqrt(2 pi) */
static inline vf v_gelu_slope(vf x, vf y)
{
    return v_factor(x, y) + x * v_exp(x * x * -0.5f) * 0.3989422804f;
}

INLINED void activation_backward(vf (*slope)(vf x, vf y), const float *x, const float *bias, const float *y, float *dy,
                                 int n)
{
    const int whole = whole_vectors(n), part = n - whole;
    for (int i = 0; i < whole; i += KV_LANES)
        v_store(dy + i, v_load(dy + i) * slope(v_load(x + i) + v_load(bias + i), v_load(y + i)));
    if (part) {
        const vf input = v_load_part(x + whole, part, 0.0f) + v_load_part(bias + whole, part, 0.0f);
        const vf s = slope(input, v_load_part(y + whole, part, 0.0f));
        v_store_part(dy + whole, part, v_load_part(dy + whole, part, 0.0f) * s);
    }
}

static void gelu_new_backward(const float *x, const float *bias, const float *y, float *dy, int n)
{
    activation_backward(v_gelu_new_slope, x, bias, y, dy, n);
}

static void gelu_backward(const float *x, const float *bias, const float *y, float *dy, int n)
{
    activation_backward(v_gelu_slope, x, bias, y, dy, n);
}

/* x = e^(x - max x); returns the sum, and the largest in *largest. */
static float exponentials(float *x, int n, float *largest)
{
    const int whole = whole_vectors(n), part = n - whole;
    vf most = v_load_part(x + whole, part, -INFINITY);
    for (int i = 0; i < whole; i += KV_LANES)
        most = v_max(most, v_load(x + i));
    *largest = v_largest(most);
    vf sum = {0};
    for (int i = 0; i < whole; i += KV_LANES) {
        const vf e = v_exp(v_load(x + i) - *largest);
        v_store(x + i, e);
        sum += e;
    }
    if (part) {
        const vf e = v_exp(v_load_part(x + whole, part, -INFINITY) - *largest);
        v_store_part(x + whole, part, e);
        sum += e;
    }
    return v_sum(sum);
}

static void train_softmax(float *x, int n)
{
    float largest;
    const float scale = 1.0f / exponentials(x, n, &largest);
    for (int i = 0; i < n; i++)
        x[i] *= scale;
}

static void softmax_backward(const float *p, float *dp, float scale, int n)
{
    const int whole = whole_vectors(n);
    vf product = {0};
    for (int i = 0; i < whole; i += KV_LANES)
        product += v_load(p + i) * v_load(dp + i);
    float sum = v_sum(product);
    for (int i = whole; i < n; i++)
        sum += p[i] * dp[i];
    for (int i = 0; i < n; i++)
        dp[i] = scale * p[i] * (dp[i] - sum);
}

static double cross_entropy(float *x, int target, float scale, int n)
{
    const float wanted = x[target];
    float largest;
    const float sum = exponentials(x, n, &largest);
    for (int i = 0; i < n; i++)
        x[i] *= scale / sum;
    x[target] -= scale;
    return log((double)sum) + ((double)largest - (double)wanted);
}

static double train_squares(const float *x, size_t n)
{
    double total = 0;
    for (size_t begin = 0; begin < n; begin += SUM_BLOCK) {
        const int count = n - begin < SUM_BLOCK ? (int)(n - begin) : SUM_BLOCK, whole = whole_vectors(count);
        vf sum = {0};
        for (int i = 0; i < whole; i += KV_LANES)
            sum += v_load(x + begin + i) * v_load(x + begin + i);
        total += (double)v_sum(sum);
        for (int i = whole; i < count; i++)
            total += (double)x[begin + (size_t)i] * (double)x[begin + (size_t)i];
    }
    return total;
}

static void adamw(const struct kv_adamw *s, float *w, const float *g, float *m, float *v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const float gradient = g[i] * s->gradient_scale;
        m[i] = s->beta1 * m[i] + (1.0f - s->beta1) * gradient;
        v[i] = s->beta2 * v[i] + (1.0f - s->beta2) * gradient * gradient;
        w[i] = w[i] * s->keep - s->rate * m[i] / (sqrtf(v[i]) * s->root_correction + s->epsilon);
    }
}
