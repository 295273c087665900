#include "trials.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct kv_choice *isa_choice(int index)
{
    const char *name = supported_isa(index);
    for (int i = 0; name && kv_isa_choice(i); i++)
        if (strcmp(kv_isa_choice(i)->name, name) == 0)
            return kv_isa_choice(i);
    return NULL;
}

const struct axis trial_axes[N_FIELDS] = {
    [LAYERS] = {"layers", NULL, 1, 3},
    [HEADS] = {"heads", NULL, 1, 3},
    [HEAD_SIZE] = {"head_size", NULL, 1, 24},
    [INNER] = {"inner", NULL, 1, 90},
    [VOCABULARY] = {"vocabulary", NULL, 2, 150},
    [WINDOW] = {"window", NULL, 1, 48},
    [ACTIVATION] = {"activation", NULL, 0, 1},
    [PATH] = {"path", kv_path_choice, 0, 0},
    [CACHE] = {"cache", kv_cache_choice, 0, 0},
    [KEYS] = {"keys", kv_kv_choice, 0, 0},
    [VALUES] = {"values", kv_kv_choice, 0, 0},
    [WEIGHTS] = {"weights", kv_weights_choice, 0, 0},
    [MATMUL] = {"matmul", kv_matmul_choice, 0, 0},
    [ISA] = {"isa", isa_choice, 0, 0},
    [THREADS] = {"threads", NULL, 1, 3},
    [BATCH] = {"batch", NULL, 1, 6},
    [CHUNK] = {"chunk", NULL, 0, 20},
    [CAPACITY] = {"capacity", NULL, 0, 48}, /* above the window: 0 */
    [OVERFLOW_POLICY] = {"overflow", NULL, KV_OVERFLOW_STOP, KV_OVERFLOW_SHIFT},
    [STEPS] = {"steps", NULL, 1, 8},
    [SEED] = {"seed", NULL, 0, INT32_MAX - 1},
};
static int last_row(const struct axis *axis)
{
    int n = 0;
    while (axis->choice(n))
        n++;
    return n - 1;
}

const char *name_of(const struct trial *t, enum field field)
{
    return trial_axes[field].choice(t->value[field])->name;
}

/* A window that positions are dropped in, by the usual budgets of 32. */
enum { DROPS_FROM = 33 };

/* Norms over fewer than 8 numbers turn the last bits of what enters them into any difference. */
bool is_well_posed(const struct trial *t)
{
    const bool is_wide = t->value[HEADS] * t->value[HEAD_SIZE] >= 8;
    if (!kv_cache_drops(name_of(t, CACHE)))
        return is_wide;
    /* What is dropped must not hang on roundings: test_window.c has the other types, and heavy. */
    return is_wide && strncmp(name_of(t, CACHE), "heavy", 5) != 0 && t->value[WINDOW] >= DROPS_FROM &&
           !t->value[WEIGHTS] && !t->value[KEYS] && !t->value[VALUES];
}

static struct trial draw_any(uint64_t *state)
{
    struct trial t;
    for (int f = 0; f < N_FIELDS; f++)
        t.value[f] = random_between(state, trial_axes[f].low,
                                    trial_axes[f].choice ? last_row(&trial_axes[f]) : trial_axes[f].high);
    if (random_between(state, 0, 1)) /* heads of whole vectors, as GPT-2's are */
        t.value[HEAD_SIZE] = 16 * random_between(state, 1, 2);
    if (random_between(state, 0, 19) == 0) { /* a context of more than one part of attention, of a small model */
        t.value[WINDOW] = random_between(state, 257, MOST_WINDOW);
        t.value[HEADS] = t.value[LAYERS] = 1;
    }
    if (random_between(state, 0, 2))
        t.value[CAPACITY] = 0;
    if (strcmp(name_of(&t, MATMUL), "packed") != 0) /* the others take float32 alone */
        t.value[WEIGHTS] = 0;
    if (kv_cache_drops(name_of(&t, CACHE))) {
        t.value[WEIGHTS] = t.value[KEYS] = t.value[VALUES] = 0;
        t.value[WINDOW] += t.value[WINDOW] < DROPS_FROM ? DROPS_FROM : 0;
    }
    return t;
}

struct trial draw_trial(uint64_t *state)
{
    struct trial t;
    do
        t = draw_any(state);
    while (!is_well_posed(&t));
    return t;
}

int print_trial(const struct trial *t, char *line, size_t room)
{
    int n = 0;
    for (int f = 0; f < N_FIELDS; f++)
        n += trial_axes[f].choice
                 ? snprintf(line + n, room - (size_t)n, "%s%s=%s", f ? " " : "", trial_axes[f].name,
                            name_of(t, (enum field)f))
                 : snprintf(line + n, room - (size_t)n, "%s%s=%d", f ? " " : "", trial_axes[f].name, t->value[f]);
    return n;
}

bool parse_trial(const char *line, struct trial *t)
{
    for (int f = 0; f < N_FIELDS; f++) {
        char name[32], value[32], *end;
        int n;
        if (sscanf(line, " %31[^=]=%31s%n", name, value, &n) != 2 || strcmp(name, trial_axes[f].name) != 0)
            return false;
        line += n;
        t->value[f] = trial_axes[f].choice ? 0 : (int)strtol(value, &end, 10);
        while (trial_axes[f].choice && trial_axes[f].choice(t->value[f]) &&
               strcmp(name_of(t, (enum field)f), value) != 0)
            t->value[f]++;
        if (trial_axes[f].choice ? !trial_axes[f].choice(t->value[f]) : *end != '\0')
            return false;
    }
    return true;
}

void make_smaller(struct trial *t, bool (*still_fails)(const struct trial *t))
{
    for (bool smaller = true; smaller;) {
        smaller = false;
        for (int f = 0; f < N_FIELDS; f++) {
            const int value = t->value[f], low = trial_axes[f].low, tries[] = {low, low + (value - low) / 2, value - 1};
            for (size_t i = 0; i < COUNT(tries) && t->value[f] == value && f != SEED; i++) {
                struct trial other = *t;
                other.value[f] = tries[i];
                if (tries[i] >= low && tries[i] < value && still_fails(&other)) {
                    *t = other;
                    smaller = true;
                }
            }
        }
    }
}
