/* The same text on the naive and on the cached path, word by word, with what each has computed and how long it took,
 * recorded for plots/race.gp to draw.
 *
 * A turn of the record puts one word into the window: all of its tokens are run, and for each of them the path computes
 * keys and values, the naive one of the whole window, the cached one of that token. Turn 1 runs the prompt, whose words
 * are all of turn 1. The CSV has a row a word:
 *   turn         1..
 *   word         as it is shown: printable ASCII, otherwise the id of its first token
 *   positions    tokens of the word
 *   naive_rows, cached_rows   positions whose keys and values were computed until the end of the turn (per layer and
 *                head: a row of K and one of V each)
 *   naive_ms, cached_ms       time in the model until then, on the path's own clock (measure/decoder.h)
 *   model, weights, threads   of all rows; `weights` is where they come from
 *   unit         what a token is: letter (a byte) or token
 *   runs         generations of each path that were timed, taking turns; the times are the sums of each token's median
 *   kv_bytes     keys and values in the cache at the end */
#ifndef KV_TEXT_RACE_H
#define KV_TEXT_RACE_H

#include "kvbench.h"

/* Words that the picture has room for, the prompt's among them; timed runs of each path. */
enum { KV_RACE_WORDS = 16, KV_RACE_RUNS = 15 };

struct kv_race_options {
    const int32_t *prompt; /* [n_prompt] */
    int n_prompt;
    int n_words;                       /* to generate, greedily, at least 1 */
    struct kv_session_options session; /* path, batch, capacity and overflow are not read */
};

struct kv_race_word {
    int first, n; /* its positions */
    char text[32];
    double ms[2]; /* naive, cached: until it is in the window */
};

struct kv_race {
    int n_words, n_prompt_words, n_prompt;
    struct kv_race_word words[KV_RACE_WORDS];
    int n_runs, n_threads;
    bool letters; /* a token is a byte */
    size_t kv_bytes;
    const char *model, *weights; /* the caller's */
};

/* Runs both paths. `name` is the model's, for the title, and stays the caller's. A text that ends with the window has
 * fewer words. Errors: ARGUMENT (no tokens, or more words than there is room for), KV_WINDOW_FULL, UNSUPPORTED (the
 * paths wrote different texts, as a lossy cache may), MEMORY, those of a session. */
kv_status kv_race_record(struct kv_race *race, const struct kv_model *model, struct kv_pool *pool, const char *name,
                         const struct kv_tokenizer *tokenizer, const struct kv_race_options *options,
                         struct kv_error *error);

/* Writes the CSV, whole or not at all. Errors: IO, MEMORY. */
kv_status kv_race_write(const struct kv_race *race, const char *file, struct kv_error *error);

#endif
