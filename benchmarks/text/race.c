#include "text/race.h"

#include "base/error.h"
#include "base/file.h"
#include "measure/decoder.h"
#include "results/csv.h"
#include "results/stats.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAIVE, CACHED, N_SIDES };

static const char *const path_names[N_SIDES] = {[NAIVE] = "naive", [CACHED] = "cached"};

/* Tokens that are generated at most for a word of the picture: where a model never ends one, it ends there. */
enum { MOST_TOKENS = 16 };
/* Further runs of both paths begin only before that. */
#define ENOUGH_NS 10000000000

/* ---- Words --------------------------------------------------------------------------------------------- */

static bool is_blank(char byte)
{
    return byte == ' ' || byte == '\n' || byte == '\t' || byte == '\r';
}

/* The text of a word's tokens, without the blanks around it, where that is plain and fits; otherwise the first id. */
static void make_text(struct kv_race_word *word, const struct kv_tokenizer *tokenizer, const int32_t *tokens)
{
    size_t length = 0;
    bool plain = true;
    for (int t = word->first; t < word->first + word->n; t++) {
        size_t n;
        const char *bytes = kv_tokenizer_token(tokenizer, tokens[t], &n);
        for (size_t i = 0; i < n && plain; i++) {
            if (is_blank(bytes[i]))
                continue;
            plain = bytes[i] > ' ' && bytes[i] <= '~' && bytes[i] != '"' && length + 1 < sizeof word->text;
            if (plain)
                word->text[length++] = bytes[i];
        }
    }
    word->text[length] = '\0';
    if (!plain || length == 0)
        snprintf(word->text, sizeof word->text, "%d", tokens[word->first]);
}

/* Blanks begin a word, as they do in GPT-2's tokens; so do the first token of all and the first generated one. Returns
 * how many words the tokens [n] have, of which the first KV_RACE_WORDS are kept, with the place where each begins. */
static int find_words(struct kv_race *race, const struct kv_tokenizer *tokenizer, const int32_t *tokens, int n)
{
    int n_words = 0;
    bool has_text = true;
    for (int t = 0; t < n; t++) {
        size_t n_bytes;
        const char *bytes = kv_tokenizer_token(tokenizer, tokens[t], &n_bytes);
        const bool blank = n_bytes > 0 && is_blank(bytes[0]);
        if (t == 0 || t == race->n_prompt || (blank && has_text)) {
            if (n_words < KV_RACE_WORDS)
                race->words[n_words].first = t;
            n_words++;
            has_text = false;
        }
        for (size_t i = 0; i < n_bytes; i++)
            has_text |= !is_blank(bytes[i]);
        if (t < race->n_prompt)
            race->n_prompt_words = n_words;
    }
    return n_words;
}

/* ---- Both paths ---------------------------------------------------------------------------------------- */

struct recorder {
    struct kv_race *race;
    const struct kv_race_options *options;
    const struct kv_tokenizer *tokenizer;
    struct kv_decoder sides[N_SIDES];
    int32_t *tokens; /* [n_prompt + room] prompt and new ones */
    int room;        /* new tokens at most */
    int n_new;       /* steps of a run: all tokens of all words but what the last step selects */
};

static kv_status open_sides(struct recorder *r, const struct kv_model *model, struct kv_pool *pool,
                            struct kv_error *error)
{
    const struct kv_race_options *o = r->options;
    const int left = kv_model_config(model)->n_positions - o->n_prompt + 1;
    kv_status status = KV_OK;
    r->room = (o->n_words + 1) * MOST_TOKENS < left ? (o->n_words + 1) * MOST_TOKENS : left;
    r->tokens = calloc((size_t)(o->n_prompt + r->room), sizeof *r->tokens);
    if (!r->tokens)
        return kv_fail(error, KV_ERROR_MEMORY, "no memory for %d tokens: give fewer words", r->room);
    for (int i = 0; !status && i < N_SIDES; i++) {
        struct kv_decoder_options options = {
            .session = o->session,
            .prompts = o->prompt,
            .n_prompts = 1,
            .n_prompt = o->n_prompt,
            .n_new = r->room,
            .end_of_text = -1,
        };
        options.session.path = path_names[i];
        options.session.batch = 1;
        options.session.capacity = 0;
        options.session.overflow = KV_OVERFLOW_STOP;
        status = kv_decoder_create(&r->sides[i], model, pool, &options, error);
    }
    return status;
}

/* The text, by the cached path alone, and where its words are: all that end before the room does, as many as wanted. */
static kv_status write_text(struct recorder *r, struct kv_error *error)
{
    struct kv_race *race = r->race;
    struct kv_decoder *d = &r->sides[CACHED];
    kv_status status = kv_decoder_run(d, error);
    if (status)
        return status;
    int n_new;
    const int32_t *new_tokens = kv_decoder_tokens(d, 0, &n_new);
    memcpy(r->tokens, r->options->prompt, (size_t)race->n_prompt * sizeof *r->tokens);
    memcpy(r->tokens + race->n_prompt, new_tokens, (size_t)n_new * sizeof *r->tokens);
    const int n = race->n_prompt + n_new, found = find_words(race, r->tokenizer, r->tokens, n);
    const int wanted = race->n_prompt_words + r->options->n_words;
    if (wanted > KV_RACE_WORDS)
        return kv_fail(error, KV_ERROR_ARGUMENT,
                       "the prompt's %d words and %d new ones are more than the %d that the "
                       "picture has room for; give fewer",
                       race->n_prompt_words, r->options->n_words, KV_RACE_WORDS);
    race->n_words = found > wanted ? wanted : found;
    for (int w = 0; w < race->n_words; w++) {
        struct kv_race_word *word = &race->words[w];
        /* The last token was selected only: that it is run takes one more. */
        const int end = w + 1 < found && w + 1 < KV_RACE_WORDS ? word[1].first : n - 1;
        word->n = end - word->first;
        make_text(word, r->tokenizer, r->tokens);
    }
    const struct kv_race_word *last = &race->words[race->n_words - 1];
    r->n_new = last->first + last->n - race->n_prompt + 1;
    return KV_OK;
}

/* One generation of each path, step by step in turns, so that both have the same share of what the machine does. */
static kv_status run_once(struct recorder *r, struct kv_error *error)
{
    struct kv_decoder *next;
    kv_status status = KV_OK;
    for (int i = 0; i < N_SIDES; i++)
        kv_decoder_reset(&r->sides[i], r->n_new);
    while (!status && (next = kv_decoder_next(r->sides, N_SIDES)))
        status = kv_decoder_step(next, error);
    const int at = status ? -1 : kv_decoder_difference(&r->sides[NAIVE], &r->sides[CACHED]);
    if (at >= 0)
        return kv_fail(error, KV_ERROR_UNSUPPORTED,
                       "the paths wrote different texts from new token %d on: nothing to race; leave out --kv", at + 1);
    return status;
}

/* The times of a side, from the stamps [n_runs, n_new + 1] of its runs: each step's median, added up. */
static void add_medians(struct recorder *r, int side, const int64_t *stamps, int n_runs)
{
    struct kv_race *race = r->race;
    double ms = 0;
    for (int step = 1, w = 0; step <= r->n_new; step++) {
        double times[KV_RACE_RUNS];
        for (int run = 0; run < n_runs; run++) {
            const int64_t *at = stamps + (size_t)run * (size_t)(r->n_new + 1) + step;
            times[run] = 1e-6 * (double)(at[0] - at[-1]);
        }
        kv_stats_sort(times, (size_t)n_runs);
        ms += kv_stats_median(times, (size_t)n_runs);
        /* After that step, so many positions are in the window. */
        for (; w < race->n_words && race->words[w].first + race->words[w].n <= race->n_prompt + step - 1; w++)
            race->words[w].ms[side] = ms;
    }
}

static kv_status measure(struct recorder *r, struct kv_error *error)
{
    const size_t n_stamps = (size_t)r->n_new + 1;
    int64_t *stamps[N_SIDES];
    for (int i = 0; i < N_SIDES; i++)
        stamps[i] = calloc(KV_RACE_RUNS * n_stamps, sizeof *stamps[i]);
    kv_status status = stamps[NAIVE] && stamps[CACHED]
                           ? run_once(r, error) /* warms up */
                           : kv_fail(error, KV_ERROR_MEMORY, "no memory for the times: give fewer words");
    const int64_t start = kv_now_ns();
    int n = 0;
    for (; !status && n < KV_RACE_RUNS && (n == 0 || kv_now_ns() - start < ENOUGH_NS); n++) {
        status = run_once(r, error);
        for (int i = 0; !status && i < N_SIDES; i++)
            memcpy(stamps[i] + (size_t)n * n_stamps, r->sides[i].generation.stamps, n_stamps * sizeof *stamps[i]);
    }
    for (int i = 0; !status && i < N_SIDES; i++)
        add_medians(r, i, stamps[i], n);
    r->race->n_runs = n;
    r->race->kv_bytes = r->sides[CACHED].generation.kv_live_bytes;
    free(stamps[NAIVE]);
    free(stamps[CACHED]);
    return status;
}

kv_status kv_race_record(struct kv_race *race, const struct kv_model *model, struct kv_pool *pool, const char *name,
                         const struct kv_tokenizer *tokenizer, const struct kv_race_options *options,
                         struct kv_error *error)
{
    struct recorder r = {.race = race, .options = options, .tokenizer = tokenizer};
    *race = (struct kv_race){
        .n_prompt = options->n_prompt,
        .n_threads = kv_pool_size(pool),
        .letters = strcmp(kv_tokenizer_name(tokenizer), "bytes") == 0,
        .model = name,
        .weights = kv_model_source(model),
    };
    if (options->n_prompt < 1 || options->n_words < 1)
        return kv_fail(error, KV_ERROR_ARGUMENT, "a prompt of %d tokens and %d new words; at least 1 of each is needed",
                       options->n_prompt, options->n_words);
    kv_status status = open_sides(&r, model, pool, error);
    if (!status)
        status = write_text(&r, error);
    if (!status)
        status = measure(&r, error);
    for (int i = 0; i < N_SIDES; i++)
        kv_decoder_free(&r.sides[i]);
    free(r.tokens);
    return status;
}

/* ---- The file ------------------------------------------------------------------------------------------ */

static const char *const columns[] = {"turn",     "word",      "positions", "naive_rows", "cached_rows",
                                      "naive_ms", "cached_ms", "model",     "weights",    "threads",
                                      "unit",     "runs",      "kv_bytes"};

/* Keys and values computed until `end` positions are in the window: the prompt's at once, then a window a token. */
static int64_t rows_of(const struct kv_race *race, int side, int end)
{
    const int64_t T = race->n_prompt;
    return side == CACHED || end <= T ? (end < T ? T : end) : T + (end * (end + 1) - T * (T + 1)) / 2;
}

static kv_status write_word(struct kv_csv_writer *writer, const struct kv_race *race, int w, struct kv_error *error)
{
    const struct kv_race_word *word = &race->words[w];
    const int end = word->first + word->n;
    kv_csv_add_integer(writer, w < race->n_prompt_words ? 1 : w - race->n_prompt_words + 2);
    kv_csv_add_text(writer, word->text);
    kv_csv_add_integer(writer, word->n);
    kv_csv_add_integer(writer, rows_of(race, NAIVE, end));
    kv_csv_add_integer(writer, rows_of(race, CACHED, end));
    kv_csv_add_double(writer, word->ms[NAIVE]);
    kv_csv_add_double(writer, word->ms[CACHED]);
    kv_csv_add_text(writer, race->model);
    kv_csv_add_text(writer, race->weights);
    kv_csv_add_integer(writer, race->n_threads);
    kv_csv_add_text(writer, race->letters ? "letter" : "token");
    kv_csv_add_integer(writer, race->n_runs);
    kv_csv_add_integer(writer, (int64_t)race->kv_bytes);
    return kv_csv_end_row(writer, error);
}

kv_status kv_race_write(const struct kv_race *race, const char *file, struct kv_error *error)
{
    struct kv_csv_writer *writer = NULL;
    kv_status status = kv_csv_create(&writer, file, columns, sizeof columns / sizeof *columns, error);
    for (int w = 0; !status && w < race->n_words; w++)
        status = write_word(writer, race, w, error);
    if (!status)
        status = kv_csv_publish(writer, error);
    kv_csv_close(writer);
    return status;
}
