/* The figure of suite speculate: how much faster tokens come, and how many a step gives, by how many are drafted. */
#include "results/picture.h"
#include "results/speculation.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Who drafts. */
enum { MOST_KINDS = 12, KIND_SIZE = 80 };
struct kinds {
    struct kv_speculated of[MOST_KINDS]; /* the first of each */
    int n;
};

/* Its number from 1, 0 where there are too many. */
static int kind_of(struct kinds *kinds, const struct kv_speculated *s)
{
    int i = 0;
    while (i < kinds->n && !kv_speculated_alike(&kinds->of[i], s))
        i++;
    if (i == MOST_KINDS)
        return 0;
    if (i == kinds->n)
        kinds->of[kinds->n++] = *s;
    return i + 1;
}

static void write_kinds(struct kv_picture *p, const struct kinds *kinds)
{
    char texts[MOST_KINDS][KIND_SIZE];
    const char *names[MOST_KINDS];
    for (int i = 0; i < kinds->n; i++) {
        const struct kv_speculate_name *name = &kinds->of[i].name;
        if (name->model)
            snprintf(texts[i], KIND_SIZE, "drafts of %.*s", name->n_model, name->model);
        else
            snprintf(texts[i], KIND_SIZE, "lookups");
        names[i] = texts[i];
    }
    kv_picture_texts(p, "kind", names, kinds->n);
}

/* Of a text that is given, what it is. */
static const char *task_of(const struct kv_picture *p, char text[KIND_SIZE])
{
    text[0] = '\0';
    for (size_t i = 0; i < p->n_cells && !*text; i++)
        if (*p->cells[i].cell->texts[KV_COLUMN_EDIT_EVERY])
            snprintf(text, KIND_SIZE, "a text that is given: the prompt again, an edit every %s tokens",
                     p->cells[i].cell->texts[KV_COLUMN_EDIT_EVERY]);
    return text;
}

/* Table `speculations`: a row a cell that drafts. */
void kv_picture_speculate(struct kv_picture *p)
{
    struct kv_range gain = {NAN, NAN}, tokens = {NAN, NAN}, drafts = {NAN, NAN};
    struct kinds kinds = {.n = 0};
    char text[KIND_SIZE];
    p->is_empty = true;
    kv_picture_begin(p, "speculations",
                     "kind\tbatch\tk\tgain\tlow\thigh\tforetold\tstep_tokens\texpected_tokens\tacceptance");
    for (size_t i = 0; i < p->n_cells && !p->status; i++) {
        const struct kv_picture_cell *cell = &p->cells[i];
        struct kv_speculated s;
        p->status = kv_speculated_of(p->run->results, cell->cell, &s, p->error);
        if (p->status || !s.base)
            continue;
        const int kind = kind_of(&kinds, &s);
        if (!kind)
            continue;
        KV_PICTURE_ROW(p, kind, cell->group, s.name.k, s.gain, s.interval.low, s.interval.high, s.foretold,
                       s.step_tokens, s.tokens, 100 * s.alpha);
        kv_range_add(&gain, s.gain);
        kv_range_add(&gain, s.interval.high);
        kv_range_add(&gain, s.foretold);
        kv_range_add(&tokens, s.step_tokens);
        kv_range_add(&tokens, s.tokens);
        kv_range_add(&drafts, s.name.k);
        kv_range_add(&p->repetitions, (double)s.n_rounds);
        p->is_empty = false;
    }
    kv_picture_end(p);
    write_kinds(p, &kinds);
    kv_picture_text(p, "task", task_of(p, text), "");
    kv_picture_keys(p, "batch", KV_COLUMN_BATCH);
    kv_picture_range(p, "gain", &gain);
    kv_picture_range(p, "tokens", &tokens);
    kv_picture_range(p, "drafts", &drafts);
}
