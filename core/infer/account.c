/* Where the time of a step goes. A thread's time in a parallel region is cut into laps, each of one part, so that the
 * parts of a thread add up to the region. */
#include "infer/infer.h"

#include <time.h>

static const char *const names[KV_N_PARTS] = {
    [KV_PART_EMBEDDING] = "embedding", [KV_PART_NORMS] = "norms",           [KV_PART_QKV] = "qkv",
    [KV_PART_ATTENTION] = "attention", [KV_PART_PROJECTION] = "projection", [KV_PART_MLP] = "MLP",
    [KV_PART_HEAD] = "head",           [KV_PART_SELECTION] = "selection",   [KV_PART_WAITING] = "waiting",
};

const char *kv_part_name(enum kv_part part)
{
    return names[part];
}

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void add(struct kv_account *account, enum kv_part part, int64_t now)
{
    account->ns[part] += now - account->last_ns;
    account->calls[part]++;
    account->last_ns = now;
}

void kv_account_lap(struct kv_account *account, enum kv_part part)
{
    add(account, part, now_ns());
}

void kv_meet(const struct kv_engine *engine, int rank, enum kv_part part)
{
    kv_lap(engine, rank, part);
    kv_pool_barrier(engine->pool);
    kv_lap(engine, rank, KV_PART_WAITING);
}

void kv_engine_run(const struct kv_engine *engine, void (*job)(void *argument, int rank), void *argument)
{
    const int n_ranks = engine->accounts ? kv_pool_size(engine->pool) : 0;
    const int64_t start = n_ranks ? now_ns() : 0;
    for (int rank = 0; rank < n_ranks; rank++)
        engine->accounts[rank].last_ns = start;
    kv_pool_run(engine->pool, job, argument);
    const int64_t end = n_ranks ? now_ns() : 0;
    for (int rank = 0; rank < n_ranks; rank++)
        add(&engine->accounts[rank], KV_PART_WAITING, end);
}

void kv_session_account(struct kv_session *session, struct kv_account *accounts)
{
    session->engine.accounts = accounts;
}
