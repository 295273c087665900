#include "measure/measure.h"

#include "base/error.h"
#include "results/stats.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

kv_status kv_generation_create(struct kv_generation *g, int batch, int n_prompt, int n_new, struct kv_error *error)
{
    const size_t B = (size_t)batch, N = n_new > 0 ? (size_t)n_new : 1;
    *g = (struct kv_generation){
        .batch = batch,
        .n_prompt = n_prompt,
        .room = (int)N,
        .stamps = calloc(N + 1, sizeof *g->stamps),
        .n_given = calloc(N + 1, sizeof *g->n_given),
        .n_running = calloc(N + 1, sizeof *g->n_running),
        .tokens = calloc(B * N, sizeof *g->tokens),
        .n_selected = calloc(B, sizeof *g->n_selected),
    };
    if (g->stamps && g->n_given && g->n_running && g->tokens && g->n_selected)
        return KV_OK;
    kv_generation_free(g);
    return kv_fail(error, KV_ERROR_MEMORY, "no memory for %d new tokens of %d sequences", n_new, batch);
}

void kv_generation_free(struct kv_generation *g)
{
    free(g->stamps);
    free(g->n_given);
    free(g->n_running);
    free(g->tokens);
    free(g->n_selected);
    *g = (struct kv_generation){0};
}

void kv_generation_reset(struct kv_generation *g)
{
    const size_t steps = (size_t)g->room + 1;
    memset(g->stamps, 0, steps * sizeof *g->stamps);
    memset(g->n_given, 0, steps * sizeof *g->n_given);
    memset(g->n_running, 0, steps * sizeof *g->n_running);
    memset(g->n_selected, 0, (size_t)g->batch * sizeof *g->n_selected);
    g->n_steps = 0;
    g->kv_live_bytes = 0;
}

int kv_generation_tokens(const struct kv_generation *g)
{
    int most = 0;
    for (int b = 0; b < g->batch; b++)
        most = g->n_selected[b] > most ? g->n_selected[b] : most;
    return most;
}

int64_t kv_generation_ns(const struct kv_generation *g)
{
    return g->stamps[g->n_steps];
}

double kv_generation_rate(const struct kv_generation *g)
{
    long n_tokens = 0;
    for (int i = 2; i <= g->n_steps; i++)
        n_tokens += g->n_given[i];
    return n_tokens ? (double)n_tokens / ((double)(g->stamps[g->n_steps] - g->stamps[1]) * 1e-9) : NAN;
}

/* Tokens that the steps first..n_steps gave a sequence, on average over those that had not ended. */
static double tokens_a_sequence(const struct kv_generation *g, int first)
{
    double n = 0;
    for (int i = first; i <= g->n_steps; i++)
        n += (double)g->n_given[i] / g->n_running[i];
    return n;
}

kv_status kv_figures_of(const struct kv_generation *g, struct kv_figures *f, struct kv_error *error)
{
    const int n = g->n_steps - 1;
    *f = (struct kv_figures){NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN};
    if (g->n_steps < 1)
        return KV_OK;
    const double ttft_s = (double)(g->stamps[1] - g->stamps[0]) * 1e-9;
    const double e2e_s = (double)(g->stamps[g->n_steps] - g->stamps[0]) * 1e-9;
    f->ttft_ms = ttft_s * 1e3;
    f->e2e_ms = e2e_s * 1e3;
    f->prefill_tok_s = (double)g->batch * g->n_prompt / ttft_s;
    f->output_tok_s = g->batch * tokens_a_sequence(g, 1) / e2e_s;
    if (n < 1)
        return KV_OK;
    double *steps = malloc((size_t)n * sizeof *steps);
    if (!steps)
        return kv_fail(error, KV_ERROR_MEMORY, "no memory for %d step latencies", n);
    for (int i = 0; i < n; i++)
        steps[i] = (double)(g->stamps[i + 2] - g->stamps[i + 1]) * 1e-6;
    f->ttpt_ms = (double)(g->stamps[g->n_steps] - g->stamps[1]) * 1e-6 / tokens_a_sequence(g, 2);
    f->decode_tok_s = g->batch / (f->ttpt_ms * 1e-3);
    kv_stats_sort(steps, (size_t)n);
    f->ttpt_p50_ms = kv_stats_quantile(steps, (size_t)n, 0.50);
    f->ttpt_p95_ms = kv_stats_quantile(steps, (size_t)n, 0.95);
    if (n >= KV_P99_SAMPLES)
        f->ttpt_p99_ms = kv_stats_quantile(steps, (size_t)n, 0.99);
    free(steps);
    return KV_OK;
}

/* ---- Time and memory of the process ------------------------------------------------------------------- */

int64_t kv_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

const char *kv_clock_text(double seconds, char text[32])
{
    const long s = (long)(seconds + 0.5);
    if (s >= 3600)
        snprintf(text, 32, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
    else
        snprintf(text, 32, "%ld:%02ld", s / 60, s % 60);
    return text;
}

double kv_clock_cost_ns(void)
{
    enum { N = 20000 };
    const int64_t start = kv_now_ns();
    int64_t last = start;
    for (int i = 0; i < N; i++)
        last = kv_now_ns();
    return (double)(last - start) / N;
}

void kv_rss_reset_peak(void)
{
    FILE *stream = fopen("/proc/self/clear_refs", "we");
    if (!stream)
        return;
    fputs("5", stream);
    fclose(stream);
}

/* Bytes of the line of /proc/self/status that begins so, 0 when it is not there. */
static size_t status_bytes(const char *key)
{
    FILE *stream = fopen("/proc/self/status", "re");
    const size_t length = strlen(key);
    char line[256];
    unsigned long long kib = 0;
    while (stream && !kib && fgets(line, sizeof line, stream))
        if (strncmp(line, key, length) == 0)
            kib = strtoull(line + length, NULL, 10);
    if (stream)
        fclose(stream);
    return (size_t)kib * 1024;
}

size_t kv_rss(void)
{
    return status_bytes("VmRSS:");
}

size_t kv_rss_peak(void)
{
    return status_bytes("VmHWM:");
}
