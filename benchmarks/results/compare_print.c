/* The comparison as a person reads it. */
#include "results/names.h"

#include <math.h>
#include <string.h>

/* Unmatched configurations that are named one by one; all of them are in the CSV file. */
enum { MAX_NAMED = 20 };

/* ---- What is compared --------------------------------------------------------------------------- */

static void print_run(const struct kv_measurements *run, const char *label, FILE *stream)
{
    char id[KV_CELL_SIZE];
    const struct kv_measured_on *machine = &run->machine;
    snprintf(id, sizeof id, "%s", run->run_id);
    kv_make_printable(id);
    fprintf(stream, "%-4s %s%s%s", label, run->file, *id ? ", run " : "", id);
    if (*machine->cpu)
        fprintf(stream, ", %s", machine->cpu);
    if (machine->threads > 0)
        fprintf(stream, ", %d thread%s", machine->threads, machine->threads == 1 ? "" : "s");
    if (*machine->openblas_core)
        fprintf(stream, ", OpenBLAS %s", machine->openblas_core);
    fputc('\n', stream);
}

/* Columns of the table are those in which the pairs differ, and always the path and the batch size; the rest is said
 * once. */
static bool is_column(const struct kv_comparison *comparison, int key)
{
    if (key == comparison->settings.by)
        return false;
    return key == KV_ARM_KEY_PATH || key == KV_ARM_KEY_BATCH || kv_pairs_vary(comparison, key);
}

/* The one value of a column, or the two when --ignore lets the sides differ. */
static void write_common(const struct kv_comparison *comparison, int key, char *text)
{
    const struct kv_pair *pair = &comparison->pairs[0];
    if (strcmp(pair->base->keys[key], pair->other->keys[key]) == 0)
        snprintf(text, KV_CELL_SIZE, "%s", pair->base->keys[key]);
    else
        snprintf(text, KV_CELL_SIZE, "%s in %s and %s in %s", pair->base->keys[key], comparison->sides[0].label,
                 pair->other->keys[key], pair->other_side->label);
    kv_make_printable(text);
}

static void print_common(const struct kv_comparison *comparison, FILE *stream)
{
    char text[KV_CELL_SIZE];
    const char *separator = "all: ";
    for (int key = 0; key < KV_ARM_KEYS; key++) {
        if (key == comparison->settings.by || is_column(comparison, key))
            continue;
        write_common(comparison, key, text);
        fprintf(stream, "%s%s %s", separator, kv_arm_key_name(key), text);
        separator = ", ";
    }
    fputc('\n', stream);
}

static void print_heading(const struct kv_comparison *comparison, FILE *stream)
{
    const struct kv_compare_settings *settings = &comparison->settings;
    if (settings->by >= 0) {
        print_run(comparison->sides[0].run, "run:", stream);
    } else {
        print_run(comparison->sides[0].run, "A:", stream);
        print_run(comparison->sides[1].run, "B:", stream);
    }
    print_common(comparison, stream);
    fprintf(stream,
            "Figures are medians; faster or slower: p < %g (Mann-Whitney U), and medians more than %g %% apart.\n",
            settings->alpha, settings->noise * 100);
}

/* ---- The table of a section --------------------------------------------------------------------- */

enum {
    COLUMN_BASE = KV_ARM_KEYS,
    COLUMN_OTHER,
    COLUMN_N,
    COLUMN_RATIO,
    COLUMN_INTERVAL,
    COLUMN_P,
    COLUMN_VERDICT,
    COLUMNS
};

struct table {
    const struct kv_comparison *comparison;
    const struct kv_section *section;
    int decimals;        /* of the medians */
    int ratio_decimals;  /* of the ratios */
    int widths[COLUMNS]; /* 0: not a column of this table */
};

static void write_title(const struct table *table, int column, char *text)
{
    const char *base = table->comparison->sides[0].label, *other = table->section->other->label;
    const char *unit = kv_metric_info(table->section->metric)->unit;
    switch (column) {
    case COLUMN_BASE:
        snprintf(text, KV_CELL_SIZE, "%s %s", base, unit);
        break;
    case COLUMN_OTHER:
        snprintf(text, KV_CELL_SIZE, "%s %s", other, unit);
        break;
    case COLUMN_N:
        snprintf(text, KV_CELL_SIZE, "n");
        break;
    case COLUMN_RATIO:
        snprintf(text, KV_CELL_SIZE, "%s/%s", other, base);
        break;
    case COLUMN_INTERVAL:
        snprintf(text, KV_CELL_SIZE, "95 %% interval");
        break;
    case COLUMN_P:
        snprintf(text, KV_CELL_SIZE, "p");
        break;
    case COLUMN_VERDICT:
        snprintf(text, KV_CELL_SIZE, "%s is", other);
        break;
    default:
        snprintf(text, KV_CELL_SIZE, "%s", kv_arm_key_name(column));
    }
}

static void write_p(double p, char *text)
{
    if (p < 0.0001)
        snprintf(text, KV_CELL_SIZE, "<0.0001");
    else
        snprintf(text, KV_CELL_SIZE, "%.4f", p);
}

static void write_interval(const struct table *table, const struct kv_result *result, char *text)
{
    if (isnan(result->interval.low))
        snprintf(text, KV_CELL_SIZE, "-");
    else
        snprintf(text, KV_CELL_SIZE, "%.*f to %.*f", table->ratio_decimals, result->interval.low, table->ratio_decimals,
                 result->interval.high);
}

static void write_cell(const struct table *table, const struct kv_result *result, int column, char *text)
{
    switch (column) {
    case COLUMN_BASE:
        snprintf(text, KV_CELL_SIZE, "%.*f", table->decimals, result->median_base);
        break;
    case COLUMN_OTHER:
        snprintf(text, KV_CELL_SIZE, "%.*f", table->decimals, result->median_other);
        break;
    case COLUMN_N:
        snprintf(text, KV_CELL_SIZE, "%zu+%zu", result->n_base, result->n_other);
        break;
    case COLUMN_RATIO:
        snprintf(text, KV_CELL_SIZE, "%.*f", table->ratio_decimals, result->ratio);
        break;
    case COLUMN_INTERVAL:
        write_interval(table, result, text);
        break;
    case COLUMN_P:
        write_p(result->p, text);
        break;
    case COLUMN_VERDICT:
        snprintf(text, KV_CELL_SIZE, "%s%s", kv_verdict_name(result->verdict),
                 result->smallest_p < table->comparison->settings.alpha ? "" : " *");
        break;
    default:
        kv_pair_key(result->pair, column, text, KV_CELL_SIZE);
        kv_make_printable(text);
    }
}

/* row 0 is the titles. */
static void write_text(const struct table *table, size_t row, int column, char *text)
{
    if (row == 0)
        write_title(table, column, text);
    else
        write_cell(table, &table->section->results[row - 1], column, text);
}

/* Decimals that show `digits` digits of the smallest value. */
static int decimals_for(double smallest, int digits, int least, int most)
{
    const int decimals = digits - 1 - (int)floor(log10(smallest));
    return decimals < least ? least : decimals > most ? most : decimals;
}

static void plan_table(struct table *table, const struct kv_comparison *comparison, const struct kv_section *section)
{
    char text[KV_CELL_SIZE];
    double smallest = INFINITY, smallest_ratio = INFINITY;
    *table = (struct table){.comparison = comparison, .section = section};
    for (size_t i = 0; i < section->n_results; i++) {
        const struct kv_result *result = &section->results[i];
        smallest = fmin(smallest, fmin(result->median_base, result->median_other));
        smallest_ratio = fmin(smallest_ratio, result->ratio);
    }
    table->decimals = decimals_for(smallest, 3, 0, 6);
    table->ratio_decimals = decimals_for(smallest_ratio, 3, 3, 6);
    for (int column = 0; column < COLUMNS; column++) {
        if (column < KV_ARM_KEYS && !is_column(comparison, column))
            continue;
        for (size_t row = 0; row <= section->n_results; row++) {
            write_text(table, row, column, text);
            const int width = (int)strlen(text);
            table->widths[column] = width > table->widths[column] ? width : table->widths[column];
        }
    }
}

static bool is_left(int column)
{
    return column < KV_ARM_KEY_THREADS || column == COLUMN_VERDICT;
}

static void print_table(const struct kv_comparison *comparison, const struct kv_section *section, FILE *stream)
{
    char text[KV_CELL_SIZE];
    struct table table;
    plan_table(&table, comparison, section);
    for (size_t row = 0; row <= section->n_results; row++) {
        for (int column = 0; column < COLUMN_VERDICT; column++) {
            if (table.widths[column] == 0)
                continue;
            write_text(&table, row, column, text);
            fprintf(stream, "  %*s", is_left(column) ? -table.widths[column] : table.widths[column], text);
        }
        write_text(&table, row, COLUMN_VERDICT, text);
        fprintf(stream, "  %s\n", text);
    }
}

/* ---- Sections ----------------------------------------------------------------------------------- */

/* In words too where a difference was seen and the mean is out of the noise. */
static void print_mean(const struct kv_comparison *comparison, const struct kv_section *section, FILE *stream)
{
    const char *base = comparison->sides[0].label, *other = section->other->label;
    const double mean = section->geometric_mean;
    const double speed = kv_metric_info(section->metric)->is_rate ? mean : 1 / mean;
    fprintf(stream, "  Geometric mean of %s/%s over %zu: %.*f", other, base, section->n_results,
            decimals_for(mean, 3, 3, 6), mean);
    if (section->n_verdicts[KV_VERDICT_NONE] < section->n_results &&
        fmax(speed, 1 / speed) > 1 + comparison->settings.noise)
        fprintf(stream, " (%s is %.3g times as fast)", speed >= 1 ? other : base, fmax(speed, 1 / speed));
    fputc('\n', stream);
}

static void print_section(const struct kv_comparison *comparison, const struct kv_section *section, FILE *stream)
{
    const struct kv_metric_info *info = kv_metric_info(section->metric);
    fprintf(stream, "\n%s against %s: %s (%s), %s is better\n", section->other->label, comparison->sides[0].label,
            info->summary, info->name, info->is_rate ? "more" : "less");
    if (section->n_results > 0) {
        print_table(comparison, section, stream);
        fprintf(stream, "  %zu faster, %zu slower, %zu with no difference seen\n",
                section->n_verdicts[KV_VERDICT_FASTER], section->n_verdicts[KV_VERDICT_SLOWER],
                section->n_verdicts[KV_VERDICT_NONE]);
        print_mean(comparison, section, stream);
    }
    if (section->n_unknown > 0)
        fprintf(stream, "  %zu more without %s on a side\n", section->n_unknown, info->name);
}

static void print_footnote(const struct kv_comparison *comparison, FILE *stream)
{
    for (size_t i = 0; i < comparison->n_sections; i++) {
        for (size_t j = 0; j < comparison->sections[i].n_results; j++) {
            if (comparison->sections[i].results[j].smallest_p < comparison->settings.alpha)
                continue;
            fprintf(stream,
                    "\n* says nothing: with so few repetitions p cannot go below %g, however far apart they are\n",
                    comparison->settings.alpha);
            return;
        }
    }
}

/* ---- What was left out -------------------------------------------------------------------------- */

static void print_unmatched(const struct kv_comparison *comparison, FILE *stream)
{
    char name[KV_CELL_SIZE];
    const size_t n = comparison->n_unmatched;
    if (n == 0)
        return;
    fprintf(stream, "\nNot compared: %zu configuration%s\n", n, n == 1 ? "" : "s");
    for (size_t i = 0; i < n && i < MAX_NAMED; i++) {
        const struct kv_unmatched *unmatched = &comparison->unmatched[i];
        kv_compare_name(comparison, unmatched->configuration, name, sizeof name);
        fprintf(stream, "  %s in %s: %s\n", unmatched->problem, unmatched->in->label, name);
    }
    if (n > MAX_NAMED)
        fprintf(stream, "  and %zu more (--csv names all)\n", n - MAX_NAMED);
}

static void print_left_out(const struct kv_comparison *comparison, FILE *stream)
{
    const struct kv_measurements *last = NULL;
    for (size_t i = 0; i < comparison->n_sides; i++) {
        const struct kv_side *side = &comparison->sides[i];
        if (side->run != last && side->run->n_failed + side->run->n_skipped > 0)
            fprintf(stream, "\nLeft out of %s: %zu failed and %zu skipped rows\n", side->run->file, side->run->n_failed,
                    side->run->n_skipped);
        last = side->run;
    }
}

void kv_compare_print(const struct kv_comparison *comparison, FILE *stream)
{
    print_heading(comparison, stream);
    for (size_t i = 0; i < comparison->n_sections; i++)
        print_section(comparison, &comparison->sections[i], stream);
    print_footnote(comparison, stream);
    print_unmatched(comparison, stream);
    print_left_out(comparison, stream);
}
