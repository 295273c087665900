/* Trials of test_equality.c: random small models on random arms, as numbers that can be drawn, printed, read again and made
 * smaller one by one. */
#ifndef KV_TESTS_TRIALS_H
#define KV_TESTS_TRIALS_H

#include "support.h"

enum field {
    LAYERS,
    HEADS,
    HEAD_SIZE,
    INNER,
    VOCABULARY,
    WINDOW,
    ACTIVATION,
    PATH,
    CACHE,
    KEYS,
    VALUES,
    WEIGHTS,
    MATMUL,
    ISA,
    THREADS,
    BATCH,
    CHUNK,
    CAPACITY,
    OVERFLOW_POLICY,
    STEPS,
    SEED,
    N_FIELDS,
};

/* What a trial is made of: numbers of low..high, or rows of a table. A field is made smaller towards `low`. */
struct axis {
    const char *name;
    const struct kv_choice *(*choice)(int index);
    int low, high;
};
extern const struct axis trial_axes[N_FIELDS];

enum { MOST_SEQUENCES = 6, MOST_WINDOW = 300 };

struct trial {
    int value[N_FIELDS];
};

const char *name_of(const struct trial *t, enum field field);
struct trial draw_trial(uint64_t *state);
/* Whether last bits decide nothing but last bits. */
bool is_well_posed(const struct trial *t);

/* "layers=1 heads=2 ..": its length, as snprintf. */
int print_trial(const struct trial *t, char *line, size_t room);
/* What print_trial wrote; false: it is none of its lines. */
bool parse_trial(const char *line, struct trial *t);

/* The trial with every field as small as it can be while it still fails. */
void make_smaller(struct trial *t, bool (*still_fails)(const struct trial *t));

#endif
