/* Long runs past the window's end: nothing grows, nothing slows down, nothing drifts. For every policy that goes on, every
 * cache and every type of keys and values, an old session is stepped on and on; beside it, in turns, a young one, which
 * every half of a window forgets everything and is given what the old one's window then holds.
 *
 *   memory    from the second round on, anonymous resident memory does not grow by a page, nor what malloc gave by a byte
 *   time      a step of the old session takes what one of the young one does: the median of the rounds' ratios
 *   results   logits of both are the same to the bit at every step, and of float32 those of the naive path, which is as old
 *
 *   KV_SECONDS=3600   all together, instead of 10 */
#include "measure/run.h"

#include "unit.h"

#include <malloc.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { WINDOW = 64, HALF = WINDOW / 2, VOCABULARY = 101, BATCH = 2, MOST_ROUNDS = 1 << 20, FEWEST_ROUNDS = 20 };

/* How far the median ratio may be from 1: rounds are pairs of the same moment, but other programs share the caches. */
#define TIME_BOUND       0.05
#define MOST_TIMES_AGAIN 5

static const struct kv_config shape = {.n_layer = 2,
                                       .n_head = 2,
                                       .n_embd = 32,
                                       .n_inner = 128,
                                       .vocab_size = VOCABULARY,
                                       .n_positions = WINDOW,
                                       .layer_norm_epsilon = 1e-5f};

struct arm {
    enum kv_overflow policy;
    const char *cache, *kv;
    bool exact;
    int threads;
};

struct runs {
    struct kv_pool *pool;
    struct kv_model *model;
    struct kv_session *old, *young, *naive;
    int32_t window[BATCH * WINDOW]; /* [B, length]: what the old one's holds */
    int length;
    uint64_t state;
    double *ratios; /* [MOST_ROUNDS] time of the old over that of the young */
    int n_rounds;
};

static int64_t ns_of(clockid_t clock)
{
    struct timespec t;
    assert_int_equal(clock_gettime(clock, &t), 0);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static long anonymous_kib(void)
{
    char line[128];
    long kib = -1;
    FILE *file = fopen("/proc/self/status", "re");
    assert_non_null(file);
    while (fgets(line, sizeof line, file))
        if (sscanf(line, "RssAnon: %ld kB", &kib) == 1)
            break;
    fclose(file);
    assert_true(kib > 0);
    return kib;
}

static void remember(struct runs *r, const int32_t *tokens, enum kv_overflow policy)
{
    const int dropped = r->length < WINDOW ? 0 : policy == KV_OVERFLOW_SHIFT ? HALF : 1, kept = r->length - dropped;
    int32_t next[BATCH * WINDOW];
    for (int b = 0; b < BATCH; b++) {
        memcpy(next + b * (kept + 1), r->window + b * r->length + dropped, (size_t)kept * sizeof *next);
        next[b * (kept + 1) + kept] = tokens[b];
    }
    memcpy(r->window, next, sizeof next);
    r->length = kept + 1;
}

/* Nanoseconds of this thread. */
static int64_t decode(struct kv_session *session, const int32_t *tokens)
{
    const int64_t begin = ns_of(CLOCK_THREAD_CPUTIME_ID);
    OK(kv_session_decode(session, tokens, &error));
    return ns_of(CLOCK_THREAD_CPUTIME_ID) - begin;
}

static void run_round(struct runs *r, const struct arm *arm)
{
    const size_t bytes = (size_t)BATCH * VOCABULARY * sizeof(float);
    int64_t old = 0, young = 0;
    kv_session_reset(r->young);
    OK(kv_session_prefill(r->young, r->window, r->length, NULL, &error));
    for (int i = 0; i < HALF; i++) {
        int32_t tokens[BATCH];
        for (int b = 0; b < BATCH; b++)
            tokens[b] = random_between(&r->state, 0, VOCABULARY - 1);
        if (next_random(&r->state) >> 63)
            old += decode(r->old, tokens), young += decode(r->young, tokens);
        else
            young += decode(r->young, tokens), old += decode(r->old, tokens);
        assert_memory_equal(kv_session_logits(r->old), kv_session_logits(r->young), bytes);
        if (arm->exact) {
            decode(r->naive, tokens);
            assert_close(kv_session_logits(r->old), kv_session_logits(r->naive), bytes / sizeof(float), KV_GATE_BOUND);
        }
        remember(r, tokens, arm->policy);
        assert_int_equal(kv_session_lengths(r->old)[0], r->length);
    }
    if (r->n_rounds < MOST_ROUNDS)
        r->ratios[r->n_rounds] = (double)old / (double)young;
    r->n_rounds++;
}

static void open_runs(struct runs *r, const struct arm *arm)
{
    struct kv_session_options options = {
        .path = "cached", .cache = arm->cache, .kv = arm->kv, .batch = BATCH, .overflow = arm->policy};
    r->pool = make_pool(arm->threads);
    OK(kv_model_synthesize(&r->model, &shape, 3, NULL, NULL, r->pool, &error));
    r->old = make_session(r->model, r->pool, options);
    r->young = make_session(r->model, r->pool, options);
    options.path = "naive";
    r->naive = make_session(r->model, r->pool, options);
    r->length = WINDOW;
    for (int i = 0; i < BATCH * WINDOW; i++)
        r->window[i] = random_between(&r->state, 0, VOCABULARY - 1);
    OK(kv_session_prefill(r->old, r->window, WINDOW, NULL, &error));
    OK(kv_session_prefill(r->naive, r->window, WINDOW, NULL, &error));
}

static void close_runs(struct runs *r)
{
    kv_session_free(r->old);
    kv_session_free(r->young);
    kv_session_free(r->naive);
    kv_model_free(r->model);
    kv_pool_free(r->pool);
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Rounds for so long, and a few at least; the median of all ratios so far. */
static double run_rounds(struct runs *r, const struct arm *arm, double seconds)
{
    const int64_t end = ns_of(CLOCK_MONOTONIC) + (int64_t)(seconds * 1e9);
    const int fewest = r->n_rounds + FEWEST_ROUNDS;
    while (r->n_rounds < fewest || ns_of(CLOCK_MONOTONIC) < end)
        run_round(r, arm);
    const size_t n = (size_t)(r->n_rounds < MOST_ROUNDS ? r->n_rounds : MOST_ROUNDS);
    qsort(r->ratios, n, sizeof *r->ratios, by_value);
    return r->ratios[n / 2];
}

static void run_arm(const struct arm *arm, double seconds, double *ratios)
{
    struct runs r = {.ratios = ratios, .state = 11};
    open_runs(&r, arm);
    run_round(&r, arm);
    run_round(&r, arm);
    const long kib = anonymous_kib();
    const size_t given = mallinfo2().uordblks;
    double ratio = run_rounds(&r, arm, seconds);
    /* Of several threads the time of one is not the step's. A machine that has other work may have been of two minds. */
    const bool is_timed = arm->threads == 1;
    for (int again = 0; is_timed && fabs(ratio - 1) >= TIME_BOUND && again < MOST_TIMES_AGAIN; again++)
        ratio = run_rounds(&r, arm, seconds);
    const long grown = anonymous_kib() - kib;
    printf(
        "%s %s %s, %d thread%s: %d tokens past the window's end, %d overflows; memory %+ld KiB; a step takes %.3f of a "
        "young one's\n",
        arm->policy == KV_OVERFLOW_SHIFT ? "shift" : "recompute", arm->cache, arm->kv, arm->threads,
        arm->threads == 1 ? "" : "s", r.n_rounds * HALF, kv_session_overflows(r.old), grown, ratio);
    assert_true(grown <= 0);
    assert_true(mallinfo2().uordblks <= given);
    assert_true(!is_timed || fabs(ratio - 1) < TIME_BOUND);
    close_runs(&r);
}

/* Calls `visit` for all of them; how many there are. */
static int for_arms(void (*visit)(const struct arm *arm, double seconds, double *ratios), double seconds,
                    double *ratios)
{
    int n = 0;
    for (enum kv_overflow policy = KV_OVERFLOW_RECOMPUTE; policy <= KV_OVERFLOW_SHIFT; policy++)
        for (int c = 0; kv_cache_choice(c); c++)
            for (int k = 0; kv_kv_choice(k); k++)
                for (int threads = 1; threads <= 2; threads++, n++)
                    if (visit)
                        visit(&(struct arm){policy, kv_cache_choice(c)->name, kv_kv_choice(k)->name, k == 0, threads},
                              seconds, ratios);
    return n;
}

TEST(past_the_windows_end)
{
    const char *seconds = getenv("KV_SECONDS");
    double *ratios = malloc(MOST_ROUNDS * sizeof *ratios);
    assert_non_null(ratios);
    memset(ratios, 1, MOST_ROUNDS * sizeof *ratios); /* resident before any memory is looked at */
    for_arms(run_arm, (seconds ? strtod(seconds, NULL) : 10) / for_arms(NULL, 0, NULL), ratios);
    free(ratios);
}

TEST(stop_stops)
{
    const struct arm arm = {KV_OVERFLOW_STOP, kv_cache_choice(0)->name, kv_kv_choice(0)->name, true, 1};
    struct runs r = {.state = 11};
    const int32_t tokens[BATCH] = {1, 2};
    float before[BATCH * VOCABULARY];
    open_runs(&r, &arm);
    memcpy(before, kv_session_logits(r.old), sizeof before);
    for (int i = 0; i < 1000; i++) {
        REFUSED(kv_session_decode(r.old, tokens, &error), KV_WINDOW_FULL, "window's end", NULL);
        assert_int_equal(kv_session_lengths(r.old)[0], WINDOW);
    }
    assert_memory_equal(before, kv_session_logits(r.old), sizeof before);
    close_runs(&r);
}
