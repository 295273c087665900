/* What attention looks like while tokens are generated with the KV cache, recorded for plots/dashboard.sh to draw.
 *
 * A step is the pass that one token is selected from: step 1 is the prefill of the prompt, each later one runs the
 * token that the step before it selected. At step s the cache holds the prompt and s - 1 more positions; the query of
 * the newest meets the keys of all. The CSV has a row a number, and what does not apply in a row is empty:
 *   step       1..; of a key or value the step that put it into the cache; of a token the one that selected it, 0 for
 *              the prompt
 *   kind       query, key, value, attention; token (its label is in `text`); model, weights (for the title, likewise)
 *   layer, head
 *   position   in the cache; of an attention weight the position that is attended to
 *   dimension  of the head
 *   value      the number
 *   token      id of the token at `position`; the last one was selected and not run any more
 *   text
 * Queries, keys and values are there when one head of one layer is recorded. */
#ifndef KV_TEXT_DASHBOARD_H
#define KV_TEXT_DASHBOARD_H

#include "kvbench.h"

/* In place of a layer or a head: all of them. */
#define KV_DASHBOARD_ALL (-1)

struct kv_dashboard_options {
    int layer, head;       /* 0.., at most one of them KV_DASHBOARD_ALL */
    const int32_t *prompt; /* [n_prompt] */
    int n_prompt;
    int n_new;                         /* tokens to generate, greedily, at least 1 */
    struct kv_session_options session; /* batch, capacity and overflow are not read */
};

struct kv_dashboard;

/* Generates on the cached path and records what its observer sees; at the window's end there are fewer than n_new
 * tokens. The dashboard is the caller's, to be given back with kv_dashboard_free, and keeps no reference to the
 * model, the pool or the options. Errors: ARGUMENT (no such layer or head, tokens out of range), KV_WINDOW_FULL (not
 * even one token), UNSUPPORTED, MEMORY, NUMERIC. */
kv_status kv_dashboard_record(struct kv_dashboard **dashboard, const struct kv_model *model, struct kv_pool *pool,
                              const struct kv_dashboard_options *options, struct kv_error *error);
void kv_dashboard_free(struct kv_dashboard *dashboard);

/* Tokens that were generated. */
int kv_dashboard_steps(const struct kv_dashboard *dashboard);

/* Writes the CSV, whole or not at all; `model` and `weights` are for the title. Tokens are labelled with their text by
 * `tokenizer`, a space at its start as a middle dot, where that is plain ASCII; else, or when it is NULL, with their
 * id. Errors: IO, MEMORY. */
kv_status kv_dashboard_write(const struct kv_dashboard *dashboard, const char *model, const char *weights,
                             const struct kv_tokenizer *tokenizer, const char *file, struct kv_error *error);

#endif
