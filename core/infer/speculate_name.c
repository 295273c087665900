/* What speculation is asked for by, and its formulas. */
#include "base/error.h"
#include "base/number.h"

#include <math.h>
#include <string.h>

static const struct kv_choice choices[] = {
    {"none", "one token a step"},
    {"lookup:4", "up to 4 tokens that came next in the sequence itself the last time"},
    {"draft:MODEL:4", "up to 4 tokens that a smaller model says"},
};
enum { N_CHOICES = sizeof choices / sizeof choices[0] };

const struct kv_choice *kv_speculate_choice(int index)
{
    return index >= 0 && index < N_CHOICES ? &choices[index] : NULL;
}

/* The number behind the last colon of what follows the kind; how long what is before that is, -1: there is none. */
static int read_number(const char *text, int *k)
{
    const char *colon = strrchr(text, ':');
    uint64_t number;
    if (!colon)
        return -1;
    const char *at = colon + 1;
    if (!kv_number_whole(&at, 0, INT32_MAX, &number) || *at)
        return -1;
    *k = (int)number;
    return (int)(colon - text);
}

kv_status kv_speculate_read(const char *name, struct kv_speculate_name *read, struct kv_error *error)
{
    static const char lookup[] = "lookup", draft[] = "draft:";
    *read = (struct kv_speculate_name){.k = 0};
    if (strcmp(name, "none") == 0)
        return KV_OK;
    const bool is_draft = strncmp(name, draft, strlen(draft)) == 0;
    const bool is_lookup = strncmp(name, lookup, strlen(lookup)) == 0 &&
                           (name[strlen(lookup)] == ':' || name[strlen(lookup)] == '\0');
    if (!is_draft && !is_lookup)
        return kv_fail(error, KV_ERROR_ARGUMENT,
                       "speculate '%.80s' is not known; use none, lookup:K or draft:MODEL:K, such as lookup:4", name);
    const char *text = name + (is_draft ? strlen(draft) : strlen(lookup));
    const int length = read_number(text, &read->k);
    if (length < 0 || (is_draft && length == 0) || (is_lookup && length > 0))
        return kv_fail(error, KV_ERROR_ARGUMENT, "speculate '%.80s': use %s", name,
                       is_draft ? "draft:MODEL:K, a model and how many tokens a step, such as draft:kjv-draft:4"
                                : "lookup:K, how many tokens a step, such as lookup:4");
    if (read->k < 1 || read->k > KV_SPECULATE_MOST)
        return kv_fail(error, KV_ERROR_ARGUMENT, "speculate '%.80s': %d tokens a step are not in 1..%d", name, read->k,
                       KV_SPECULATE_MOST);
    read->model = is_draft ? text : NULL;
    read->n_model = is_draft ? length : 0;
    return KV_OK;
}

double kv_speculation_acceptance(const struct kv_speculation_counts *counts)
{
    int64_t judged = 0, stayed = 0;
    for (int j = 0; j < KV_SPECULATE_MOST; j++) {
        judged += counts->judged[j];
        stayed += counts->stayed[j];
    }
    return judged ? (double)stayed / (double)judged : NAN;
}

double kv_speculation_tokens(double alpha, int k)
{
    return alpha < 1 ? (1 - pow(alpha, k + 1)) / (1 - alpha) : k + 1;
}
