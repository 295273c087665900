/* What attention looks like while tokens are generated with the KV cache, recorded for plots/dashboard.sh to draw.
 *
 * A step is the pass that one token is selected from: step 1 is the prefill of the prompt, each later one runs the
 * token that the step before it selected. At step s the cache holds the prompt and s - 1 more positions; the query of
 * the newest meets the keys of all. The CSV has a row a number, and what does not apply in a row is empty:
 *   step       1..; of a key or value the step that put it into the cache; of a token the one that selected it, 0 for
 *              the prompt
 *   kind       query, key, value, attention; token (its label is in `text`); model, weights (for the title, likewise);
 *              of a cache in fewer bits than float32 also kv (its type, likewise) and attention_f32
 *   layer, head
 *   position   in the cache; of an attention weight the position that is attended to
 *   dimension  of the head
 *   value      the number
 *   token      id of the token at `position`; the last one was selected and not run any more
 *   text
 * Queries, keys and values are there when one head of one layer is recorded.
 *
 * Of a cache whose type is not f32 the attention weights come twice: attention_f32 are those of a float32 cache, all
 * else being equal, along the same tokens. What has changed follows from both: kv_dashboard_change. */
#ifndef KV_TEXT_DASHBOARD_H
#define KV_TEXT_DASHBOARD_H

#include "kvbench.h"

/* In place of a layer or a head: all of them. */
#define KV_DASHBOARD_ALL (-1)

/* Bytes of a label: more than a row of the picture has room for. */
#define KV_DASHBOARD_LABEL 64

struct kv_dashboard_options {
    int layer, head;       /* 0.., at most one of them KV_DASHBOARD_ALL */
    const int32_t *prompt; /* [n_prompt] */
    int n_prompt;
    int n_new;                         /* tokens to generate, greedily, at least 1 */
    struct kv_session_options session; /* batch, capacity and overflow are not read */
};

/* What was recorded, from a run or from a file; to be read by others. What a file lacks is NaN, or an empty label. */
struct kv_dashboard {
    int first_layer, n_layers;
    int first_head, n_heads;
    bool detailed; /* one head of one layer, with its queries, keys and values */
    int head_size; /* 0 when not detailed */
    int n_prompt;
    int n_steps;          /* tokens generated */
    int n_positions;      /* of the cache at the last step: the prompt's, and one more for each step but the first */
    int32_t *tokens;      /* [n_positions + 1] the last one selected only */
    float *queries;       /* [n_steps, head_size] */
    float *keys;          /* [n_positions, head_size] */
    float *values;        /* [n_positions, head_size] */
    float *attention;     /* [n_layers, n_heads, n_steps, n_positions] */
    char kv[16];          /* the type of the cache, or of keys and values, where that is not f32; else "" */
    float *attention_f32; /* likewise: as attention, of a float32 cache; else NULL */
    char (*labels)[KV_DASHBOARD_LABEL]; /* [n_positions + 1] of the tokens */
    char model[256], weights[64];       /* for the title */
};

/* What a cache in fewer bits changes in the attention weights of one step. */
struct kv_dashboard_change {
    double largest; /* of one weight, without its sign */
    double moved;   /* half the sum of all: the share of attention that goes elsewhere, 0..1 (total variation) */
};

/* Generates and records what the session's observer sees; at the window's end there are fewer than n_new tokens. Where
 * the session's cache is not f32, a second session whose cache is runs the same tokens. The dashboard is the caller's,
 * to be given back with kv_dashboard_free, and keeps no reference to anything given.
 *   name       of the model, for the title
 *   tokenizer  labels tokens with their text, a space at its start as a middle dot, where that is plain ASCII; other
 *              tokens, and all where it is NULL, have their id
 * Errors: ARGUMENT (no such layer or head, tokens out of range), KV_WINDOW_FULL (not even one token), UNSUPPORTED,
 * MEMORY, NUMERIC. */
kv_status kv_dashboard_record(struct kv_dashboard **dashboard, const struct kv_model *model, struct kv_pool *pool,
                              const char *name, const struct kv_tokenizer *tokenizer,
                              const struct kv_dashboard_options *options, struct kv_error *error);
void kv_dashboard_free(struct kv_dashboard *dashboard);

/* Makes room for what the sizes say, all numbers NaN. Errors: MEMORY. */
kv_status kv_dashboard_allocate(struct kv_dashboard *dashboard, struct kv_error *error);

/* The attention weights [n_positions] of a step, from 0, of which the first n_prompt + step are there. */
float *kv_dashboard_attention(const struct kv_dashboard *dashboard, int layer, int head, int step);
/* Likewise of a float32 cache; only where the dashboard has a kv. */
float *kv_dashboard_attention_f32(const struct kv_dashboard *dashboard, int layer, int head, int step);
/* Between the two; only there. */
struct kv_dashboard_change kv_dashboard_change(const struct kv_dashboard *dashboard, int layer, int head, int step);

/* Writes the CSV, whole or not at all. Errors: IO, MEMORY. */
kv_status kv_dashboard_write(const struct kv_dashboard *dashboard, const char *file, struct kv_error *error);

/* Reads it again. Errors: IO, FORMAT (each with its line), MEMORY. */
kv_status kv_dashboard_read(struct kv_dashboard **dashboard, const char *file, struct kv_error *error);

/* Writes what plots/dashboard.gp draws into a folder that exists, as tables with tabs between their columns:
 *   tokens          position, label
 *   attention.STEP  for every panel a block of position and weight; where there is a kv, the weight of float32 is third
 *   query.STEP, key.STEP, value.STEP   of one head of one layer: position, dimension and number of what that step
 *                   computed
 *   view            what holds for the whole picture, as assignments for gnuplot. Colours reach as far on both sides as
 *                   the 5th or the 95th percentile of all numbers of a kind, whichever is farther from 0. Where there is
 *                   a kv, arrays by step: the largest change of a weight in any panel; the most that moved, and in which
 * `file` is the record's name, for errors: IO, MEMORY, FORMAT (a number is missing). */
kv_status kv_dashboard_tables(const struct kv_dashboard *dashboard, const char *file, const char *folder,
                              struct kv_error *error);

#endif
