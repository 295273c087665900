/* A comparison as people and programs read it, and what makes it worth less than it looks. */
#include "results/compare.h"

#include "base/error.h"

#include <math.h>
#include <string.h>
#include <sys/stat.h>

/* Unmatched cells that are named one by one; all of them are in the CSV file. */
enum { MAX_NAMED = 20, TEXT_SIZE = 256 };

static bool is_by(const struct kv_comparison *comparison, enum kv_column key)
{
    return comparison->settings.by == key;
}

static bool is_key(const struct kv_comparison *comparison, int key)
{
    return comparison->keys >> key & 1;
}

static bool is_shown(const struct kv_comparison *comparison, int key)
{
    return comparison->shown >> key & 1;
}

static const char *name_of(int column)
{
    return kv_column_info((enum kv_column)column)->name;
}

static void make_printable(char *text)
{
    for (char *c = text; *c; c++)
        *c = (unsigned char)*c < ' ' || *c == 127 ? '?' : *c;
}

/* ---- Names ------------------------------------------------------------------------------------------------------- */

void kv_pair_key(const struct kv_pair *pair, enum kv_column key, char *text, size_t size)
{
    const char *base = pair->base->texts[key], *other = pair->other->texts[key];
    const bool applies = kv_column_info(key)->role != KV_ROLE_AXIS || (*base && *other);
    if (strcmp(base, other) == 0 || !applies)
        snprintf(text, size, "%s", *base ? base : other);
    else
        snprintf(text, size, "%s>%s", base, other);
}

void kv_compare_name(const struct kv_comparison *comparison, const struct kv_cell_results *cell, char *text,
                     size_t size)
{
    size_t length = 0;
    *text = '\0';
    for (int key = 0; key < KV_N_COLUMNS && length < size; key++) {
        if (!is_key(comparison, key) || is_by(comparison, (enum kv_column)key) || !*cell->texts[key] ||
            comparison->settings.ignored >> key & 1)
            continue;
        if (key == KV_COLUMN_PATH || key == KV_COLUMN_BATCH || comparison->varying >> key & 1)
            length += (size_t)snprintf(text + length, size - length, "%s%s %s", length ? ", " : "", name_of(key),
                                       cell->texts[key]);
    }
    make_printable(text);
}

/* ---- What is compared -------------------------------------------------------------------------------------------- */

static void print_run(const struct kv_results *run, const char *label, FILE *stream)
{
    char id[TEXT_SIZE];
    const struct kv_context_facts *context = run->context;
    snprintf(id, sizeof id, "%s", run->run_id);
    make_printable(id);
    fprintf(stream, "%-4s %s%s%s", label, run->file, *id ? ", run " : "", id);
    if (*context->cpu)
        fprintf(stream, ", %s", context->cpu);
    if (context->threads > 0)
        fprintf(stream, ", %d thread%s", context->threads, context->threads == 1 ? "" : "s");
    if (*context->openblas_core)
        fprintf(stream, ", OpenBLAS %s", context->openblas_core);
    fputc('\n', stream);
}

/* The one value of a column, or the two when --ignore lets the sides differ. */
static void write_common(const struct kv_comparison *comparison, enum kv_column key, char *text)
{
    const struct kv_pair *pair = comparison->pairs, *const last = pair + comparison->n_pairs - 1;
    while (pair < last && !*pair->base->texts[key] && !*pair->other->texts[key])
        pair++;
    const char *base = pair->base->texts[key], *other = pair->other->texts[key];
    if (strcmp(base, other) == 0 || !*base || !*other)
        snprintf(text, TEXT_SIZE, "%s", *base ? base : other);
    else
        snprintf(text, TEXT_SIZE, "%s in %s and %s in %s", base, comparison->sides[0].label, other,
                 pair->other_side->label);
    make_printable(text);
}

const char *kv_compare_allowance(const struct kv_comparison *comparison, char *text, size_t size)
{
    const double percent = 100 * expm1(comparison->apart.log_factor);
    snprintf(text, size, "%.*f %%", percent < 9.95 ? 1 : 0, percent);
    return text;
}

static void print_rule_of_several(const struct kv_comparison *comparison, FILE *stream)
{
    const struct kv_apart *apart = &comparison->apart;
    const size_t n_base = comparison->sides[0].n_runs, n_other = comparison->sides[1].n_runs;
    const size_t fewer = n_base < n_other ? n_base : n_other;
    const double threshold = comparison->settings.threshold * 100;
    char machine[32];
    kv_compare_allowance(comparison, machine, sizeof machine);
    fputs("Figures are the geometric means of the medians of the runs; n: runs. ", stream);
    if (fewer < KV_APART_LEAST_RUNS)
        fprintf(
            stream,
            "With fewer than %d runs a side each run\nis held against each of the other side, and the interval goes "
            "from the lowest end of all to the highest. Each is\nwidened by %s, which could be the machine (%s)",
            KV_APART_LEAST_RUNS, machine, apart->source);
    else if (apart->in_turns)
        fputs("The interval is that of how the runs\nof a side differ: they took turns, so the machine is in it",
              stream);
    else
        fprintf(stream,
                "The interval is that of how the runs\nof a side differ, widened by %s, which could be the machine, as "
                "one side was measured before the other\n(%s); runs that take turns need no such allowance",
                machine, apart->source);
    fprintf(stream, ".\nfaster or slower: it lies on one side of 1; equal: within %g %% of it.\n", threshold);
}

static void print_rule_of_runs(const struct kv_comparison *comparison, FILE *stream)
{
    char machine[32];
    if (comparison->n_runs > 2) {
        print_rule_of_several(comparison, stream);
        return;
    }
    fprintf(stream,
            "Figures are medians. Measured at different times, differences under %s could be the machine (%s).\nThe "
            "interval is that of the rounds, widened by as much, or by less where the probes correct it; faster or "
            "slower: it\nlies on one side of 1; equal: within %g %% of it.\n",
            kv_compare_allowance(comparison, machine, sizeof machine), comparison->apart.source,
            comparison->settings.threshold * 100);
}

static void print_heading(const struct kv_comparison *comparison, const char *end, FILE *stream)
{
    const struct kv_compare_settings *settings = &comparison->settings;
    char text[TEXT_SIZE];
    const bool one = settings->by < KV_N_COLUMNS;
    const char *separator = "all: ";
    for (size_t i = 0; i < comparison->n_runs; i++) {
        char label[KV_RUN_LABEL_SIZE];
        snprintf(text, sizeof text, "%s:", one ? "run" : kv_compare_run_label(comparison, i, label));
        print_run(comparison->runs[i], text, stream);
        fputs(end, stream);
    }
    for (int key = 0; key < KV_N_COLUMNS; key++) {
        if (!is_key(comparison, key) || is_by(comparison, (enum kv_column)key) || is_shown(comparison, key))
            continue;
        write_common(comparison, (enum kv_column)key, text);
        if (!*text || (key == KV_COLUMN_CHUNK && strcmp(text, "0") == 0) ||
            (key == KV_COLUMN_SPECULATE && strcmp(text, "none") == 0) ||
            (key == KV_COLUMN_OVERFLOW && strcmp(text, "stop") == 0))
            continue;
        fprintf(stream, "%s%s %s", separator, name_of(key), text);
        separator = ", ";
    }
    fprintf(stream, "\n%s", end);
    if (one)
        fprintf(
            stream,
            "Figures are medians; ratios are of pairs of one round, with their 95 %% interval. faster or slower: it "
            "lies on one side\nof 1; equal: within %g %% of it.\n",
            settings->threshold * 100);
    else
        print_rule_of_runs(comparison, stream);
    for (size_t i = 0; i < comparison->n_differences; i++) {
        const struct kv_difference *difference = &comparison->differences[i];
        char first[KV_RUN_LABEL_SIZE], other[KV_RUN_LABEL_SIZE];
        fprintf(stream, "%s%s: %s in %s, %s in %s\n",
                *end ? "- "
                : i  ? "  "
                     : "Environments differ:\n  ",
                difference->name, difference->base, kv_compare_run_label(comparison, 0, first), difference->other,
                kv_compare_run_label(comparison, difference->run, other));
    }
}

const char *kv_compare_verdict(const struct kv_comparison *comparison, enum kv_effect_verdict verdict)
{
    return verdict == KV_EFFECT_UNDECIDED && comparison->settings.by == KV_N_COLUMNS ? "not told apart"
                                                                                     : kv_effect_verdict_name(verdict);
}

/* "undecided, about 24 rounds", "slower (corrected by reading)" */
static const char *verdict_text(const struct kv_comparison *comparison, const struct kv_result *result, char *text,
                                size_t size)
{
    const struct kv_judgement *j = &result->judgement;
    const char *name = kv_compare_verdict(comparison, j->verdict);
    if (j->verdict == KV_EFFECT_UNDECIDED && j->rounds_needed <= KV_EFFECT_MAX_ROUNDS)
        snprintf(text, size, "%s, about %.0f rounds", name, j->rounds_needed);
    else if (result->corrected_by)
        snprintf(text, size, "%s (corrected by %s)", name, result->corrected_by);
    else
        snprintf(text, size, "%s", name);
    return text;
}

/* ---- Sections ---------------------------------------------------------------------------------------------------- */

/* Decimals that show `digits` digits of the smallest value. */
static int decimals_for(double smallest, int digits, int least, int most)
{
    const int decimals = digits - 1 - (int)floor(log10(smallest));
    return decimals < least ? least : decimals > most ? most : decimals;
}

static void add_result(struct kv_table *table, const struct kv_comparison *comparison, const struct kv_result *result,
                       int decimals, int ratio_decimals)
{
    const struct kv_judgement *j = &result->judgement;
    char text[TEXT_SIZE];
    for (int key = 0; key < KV_N_COLUMNS; key++)
        if (is_shown(comparison, key)) {
            kv_pair_key(result->pair, (enum kv_column)key, text, sizeof text);
            if (kv_column_info((enum kv_column)key)->type == KV_TYPE_TEXT)
                kv_table_add_text(table, text);
            else
                kv_table_add_number(table, result->pair->base->numbers[key], text);
        }
    snprintf(text, sizeof text, "%.*f", decimals, j->median_base);
    kv_table_add_number(table, j->median_base, text);
    snprintf(text, sizeof text, "%.*f", decimals, j->median_other);
    kv_table_add_number(table, j->median_other, text);
    snprintf(text, sizeof text, "%zu+%zu", j->n_base, j->n_other);
    kv_table_add_number(table, NAN, text);
    snprintf(text, sizeof text, "%.*f", ratio_decimals, j->ratio);
    kv_table_add_number(table, j->ratio, text);
    if (isnan(j->interval.low))
        snprintf(text, sizeof text, "-");
    else
        snprintf(text, sizeof text, "%.*f to %.*f", ratio_decimals, j->interval.low, ratio_decimals, j->interval.high);
    kv_table_add_number(table, NAN, text);
    kv_table_add_text(table, verdict_text(comparison, result, text, sizeof text));
}

kv_status kv_section_table(const struct kv_comparison *comparison, const struct kv_section *section,
                           struct kv_table **table, struct kv_error *error)
{
    const struct kv_column_info *info = kv_column_info(section->metric);
    const char *base = comparison->sides[0].label, *other = section->other->label;
    char title[TEXT_SIZE + 256], headings[5][160];
    struct kv_table_column columns[KV_N_COLUMNS];
    double smallest = INFINITY, smallest_ratio = INFINITY;
    int n = 0;
    for (size_t i = 0; i < section->n_results; i++) {
        const struct kv_judgement *j = &section->results[i].judgement;
        smallest = fmin(smallest, fmin(j->median_base, j->median_other));
        smallest_ratio = fmin(smallest_ratio, j->ratio);
    }
    for (int key = 0; key < KV_N_COLUMNS; key++)
        if (is_shown(comparison, key))
            columns[n++] = (struct kv_table_column){name_of(key), NULL,
                                                    kv_column_info((enum kv_column)key)->type == KV_TYPE_TEXT};
    /* "time to first token: t_1 - t_0" */
    int words = (int)strcspn(info->meaning, ":(,");
    words -= words && info->meaning[words - 1] == ' ';
    snprintf(title, sizeof title, "%s against %s: %.*s (%s), %s is better", other, base, words, info->meaning,
             info->name, info->role == KV_ROLE_RATE ? "more" : "less");
    snprintf(headings[0], sizeof *headings, "%s %s", base, info->unit);
    snprintf(headings[1], sizeof *headings, "%s %s", other, info->unit);
    snprintf(headings[2], sizeof *headings, "%s/%s", other, base);
    snprintf(headings[3], sizeof *headings, "%s is", other);
    const struct kv_table_column figures[] = {
        {"median_base", headings[0], false}, {"median_other", headings[1], false}, {"n", NULL, false},
        {"ratio", headings[2], false},       {"interval", "95 % interval", false}, {"verdict", headings[3], true},
    };
    memcpy(columns + n, figures, sizeof figures);
    const kv_status status = kv_table_create(table, title, columns, n + (int)(sizeof figures / sizeof *figures), error);
    for (size_t i = 0; !status && i < section->n_results; i++)
        add_result(*table, comparison, &section->results[i], decimals_for(smallest, 3, 0, 6),
                   decimals_for(smallest_ratio, 3, 3, 6));
    return status;
}

/* In words too where a difference was seen and the mean is beyond the threshold. */
static void print_mean(const struct kv_comparison *comparison, const struct kv_section *section, FILE *stream)
{
    const char *base = comparison->sides[0].label, *other = section->other->label;
    const double mean = section->geometric_mean;
    const double speed = kv_column_info(section->metric)->role == KV_ROLE_RATE ? mean : 1 / mean;
    fprintf(stream, "  Geometric mean of %s/%s over %zu: %.*f", other, base, section->n_results,
            decimals_for(mean, 3, 3, 6), mean);
    if (section->n_verdicts[KV_EFFECT_FASTER] + section->n_verdicts[KV_EFFECT_SLOWER] &&
        fmax(speed, 1 / speed) > 1 + comparison->settings.threshold)
        fprintf(stream, " (%s is %.3g times as fast)", speed >= 1 ? other : base, fmax(speed, 1 / speed));
    fputc('\n', stream);
}

static kv_status print_section(const struct kv_comparison *comparison, const struct kv_section *section,
                               enum kv_format format, FILE *stream, struct kv_error *error)
{
    const size_t *n = section->n_verdicts;
    struct kv_table *table;
    kv_status status = kv_section_table(comparison, section, &table, error);
    if (status)
        return status;
    if (section->n_results) {
        status = kv_table_print(table, format, stream, error);
        fprintf(stream, "%s  %zu faster, %zu slower, %zu equal, %zu %s\n", format == KV_FORMAT_MARKDOWN ? "\n" : "",
                n[KV_EFFECT_FASTER], n[KV_EFFECT_SLOWER], n[KV_EFFECT_EQUAL], n[KV_EFFECT_UNDECIDED],
                kv_compare_verdict(comparison, KV_EFFECT_UNDECIDED));
        print_mean(comparison, section, stream);
    } else {
        fprintf(stream, "\n%s\n", kv_table_title(table));
    }
    if (section->n_unknown)
        fprintf(stream, "  %zu more without %s on a side\n", section->n_unknown, name_of((int)section->metric));
    kv_table_free(table);
    return status;
}

/* ---- What was left out ------------------------------------------------------------------------------------------- */

static void print_unmatched(const struct kv_comparison *comparison, FILE *stream)
{
    char name[TEXT_SIZE];
    const size_t n = comparison->n_unmatched;
    if (!n)
        return;
    fprintf(stream, "\nNot compared: %zu cell%s\n", n, n == 1 ? "" : "s");
    for (size_t i = 0; i < n && i < MAX_NAMED; i++) {
        const struct kv_unmatched *unmatched = &comparison->unmatched[i];
        kv_compare_name(comparison, unmatched->cell, name, sizeof name);
        fprintf(stream, "  %s in %s: %s\n", unmatched->problem, unmatched->in->label, name);
    }
    if (n > MAX_NAMED)
        fprintf(stream, "  and %zu more (--csv names all)\n", n - MAX_NAMED);
}

static void print_left_out(const struct kv_comparison *comparison, FILE *stream)
{
    for (size_t i = 0; i < comparison->n_runs; i++) {
        const struct kv_results *run = comparison->runs[i];
        size_t n_failed = 0, n_skipped = 0, n_stalled = 0;
        for (size_t k = 0; k < run->n_cells; k++)
            if (kv_compare_looks_at(comparison, &run->cells[k])) {
                n_failed += run->cells[k].n_failed;
                n_skipped += run->cells[k].n_skipped;
                n_stalled += run->cells[k].n_stalled;
            }
        if (n_failed + n_skipped + n_stalled)
            fprintf(stream, "\nLeft out of %s: %zu failed, %zu skipped and %zu stalled rows\n", run->file, n_failed,
                    n_skipped, n_stalled);
    }
}

kv_status kv_compare_print(const struct kv_comparison *comparison, enum kv_format format, FILE *stream,
                           struct kv_error *error)
{
    kv_status status = KV_OK;
    if (kv_format_is_data(format)) {
        struct kv_table *table;
        status = kv_compare_table(comparison, &table, error);
        if (!status)
            status = kv_table_print(table, format, stream, error);
        kv_table_free(table);
        return status;
    }
    print_heading(comparison, format == KV_FORMAT_MARKDOWN ? "\n" : "", stream);
    for (size_t i = 0; !status && i < comparison->n_sections; i++)
        status = print_section(comparison, &comparison->sections[i], format, stream, error);
    print_unmatched(comparison, stream);
    print_left_out(comparison, stream);
    return status;
}

/* ---- For programs ------------------------------------------------------------------------------------------------ */

static void add_sides(struct kv_table *table, const struct kv_side *base, const struct kv_side *other)
{
    kv_table_add_text(table, base->value ? base->value : base->files);
    kv_table_add_text(table, other->value ? other->value : other->files);
}

static void add_keys(struct kv_table *table, const struct kv_comparison *comparison, const struct kv_pair *pair)
{
    char text[TEXT_SIZE];
    for (int key = 0; key < KV_N_COLUMNS; key++)
        if (is_key(comparison, key)) {
            kv_pair_key(pair, (enum kv_column)key, text, sizeof text);
            kv_table_add_text(table, text);
        }
}

kv_status kv_compare_table(const struct kv_comparison *comparison, struct kv_table **table, struct kv_error *error)
{
    struct kv_table_column columns[KV_N_COLUMNS + 15] = {
        {"metric", NULL, true}, {"base", NULL, true}, {"other", NULL, true}};
    static const char *const figures[] = {"n_base",        "n_other",     "median_base",  "median_other",
                                          "ratio",         "ratio_low",   "ratio_high",   "rounds",
                                          "rounds_needed", "machine_pct", "corrected_by", "verdict"};
    enum { N_FIGURES = sizeof figures / sizeof *figures };
    int n = 3;
    for (int key = 0; key < KV_N_COLUMNS; key++)
        if (is_key(comparison, key)) /* texts: "1>2" where --ignore lets two numbers be a pair */
            columns[n++] = (struct kv_table_column){name_of(key), NULL, true};
    for (int i = 0; i < N_FIGURES; i++)
        columns[n++] = (struct kv_table_column){figures[i], NULL, i >= N_FIGURES - 2};
    const kv_status status = kv_table_create(table, NULL, columns, n, error);
    for (size_t s = 0; !status && s < comparison->n_sections; s++) {
        const struct kv_section *section = &comparison->sections[s];
        for (size_t i = 0; i < section->n_results; i++) {
            const struct kv_judgement *j = &section->results[i].judgement;
            kv_table_add_text(*table, name_of((int)section->metric));
            add_sides(*table, comparison->sides, section->other);
            add_keys(*table, comparison, section->results[i].pair);
            const double values[] = {(double)j->n_base, (double)j->n_other,
                                     j->median_base,    j->median_other,
                                     j->ratio,          j->interval.low,
                                     j->interval.high,  (double)j->n_rounds,
                                     j->rounds_needed,  100 * expm1(section->results[i].log_factor)};
            for (int v = 0; v < N_FIGURES - 2; v++)
                kv_table_add_number(*table, values[v], NULL);
            kv_table_add_text(*table, section->results[i].corrected_by ? section->results[i].corrected_by : "");
            kv_table_add_text(*table, kv_compare_verdict(comparison, j->verdict));
        }
    }
    for (size_t i = 0; !status && i < comparison->n_unmatched; i++) {
        const struct kv_unmatched *unmatched = &comparison->unmatched[i];
        const struct kv_pair alone = {unmatched->cell, unmatched->cell, NULL};
        char verdict[TEXT_SIZE];
        kv_table_add_text(*table, "");
        add_sides(*table, comparison->sides, unmatched->in == comparison->sides ? unmatched->from : unmatched->in);
        add_keys(*table, comparison, &alone);
        for (int v = 0; v < N_FIGURES - 2; v++)
            kv_table_add_number(*table, NAN, NULL);
        kv_table_add_text(*table, "");
        snprintf(verdict, sizeof verdict, "%s in %s", unmatched->problem, unmatched->in->label);
        kv_table_add_text(*table, verdict);
    }
    for (size_t i = 0; !status && i < comparison->n_differences; i++) {
        kv_table_add_text(*table, comparison->differences[i].name);
        kv_table_add_text(*table, comparison->differences[i].base);
        kv_table_add_text(*table, comparison->differences[i].other);
        for (int column = 3; column < n - 1; column++)
            kv_table_add_text(*table, "");
        kv_table_add_text(*table, "environment");
    }
    return status;
}

/* A slip of the fingers must not cost a person the measurements. */
static bool is_compared(const struct kv_comparison *comparison, const char *file)
{
    struct stat target, source;
    for (size_t i = 0; i < comparison->n_runs; i++)
        if (stat(file, &target) == 0 && stat(comparison->runs[i]->file, &source) == 0 &&
            target.st_dev == source.st_dev && target.st_ino == source.st_ino)
            return true;
    return false;
}

kv_status kv_compare_write_csv(const struct kv_comparison *comparison, const char *file, struct kv_error *error)
{
    struct kv_table *table;
    if (is_compared(comparison, file))
        return kv_fail(error, KV_ERROR_ARGUMENT, "%s is one of the compared files: choose another name", file);
    kv_status status = kv_compare_table(comparison, &table, error);
    if (!status)
        status = kv_table_write(table, KV_FORMAT_CSV, file, error);
    kv_table_free(table);
    return status;
}

/* ---- Warnings ---------------------------------------------------------------------------------------------------- */

static int warn_of_repetitions(const struct kv_comparison *comparison, struct kv_warning *warning)
{
    const size_t least = kv_effect_least_rounds(KV_JUDGE_LEVEL);
    size_t n = 0, n_all = 0, fewest = least;
    for (size_t i = 0; i < comparison->n_sections; i++)
        for (size_t k = 0; k < comparison->sections[i].n_results; k++) {
            const struct kv_judgement *judged = &comparison->sections[i].results[k].judgement;
            n_all++;
            n += isnan(judged->interval.low);
            fewest = judged->n_rounds < fewest ? judged->n_rounds : fewest;
        }
    if (!n)
        return 0;
    warning->severity = KV_SEVERITY_WARNING;
    snprintf(
        warning->text, sizeof warning->text,
        "fewer than %zu rounds in %zu of %zu rows, as few as %zu, from which no verdict can come; measure again with "
        "--reps %zu or more",
        least, n, n_all, fewest, least);
    return 1;
}

static int warn_of_context(const struct kv_results *run, struct kv_warning *warning)
{
    if (!*run->context->problem)
        return 0;
    warning->severity = KV_SEVERITY_WARNING;
    snprintf(warning->text, sizeof warning->text,
             "context.json beside %.180s cannot be read (%.80s), so its machine is unknown: mend or delete it",
             run->file, run->context->problem);
    return 1;
}

int kv_compare_warnings(const struct kv_comparison *comparison, struct kv_warning warnings[KV_COMPARE_MAX_WARNINGS])
{
    int n = warn_of_repetitions(comparison, &warnings[0]);
    for (size_t i = 0; i < comparison->n_runs && n < KV_COMPARE_MAX_WARNINGS; i++)
        n += warn_of_context(comparison->runs[i], &warnings[n]);
    return n;
}
