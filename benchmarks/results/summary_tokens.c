/* How the latency of a token grows along a generation, from tokens.csv. */
#include "results/summary_parts.h"

#include "base/error.h"
#include "results/csv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Fewer steps than this in a quarter make no median of it. */
#define MIN_QUARTER 2

enum column { SUITE, PATH, BATCH, REPETITION, TOKEN, CONTEXT, LATENCY, N_COLUMNS };

static const char *const column_names[N_COLUMNS] = {
    "suite", "path", "batch", "repetition", "token", "context_tokens", "latency_ns",
};

struct tokens {
    struct kv_csv_table *rows;
    size_t columns[N_COLUMNS];
};

static bool is_trace(const struct kv_configuration *configuration)
{
    return kv_configuration_is(configuration, KV_KEY_SUITE, "trace");
}

/* A row of tokens.csv names suite, path, batch and (by its context) the prompt: is that only this configuration? */
static bool is_unambiguous(const struct kv_summary *summary, const struct kv_configuration *configuration)
{
    const unsigned unnamed = 1u << KV_KEY_MODEL | 1u << KV_KEY_WEIGHTS | 1u << KV_KEY_GEMM | 1u << KV_KEY_ISA |
                             1u << KV_KEY_THREADS | 1u << KV_KEY_NEW_TOKENS;
    int n = 0;
    for (size_t i = 0; i < summary->n_configurations; i++)
        n += kv_configurations_agree(&summary->configurations[i], configuration, unnamed);
    return n == 1;
}

/* Puts the row's latency into latencies [n, new_tokens] when it belongs to the configuration. A repetition that was
 * killed and measured again comes twice: the later row holds. */
static kv_status take_row(const struct tokens *tokens, size_t row, const struct kv_configuration *configuration,
                          double *latencies, struct kv_error *error)
{
    if (strcmp(kv_csv_text(tokens->rows, row, tokens->columns[SUITE]), configuration->keys[KV_KEY_SUITE]) != 0 ||
        strcmp(kv_csv_text(tokens->rows, row, tokens->columns[PATH]), configuration->keys[KV_KEY_PATH]) != 0 ||
        strcmp(kv_csv_text(tokens->rows, row, tokens->columns[BATCH]), configuration->keys[KV_KEY_BATCH]) != 0)
        return KV_OK;
    double numbers[N_COLUMNS];
    for (int i = REPETITION; i < N_COLUMNS; i++) {
        const kv_status status = kv_csv_number(tokens->rows, row, tokens->columns[i], &numbers[i], error);
        if (status)
            return status;
    }
    const double repetition = numbers[REPETITION], token = numbers[TOKEN];
    if (repetition >= 1 && repetition <= (double)configuration->n && token >= 1 && token <= configuration->new_tokens &&
        numbers[CONTEXT] - token + 1 == configuration->prompt_tokens)
        latencies[((size_t)repetition - 1) * (size_t)configuration->new_tokens + (size_t)token - 1] = numbers[LATENCY];
    return KV_OK;
}

static double median_of(double *values, size_t n)
{
    kv_stats_sort(values, n);
    return kv_stats_median(values, n);
}

/* One repetition: latencies [new_tokens] in ns, reordered here. NaN where a token is missing. */
static void add_repetition(struct kv_configuration *configuration, double *latencies, size_t quarter)
{
    const size_t n_steps = (size_t)configuration->new_tokens - 1;
    double *steps = latencies + 1; /* the first latency is TTFT */
    const double first = median_of(steps, quarter), last = median_of(steps + n_steps - quarter, quarter);
    struct kv_summary_sample *growth = &configuration->figures[KV_FIGURE_GROWTH];
    struct kv_summary_sample *slope = &configuration->figures[KV_FIGURE_SLOPE_US];
    if (isnan(first) || isnan(last) || first <= 0)
        return;
    growth->values[growth->n++] = last / first;
    slope->values[slope->n++] = (last - first) * 1e-3 / (double)(n_steps - quarter);
}

static kv_status read_configuration(const struct tokens *tokens, struct kv_configuration *configuration,
                                    struct kv_error *error)
{
    const size_t n_new = (size_t)configuration->new_tokens, quarter = (n_new - 1) / 4;
    if (quarter < MIN_QUARTER || configuration->n == 0)
        return KV_OK;
    double *latencies = calloc(configuration->n * n_new, sizeof *latencies);
    if (!latencies)
        return kv_fail(error, KV_ERROR_MEMORY, "no memory for the latencies of %zu tokens: close other programs",
                       configuration->n * n_new);
    for (size_t i = 0; i < configuration->n * n_new; i++)
        latencies[i] = NAN;
    kv_status status = KV_OK;
    for (size_t row = 0; !status && row < kv_csv_rows(tokens->rows); row++)
        status = take_row(tokens, row, configuration, latencies, error);
    for (size_t i = 0; !status && i < configuration->n; i++)
        add_repetition(configuration, latencies + i * n_new, quarter);
    free(latencies);
    return status;
}

static kv_status read_file(struct kv_summary *summary, const char *file, struct kv_error *error)
{
    struct tokens tokens;
    kv_status status = kv_csv_read(&tokens.rows, file, error);
    for (int i = 0; !status && i < N_COLUMNS; i++)
        status = kv_csv_column(tokens.rows, column_names[i], &tokens.columns[i], error);
    for (size_t i = 0; !status && i < summary->n_configurations; i++)
        if (is_trace(&summary->configurations[i]) && is_unambiguous(summary, &summary->configurations[i]))
            status = read_configuration(&tokens, &summary->configurations[i], error);
    kv_csv_free(tokens.rows);
    return status;
}

kv_status kv_summary_read_tokens(struct kv_summary *summary, const char *folder, struct kv_error *error)
{
    char *file;
    if (asprintf(&file, "%s/tokens.csv", folder) < 0)
        return kv_fail(error, KV_ERROR_MEMORY, "no memory to read the tokens of %s: close other programs", folder);
    const kv_status status = access(file, F_OK) == 0 ? read_file(summary, file, error) : KV_OK;
    free(file);
    return status;
}
