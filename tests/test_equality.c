/* Equality at scale: random small models on random arms, taken through random calls, against the definition.
 *
 *   definition   the naive path at batch 1 on the reference product, portable kernels, float32 and one thread, given the
 *                window that the sequence has by now and nothing before it
 *   alone        the same window by the trial's own path, cache, types, product and level, but batch 1, one thread, and
 *                appended one by one
 *
 * Of an arm that the gate calls exact, logits are the definition's within KV_GATE_BOUND, greedy tokens are its own unless
 * two are closer than that difference, and drawn ones differ as seldom as kvbench.h promises. Of every arm but OpenBLAS's
 * they are to the bit what they are alone. Lossy arms are at every level what they are at the portable one, within half of
 * the gate's bound, and all but a few of them within that bound of the definition. A trial runs in a process of its own; one that fails or crashes is made smaller
 * for as long as it still does, and printed as a line that KV_TRIAL takes.
 *
 *   KV_COUNT=10000   trials, instead of 500       KV_SEED=1   the same ones again       KV_TRIAL='…'   this one */
#include "measure/run.h"

#include "trials.h"
#include "unit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ALL_STEPS_OF = 3, MOST_FAILURES = 5 }; /* steps after which every sequence is looked at; failures of a run */
/* Of trials of lossy arms this share may be off the definition by more than the gate's bound, which was measured on trained
 * and larger models: random weights of a few dimensions know none (core/README.md). */
#define MOST_OVER_BOUND 0.02

/* ---- One trial --------------------------------------------------------------------------------------------- */

/* Shared with the process that runs it. */
struct verdict {
    bool done, holds;
    char why[600];
    int steps_run, refusals, overflows;
    int draws, other_draws; /* of the sampler, and those that are not the definition's */
    double promised;        /* how many may be: the sum of 2 d / temperature */
    double worst;           /* of the exact class: the largest difference, of the largest logit */
    double lossy;           /* of a lossy arm: its largest difference, of the gate's bound; 0: it is exact */
};

struct side {
    struct kv_pool *pool;
    struct kv_model *model;
    struct kv_session *session;
    struct kv_sampler *sampler;
};

struct tested {
    const struct trial *t;
    struct verdict *v;
    struct kv_config config;
    char kv[40];
    double bound;                                     /* of logits, of the largest: the gate's */
    struct side subject, alone, definition, portable; /* the last of lossy arms only */
    int32_t *windows;                                 /* [B, P]: what each sequence is to have by now */
    int lengths[MOST_SEQUENCES];
    int32_t *tokens; /* [B, 2 P] of one call */
    float *all;      /* [B, P, V]: its logits of all positions */
    uint64_t state;
};

__attribute__((format(printf, 2, 3))) static bool fails(struct tested *x, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(x->v->why, sizeof x->v->why, format, arguments);
    va_end(arguments);
    return x->v->holds = false;
}

static bool open_side(struct tested *x, struct side *side, const char *weights, int threads,
                      struct kv_session_options options)
{
    const struct kv_sampling sampling = {.temperature = 1, .top_p = 1, .seed = 5};
    const uint64_t seed = (uint64_t)x->t->value[SEED] + 1;
    return (kv_pool_create(&side->pool, threads, &error) == KV_OK &&
            kv_model_synthesize(&side->model, &x->config, seed, weights, options.matmul, side->pool, &error) == KV_OK &&
            kv_session_create(&side->session, side->model, side->pool, &options, &error) == KV_OK &&
            kv_sampler_create(&side->sampler, &sampling, x->config.vocab_size, 1, NULL, &error) == KV_OK) ||
           fails(x, "was not made: %s", error.message);
}

static void close_side(struct side *side)
{
    kv_sampler_free(side->sampler);
    kv_session_free(side->session);
    kv_model_free(side->model);
    kv_pool_free(side->pool);
}

/* Whether naive and cached logits are the same to the bit: kvbench.h says of which products, the README of which heads. */
static bool paths_are_one(const struct tested *x)
{
    return x->t->value[HEAD_SIZE] % 16 == 0 && strcmp(x->kv, kv_kv_choice(0)->name) == 0;
}

static bool open_trial(struct tested *x)
{
    const struct trial *t = x->t;
    const int *value = t->value, capacity = value[CAPACITY] > value[WINDOW] ? 0 : value[CAPACITY];
    const char *weights = name_of(t, WEIGHTS);
    const struct kv_session_options subject = {.path = name_of(t, PATH),
                                               .cache = name_of(t, CACHE),
                                               .kv = x->kv,
                                               .matmul = name_of(t, MATMUL),
                                               .isa = name_of(t, ISA),
                                               .batch = value[BATCH],
                                               .capacity = capacity,
                                               .chunk = value[CHUNK],
                                               .overflow = (enum kv_overflow)value[OVERFLOW_POLICY]};
    struct kv_session_options alone = subject;
    alone.batch = alone.chunk = 1;
    alone.capacity = 0;
    if (paths_are_one(x))
        alone.path = "naive";
    struct kv_session_options portable = alone;
    portable.isa = "portable";
    return open_side(x, &x->subject, weights, value[THREADS], subject) && open_side(x, &x->alone, weights, 1, alone) &&
           (x->bound <= KV_GATE_BOUND || open_side(x, &x->portable, weights, 1, portable)) &&
           open_side(x, &x->definition, NULL, 1,
                     (struct kv_session_options){.path = "naive",
                                                 .cache = kv_cache_drops(subject.cache) ? subject.cache : NULL,
                                                 .matmul = "reference",
                                                 .isa = "portable",
                                                 .batch = 1});
}

/* Token by token: what a sequence has after another one. */
static void remember(struct tested *x, int b, int32_t token)
{
    const int window = x->config.n_positions, half = window / 2 ? window / 2 : 1;
    int32_t *tokens = x->windows + (size_t)b * (size_t)window;
    if (x->lengths[b] == window) {
        const int dropped = x->t->value[OVERFLOW_POLICY] == KV_OVERFLOW_SHIFT ? half : 1;
        memmove(tokens, tokens + dropped, (size_t)(window - dropped) * sizeof *tokens);
        x->lengths[b] -= dropped;
        x->v->overflows++;
    }
    tokens[x->lengths[b]++] = token;
}

/* Largest |a - b|, and the largest |b|; what is not a number is infinitely far. */
static double furthest(const float *a, const float *b, int n, double *largest)
{
    double worst = 0;
    *largest = 0;
    for (int i = 0; i < n; i++) {
        const double off = fabs((double)a[i] - (double)b[i]);
        worst = off <= worst ? worst : isnan(off) ? INFINITY : off;
        *largest = fmax(*largest, fabs((double)b[i]));
    }
    return worst;
}

static int best_of(const float *logits, int n)
{
    int best = 0;
    for (int i = 1; i < n; i++)
        best = logits[i] > logits[best] ? i : best;
    return best;
}

/* Draws by the same seed differ no more often than d lets them. */
static bool draw_both(struct tested *x, const float *logits, const float *expected, double d)
{
    int32_t token, other;
    if (kv_sampler_select(x->subject.sampler, logits, NULL, &token, &error) ||
        kv_sampler_select(x->definition.sampler, expected, NULL, &other, &error))
        return fails(x, "no token was drawn: %s", error.message);
    x->v->draws++;
    x->v->other_draws += token != other;
    x->v->promised += 2 * d;
    return true;
}

/* Logits [V] of an arm of the exact class. */
static bool compare_exact(struct tested *x, const float *logits, const float *expected, int b, int position)
{
    const int V = x->config.vocab_size;
    double largest;
    const double off = furthest(logits, expected, V, &largest);
    if (!(off <= KV_GATE_BOUND * largest))
        return fails(x, "position %d of sequence %d is off the definition by %.3g of the largest, bound %.3g", position,
                     b, off / largest, KV_GATE_BOUND);
    x->v->worst = fmax(x->v->worst, off / largest);
    if (expected[best_of(expected, V)] - expected[best_of(logits, V)] > 2 * off)
        return fails(x, "position %d of sequence %d has another token", position, b);
    return draw_both(x, logits, expected, off);
}

/* Logits [n, V] of the last n positions of a window, of an arm that is lossy: how far they are from the definition, and from
 * the same arm on portable kernels. */
static bool compare_lossy(struct tested *x, const float *logits, const float *expected, int n, const int32_t *window,
                          int length)
{
    const int V = x->config.vocab_size;
    static float *portable; /* [P, V]; the process ends with its trial */
    portable = realloc(portable, (size_t)x->config.n_positions * (size_t)V * sizeof *portable);
    kv_session_reset(x->portable.session);
    if (!portable || kv_session_prefill(x->portable.session, window, length, portable, &error))
        return fails(x, "portable kernels do not run: %s", error.message);
    for (int i = 0; i < n; i++) {
        double largest, other;
        const double off = furthest(logits + i * V, expected + i * V, V, &largest);
        const double apart = furthest(logits + i * V, portable + (length - n + i) * V, V, &other);
        x->v->lossy = fmax(x->v->lossy, off / largest / x->bound);
        if (!(apart <= x->bound * other / 2))
            return fails(x, "position %d of %d is off portable kernels by %.3g of the largest, bound %.3g",
                         length - n + i, length, apart / other, x->bound / 2);
    }
    return isfinite(x->v->lossy) || fails(x, "logits are not finite");
}

/* Logits [n, V] of the last n positions of sequence b: subject's, against both others'. */
static bool compare(struct tested *x, int b, const float *logits, int n)
{
    const int V = x->config.vocab_size, length = x->lengths[b];
    const int32_t *window = x->windows + (size_t)b * (size_t)x->config.n_positions;
    const size_t first = (size_t)(length - n) * (size_t)V;
    static float *own, *expected; /* [P, V]; the process ends with its trial */
    own = realloc(own, (size_t)x->config.n_positions * (size_t)V * sizeof *own);
    expected = realloc(expected, (size_t)x->config.n_positions * (size_t)V * sizeof *expected);
    kv_session_reset(x->alone.session);
    kv_session_reset(x->definition.session);
    if (!own || !expected || kv_session_prefill(x->alone.session, window, length, own, &error) ||
        kv_session_prefill(x->definition.session, window, length, expected, &error))
        return fails(x, "the references do not run: %s", error.message);
    if (strcmp(name_of(x->t, MATMUL), "openblas") != 0 &&
        memcmp(logits, own + first, (size_t)(n * V) * sizeof *own) != 0) {
        double largest;
        const double off = furthest(logits, own + first, n * V, &largest);
        return fails(x, "sequence %d of %d positions is not what it is alone, by %.2g of %.2g", b, length, off,
                     largest);
    }
    if (x->bound > KV_GATE_BOUND)
        return compare_lossy(x, logits, expected + first, n, window, length);
    for (int i = 0; i < n; i++)
        if (!compare_exact(x, logits + i * V, expected + first + (size_t)i * (size_t)V, b, length - n + i))
            return false;
    return true;
}

/* ---- What a step may be ------------------------------------------------------------------------------------- */

/* What appending n tokens to each sequence is to give. */
static kv_status expected_status(const struct tested *x, int n)
{
    const int window = x->config.n_positions, half = window / 2 ? window / 2 : 1;
    const int capacity = x->t->value[CAPACITY] > window || !x->t->value[CAPACITY] ? window : x->t->value[CAPACITY];
    for (int b = 0; b < x->t->value[BATCH]; b++) {
        int kept = x->lengths[b] + n;
        if (kept > window && x->t->value[OVERFLOW_POLICY] == KV_OVERFLOW_STOP)
            return KV_WINDOW_FULL;
        while (kept > window)
            kept -= x->t->value[OVERFLOW_POLICY] == KV_OVERFLOW_SHIFT ? half : 1;
        if (kept > capacity)
            return KV_ERROR_ARGUMENT;
    }
    return KV_OK;
}

static bool check_lengths(struct tested *x)
{
    for (int b = 0; b < x->t->value[BATCH]; b++)
        if (kv_session_lengths(x->subject.session)[b] != x->lengths[b])
            return fails(x, "sequence %d has %d positions, not %d", b, kv_session_lengths(x->subject.session)[b],
                         x->lengths[b]);
    return true;
}

static bool all_are_empty(const struct tested *x)
{
    int sum = 0;
    for (int b = 0; b < x->t->value[BATCH]; b++)
        sum += x->lengths[b];
    return sum == 0;
}

static bool within_window(const struct tested *x, int n)
{
    int longest = 0;
    for (int b = 0; b < x->t->value[BATCH]; b++)
        longest = x->lengths[b] > longest ? x->lengths[b] : longest;
    return longest + n <= x->config.n_positions;
}

/* n tokens behind each sequence, the same ones behind all where that is a call of its own; one sequence is then looked at,
 * or all in the first steps. */
static bool append(struct tested *x, int n)
{
    const int B = x->t->value[BATCH], V = x->config.vocab_size;
    struct kv_session *session = x->subject.session;
    const bool same = all_are_empty(x) && random_between(&x->state, 0, 1);
    const bool each = !same && within_window(x, n) && random_between(&x->state, 0, 1);
    const kv_status expected = expected_status(x, n);
    for (int i = 0; i < B * n; i++)
        x->tokens[i] = same && i >= n ? x->tokens[i - n] : random_between(&x->state, 0, V - 1);
    const kv_status status = same ? kv_session_prefill_same(session, x->tokens, n, &error)
                                  : kv_session_prefill(session, x->tokens, n, each ? x->all : NULL, &error);
    if (status != expected)
        return fails(x, "%d tokens: status %d, not %d: %s", n, (int)status, (int)expected, status ? error.message : "");
    x->v->refusals += status != KV_OK;
    for (int i = 0; !status && i < B * n; i++)
        remember(x, i / n, x->tokens[i]);
    if (!check_lengths(x) || status)
        return x->v->holds;
    const int only = random_between(&x->state, 0, B - 1);
    for (int b = 0; b < B; b++)
        if ((b == only || x->v->steps_run < ALL_STEPS_OF) &&
            !(each ? compare(x, b, x->all + (size_t)b * (size_t)n * (size_t)V, n)
                   : compare(x, b, kv_session_logits(session) + (size_t)b * (size_t)V, 1)))
            return false;
    return true;
}

static bool append_one(struct tested *x)
{
    return append(x, 1);
}

static bool append_some(struct tested *x)
{
    const int window = x->config.n_positions;
    return append(x,
                  random_between(&x->state, 1, x->t->value[OVERFLOW_POLICY] == KV_OVERFLOW_STOP ? window : 2 * window));
}

static bool cut_back(struct tested *x)
{
    for (int b = 0; b < x->t->value[BATCH]; b++)
        x->lengths[b] = random_between(&x->state, 0, x->lengths[b]);
    return kv_session_truncate(x->subject.session, x->lengths, &error) == KV_OK
               ? check_lengths(x)
               : fails(x, "was not cut back: %s", error.message);
}

static bool reset(struct tested *x)
{
    kv_session_reset(x->subject.session);
    memset(x->lengths, 0, sizeof x->lengths);
    return check_lengths(x);
}

static bool (*const operations[])(struct tested *x) = {append_one,  append_one, append_one, append_some,
                                                       append_some, cut_back,   cut_back,   reset};

/* ---- A trial in its process -------------------------------------------------------------------------------- */

static void run_trial(const struct trial *t, struct verdict *v)
{
    const int *value = t->value;
    struct tested x = {
        .t = t,
        .v = v,
        .config = {.n_layer = value[LAYERS],
                   .n_head = value[HEADS],
                   .n_embd = value[HEADS] * value[HEAD_SIZE],
                   .n_inner = value[INNER],
                   .vocab_size = value[VOCABULARY],
                   .n_positions = value[WINDOW],
                   .activation = (enum kv_activation)value[ACTIVATION],
                   .layer_norm_epsilon = 1e-5f},
    };
    const size_t B = (size_t)value[BATCH], P = (size_t)value[WINDOW], V = (size_t)value[VOCABULARY];
    snprintf(x.kv, sizeof x.kv, value[KEYS] == value[VALUES] ? "%s" : "%s/%s", name_of(t, KEYS), name_of(t, VALUES));
    x.bound = kv_gate_bound(name_of(t, WEIGHTS), kv_path_keeps(name_of(t, PATH)) ? x.kv : kv_kv_choice(0)->name);
    x.windows = malloc(B * P * sizeof *x.windows);
    x.tokens = malloc(B * 2 * P * sizeof *x.tokens);
    x.all = malloc(B * P * V * sizeof *x.all);
    v->holds = (x.windows && x.tokens && x.all) || fails(&x, "no memory");
    v->holds = v->holds && open_trial(&x);
    for (int i = 0; v->holds && i < value[STEPS]; i++) {
        x.state = ((uint64_t)value[SEED] << 8) + (uint64_t)i + 1; /* of its own, so that a step less changes no other */
        for (int warm = 0; warm < 4; warm++)
            next_random(&x.state);
        v->holds = i == 0 ? append_some(&x) : operations[random_between(&x.state, 0, (int)COUNT(operations) - 1)](&x);
        v->steps_run++;
    }
    close_side(&x.subject);
    close_side(&x.alone);
    close_side(&x.definition);
    close_side(&x.portable);
    free(x.windows);
    free(x.tokens);
    free(x.all);
    v->done = true;
}

/* The verdict, until the next one: of a process of its own, so that a crash is one, too. */
static const struct verdict *try_trial(const struct trial *t)
{
    static struct verdict *v;
    enum { SECONDS = 60 };
    int status;
    if (!v)
        v = mmap(NULL, sizeof *v, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(v != MAP_FAILED);
    *v = (struct verdict){0};
    fflush(NULL);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        alarm(SECONDS);
        run_trial(t, v);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    if (!v->done || status != 0) {
        v->holds = false;
        snprintf(v->why, sizeof v->why, "ended with %s %d", WIFSIGNALED(status) ? "signal" : "status",
                 WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    }
    return v;
}

static bool trial_fails(const struct trial *t)
{
    return is_well_posed(t) && !try_trial(t)->holds;
}

/* ---- The tests --------------------------------------------------------------------------------------------- */

static bool is_wide(const struct trial *t)
{
    return t->value[BATCH] >= 3 && t->value[WINDOW] * t->value[LAYERS] >= 20;
}

TEST(failures_are_made_smaller)
{
    struct trial t;
    uint64_t state = 1;
    do
        t = draw_trial(&state);
    while (!is_wide(&t));
    make_smaller(&t, is_wide);
    assert_true(is_wide(&t));
    for (int f = 0; f < N_FIELDS; f++) {
        struct trial less = t;
        less.value[f]--;
        assert_true(f == SEED || t.value[f] == trial_axes[f].low || !is_wide(&less));
    }
}

TEST(trials_are_lines)
{
    struct trial t, again;
    char line[1000];
    uint64_t state = 2;
    for (int i = 0; i < 100; i++) {
        t = draw_trial(&state);
        assert_true(print_trial(&t, line, sizeof line) < (int)sizeof line);
        assert_true(parse_trial(line, &again));
        assert_memory_equal(&t, &again, sizeof t);
    }
    assert_false(parse_trial("layers=1 heads=two", &again));
}

static void report_failure(struct trial t)
{
    char line[1000];
    print_trial(&t, line, sizeof line);
    print_error("fails: %s\n  %s\n", try_trial(&t)->why, line);
    make_smaller(&t, trial_fails);
    print_trial(&t, line, sizeof line);
    print_error("smallest: %s\n  KV_TRIAL='%s'\n", try_trial(&t)->why, line);
}

struct total {
    struct verdict sum;
    int n, n_failed, n_lossy, n_over;
};

static void add(struct total *t, const struct verdict *v)
{
    struct verdict *sum = &t->sum;
    sum->steps_run += v->steps_run;
    sum->refusals += v->refusals;
    sum->overflows += v->overflows;
    sum->draws += v->draws;
    sum->other_draws += v->other_draws;
    sum->promised += v->promised;
    sum->worst = fmax(sum->worst, v->worst);
    sum->lossy = fmax(sum->lossy, v->lossy);
    t->n++;
    t->n_failed += !v->holds;
    t->n_lossy += v->lossy > 0;
    t->n_over += v->lossy > 1;
}

/* Of a mean that is promised, so many at most: four deviations of a Poisson number above it, and one. */
static double most_of(double mean)
{
    return mean + 4 * sqrt(mean) + 1;
}

static void print_total(const struct total *t)
{
    printf("%d trials, %d steps, %d refusals, %d passings of the window's end\n", t->n, t->sum.steps_run,
           t->sum.refusals, t->sum.overflows);
    printf("exact arms are off by at most %.2g of the largest; %d of %d draws differ, %.2g promised\n", t->sum.worst,
           t->sum.other_draws, t->sum.draws, t->sum.promised);
    printf("%d of %d lossy ones are off by more than the gate's bound, at most %.2f times it\n", t->n_over, t->n_lossy,
           t->sum.lossy);
}

TEST(arms_are_the_definition)
{
    const char *only = getenv("KV_TRIAL");
    const int n = only ? 1 : (int)number_of("KV_COUNT", 500);
    const uint64_t seed = number_of("KV_SEED", (uint64_t)time(NULL) % 1000000 + 1);
    struct total total = {0};
    uint64_t state = seed;
    printf("KV_SEED=%llu draws the same %d trials\n", (unsigned long long)seed, n);
    assert_true(n > 0 && seed > 0);
    for (int i = 0; i < n && total.n_failed < MOST_FAILURES; i++) {
        struct trial t = draw_trial(&state);
        assert_true(!only || parse_trial(only, &t));
        const struct verdict v = *try_trial(&t);
        add(&total, &v);
        if (!v.holds)
            report_failure(t);
    }
    print_total(&total);
    assert_int_equal(total.n_failed, 0);
    assert_true(total.sum.other_draws <= most_of(total.sum.promised));
    assert_true(total.n_over <= most_of(MOST_OVER_BOUND * total.n_lossy));
    assert_true(n < 100 ||
                (total.sum.overflows > 0 && total.sum.refusals > 0 && total.sum.draws > n && total.n_lossy > 0));
}
