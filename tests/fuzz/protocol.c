/* What another engine answers, a line of JSON each: the input, and empty objects behind it, is all that it ever says,
 * whatever it is asked. Times that are taken are times, ids are those of a vocabulary, and every refusal is a line. */
#include "fuzz.h"

#include "ab/peer.h"

#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

static void told(kv_status status, struct kv_error *error)
{
    if (status)
        fuzz_refused(status, error);
}

static void check_times(const double *ms)
{
    for (int i = 0; i < KV_PEER_N_METRICS; i++)
        FUZZ_HOLDS(isnan(ms[i]) || (ms[i] > 0 && ms[i] < 1e12));
}

static void check_generation(const struct kv_generation *g)
{
    FUZZ_HOLDS(g->n_steps >= 1 && g->n_steps <= g->room && g->n_selected[0] == g->room);
    for (int i = 1; i <= g->n_steps; i++)
        FUZZ_HOLDS(g->stamps[i] > g->stamps[i - 1]);
    for (int i = 0; i < g->room; i++)
        FUZZ_HOLDS(g->tokens[i] >= 0);
    fuzz_say("generated: %d steps\n", g->n_steps);
}

static void talk(struct kv_peer *peer)
{
    static const int32_t prompt[] = {1, 2};
    double ms[KV_PEER_N_METRICS];
    struct kv_error error = {""};
    struct kv_generation g;
    json_t *ids;
    kv_status status = kv_peer_run(peer, ms, &ids, &error);
    told(status, &error);
    if (!status)
        check_times(ms);
    json_decref(ids);
    status = kv_peer_steps(peer, 3, 0, ms, &error);
    told(status, &error);
    if (!status)
        check_times(ms);
    FUZZ_HOLDS(kv_generation_create(&g, 1, 2, 3, &error) == KV_OK);
    status = kv_peer_generate(peer, prompt, &g, &error);
    told(status, &error);
    if (!status)
        check_generation(&g);
    kv_generation_free(&g);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char rest[] = "\n{}\n{}\n{}\n{}\n";
    char *said = malloc(size + sizeof rest);
    FUZZ_HOLDS(said != NULL);
    memcpy(said, data, size);
    memcpy(said + size, rest, sizeof rest - 1);
    /* it ends after the three requests of talk() */
    const char *const argv[] = {"sh", "-c", "cat \"$0\"; read a; read a; read a",
                                fuzz_file(said, size + sizeof rest - 1), NULL};
    free(said);
    struct kv_peer *peer;
    struct kv_error error = {""};
    signal(SIGPIPE, SIG_IGN);
    const kv_status status = kv_peer_start(&peer, "engine", argv, 10, &error);
    FUZZ_HOLDS((status == KV_OK) == (peer != NULL));
    told(status, &error);
    if (!status)
        talk(peer);
    kv_peer_stop(peer);
    return 0;
}
