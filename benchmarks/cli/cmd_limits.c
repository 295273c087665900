#include "cli/cli.h"

#include "machine/limits.h"

#include <stdio.h>

static void print(const struct kv_limits *limits)
{
    printf("%7d  %-9s %12.1f %12.1f %14.1f %14.1f\n", limits->threads, limits->isa, limits->read_bytes_per_s * 1e-9,
           limits->read_bytes_per_s_median * 1e-9, limits->fma_flop_per_s * 1e-9, limits->fma_flop_per_s_median * 1e-9);
}

/* table NULL: a line of text at once, as measuring takes its time. */
static void tell(const struct kv_limits *limits, struct kv_table *table)
{
    if (!table) {
        print(limits);
        fflush(stdout);
        return;
    }
    kv_table_add_number(table, limits->threads, NULL);
    kv_table_add_text(table, limits->isa);
    kv_table_add_number(table, limits->read_bytes_per_s, NULL);
    kv_table_add_number(table, limits->read_bytes_per_s_median, NULL);
    kv_table_add_number(table, limits->fma_flop_per_s, NULL);
    kv_table_add_number(table, limits->fma_flop_per_s_median, NULL);
}

static int measure(const char *command, int threads, const char *isa, struct kv_table *table)
{
    struct kv_error error = {""};
    struct kv_limits limits;
    struct kv_pool *pool;
    kv_status status = kv_pool_create(&pool, threads, &error);
    if (!status)
        status = kv_limits_measure(pool, isa, NULL, &limits, &error);
    kv_pool_free(pool);
    if (status)
        return cli_fail(command, CLI_FAILED, "%s", error.message);
    tell(&limits, table);
    return CLI_OK;
}

int command_limits(int argc, char **argv)
{
    static const struct kv_table_column columns[] = {
        {"threads", NULL, false},          {"isa", NULL, true},
        {"read_bytes_per_s", NULL, false}, {"read_bytes_per_s_median", NULL, false},
        {"fma_flop_per_s", NULL, false},   {"fma_flop_per_s_median", NULL, false},
    };
    struct model_options options = model_options_default("gpt2");
    const char *format_name;
    const struct option_row rows[] = {
        {.name = "threads",
         .letter = 't',
         .argument = "N",
         .help = "measure N threads only (default: 1 and all physical cores)",
         .integer = &options.threads,
         .low = 1,
         .high = KV_MAX_THREADS},
        {.name = "isa",
         .argument = "NAME",
         .help = "instruction set (default: the highest, or KVBENCH_ISA):",
         .chosen = &options.isa,
         .choice = kv_isa_choice},
        format_row(&format_name),
    };
    const struct option_table table = {
        .command = argv[0],
        .usage = "[OPTIONS]",
        .summary =
            "Measures the two rates that no inference can pass: reading main memory, and multiplying and adding.",
        .rows = rows,
        .n_rows = sizeof rows / sizeof rows[0],
    };
    int status;
    if (!options_parse(&table, argc, argv, &status))
        return status;
    if (options.isa && !kv_isa_supported(options.isa))
        return cli_fail(argv[0], CLI_USAGE,
                        "isa '%.40s' is unknown, or more than this CPU has; kvbench info lists them", options.isa);
    const enum kv_format format = format_of(format_name);
    const int all = kv_default_threads();
    struct kv_table *measured = NULL;
    struct kv_error error = {""};
    if (format == KV_FORMAT_TEXT)
        printf("threads  isa         read GB/s     (median)    FMA GFLOP/s       (median)\n");
    else if (kv_table_create(&measured, NULL, columns, sizeof columns / sizeof *columns, &error) != KV_OK)
        return cli_fail(argv[0], CLI_FAILED, "%s", error.message);
    status = measure(argv[0], options.threads ? options.threads : 1, options.isa, measured);
    if (!status && !options.threads && all > 1)
        status = measure(argv[0], all, options.isa, measured);
    if (!status && measured)
        return print_and_free(argv[0], measured, format);
    kv_table_free(measured);
    return status;
}
