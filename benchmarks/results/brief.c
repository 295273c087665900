/* What a run comes to, in a few lines. */
#include "results/table.h"

#include "base/error.h"
#include "results/findings.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_FINDINGS = 3 };

/* Which matter most: how much faster, by the path before anything else; what that costs; what grows; how much there is
 * in all; then the rest in the order in which it is told. A group gives its largest finding before a second one. */
static int rank_of(const struct kv_finding *f)
{
    switch (f->kind) {
    case KV_FINDING_SPEED:
    case KV_FINDING_SPEED_RANGE:
        return f->axis == KV_COLUMN_PATH ? 0 : 1;
    case KV_FINDING_MEMORY:
        return 3;
    case KV_FINDING_GROWTH:
        return f->growth == KV_GROWTH_UNDECIDED ? 7 : 4;
    case KV_FINDING_THROUGHPUT:
        return 5;
    case KV_FINDING_EQUAL:
    case KV_FINDING_UNDECIDED:
    case KV_FINDING_NO_RATIO:
        return 6;
    case KV_FINDING_FAULTS:
        return 8;
    default:
        return 2;
    }
}

static double size_of(const struct kv_finding *f)
{
    if (f->kind == KV_FINDING_SPEED || f->kind == KV_FINDING_SPEED_RANGE)
        return fmax(fabs(log(f->value)), f->kind == KV_FINDING_SPEED_RANGE ? fabs(log(f->value_2)) : 0);
    return 0;
}

/* The next to tell of findings [n]: from the first rank that has not been told, or, when all have, any; NULL: none. */
static const struct kv_finding *next_finding(const struct kv_finding *findings, size_t n, const bool *told,
                                             unsigned ranks_told)
{
    const struct kv_finding *best = NULL;
    for (size_t i = 0; i < n; i++) {
        if (told[i] || ranks_told >> rank_of(&findings[i]) & 1)
            continue;
        const int rank = rank_of(&findings[i]), best_rank = best ? rank_of(best) : 0;
        if (!best || rank < best_rank || (rank == best_rank && size_of(&findings[i]) > size_of(best)))
            best = &findings[i];
    }
    return best || !ranks_told ? best : next_finding(findings, n, told, 0);
}

/* Of a run that measured kernels alone. */
static void tell_kernels(const struct kv_results *results, FILE *stream)
{
    const struct kv_cell_results *best = NULL;
    char gflops[KV_NUMBER_SIZE];
    for (size_t i = 0; i < results->n_cells; i++) {
        const struct kv_cell_results *cell = &results->cells[i];
        if (cell->file == KV_FILE_KERNELS && cell->status == KV_CELL_OK && cell->figures[KV_COLUMN_GFLOPS].n &&
            (!best || cell->figures[KV_COLUMN_GFLOPS].median > best->figures[KV_COLUMN_GFLOPS].median))
            best = cell;
    }
    if (!best)
        return;
    fprintf(stream, "- kernels: the fastest is %s %s, %s%s%s, with %s GFLOPS", best->texts[KV_COLUMN_KERNEL],
            best->texts[KV_COLUMN_SHAPE], best->texts[KV_COLUMN_GEMM], *best->texts[KV_COLUMN_GEMM] ? ", " : "",
            best->texts[KV_COLUMN_ISA], kv_number_text(best->figures[KV_COLUMN_GFLOPS].median, gflops, sizeof gflops));
    if (best->figures[KV_COLUMN_LIMIT_PCT].n)
        fprintf(stream, ", %.0f %% of what this machine can do", best->figures[KV_COLUMN_LIMIT_PCT].median);
    fputs(".\n", stream);
}

kv_status kv_results_brief(const struct kv_results *results, FILE *stream, size_t *n_more, struct kv_error *error)
{
    struct kv_finding *findings;
    char text[KV_FINDING_SIZE];
    size_t n, n_failed = 0, n_skipped = 0;
    unsigned ranks_told = 0;
    *n_more = 0;
    const kv_status status = kv_findings_find(results, &findings, &n, error);
    bool *told = status ? NULL : calloc(n + 1, sizeof *told);
    if (status || !told) {
        free(findings);
        return status ? status : kv_fail(error, KV_ERROR_MEMORY, "no memory for the findings: close other programs");
    }
    for (size_t i = 0; i < results->n_cells; i++) {
        n_failed += results->cells[i].status == KV_CELL_FAILED;
        n_skipped += results->cells[i].status == KV_CELL_SKIPPED;
    }
    if (n_failed + n_skipped)
        fprintf(stream, "\n%s (of %zu cells %zu failed and %zu %s left out)\n",
                n_failed + n_skipped == results->n_cells ? "Nothing was measured" : "What was found", results->n_cells,
                n_failed, n_skipped, n_skipped == 1 ? "was" : "were");
    else
        fputs(n ? "\nWhat was found\n" : "\n", stream);
    for (size_t k = 0; k < MOST_FINDINGS && k < n; k++) {
        const struct kv_finding *f = next_finding(findings, n, told, ranks_told);
        told[f - findings] = true;
        ranks_told |= 1U << rank_of(f);
        fprintf(stream, "- %s.\n", kv_finding_text(results, f, text, sizeof text));
    }
    if (n == 0)
        tell_kernels(results, stream);
    *n_more = n > MOST_FINDINGS ? n - MOST_FINDINGS : 0;
    if (results->n_cells)
        fprintf(stream, "The machine was %s.\n", kv_steadiness(results).line);
    free(told);
    free(findings);
    return KV_OK;
}
