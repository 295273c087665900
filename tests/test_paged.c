/* Pages: random sequences of appending, cutting back and forking have the bits of the contiguous cache, whatever the
 * blocks; blocks are counted, shared, copied before they are written, and given back; a pool that is full changes
 * nothing. */
#include "unit.h"

#include "infer/infer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { B = 4, V = 29, P = 300 };
static const struct kv_config shape = {2, 2, 24, 40, V, P, KV_GELU_NEW, 1e-5f};

struct fixture {
    struct kv_pool *pool;
    struct kv_model *model;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    OK(kv_pool_create(&f->pool, 2, &error));
    OK(kv_model_synthesize(&f->model, &shape, 3, NULL, NULL, f->pool, &error));
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    kv_model_free(f->model);
    kv_pool_free(f->pool);
    free(f);
    return 0;
}

#define FIXTURE_TEST(name) TEST_WITH(name, const struct fixture *f, set_up, tear_down)

static struct kv_session *open_session(const struct fixture *f, const char *cache, const char *kv, int pool)
{
    return make_session(f->model, f->pool,
                        (struct kv_session_options){.cache = cache, .kv = kv, .batch = B, .pool = pool});
}

/* Blocks that the sequence has. */
static int held_by(const struct kv_session *s, int b)
{
    const int32_t *held = (const int32_t *)(void *)(s->cache.pages.base + s->cache.pages.held);
    return held[b];
}

static void assert_all_free(struct kv_session *s)
{
    kv_session_reset(s);
    assert_int_equal(s->cache.pages.n_free, s->cache.pages.n_blocks);
    assert_int_equal(kv_session_kv_live_bytes(s), 0);
    for (int b = 0; b < B; b++)
        assert_int_equal(held_by(s, b), 0);
}

/* The same done to both sessions. */
struct pair {
    struct kv_session *paged, *plain;
    uint64_t random;
};

static void append(struct pair *p)
{
    static int32_t tokens[B * P];
    int n[B], sum = 0;
    for (int b = 0; b < B; b++) {
        const int left = P - kv_session_lengths(p->plain)[b], most = random_between(&p->random, 0, 3) ? 3 : 70;
        n[b] = random_between(&p->random, 0, left < most ? left : most);
        for (int i = 0; i < n[b]; i++)
            tokens[sum++] = random_between(&p->random, 0, V - 1);
    }
    if (sum == 0)
        return;
    OK(kv_session_append(p->paged, n, tokens, NULL, &error));
    OK(kv_session_append(p->plain, n, tokens, NULL, &error));
    for (int b = 0; b < B; b++)
        if (n[b] && memcmp(kv_session_logits(p->paged) + b * V, kv_session_logits(p->plain) + b * V, V * sizeof(float)))
            fail_msg("%s, %s: logits of sequence %d differ at %d positions", kv_session_cache(p->paged),
                     kv_session_kv(p->paged), b, kv_session_lengths(p->plain)[b]);
}

static void cut(struct pair *p)
{
    int lengths[B];
    for (int b = 0; b < B; b++) {
        const int length = kv_session_lengths(p->plain)[b];
        lengths[b] = random_between(&p->random, 0, 1) ? length : random_between(&p->random, 0, length);
    }
    OK(kv_session_truncate(p->paged, lengths, &error));
    OK(kv_session_truncate(p->plain, lengths, &error));
}

static void fork_one(struct pair *p)
{
    const int from = random_between(&p->random, 0, B - 1), to = random_between(&p->random, 0, B - 1);
    OK(kv_session_fork(p->paged, from, to, &error));
    OK(kv_session_fork(p->plain, from, to, &error));
    assert_true(kv_session_kv_live_bytes(p->paged) <= kv_session_kv_live_bytes(p->plain));
}

FIXTURE_TEST(random_sequences)
{
    static const char *const sizes[] = {"1", "3", "4", "15", "16", "17", "20", "48", "64", "256"};
    static const char *const types[] = {"f32", "bf16", "int8", "int4", "int8/int4", "int4/f32"};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (size_t k = 0; k < sizeof types / sizeof *types; k++) {
            char cache[32];
            snprintf(cache, sizeof cache, "paged:%s", sizes[i]);
            struct pair p = {open_session(f, cache, types[k], 0), open_session(f, NULL, types[k], 0), i * 10 + k + 1};
            for (int step = 0; step < 40; step++) {
                const int what = random_between(&p.random, 0, 7);
                (what < 5 ? append : what < 6 ? cut : fork_one)(&p);
            }
            for (int b = 0; b < B; b++)
                assert_int_equal(kv_session_lengths(p.paged)[b], kv_session_lengths(p.plain)[b]);
            assert_all_free(p.paged);
            kv_session_reset(p.plain);
            append(&p);
            kv_session_free(p.paged);
            kv_session_free(p.plain);
        }
}

FIXTURE_TEST(forks_share_until_they_differ)
{
    int32_t tokens[40] = {0};
    int n[B] = {40, 0, 0, 0};
    struct kv_session *s = open_session(f, "paged:16", NULL, 0);
    OK(kv_session_append(s, n, tokens, NULL, &error));
    const size_t bytes = kv_session_kv_live_bytes(s);
    assert_int_equal(bytes, 40 * kv_config_kv_bytes_per_token(&shape));
    for (int b = 1; b < B; b++)
        OK(kv_session_fork(s, 0, b, &error));
    assert_int_equal(kv_session_kv_live_bytes(s), bytes);
    assert_int_equal(s->cache.pages.n_blocks - s->cache.pages.n_free, 3);
    OK(kv_session_decode(s, tokens, &error)); /* all write into the third: its last user need not copy it */
    assert_int_equal(s->cache.pages.n_blocks - s->cache.pages.n_free, 2 + B);
    OK(kv_session_truncate(s, (int[B]){41, 32, 32, 32}, &error));
    assert_int_equal(s->cache.pages.n_blocks - s->cache.pages.n_free, 3);
    assert_all_free(s);
    kv_session_free(s);
}

FIXTURE_TEST(a_full_pool_changes_nothing)
{
    int32_t tokens[B * 20] = {0};
    int32_t selected[B];
    struct kv_session *s = open_session(f, "paged:16", NULL, 6 * 16);
    assert_int_equal(s->cache.pages.n_blocks, 6);
    OK(kv_session_append(s, (int[B]){20, 16, 0, 0}, tokens, NULL, &error));
    REFUSED(kv_session_append(s, (int[B]){20, 1, 20, 0}, tokens, NULL, &error), KV_POOL_FULL,
            "4 blocks are needed, 3 of 6 are free", NULL);
    assert_int_equal(kv_session_lengths(s)[0], 20);
    assert_int_equal(kv_session_lengths(s)[1], 16);
    OK(kv_session_greedy(s, selected, &error)); /* logits are still there */
    OK(kv_session_append(s, (int[B]){12, 1, 20, 0}, tokens, NULL, &error));
    REFUSED(kv_session_prefill(s, tokens, 1, NULL, &error), KV_POOL_FULL, "full", NULL);
    OK(kv_session_truncate(s, (int[B]){16, 16, 16, 0}, &error));
    REFUSED(kv_session_prefill(s, tokens, 1, NULL, &error), KV_POOL_FULL, "full", NULL);
    OK(kv_session_truncate(s, (int[B]){16, 16, 0, 0}, &error));
    OK(kv_session_prefill(s, tokens, 1, NULL, &error));
    assert_all_free(s);
    REFUSED(kv_session_prefill_same(s, tokens, 20, &error), KV_POOL_FULL, "8 blocks", NULL);
    OK(kv_session_prefill_same(s, tokens, 16, &error));
    kv_session_reset(s);
    OK(kv_session_prefill_prefix(s, tokens, 20, 20, &error)); /* one of 16 positions for all, and one each */
    assert_int_equal(s->cache.pages.n_free, 1);
    kv_session_free(s);
    s = open_session(f, "paged:16", NULL, 1); /* one block at least */
    assert_int_equal(s->cache.pages.n_blocks, 1);
    kv_session_free(s);
}

/* On every path, in every cache: as each sequence's own prompt, whatever of it is shared. */
FIXTURE_TEST(a_shared_prefix)
{
    enum { T = 50 };
    static const char *const caches[] = {"contiguous", "paged:1", "paged:16", "paged:20", "paged:64"};
    static const int prefixes[] = {0, 1, 16, 33, 48, T - 1, T};
    int32_t tokens[B * T], next[B] = {1, 2, 3, 4};
    for (int p = 0; kv_path_choice(p); p++)
        for (int i = 0; i < 5 * 7; i++) {
            const int n = prefixes[i % 7];
            const struct kv_session_options options = {
                .path = kv_path_choice(p)->name, .cache = caches[i / 7], .batch = B, .chunk = i % 2 ? 7 : 0};
            struct kv_session *each = make_session(f->model, f->pool, options);
            struct kv_session *once = make_session(f->model, f->pool, options);
            for (int t = 0; t < B * T; t++)
                tokens[t] = (t % T * 5 + (t % T < n ? 0 : t / T * 3)) % V;
            OK(kv_session_prefill(each, tokens, T, NULL, &error));
            OK(kv_session_prefill_prefix(once, tokens, T, n, &error));
            assert_memory_equal(kv_session_logits(each), kv_session_logits(once), B * V * sizeof(float));
            assert_true(kv_session_kv_live_bytes(once) <= kv_session_kv_live_bytes(each));
            if (options.cache[0] == 'p' && kv_path_keeps(options.path) && n == 48)
                assert_int_equal(kv_session_kv_live_bytes(each) - kv_session_kv_live_bytes(once),
                                 (B - 1) * (size_t)(n / once->cache.numbers[0] * once->cache.numbers[0]) *
                                     kv_config_kv_bytes_per_token(&shape));
            OK(kv_session_decode(each, next, &error));
            OK(kv_session_decode(once, next, &error));
            assert_memory_equal(kv_session_logits(each), kv_session_logits(once), B * V * sizeof(float));
            kv_session_free(each);
            kv_session_free(once);
        }
}

/* Requests in turn: what is found is what was run before, in whole blocks, and the bits are those without a store. */
static void ask(struct kv_store *store, struct kv_session *s, struct kv_session *plain, const int32_t *tokens, int n,
                int expected)
{
    int n_found, counts[B] = {0};
    counts[0] = n;
    kv_session_reset(s);
    kv_session_reset(plain);
    OK(kv_store_take(store, 0, tokens, n, &n_found, &error));
    assert_int_equal(n_found, expected);
    OK(kv_session_append(plain, counts, tokens, NULL, &error));
    counts[0] -= n_found;
    OK(kv_session_append(s, counts, tokens + n_found, NULL, &error));
    assert_memory_equal(kv_session_logits(s), kv_session_logits(plain), V * sizeof(float));
    OK(kv_store_keep(store, 0, &error));
}

FIXTURE_TEST(a_store_of_prefixes)
{
    enum { N = 50 };
    int32_t a[N], b[N], c[N];
    struct kv_store *store;
    struct kv_session *s = open_session(f, "paged:16", "int4", B * P + 100), *plain = open_session(f, NULL, "int4", 0);
    const struct kv_session_options options = {.cache = "paged:16", .kv = "int4", .batch = 1};
    struct kv_session *one = make_session(f->model, f->pool, options);
    OK(kv_session_prefill(one, (int32_t[16]){0}, 16, NULL, &error));
    const size_t block = kv_session_kv_live_bytes(one);
    kv_session_free(one);
    for (int i = 0; i < N; i++) {
        a[i] = i * 7 % V;
        b[i] = i < 40 ? a[i] : i * 5 % V;
        c[i] = (i * 3 + 1) % V;
    }
    REFUSED(kv_store_create(&store, plain, 1 << 20, &error), KV_ERROR_ARGUMENT, "'contiguous' has no blocks", NULL);
    REFUSED(kv_store_create(&store, s, block - 1, &error), KV_ERROR_ARGUMENT, "less than a block of 16", NULL);
    OK(kv_store_create(&store, s, 4 * block, &error));
    ask(store, s, plain, a, N, 0);
    ask(store, s, plain, a, N, 48);
    ask(store, s, plain, a, 48, 32); /* the last position is run: its logits are wanted */
    ask(store, s, plain, b, N, 32);
    assert_int_equal(kv_store_counts(store).n_blocks, 4); /* three of a, and the third of b */
    ask(store, s, plain, c, 20, 0);
    assert_int_equal(kv_store_counts(store).evicted_blocks, 1); /* a's third, which was used longest ago */
    ask(store, s, plain, b, N, 48);
    ask(store, s, plain, a, N, 32);
    assert_int_equal(kv_store_counts(store).bytes, 4 * block);
    assert_int_equal(kv_store_counts(store).asked_tokens, 6 * N - 2 + 20);
    int n_found;
    REFUSED(kv_store_take(store, 0, a, N, &n_found, &error), KV_ERROR_ARGUMENT, "to be empty", NULL);
    REFUSED(kv_store_keep(store, B, &error), KV_ERROR_ARGUMENT, "no sequence 4 of 4", NULL);
    uint64_t random = 5;
    for (int i = 0; i < 200; i++) { /* many more than it has room for */
        int32_t tokens[N];
        const int same = random_between(&random, 0, N);
        for (int t = 0; t < N; t++)
            tokens[t] = t < same ? a[t] : random_between(&random, 0, V - 1);
        int counts[B] = {N};
        kv_session_reset(s);
        kv_session_reset(plain);
        OK(kv_store_take(store, 0, tokens, N, &n_found, &error));
        assert_true(n_found <= 48);
        OK(kv_session_append(plain, counts, tokens, NULL, &error));
        counts[0] -= n_found;
        OK(kv_session_append(s, counts, tokens + n_found, NULL, &error));
        assert_memory_equal(kv_session_logits(s), kv_session_logits(plain), V * sizeof(float));
        OK(kv_store_keep(store, 0, &error));
        assert_in_range(kv_store_counts(store).n_blocks, 1, 4);
    }
    while (kv_store_evict(store))
        continue;
    assert_all_free(s);
    kv_store_free(store);
    assert_all_free(s);
    kv_session_free(s);
    kv_session_free(plain);
}

FIXTURE_TEST(refused)
{
    int32_t tokens[B * 4] = {1, 2, 3, 4, 1, 2, 3, 4, 1, 5, 3, 4, 1, 2, 3, 4};
    struct kv_session *s = open_session(f, "paged:16", NULL, 0);
    REFUSED(kv_session_prefill_prefix(s, tokens, 4, 5, &error), KV_ERROR_ARGUMENT, "prefix: 5 is not in 0..4", NULL);
    REFUSED(kv_session_prefill_prefix(s, tokens, 4, 2, &error), KV_ERROR_ARGUMENT, "0 and 2 differ", NULL);
    OK(kv_session_prefill_prefix(s, tokens, 4, 1, &error));
    REFUSED(kv_session_prefill_prefix(s, tokens, 4, 1, &error), KV_ERROR_ARGUMENT, "to be empty", NULL);
    kv_session_free(s);
    static const char *const wrong[] = {"paged",   "paged:",     "paged:0",  "paged:257",
                                        "paged:x", "paged:16:1", "paged:016"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        const struct kv_session_options options = {.cache = wrong[i], .batch = 1};
        REFUSED(kv_session_create(&s, f->model, f->pool, &options, &error), KV_ERROR_ARGUMENT,
                "is not written like paged:16, with 1 to 256", NULL);
    }
    const struct kv_session_options negative = {.cache = "paged:16", .batch = 1, .pool = -1};
    REFUSED(kv_session_create(&s, f->model, f->pool, &negative, &error), KV_ERROR_ARGUMENT, "pool: -1", NULL);
}
