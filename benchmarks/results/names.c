#include "results/names.h"

#include "results/sides.h"

#include <string.h>

void kv_make_printable(char *text)
{
    for (char *c = text; *c; c++)
        *c = (unsigned char)*c < ' ' || *c == 127 ? '?' : *c;
}

void kv_pair_key(const struct kv_pair *pair, int key, char *text, size_t size)
{
    const char *base = pair->base->keys[key], *other = pair->other->keys[key];
    if (strcmp(base, other) == 0)
        snprintf(text, size, "%s", base);
    else
        snprintf(text, size, "%s>%s", base, other);
}

bool kv_pairs_vary(const struct kv_comparison *comparison, int key)
{
    char first[KV_CELL_SIZE], text[KV_CELL_SIZE];
    kv_pair_key(&comparison->pairs[0], key, first, sizeof first);
    for (size_t i = 1; i < comparison->n_pairs; i++) {
        kv_pair_key(&comparison->pairs[i], key, text, sizeof text);
        if (strcmp(first, text) != 0)
            return true;
    }
    return false;
}

static bool configurations_vary(const struct kv_comparison *comparison, int key)
{
    const char *first = comparison->pairs[0].base->keys[key];
    for (size_t i = 0; i < comparison->n_sides; i++) {
        const struct kv_measurements *run = comparison->sides[i].run;
        for (size_t j = 0; j < run->n_configurations; j++)
            if (strcmp(run->configurations[j].keys[key], first) != 0)
                return true;
    }
    return false;
}

void kv_compare_name(const struct kv_comparison *comparison, const struct kv_arm *configuration, char *text,
                     size_t size)
{
    size_t length = 0;
    *text = '\0';
    for (int key = 0; key < KV_ARM_KEYS && length < size; key++) {
        const bool told = key == KV_ARM_KEY_PATH || key == KV_ARM_KEY_BATCH || configurations_vary(comparison, key);
        if (told && key != comparison->settings.by && !comparison->settings.ignored[key])
            length += (size_t)snprintf(text + length, size - length, "%s%s %s", length ? ", " : "",
                                       kv_arm_key_name(key), configuration->keys[key]);
    }
    kv_make_printable(text);
}
