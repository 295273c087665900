#include "measure/measure.h"

#include "results/stats.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

kv_status kv_generation_create(struct kv_generation *g, int batch, int n_new, struct kv_error *error)
{
    const size_t B = (size_t)batch, N = (size_t)n_new;
    *g = (struct kv_generation){
        .n_new = n_new,
        .stamps = calloc(N + 1, sizeof *g->stamps),
        .tokens = calloc(B * N, sizeof *g->tokens),
        .step = calloc(B, sizeof *g->step),
    };
    if (g->stamps && g->tokens && g->step)
        return KV_OK;
    kv_generation_free(g);
    if (error)
        snprintf(error->message, sizeof error->message, "no memory for %d new tokens of %d sequences", n_new, batch);
    return KV_ERROR_MEMORY;
}

void kv_generation_free(struct kv_generation *g)
{
    free(g->stamps);
    free(g->tokens);
    free(g->step);
    *g = (struct kv_generation){0};
}

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

kv_status kv_generate(struct kv_session *session, int batch, const int32_t *prompt, int n_prompt, int n_new,
                      struct kv_generation *g, struct kv_error *error)
{
    kv_session_reset(session);
    g->n_done = 0;
    g->stamps[0] = kv_now_ns();
    kv_status status = kv_session_prefill(session, prompt, n_prompt, NULL, error);
    while (!status) {
        status = kv_session_greedy(session, g->step, error);
        if (status)
            break;
        const int done = ++g->n_done;
        g->stamps[done] = kv_now_ns();
        for (int b = 0; b < batch; b++)
            g->tokens[(size_t)b * (size_t)g->n_new + (size_t)done - 1] = g->step[b];
        if (done == n_new)
            break;
        status = kv_session_decode(session, g->step, error);
    }
    g->kv_live_bytes = kv_session_kv_live_bytes(session);
    return status;
}

kv_status kv_figures_of(const struct kv_generation *g, int batch, int n_prompt, struct kv_figures *f,
                        struct kv_error *error)
{
    const int n_steps = g->n_done - 1;
    *f = (struct kv_figures){NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN};
    if (g->n_done < 1)
        return KV_OK;
    const double ttft_s = (double)(g->stamps[1] - g->stamps[0]) * 1e-9;
    const double e2e_s = (double)(g->stamps[g->n_done] - g->stamps[0]) * 1e-9;
    f->ttft_ms = ttft_s * 1e3;
    f->e2e_ms = e2e_s * 1e3;
    f->prefill_tok_s = (double)batch * n_prompt / ttft_s;
    f->output_tok_s = (double)batch * g->n_done / e2e_s;
    if (n_steps < 1)
        return KV_OK;
    double *steps = malloc((size_t)n_steps * sizeof *steps);
    if (!steps) {
        if (error)
            snprintf(error->message, sizeof error->message, "no memory for %d step latencies", n_steps);
        return KV_ERROR_MEMORY;
    }
    for (int i = 0; i < n_steps; i++)
        steps[i] = (double)(g->stamps[i + 2] - g->stamps[i + 1]) * 1e-6;
    f->ttpt_ms = (double)(g->stamps[g->n_done] - g->stamps[1]) * 1e-6 / n_steps;
    f->decode_tok_s = batch / (f->ttpt_ms * 1e-3);
    kv_stats_sort(steps, (size_t)n_steps);
    f->ttpt_p50_ms = kv_stats_quantile(steps, (size_t)n_steps, 0.50);
    f->ttpt_p95_ms = kv_stats_quantile(steps, (size_t)n_steps, 0.95);
    if (n_steps >= KV_P99_SAMPLES)
        f->ttpt_p99_ms = kv_stats_quantile(steps, (size_t)n_steps, 0.99);
    free(steps);
    return KV_OK;
}

void kv_rss_reset_peak(void)
{
    FILE *stream = fopen("/proc/self/clear_refs", "we");
    if (!stream)
        return;
    fputs("5", stream);
    fclose(stream);
}

size_t kv_rss_peak(void)
{
    FILE *stream = fopen("/proc/self/status", "re");
    char line[256];
    unsigned long long kib = 0;
    while (stream && fgets(line, sizeof line, stream))
        if (sscanf(line, "VmHWM: %llu", &kib) == 1)
            break;
    if (stream)
        fclose(stream);
    return (size_t)kib * 1024;
}
