#include "plain_gpt2.h"

#include "model/weights.h"

#include <math.h>
#include <stdlib.h>

static double *allocate(size_t n)
{
    double *values = calloc(n, sizeof *values);
    assert_non_null(values);
    return values;
}

void plain_linear(const double *x, int k, const float *w, const float *bias, double *y, int n)
{
    for (int j = 0; j < n; j++) {
        double sum = (double)bias[j];
        for (int i = 0; i < k; i++)
            sum += x[i] * (double)w[(size_t)i * (size_t)n + (size_t)j];
        y[j] = sum;
    }
}

void plain_layer_norm(const double *x, const float *gain, const float *bias, double epsilon, double *y, int n)
{
    double mean = 0, variance = 0;
    for (int i = 0; i < n; i++)
        mean += x[i] / n;
    for (int i = 0; i < n; i++)
        variance += (x[i] - mean) * (x[i] - mean) / n;
    for (int i = 0; i < n; i++)
        y[i] = (x[i] - mean) / sqrt(variance + epsilon) * (double)gain[i] + (double)bias[i];
}

double plain_gelu(enum kv_activation activation, double x)
{
    if (activation == KV_GELU)
        return 0.5 * x * (1 + erf(x / sqrt(2)));
    return 0.5 * x * (1 + tanh(sqrt(2 / acos(-1)) * (x + 0.044715 * x * x * x)));
}

static double *weight_at(const struct plain_gpt2 *g, int layer, int head, int from, int to)
{
    const size_t n = (size_t)g->n, row = ((size_t)layer * (size_t)g->n_head + (size_t)head) * n + (size_t)from;
    return g->weights + row * n + (size_t)to;
}

/* Sinks and the newest, i among them; without any, all. */
static bool sees(const struct plain_gpt2 *g, int i, int t)
{
    return g->recent == 0 || t < g->sinks || t > i - g->recent;
}

/* out [S] = what position i of one head makes of the positions up to its own */
static void attend(const struct plain_gpt2 *g, int layer, int head, int i, double *out)
{
    double *weights = weight_at(g, layer, head, i, 0), largest = -INFINITY, sum = 0;
    for (int t = 0; t <= i; t++) {
        double score = sees(g, i, t) ? 0 : -INFINITY;
        for (int d = 0; d < g->head_size; d++)
            score += plain_vector(g, PLAIN_QUERY, layer, head, i, d) * plain_vector(g, PLAIN_KEY, layer, head, t, d);
        weights[t] = score / sqrt(g->head_size);
        largest = fmax(largest, weights[t]);
    }
    for (int t = 0; t <= i; t++)
        sum += weights[t] = exp(weights[t] - largest);
    for (int t = 0; t <= i; t++) {
        weights[t] /= sum;
        for (int d = 0; d < g->head_size; d++)
            out[d] += weights[t] * plain_vector(g, PLAIN_VALUE, layer, head, t, d);
    }
}

static void keep_head(const struct plain_gpt2 *g, int layer, int head)
{
    const size_t C = (size_t)g->n_embd, first = (size_t)layer * (size_t)g->n * 3 * C;
    for (int part = PLAIN_KEY; part <= PLAIN_VALUE; part++)
        g->keep(g->qkv + first + (size_t)part * C + (size_t)(head * g->head_size), g->n, g->head_size, 3 * g->n_embd,
                part == PLAIN_KEY);
}

/* x [n, C] through one layer; h [C], inner [I] */
static void run_layer(struct plain_gpt2 *g, const struct kv_model *model, int layer, double *x)
{
    const struct kv_config *c = &model->config;
    const struct kv_layer_weights *w = &model->layers[layer];
    const int C = c->n_embd, I = c->n_inner;
    const double epsilon = (double)c->layer_norm_epsilon;
    double *h = allocate((size_t)C), *y = allocate((size_t)C), *inner = allocate((size_t)I);
    for (int i = 0; i < g->n; i++) {
        plain_layer_norm(x + (size_t)i * (size_t)C, w->ln_1_weight, w->ln_1_bias, epsilon, h, C);
        plain_linear(h, C, kv_matrix_floats(&w->c_attn_weight), w->c_attn_bias,
                     g->qkv + ((size_t)layer * (size_t)g->n + (size_t)i) * 3 * (size_t)C, 3 * C);
    }
    for (int head = 0; g->keep && head < g->n_head; head++)
        keep_head(g, layer, head);
    for (int i = 0; i < g->n; i++) {
        double *row = x + (size_t)i * (size_t)C;
        for (int d = 0; d < C; d++)
            h[d] = 0;
        for (int head = 0; head < g->n_head; head++)
            attend(g, layer, head, i, h + head * g->head_size);
        plain_linear(h, C, kv_matrix_floats(&w->attn_proj_weight), w->attn_proj_bias, y, C);
        for (int d = 0; d < C; d++)
            row[d] += y[d];
        plain_layer_norm(row, w->ln_2_weight, w->ln_2_bias, epsilon, h, C);
        plain_linear(h, C, kv_matrix_floats(&w->c_fc_weight), w->c_fc_bias, inner, I);
        for (int d = 0; d < I; d++)
            inner[d] = plain_gelu(c->activation, inner[d]);
        plain_linear(inner, I, kv_matrix_floats(&w->mlp_proj_weight), w->mlp_proj_bias, y, C);
        for (int d = 0; d < C; d++)
            row[d] += y[d];
    }
    free(h);
    free(y);
    free(inner);
}

/* logits [n, V] = ln_f(x) wte^T */
static void predict(const struct kv_model *model, const double *x, int n, double *logits)
{
    const struct kv_config *c = &model->config;
    const size_t C = (size_t)c->n_embd, V = (size_t)c->vocab_size;
    double *h = allocate(C);
    for (size_t i = 0; i < (size_t)n; i++) {
        plain_layer_norm(x + i * C, model->ln_f_weight, model->ln_f_bias, (double)c->layer_norm_epsilon, h, c->n_embd);
        for (size_t v = 0; v < V; v++) {
            logits[i * V + v] = 0;
            for (size_t d = 0; d < C; d++)
                logits[i * V + v] += h[d] * (double)kv_matrix_floats(&model->wte)[v * C + d];
        }
    }
    free(h);
}

/* Of the mask or the cache that *g has. */
static void run(struct plain_gpt2 *g, const struct kv_model *model, const int32_t *tokens, int n, double *logits)
{
    const struct kv_config *c = &model->config;
    const size_t L = (size_t)c->n_layer, N = (size_t)n, C = (size_t)c->n_embd;
    g->n = n;
    g->n_head = c->n_head;
    g->n_embd = c->n_embd;
    g->head_size = c->n_embd / c->n_head;
    g->qkv = allocate(L * N * 3 * C);
    g->weights = allocate(L * (size_t)c->n_head * N * N);
    double *x = allocate(N * C);
    for (size_t i = 0; i < N; i++)
        for (size_t d = 0; d < C; d++)
            x[i * C + d] = (double)kv_matrix_floats(&model->wte)[(size_t)tokens[i] * C + d] +
                           (double)model->wpe[i * C + d];
    for (int layer = 0; layer < c->n_layer; layer++)
        run_layer(g, model, layer, x);
    if (logits)
        predict(model, x, n, logits);
    free(x);
}

void plain_gpt2_run(struct plain_gpt2 *g, const struct kv_model *model, const int32_t *tokens, int n)
{
    *g = (struct plain_gpt2){0};
    run(g, model, tokens, n, NULL);
}

void plain_gpt2_run_window(struct plain_gpt2 *g, const struct kv_model *model, const int32_t *tokens, int n, int sinks,
                           int recent, double *logits)
{
    *g = (struct plain_gpt2){.sinks = sinks, .recent = recent};
    run(g, model, tokens, n, logits);
}

void plain_gpt2_run_kept(struct plain_gpt2 *g, const struct kv_model *model, const int32_t *tokens, int n,
                         plain_keep *keep, double *logits)
{
    *g = (struct plain_gpt2){.keep = keep};
    run(g, model, tokens, n, logits);
}

void plain_gpt2_free(struct plain_gpt2 *g)
{
    free(g->qkv);
    free(g->weights);
}

double plain_vector(const struct plain_gpt2 *g, enum plain_part part, int layer, int head, int position, int dimension)
{
    const size_t row = (size_t)layer * (size_t)g->n + (size_t)position;
    return g->qkv[row * 3 * (size_t)g->n_embd + (size_t)((int)part * g->n_embd + head * g->head_size + dimension)];
}

double plain_weight(const struct plain_gpt2 *g, int layer, int head, int from, int to)
{
    return *weight_at(g, layer, head, from, to);
}
