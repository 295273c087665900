/* The KV cache in plain C, as core/README.md shows it, against both paths of a session. */
#include "checkpoint.h"
#include "plain_gpt2.h"
#include "unit.h"

#include "model/weights.h"

#include <math.h>
#include <string.h>

enum { L = 2, W = 64, C = 32, H = 2, S = C / H, V = 97, MOST = 4 * C }; /* the shape of tiny-f32 */

/* The cache; the part that README shows begins below. */
static double keys[L][W][C], values[L][W][C];

/* The parts around attention, which look at one position alone. */
static void embed(const struct kv_model *m, int token, int n, double x[C])
{
    for (int i = 0; i < C; i++)
        x[i] = (double)kv_matrix_floats(&m->wte)[token * C + i] + (double)m->wpe[n * C + i];
}

static void query_key_value(const struct kv_model *m, int l, const double x[C], double q[C], double k[C], double v[C])
{
    const struct kv_layer_weights *w = &m->layers[l];
    double h[C], qkv[3 * C];
    plain_layer_norm(x, w->ln_1_weight, w->ln_1_bias, (double)m->config.layer_norm_epsilon, h, C);
    plain_linear(h, C, kv_matrix_floats(&w->c_attn_weight), w->c_attn_bias, qkv, 3 * C);
    memcpy(q, qkv, sizeof h);
    memcpy(k, qkv + C, sizeof h);
    memcpy(v, qkv + 2 * C, sizeof h);
}

static void rest_of_layer(const struct kv_model *m, int l, const double attended[C], double x[C])
{
    const struct kv_layer_weights *w = &m->layers[l];
    double h[C], y[C], inner[MOST];
    plain_linear(attended, C, kv_matrix_floats(&w->attn_proj_weight), w->attn_proj_bias, y, C);
    for (int i = 0; i < C; i++)
        x[i] += y[i];
    plain_layer_norm(x, w->ln_2_weight, w->ln_2_bias, (double)m->config.layer_norm_epsilon, h, C);
    plain_linear(h, C, kv_matrix_floats(&w->c_fc_weight), w->c_fc_bias, inner, MOST);
    for (int i = 0; i < MOST; i++)
        inner[i] = plain_gelu(m->config.activation, inner[i]);
    plain_linear(inner, MOST, kv_matrix_floats(&w->mlp_proj_weight), w->mlp_proj_bias, y, C);
    for (int i = 0; i < C; i++)
        x[i] += y[i];
}

static void predict(const struct kv_model *m, const double x[C], double logits[V])
{
    double h[C];
    plain_layer_norm(x, m->ln_f_weight, m->ln_f_bias, (double)m->config.layer_norm_epsilon, h, C);
    for (int t = 0; t < V; t++) {
        logits[t] = 0;
        for (int i = 0; i < C; i++)
            logits[t] += h[i] * (double)kv_matrix_floats(&m->wte)[t * C + i];
    }
}

/* README: begin */
/* out [S] = sum of weight_t v_t, weight = softmax(q . k_t / sqrt(S)), over the positions t <= n. */
static void attend(int layer, int column, int n, const double *q, double *out)
{
    double weight[W], sum = 0;
    for (int t = 0; t <= n; t++) { /* the causal mask: the loop ends at n */
        double score = 0;
        for (int i = 0; i < S; i++)
            score += q[i] * keys[layer][t][column + i];
        sum += weight[t] = exp(score / sqrt(S));
    }
    for (int i = 0; i < S; i++) {
        out[i] = 0;
        for (int t = 0; t <= n; t++)
            out[i] += weight[t] / sum * values[layer][t][column + i];
    }
}

/* Position n through all layers: it writes its own keys and values, and reads those of the positions before. */
static void run_position(const struct kv_model *m, int token, int n, double *logits)
{
    double x[C], q[C], attended[C];
    embed(m, token, n, x);
    for (int l = 0; l < L; l++) {
        query_key_value(m, l, x, q, keys[l][n], values[l][n]);
        for (int head = 0; head < H; head++)
            attend(l, head * S, n, q + head * S, attended + head * S);
        rest_of_layer(m, l, attended, x);
    }
    predict(m, x, logits);
}

static void naive_step(const struct kv_model *m, const int32_t *tokens, int n, double *logits)
{
    for (int t = 0; t <= n; t++)
        run_position(m, tokens[t], t, logits); /* for t < n: what the last step computed */
}

static void cached_step(const struct kv_model *m, const int32_t *tokens, int n, double *logits)
{
    run_position(m, tokens[n], n, logits);
}
/* README: end */

static void check(const double *logits, const float *expected, int n)
{
    for (int t = 0; t < V; t++)
        if (!(fabs(logits[t] - (double)expected[t]) <= 2e-5)) /* of float32 against double */
            fail_msg("logit %d at position %d: %.9g instead of %.9g", t, n, logits[t], (double)expected[t]);
}

TEST(both_steps_are_what_both_paths_compute)
{
    static void (*const steps[])(const struct kv_model *, const int32_t *, int, double *) = {naive_step, cached_step};
    static const char *const paths[] = {"naive", "cached"};
    struct reference_case c;
    struct kv_pool *pool;
    struct kv_model *model;
    load_case(&c, "tiny-f32");
    OK(kv_pool_create(&pool, 2, &error));
    OK(kv_model_load(&model, c.folder, NULL, "reference", pool, &error));
    const struct kv_config *config = kv_model_config(model);
    assert_true(config->n_layer == L && config->n_positions == W && config->n_embd == C && config->n_head == H &&
                config->vocab_size == V && config->n_inner == MOST);
    for (int path = 0; path < 2; path++) {
        struct kv_session_options options = {.path = paths[path], .batch = 1, .capacity = W, .matmul = "reference"};
        struct kv_session *session;
        double logits[V];
        OK(kv_session_create(&session, model, pool, &options, &error));
        memset(keys, 0, sizeof keys);
        memset(values, 0, sizeof values);
        for (int n = 0; n < c.n_greedy; n++) {
            steps[path](model, c.greedy, n, logits);
            OK(kv_session_decode(session, &c.greedy[n], &error));
            check(logits, kv_session_logits(session), n);
        }
        kv_session_free(session);
    }
    kv_model_free(model);
    kv_pool_free(pool);
    free_case(&c);
}
