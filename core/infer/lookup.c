#include "infer/lookup.h"

void kv_lookup_push(struct kv_lookup *l)
{
    const int32_t token = l->tokens[l->n++];
    for (int i = l->n - 1; i > 0; i--) /* downwards: each needs the one below as it was before */
        l->matches[i] = l->tokens[i - 1] == token ? l->matches[i - 1] + 1 : 0;
    l->matches[0] = 0;
}

int kv_lookup_draft(const struct kv_lookup *l, int most, int32_t *drafts)
{
    int place = 0;
    for (int i = 1; i < l->n; i++)
        place = l->matches[i] >= l->matches[place] ? i : place;
    const int longest = l->n > 1 ? l->matches[place] : 0, n = longest < most ? longest : most;
    for (int i = 0; i < n; i++)
        drafts[i] = place + i < l->n ? l->tokens[place + i] : drafts[place + i - l->n];
    return n;
}
