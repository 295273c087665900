/* The comparison as a program reads it. */
#include "base/error.h"
#include "results/names.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Before and after the key columns. */
static const char *const columns_before[] = {"metric", "base", "other"};
static const char *const columns_after[] = {
    "n_base", "n_other", "median_base", "median_other", "ratio", "ratio_low", "ratio_high", "u", "p", "verdict"};
enum {
    N_BEFORE = sizeof columns_before / sizeof columns_before[0],
    N_AFTER = sizeof columns_after / sizeof columns_after[0],
};

static void add_sides(struct kv_csv_writer *writer, const struct kv_side *base, const struct kv_side *other)
{
    kv_csv_add_text(writer, base->value ? base->value : base->run->file);
    kv_csv_add_text(writer, other->value ? other->value : other->run->file);
}

static kv_status add_result(struct kv_csv_writer *writer, const struct kv_comparison *comparison,
                            const struct kv_section *section, const struct kv_result *result, struct kv_error *error)
{
    char text[KV_CELL_SIZE];
    kv_csv_add_text(writer, kv_metric_info(section->metric)->name);
    add_sides(writer, comparison->sides, section->other);
    for (int key = 0; key < KV_ARM_KEYS; key++) {
        kv_pair_key(result->pair, key, text, sizeof text);
        kv_csv_add_text(writer, text);
    }
    kv_csv_add_integer(writer, (int64_t)result->n_base);
    kv_csv_add_integer(writer, (int64_t)result->n_other);
    const double figures[] = {result->median_base,
                              result->median_other,
                              result->ratio,
                              result->interval.low,
                              result->interval.high,
                              result->u,
                              result->p};
    for (size_t i = 0; i < sizeof figures / sizeof figures[0]; i++)
        kv_csv_add_double(writer, figures[i]);
    kv_csv_add_text(writer, kv_verdict_name(result->verdict));
    return kv_csv_end_row(writer, error);
}

static kv_status add_unmatched(struct kv_csv_writer *writer, const struct kv_comparison *comparison,
                               const struct kv_unmatched *unmatched, struct kv_error *error)
{
    char verdict[KV_CELL_SIZE];
    kv_csv_add_unknown(writer);
    add_sides(writer, comparison->sides, unmatched->in == comparison->sides ? unmatched->from : unmatched->in);
    for (int key = 0; key < KV_ARM_KEYS; key++)
        kv_csv_add_text(writer, unmatched->configuration->keys[key]);
    for (int i = 0; i < N_AFTER - 1; i++)
        kv_csv_add_unknown(writer);
    snprintf(verdict, sizeof verdict, "%s in %s", unmatched->problem, unmatched->in->label);
    kv_csv_add_text(writer, verdict);
    return kv_csv_end_row(writer, error);
}

static kv_status write_rows(const struct kv_comparison *comparison, const char *file, struct kv_error *error)
{
    const char *columns[N_BEFORE + KV_ARM_KEYS + N_AFTER];
    struct kv_csv_writer *writer;
    memcpy(columns, columns_before, sizeof columns_before);
    for (int key = 0; key < KV_ARM_KEYS; key++)
        columns[N_BEFORE + key] = kv_arm_key_name(key);
    memcpy(columns + N_BEFORE + KV_ARM_KEYS, columns_after, sizeof columns_after);
    kv_status status = kv_csv_append(&writer, file, columns, N_BEFORE + KV_ARM_KEYS + N_AFTER, error);
    for (size_t i = 0; status == KV_OK && i < comparison->n_sections; i++)
        for (size_t j = 0; status == KV_OK && j < comparison->sections[i].n_results; j++)
            status = add_result(writer, comparison, &comparison->sections[i], &comparison->sections[i].results[j],
                                error);
    for (size_t i = 0; status == KV_OK && i < comparison->n_unmatched; i++)
        status = add_unmatched(writer, comparison, &comparison->unmatched[i], error);
    kv_csv_close(writer);
    return status;
}

/* A slip of the fingers must not cost a person the measurements. */
static bool is_compared(const struct kv_comparison *comparison, const char *file)
{
    struct stat target, source;
    for (size_t i = 0; i < comparison->n_sides; i++)
        if (stat(file, &target) == 0 && stat(comparison->sides[i].run->file, &source) == 0 &&
            target.st_dev == source.st_dev && target.st_ino == source.st_ino)
            return true;
    return false;
}

kv_status kv_compare_write_csv(const struct kv_comparison *comparison, const char *file, struct kv_error *error)
{
    char *part;
    if (is_compared(comparison, file))
        return kv_fail(error, KV_ERROR_ARGUMENT, "%s is one of the compared files: choose another name", file);
    if (asprintf(&part, "%s.part", file) < 0)
        return kv_fail(error, KV_ERROR_MEMORY, "no memory to write %s: close other programs", file);
    unlink(part); /* of a writer that was killed */
    kv_status status = write_rows(comparison, part, error);
    if (status == KV_OK && rename(part, file) != 0)
        status = kv_fail(error, KV_ERROR_IO, "%s cannot be written (%s): choose another name", file, strerror(errno));
    if (status != KV_OK)
        unlink(part);
    free(part);
    return status;
}
