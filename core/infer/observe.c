/* Reading what an observer is shown, whatever way the session keeps it. */
#include "infer/forward.h"

#include <math.h>

float kv_view_key(const struct kv_attention_view *view, int position, int dimension)
{
    const size_t block = (size_t)(position / KV_KEY_BLOCK) * (size_t)view->head_size + (size_t)dimension;
    return view->keys[block * KV_KEY_BLOCK + (size_t)(position % KV_KEY_BLOCK)];
}

float kv_view_value(const struct kv_attention_view *view, int position, int dimension)
{
    return view->values[(size_t)position * (size_t)view->head_size + (size_t)dimension];
}

static double score(const struct kv_attention_view *view, int position)
{
    double sum = 0;
    for (int d = 0; d < view->head_size; d++)
        sum += (double)view->query[d] * (double)kv_view_key(view, position, d);
    return sum / sqrt(view->head_size);
}

void kv_view_weights(const struct kv_attention_view *view, float *weights)
{
    const int n = view->n_positions;
    double largest = -INFINITY, sum = 0;
    for (int t = 0; t < n; t++) {
        weights[t] = (float)score(view, t);
        largest = fmax(largest, (double)weights[t]);
    }
    for (int t = 0; t < n; t++)
        sum += exp((double)weights[t] - largest);
    for (int t = 0; t < n; t++)
        weights[t] = (float)(exp((double)weights[t] - largest) / sum);
}
