/* Telling configurations apart, and numbers as people write them. */
#include "results/summary_parts.h"

#include <math.h>
#include <string.h>

/* ---- Questions ------------------------------------------------------------------------------------------------- */

bool kv_configuration_is(const struct kv_configuration *configuration, enum kv_key key, const char *text)
{
    return strcmp(configuration->keys[key], text) == 0;
}

bool kv_configuration_is_timed(const struct kv_configuration *configuration)
{
    return configuration->status == KV_CONFIGURATION_OK && !kv_configuration_is(configuration, KV_KEY_SUITE, "memory");
}

bool kv_configurations_agree(const struct kv_configuration *a, const struct kv_configuration *b, unsigned exceptions)
{
    exceptions |= 1u << KV_KEY_RUN_ID | 1u << KV_KEY_CONTEXT_TOKENS;
    for (int i = 0; i < KV_N_KEYS; i++)
        if (!(exceptions & 1u << i) && strcmp(a->keys[i], b->keys[i]) != 0)
            return false;
    return true;
}

bool kv_key_varies(const struct kv_summary *summary, const char *suite, enum kv_key key)
{
    const char *first = NULL;
    for (size_t i = 0; i < summary->n_configurations; i++) {
        const struct kv_configuration *c = &summary->configurations[i];
        if ((suite && !kv_configuration_is(c, KV_KEY_SUITE, suite)) || !*c->keys[key])
            continue;
        if (first && strcmp(c->keys[key], first) != 0)
            return true;
        first = c->keys[key];
    }
    return false;
}

/* ---- Texts ------------------------------------------------------------------------------------------------------ */

const char *kv_summary_where_text(const struct kv_summary *summary, const struct kv_configuration *configuration,
                          unsigned exceptions, char *text, size_t size)
{
    static const struct {
        enum kv_key key;
        const char *before;
        const char *after;
    } parts[] = {
        {KV_KEY_CONTEXT_TOKENS, "context ", ""},
        {KV_KEY_NEW_TOKENS, "", " new tokens"},
        {KV_KEY_MODEL, "model ", ""},
        {KV_KEY_WEIGHTS, "weights ", ""},
        {KV_KEY_GEMM, "gemm ", ""},
        {KV_KEY_ISA, "isa ", ""},
        {KV_KEY_THREADS, "", " threads"},
    };
    snprintf(text, size, "batch %d", configuration->batch);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        const size_t used = strlen(text);
        const char *value = configuration->keys[parts[i].key];
        if (*value && !(exceptions & 1u << parts[i].key) &&
            kv_key_varies(summary, configuration->keys[KV_KEY_SUITE], parts[i].key))
            snprintf(text + used, size - used, ", %s%s%s", parts[i].before, value, parts[i].after);
    }
    return text;
}

#define MAX_DECIMALS 4

/* As many decimals for all three as tell the ends apart. */
static void similar_text(double value, struct kv_stats_interval interval, char *middle, char *low, char *high)
{
    int decimals = value >= 99.5 ? 0 : value >= 1.995 ? 1 : 2;
    for (;; decimals++) {
        snprintf(low, KV_NUMBER_SIZE, "%.*f", decimals, interval.low);
        snprintf(high, KV_NUMBER_SIZE, "%.*f", decimals, interval.high);
        if (decimals == MAX_DECIMALS || interval.low == interval.high || strcmp(low, high) != 0)
            break;
    }
    snprintf(middle, KV_NUMBER_SIZE, "%.*f", decimals, value);
}

void kv_summary_interval_text(double value, struct kv_stats_interval interval, struct kv_summary_interval_text *text)
{
    char low[KV_NUMBER_SIZE], high[KV_NUMBER_SIZE];
    if (interval.high < 10 * interval.low) {
        similar_text(value, interval, text->value, low, high);
    } else { /* no number of decimals suits them all */
        kv_number_text(value, text->value, sizeof text->value);
        kv_number_text(interval.low, low, sizeof low);
        kv_number_text(interval.high, high, sizeof high);
    }
    snprintf(text->range, sizeof text->range, "95 %% interval %s to %s", low, high);
}
