#include "cli/cli.h"

#include "base/error.h"
#include "base/number.h"
#include "results/capacity.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "20ms", "20" or "0.02s" */
static bool parse_goal(const char *text, void *value, struct kv_error *error)
{
    const char *end = text;
    double number = 0;
    const bool good = kv_number_decimal(&end, 0, 1e9, &number) && number > 0;
    const double scale = strcmp(end, "s") == 0 ? 1e3 : 1;
    if (!good || (*end && strcmp(end, "ms") != 0 && strcmp(end, "s") != 0))
        return kv_fail(error, KV_ERROR_ARGUMENT, "'%.60s' is not a time such as 20ms or 0.1s", text) == KV_OK;
    *(double *)value = number * scale;
    return true;
}

static void print_serves(const struct kv_capacity_plan *plan)
{
    char text[KV_NUMBER_SIZE], step[KV_NUMBER_SIZE];
    printf("serves  ");
    kv_number_text(plan->ttpt_ms, step, sizeof step);
    if (!plan->batch) {
        printf("none: batch %d, the smallest that was measured, %s %s ms a token\n", plan->smallest,
               plan->limit == KV_LIMIT_CAPACITY ? "does not fit, and takes" : "takes", step);
        return;
    }
    printf("%d sequence%s, %s tokens/s in all, at %s ms a token (", plan->batch, plan->batch == 1 ? "" : "s",
           kv_number_text(plan->tok_s, text, sizeof text), step);
    if (plan->is_largest)
        printf("%sthe largest batch measured at this context: more may meet the goal)\n",
               plan->is_measured ? "" : "interpolated; ");
    else
        printf("%s batches %d to %d)\n", plan->is_measured ? "measured, as were" : "interpolated, measured were",
               plan->smallest, plan->largest);
}

static void print_fits(const struct kv_capacity *capacity, const struct kv_capacity_plan *plan)
{
    const struct kv_capacity_arm *arm = plan->arm;
    char batch[KV_NUMBER_SIZE], context[KV_NUMBER_SIZE], asked[KV_NUMBER_SIZE];
    if (isnan(plan->fit_batch)) {
        printf("fits    unknown: the run does not tell the machine's memory, or what a position takes\n");
        return;
    }
    kv_integer_text(plan->context, asked, sizeof asked);
    kv_integer_text(plan->fit_batch, batch, sizeof batch);
    kv_integer_text(plan->fit_context, context, sizeof context);
    printf(
        "fits    batch %s at context %s, context %s%s at batch %d, in %.1f GiB: %.2f of weights, %.4g KiB a position, "
        "%.2f for the rest (by formula)\n",
        batch, asked, context, plan->fit_context < capacity->window ? "" : " (the model's window)",
        plan->batch ? plan->batch : plan->smallest, capacity->memory_bytes / (1 << 30), arm->weights_bytes / (1 << 30),
        arm->kv_bytes / 1024, arm->rest_bytes / (1 << 30));
}

static void print_limit(const struct kv_capacity_plan *plan)
{
    const struct kv_capacity_arm *arm = plan->arm;
    printf("limit   %s", plan->limit == KV_LIMIT_UNKNOWN ? "unknown: the run has no probes and no limits.csv\n"
                                                         : kv_capacity_limit_name(plan->limit));
    if (plan->limit != KV_LIMIT_UNKNOWN)
        printf(": reading %.3g GB takes %.3g ms at %.3g GB/s, %.3g GFLOP %.3g ms at %.3g GFLOP/s\n",
               plan->step_bytes * 1e-9, plan->read_ms, arm->bytes_per_s * 1e-9, plan->step_flops * 1e-9,
               plan->compute_ms, arm->flops_per_s * 1e-9);
}

static int print_plan(const char *command, const struct kv_capacity *capacity, double goal_ms, double context)
{
    const struct kv_capacity_plan plan = kv_capacity_plan(capacity, goal_ms, context);
    char text[160], model[160], arm[160], asked[KV_NUMBER_SIZE];
    double low = INFINITY, high = 0;
    for (size_t i = 0; i < capacity->n_arms; i++)
        for (size_t k = 0; k < capacity->arms[i].n_points; k++) {
            low = fmin(low, capacity->arms[i].points[k].context);
            high = fmax(high, capacity->arms[i].points[k].context);
        }
    if (!plan.arm)
        return cli_fail(command, CLI_FAILED,
                        "nothing was measured around context %.0f, only from %.0f to %.0f: measure it "
                        "with kvbench bench --suite grid",
                        context, fmin(ceil(low), floor(high)), fmax(ceil(low), floor(high)));
    printf("goal    %g ms a token at context %s: %s on %s, %s\n", goal_ms,
           kv_integer_text(context, asked, sizeof asked),
           printable(plan.arm->cell->texts[KV_COLUMN_MODEL], model, sizeof model),
           *capacity->results->context->cpu ? capacity->results->context->cpu : "an unknown CPU",
           printable(kv_capacity_arm_text(plan.arm, text, sizeof text), arm, sizeof arm));
    print_serves(&plan);
    print_fits(capacity, &plan);
    print_limit(&plan);
    return CLI_OK;
}

static int plan(const char *command, const char *place, double goal_ms, int context, enum kv_format format)
{
    struct kv_error error = {""};
    struct kv_results *results;
    struct kv_capacity *capacity = NULL;
    struct kv_table *table = NULL;
    const double wanted = context;
    int exit_status = CLI_OK;
    kv_status status = kv_results_load(&results, place, &error);
    if (!status)
        status = kv_capacity_create(&capacity, results, &error);
    if (!status && !capacity->n_arms)
        status = kv_fail(&error, KV_ERROR_ARGUMENT,
                         "%s has no generation of a path with a cache: measure with kvbench bench", results->file);
    if (!status && format == KV_FORMAT_TEXT) {
        exit_status = print_plan(command, capacity, goal_ms, wanted);
    } else if (!status) {
        status = kv_capacity_table(capacity, &goal_ms, 1, &wanted, 1, &table, &error);
        if (!status)
            exit_status = print_and_free(command, table, format);
    }
    kv_capacity_free(capacity);
    kv_results_free(results);
    return status ? cli_fail(command, CLI_FAILED, "%s", error.message) : exit_status;
}

int command_plan(int argc, char **argv)
{
    const char *home = getenv("KVBENCH_RESULTS"), *place = NULL, *format_name;
    char latest[4096];
    double goal_ms = 20;
    int context = 1024;
    const struct option_row rows[] = {
        {.name = "DIR",
         .help = "folder of a run, or its pack (default: latest in $KVBENCH_RESULTS, or in results)",
         .operand = &place},
        {.name = "ttpt",
         .argument = "TIME",
         .help = "the goal: time per token, such as 20ms (default) or 0.1s",
         .value = &goal_ms,
         .parse = parse_goal},
        {.name = "context",
         .argument = "N",
         .help = "positions in each sequence (default 1024)",
         .integer = &context,
         .low = 1,
         .high = 1 << 30},
        format_row(&format_name),
    };
    const struct option_table options = {
        .command = argv[0],
        .usage = "[DIR] [OPTIONS]",
        .summary =
            "Says what the machine of a run serves at a goal: sequences and tokens/s, the batch and the context that\n"
            "fit its memory, and what limits it. Times are those of the run, interpolated between the batches and\n"
            "contexts that were measured and never extrapolated; memory is by formula.",
        .rows = rows,
        .n_rows = sizeof rows / sizeof *rows,
    };
    int status;
    if (!options_parse(&options, argc, argv, &status))
        return status;
    if (!place) {
        snprintf(latest, sizeof latest, "%s/latest", home && *home ? home : "results");
        place = latest;
    }
    return plan(argv[0], place, goal_ms, context, format_of(format_name));
}
