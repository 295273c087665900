/* A speculator has all tokens of every sequence. The session holds a window of them: all but the newest, or, past the
 * window's end, the last of these. The draft's session holds the first positions of that window, which it ran, and is
 * brought up to it before it drafts.
 *
 * Draws. Token number n of sequence b, from 0, uses the numbers of the key of (seed, b, n), as a plain step does
 * (sampler.c): number V says whether the draft stays, number i belongs to token i in the race that draws what comes in
 * its place or, where nothing was drafted, the token. Drafts are drawn by a key of another seed. A draft that is dropped
 * behind one that did not stay has decided nothing, so that its numbers are as good as new when its place is drafted
 * again. */
#include "base/error.h"
#include "base/random.h"
#include "infer/infer.h"
#include "infer/lookup.h"
#include "infer/sampler.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* What temperature, top-k and top-p left of a draft's logits when it drew a token. */
struct drawn {
    int n;
    double sum;
};

struct kv_speculator {
    struct kv_session *session, *draft; /* draft: NULL with lookups */
    struct kv_sampler *sampler, *draft_sampler;
    int k, batch, vocab_size;
    int room;        /* tokens of a sequence */
    int n_positions; /* the session's window */
    struct kv_speculation_counts counts;
    struct kv_block block;
    int32_t *tokens;     /* [B, room] */
    const int32_t *text; /* [B, room] what they are to be; NULL: what the model says */
    int *n;              /* [B] of them */
    struct kv_lookup *lookups;
    int32_t *matches; /* [B, room] the lookups' */
    /* of the step that runs */
    int *n_drafts;                 /* [B]; -1: the sequence takes no part */
    int32_t *drafts;               /* [B, k] */
    int *n_rows, *first_row, *cut; /* [B] */
    int32_t *rows;                 /* [B max(room, k + 1)] tokens to be run */
    int32_t *best;                 /* [B (k + 1)] argmax of each row of logits */
    float *logits;                 /* [B (k + 1), V] */
    bool is_plain;                 /* the logits are the session's own, one row a sequence */
    struct drawn *drawn;           /* [B, k] */
    struct kv_candidate *q, *p;    /* q [B, k, candidates], p [candidates] */
    float *density;                /* [V] of q, 0 between two uses */
    size_t n_candidates;
};

/* ---- Creation ------------------------------------------------------------------------------------------------ */

static kv_status check(const struct kv_session *session, const struct kv_speculation *o, struct kv_error *error)
{
    const int V = session->engine.model->config.vocab_size;
    if (o->k < 1 || o->k > KV_SPECULATE_MOST)
        return kv_fail(error, KV_ERROR_ARGUMENT, "speculate: %d tokens a step are not in 1..%d", o->k,
                       KV_SPECULATE_MOST);
    if (o->n_tokens < 1)
        return kv_fail(error, KV_ERROR_ARGUMENT, "speculate: %d tokens of a sequence are not at least 1", o->n_tokens);
    if (o->text && o->sampling.temperature > 0)
        return kv_fail(error, KV_ERROR_ARGUMENT,
                       "speculate: of a text that is given nothing is drawn; use temperature 0");
    if (o->draft && kv_model_config(o->draft)->vocab_size != V)
        return kv_fail(
            error, KV_ERROR_ARGUMENT,
            "the draft has another vocabulary, of %d tokens where the model has %d; choose one with the same",
            kv_model_config(o->draft)->vocab_size, V);
    return KV_OK;
}

static kv_status create_draft(struct kv_speculator *s, const struct kv_speculation *o, struct kv_error *error)
{
    if (!o->draft)
        return KV_OK;
    struct kv_session_options options = o->session;
    options.batch = s->batch;
    options.capacity = kv_smaller(kv_model_config(o->draft)->n_positions, s->session->capacity);
    options.overflow = KV_OVERFLOW_STOP;
    return kv_session_create(&s->draft, o->draft, s->session->engine.pool, &options, error);
}

static kv_status create_samplers(struct kv_speculator *s, const struct kv_speculation *o, struct kv_error *error)
{
    struct kv_sampling sampling = o->sampling;
    if (!(sampling.temperature > 0))
        return KV_OK;
    kv_status status = kv_sampler_create(&s->sampler, &sampling, s->vocab_size, s->batch, NULL, error);
    sampling.seed = kv_draw64(sampling.seed, 0);
    if (!status && s->draft)
        status = kv_sampler_create(&s->draft_sampler, &sampling, s->vocab_size, s->batch, NULL, error);
    s->n_candidates = status ? 0 : (size_t)kv_sampler_room(s->sampler);
    return status;
}

/* A part of the block at `base`; without one it is only counted. */
static void *part(struct kv_layout *layout, char *base, size_t count_a, size_t count_b, size_t element_bytes)
{
    const size_t at = kv_layout_add(layout, count_a, count_b, element_bytes);
    return base ? base + at : NULL;
}

static struct kv_layout lay_out(struct kv_speculator *s, char *base)
{
    const size_t B = (size_t)s->batch, k = (size_t)s->k, room = (size_t)s->room, V = (size_t)s->vocab_size;
    const size_t n_lists = s->draft_sampler ? B * k : 0;
    struct kv_layout layout = {0};
    s->tokens = part(&layout, base, B, room, sizeof *s->tokens);
    s->n = part(&layout, base, B, 1, sizeof *s->n);
    s->lookups = part(&layout, base, B, 1, sizeof *s->lookups);
    s->matches = part(&layout, base, s->draft ? 0 : B, room, sizeof *s->matches);
    s->n_drafts = part(&layout, base, B, 1, sizeof *s->n_drafts);
    s->drafts = part(&layout, base, B, k, sizeof *s->drafts);
    s->n_rows = part(&layout, base, B, 1, sizeof *s->n_rows);
    s->first_row = part(&layout, base, B, 1, sizeof *s->first_row);
    s->cut = part(&layout, base, B, 1, sizeof *s->cut);
    s->rows = part(&layout, base, B, room > k + 1 ? room : k + 1, sizeof *s->rows);
    s->best = part(&layout, base, B, k + 1, sizeof *s->best);
    s->logits = part(&layout, base, B * (k + 1), V, sizeof *s->logits);
    s->drawn = part(&layout, base, n_lists, 1, sizeof *s->drawn);
    s->q = part(&layout, base, n_lists, s->n_candidates, sizeof *s->q);
    s->p = part(&layout, base, s->n_candidates, 1, sizeof *s->p);
    s->density = part(&layout, base, s->sampler ? V : 0, 1, sizeof *s->density);
    return layout;
}

static kv_status allocate(struct kv_speculator *s, struct kv_error *error)
{
    const struct kv_layout layout = lay_out(s, NULL);
    const kv_status status = kv_block_allocate(&s->block, &layout, "speculation (logits of all drafts)", error);
    if (!status)
        lay_out(s, s->block.base);
    return status;
}

kv_status kv_speculator_create(struct kv_speculator **out, struct kv_session *session, const struct kv_speculation *o,
                               struct kv_error *error)
{
    *out = NULL;
    kv_status status = check(session, o, error);
    if (status)
        return status;
    struct kv_speculator *s = calloc(1, sizeof *s);
    if (!s)
        return kv_fail(error, KV_ERROR_MEMORY, "speculation: no memory");
    s->session = session;
    s->k = o->k;
    s->batch = session->batch;
    s->vocab_size = session->engine.model->config.vocab_size;
    s->n_positions = session->engine.model->config.n_positions;
    s->room = o->n_tokens;
    s->text = o->text;
    status = create_draft(s, o, error);
    if (!status)
        status = create_samplers(s, o, error);
    if (!status)
        status = allocate(s, error);
    if (status) {
        kv_speculator_free(s);
        return status;
    }
    kv_speculator_reset(s);
    *out = s;
    return KV_OK;
}

void kv_speculator_free(struct kv_speculator *s)
{
    if (!s)
        return;
    kv_session_free(s->draft);
    kv_sampler_free(s->sampler);
    kv_sampler_free(s->draft_sampler);
    kv_block_free(&s->block);
    free(s);
}

void kv_speculator_reset(struct kv_speculator *s)
{
    if (s->draft)
        kv_session_reset(s->draft);
    for (int b = 0; b < s->batch; b++) {
        const size_t first = (size_t)b * (size_t)s->room;
        s->n[b] = 0;
        s->lookups[b] = (struct kv_lookup){s->tokens + first, 0, s->draft ? NULL : s->matches + first};
    }
    s->counts = (struct kv_speculation_counts){.steps = 0};
}

kv_status kv_speculator_push(struct kv_speculator *s, int b, const int32_t *tokens, int n, struct kv_error *error)
{
    if (n > s->room - s->n[b])
        return kv_fail(error, KV_ERROR_ARGUMENT, "sequence %d: %d more tokens, %d in all were asked for", b, n,
                       s->room);
    for (int i = 0; i < n; i++) {
        s->tokens[(size_t)b * (size_t)s->room + (size_t)s->n[b]++] = tokens[i];
        if (!s->draft)
            kv_lookup_push(&s->lookups[b]);
    }
    return KV_OK;
}

const struct kv_speculation_counts *kv_speculator_counts(const struct kv_speculator *s)
{
    return &s->counts;
}

/* ---- Drafting ------------------------------------------------------------------------------------------------ */

static int32_t *drafts_of(const struct kv_speculator *s, int b)
{
    return s->drafts + (size_t)b * (size_t)s->k;
}

/* Tokens [n] to be run of sequence b, behind those of the sequences before it. */
static void add_rows(struct kv_speculator *s, int b, int *n_all, const int32_t *tokens, int n)
{
    memcpy(s->rows + *n_all, tokens, (size_t)n * sizeof *tokens);
    s->n_rows[b] = n;
    *n_all += n;
}

/* Tokens of the session's window, and the newest behind it, that the draft has not run. */
static int behind(const struct kv_speculator *s, int b)
{
    return s->session->lengths[b] + 1 - s->draft->lengths[b];
}

static const int32_t *last_tokens(const struct kv_speculator *s, int b, int n)
{
    return s->tokens + (size_t)b * (size_t)s->room + (size_t)(s->n[b] - n);
}

kv_status kv_speculator_prepare(struct kv_speculator *s, struct kv_error *error)
{
    int n_all = 0;
    for (int b = 0; s->draft && b < s->batch; b++) {
        const int n = s->n[b] && s->session->lengths[b] <= s->draft->capacity ? behind(s, b) - 1 : 0;
        add_rows(s, b, &n_all, last_tokens(s, b, n + 1), n);
    }
    return n_all ? kv_session_append(s->draft, s->n_rows, s->rows, NULL, error) : KV_OK;
}

/* Draft j of sequence b, of the draft's newest logits; false: they are not numbers. */
static bool draw_draft(struct kv_speculator *s, int b, int j)
{
    const float *logits = s->draft->logits + (size_t)b * (size_t)s->vocab_size;
    int32_t *draft = &drafts_of(s, b)[j];
    if (!s->sampler) {
        *draft = s->draft->engine.kernels->argmax(logits, s->vocab_size);
        return *draft >= 0;
    }
    const size_t place = (size_t)b * (size_t)s->k + (size_t)j;
    struct kv_candidate *q = s->q + place * s->n_candidates;
    struct drawn *drawn = &s->drawn[place];
    drawn->n = kv_sampler_weigh(s->draft_sampler, logits, q, &drawn->sum);
    if (drawn->n < 1)
        return false;
    *draft = kv_sampler_race(s->draft_sampler, b, s->n[b] + j, q, drawn->n);
    return true;
}

/* By the draft: for all sequences side by side, a token a round. The first runs what it is behind. */
static kv_status draft_by_model(struct kv_speculator *s, struct kv_error *error)
{
    for (int j = 0, n_all; j < s->k; j++) {
        n_all = 0;
        for (int b = 0; b < s->batch; b++) {
            const int n = s->n_drafts[b] <= j ? 0 : j > 0 ? 1 : behind(s, b);
            add_rows(s, b, &n_all, j > 0 && n ? &drafts_of(s, b)[j - 1] : last_tokens(s, b, n), n);
        }
        if (n_all == 0)
            break;
        const kv_status status = kv_session_append(s->draft, s->n_rows, s->rows, NULL, error);
        if (status)
            return status;
        for (int b = 0; b < s->batch; b++)
            if (s->n_rows[b] && !draw_draft(s, b, j))
                s->n_drafts[b] = j;
    }
    return KV_OK;
}

/* Most drafts of a sequence: what the window, the session's room and the draft's take, and who asks wants. */
static int most_drafts(const struct kv_speculator *s, int b, int wanted)
{
    const int length = s->session->lengths[b];
    int n = kv_smaller(kv_smaller(s->k, wanted - 1), s->session->capacity - length - 1);
    if (s->draft)
        n = kv_smaller(n, s->draft->capacity - length);
    return n > 0 ? n : 0;
}

/* Who takes part, with how many drafts at most, and whether the step is a plain one. Under KV_OVERFLOW_STOP a sequence
 * at the window's end takes no part, so that those of other lengths come as far. */
static kv_status plan(struct kv_speculator *s, const int *most, struct kv_error *error)
{
    const bool stops = s->session->overflow == KV_OVERFLOW_STOP;
    bool some = false, is_full = false;
    s->is_plain = false;
    for (int b = 0; b < s->batch; b++) {
        const int room = s->n_positions - s->session->lengths[b], wanted = stops ? kv_smaller(most[b], room) : most[b];
        s->n_drafts[b] = wanted > 0 ? most_drafts(s, b, wanted) : -1;
        s->is_plain |= wanted > 0 && room <= 0;
        some |= wanted > 0;
        is_full |= most[b] > 0 && wanted <= 0;
    }
    if (!some && is_full)
        return kv_fail(error, KV_WINDOW_FULL,
                       "the window's end is reached: n_positions is %d; choose overflow recompute or shift",
                       s->n_positions);
    return some ? KV_OK : kv_fail(error, KV_ERROR_ARGUMENT, "speculate: no sequence wants a token");
}

static kv_status draft(struct kv_speculator *s, struct kv_error *error)
{
    for (int b = 0; b < s->batch; b++)
        if (s->n_drafts[b] > 0 && s->is_plain)
            s->n_drafts[b] = 0;
        else if (s->n_drafts[b] > 0 && !s->draft)
            s->n_drafts[b] = kv_lookup_draft(&s->lookups[b], s->n_drafts[b], drafts_of(s, b));
    return s->draft ? draft_by_model(s, error) : KV_OK;
}

/* ---- Verifying ----------------------------------------------------------------------------------------------- */

static kv_status run_drafts(struct kv_speculator *s, struct kv_error *error)
{
    int n_all = 0;
    for (int b = 0; b < s->batch; b++) {
        s->first_row[b] = s->is_plain ? b : n_all;
        s->n_rows[b] = s->n_drafts[b] + 1;
        if (s->n_rows[b] == 0)
            continue;
        s->rows[n_all++] = *last_tokens(s, b, 1);
        memcpy(s->rows + n_all, drafts_of(s, b), (size_t)s->n_drafts[b] * sizeof *s->rows);
        n_all += s->n_drafts[b];
    }
    return kv_session_append(s->session, s->n_rows, s->rows, s->is_plain ? NULL : s->logits, error);
}

/* Of row j of the sequence, the logits behind its draft j - 1. */
static const float *logits_of(const struct kv_speculator *s, int b, int j)
{
    return (s->is_plain ? s->session->logits : s->logits) + (size_t)(s->first_row[b] + j) * (size_t)s->vocab_size;
}

static void argmax_job(void *argument, int rank)
{
    struct kv_speculator *s = argument;
    const struct kv_engine *e = &s->session->engine;
    const int n_ranks = kv_pool_size(e->pool);
    int row = 0;
    kv_lap(e, rank, KV_PART_WAITING);
    for (int b = 0; b < s->batch; b++)
        for (int j = 0; j < s->n_rows[b]; j++, row++)
            if (row % n_ranks == rank)
                s->best[s->first_row[b] + j] = e->kernels->argmax(logits_of(s, b, j), s->vocab_size);
    kv_lap(e, rank, KV_PART_SELECTION);
}

static kv_status not_a_number(int b, struct kv_error *error)
{
    return kv_fail(error, KV_ERROR_NUMERIC, "sequence %d: a logit is not a number; the weights hold NaN or overflow",
                   b);
}

/* For the tokens that a step gives sequence b, those that it goes on with. */
static const int32_t *to_go_on(const struct kv_speculator *s, int b, const int32_t *tokens)
{
    return s->text ? s->text + (size_t)b * (size_t)s->room + (size_t)s->n[b] : tokens;
}

/* tokens [*n]: what the model says where the drafts stay, and behind them. */
static kv_status judge_greedy(struct kv_speculator *s, int b, int32_t *tokens, int *n, struct kv_error *error)
{
    const int32_t *best = s->best + s->first_row[b], *drafts = drafts_of(s, b), *next = to_go_on(s, b, tokens);
    *n = 0;
    do {
        if (best[*n] < 0)
            return not_a_number(b, error);
        tokens[*n] = best[*n];
        ++*n;
    } while (*n <= s->n_drafts[b] && drafts[*n - 1] == next[*n - 1]);
    return KV_OK;
}

/* The probability of a token by candidates c [n] that weigh `sum`. */
static double probability(const struct kv_candidate *c, int n, double sum, int32_t token)
{
    for (int i = 0; i < n; i++)
        if (c[i].id == token)
            return (double)c[i].value / sum;
    return 0;
}

/* Turns p [n] into what it has above q, the distribution that draft j was drawn from; left as it is where that is
 * nothing at all, by a rounding. */
static void take_away(struct kv_speculator *s, int b, int j, int n, double sum)
{
    const size_t place = (size_t)b * (size_t)s->k + (size_t)j;
    const struct kv_candidate *q = s->draft ? s->q + place * s->n_candidates : NULL;
    const int n_q = s->draft ? s->drawn[place].n : 1;
    const int32_t draft = drafts_of(s, b)[j];
    bool some = false;
    for (int i = 0; i < n_q; i++)
        s->density[q ? q[i].id : draft] = q ? (float)((double)q[i].value / s->drawn[place].sum) : 1;
    for (int i = 0; i < n; i++)
        some |= (double)s->p[i].value / sum > (double)s->density[s->p[i].id];
    for (int i = 0; some && i < n; i++) {
        const double above = (double)s->p[i].value / sum - (double)s->density[s->p[i].id];
        s->p[i].value = above > 0 ? (float)above : 0;
    }
    for (int i = 0; i < n_q; i++)
        s->density[q ? q[i].id : draft] = 0;
}

static bool stays(struct kv_speculator *s, int b, int j, int n, double sum)
{
    const size_t place = (size_t)b * (size_t)s->k + (size_t)j;
    const int32_t draft = drafts_of(s, b)[j];
    const double p = probability(s->p, n, sum, draft);
    const double q = s->draft
                         ? probability(s->q + place * s->n_candidates, s->drawn[place].n, s->drawn[place].sum, draft)
                         : 1;
    return kv_sampler_uniform(s->sampler, b, s->n[b] + j) * q < p;
}

static kv_status judge_drawn(struct kv_speculator *s, int b, int32_t *tokens, int *n, struct kv_error *error)
{
    bool goes_on = true;
    for (*n = 0; goes_on; ++*n) {
        double sum;
        const int j = *n, n_p = kv_sampler_weigh(s->sampler, logits_of(s, b, j), s->p, &sum);
        if (n_p < 1)
            return not_a_number(b, error);
        goes_on = j < s->n_drafts[b] && stays(s, b, j, n_p, sum);
        if (goes_on) {
            tokens[j] = drafts_of(s, b)[j];
            continue;
        }
        if (j < s->n_drafts[b])
            take_away(s, b, j, n_p, sum);
        tokens[j] = kv_sampler_race(s->sampler, b, s->n[b] + j, s->p, n_p);
    }
    return KV_OK;
}

static kv_status judge(struct kv_speculator *s, int32_t *tokens, int *n_tokens, struct kv_error *error)
{
    kv_status status = KV_OK;
    if (!s->sampler)
        kv_engine_run(&s->session->engine, argmax_job, s);
    for (int b = 0; !status && b < s->batch; b++) {
        int32_t *mine = tokens + (size_t)b * (size_t)(s->k + 1);
        n_tokens[b] = 0;
        if (s->n_rows[b])
            status = s->sampler ? judge_drawn(s, b, mine, &n_tokens[b], error)
                                : judge_greedy(s, b, mine, &n_tokens[b], error);
    }
    return status;
}

/* ---- A step -------------------------------------------------------------------------------------------------- */

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Cuts both sessions back to what stayed. A sequence that passed the window's end is another one to the draft. */
static kv_status cut_back(struct kv_speculator *s, const int *n_tokens, struct kv_error *error)
{
    const int *lengths = s->session->lengths;
    kv_status status = KV_OK;
    bool some = false;
    for (int b = 0; b < s->batch; b++) {
        const int dropped = s->n_rows[b] - n_tokens[b];
        s->cut[b] = lengths[b] - dropped;
        some |= dropped > 0;
    }
    if (some)
        status = kv_session_truncate(s->session, s->cut, error);
    for (int b = 0; s->draft && b < s->batch; b++)
        s->cut[b] = s->is_plain && s->n_rows[b] && s->n[b] > lengths[b] ? 0
                                                                        : kv_smaller(s->draft->lengths[b], lengths[b]);
    return status || !s->draft ? status : kv_session_truncate(s->draft, s->cut, error);
}

static void count(struct kv_speculator *s, const int *n_tokens)
{
    struct kv_speculation_counts *c = &s->counts;
    c->passes++;
    for (int b = 0; b < s->batch; b++) {
        c->steps += s->n_rows[b] > 0;
        c->tokens += n_tokens[b];
        c->drafted += s->n_rows[b] > 0 ? s->n_drafts[b] : 0;
        for (int j = 0; j < s->n_drafts[b] && j < n_tokens[b]; j++) {
            c->judged[j]++;
            c->stayed[j] += j + 1 < n_tokens[b];
        }
    }
}

kv_status kv_speculator_step(struct kv_speculator *s, const int *most, int32_t *tokens, int *n_tokens,
                             struct kv_error *error)
{
    for (int b = 0; b < s->batch; b++)
        if (most[b] > 0 && (s->n[b] == 0 || most[b] > s->room - s->n[b]))
            return kv_fail(error, KV_ERROR_ARGUMENT, "sequence %d: %d tokens behind %d, %d in all were asked for", b,
                           most[b], s->n[b], s->room);
    const int64_t start = now_ns();
    kv_status status = plan(s, most, error);
    if (!status)
        status = draft(s, error);
    const int64_t drafted = now_ns();
    if (!status)
        status = run_drafts(s, error);
    if (!status)
        status = judge(s, tokens, n_tokens, error);
    if (!status)
        status = cut_back(s, n_tokens, error);
    if (status)
        return status;
    count(s, n_tokens);
    for (int b = 0; b < s->batch; b++)
        (void)kv_speculator_push(s, b, to_go_on(s, b, tokens + (size_t)b * (size_t)(s->k + 1)), n_tokens[b], NULL);
    s->counts.draft_ns += drafted - start;
    s->counts.verify_ns += now_ns() - drafted;
    return KV_OK;
}
