/* The command line of gbench.h. Google Benchmark's own parser prints, and exits on some values; here each
 * flag is tried alone, so that the error can name it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "gbench.h"
#include "gbench_library.h"

struct flags {
    const char *out; /* empty: no file */
    const char *out_format;
    bool lists_only;
};

static const char *environment(const char *name, const char *otherwise)
{
    const char *value = getenv(name);
    return value ? value : otherwise;
}

/* The text after "name=" when `argument` is that flag, otherwise NULL. */
static const char *flag_value(const char *argument, const char *name)
{
    const size_t length = strlen(name);
    return strncmp(argument, name, length) == 0 && argument[length] == '=' ? argument + length + 1 : NULL;
}

/* Google Benchmark's reading of a boolean flag. */
static bool is_true(const char *value)
{
    static const char *const no[] = {"0", "f", "n", "false", "no", "off"};
    for (size_t i = 0; i < sizeof no / sizeof no[0]; i++)
        if (strcasecmp(value, no[i]) == 0)
            return false;
    return true;
}

/* A number from `least` up, and nothing after it but one of the letters in `units`. */
static bool is_number(const char *text, double least, const char *units)
{
    char *end;
    const double number = strtod(text, &end);
    return end != text && number >= least && number <= 1e9 && (!*end || (strchr(units, *end) && !end[1]));
}

/* Refuses what Google Benchmark would take, and then exit on or run nothing. */
static bool is_in_range(const char *flag)
{
    const char *value;
    if ((value = flag_value(flag, "--benchmark_repetitions")))
        return is_number(value, 1, "");
    if ((value = flag_value(flag, "--benchmark_min_time")))
        return is_number(value, 0, "sx");
    if ((value = flag_value(flag, "--benchmark_min_warmup_time")))
        return is_number(value, 0, "");
    return true;
}

static bool take(struct flags *flags, const char *program, const char *flag)
{
    const char *value;
    if ((value = flag_value(flag, "--benchmark_out"))) {
        flags->out = value;
        return true;
    }
    if ((value = flag_value(flag, "--benchmark_out_format"))) {
        flags->out_format = value;
        return strcmp(value, "json") == 0;
    }
    if (!is_in_range(flag) || !gb_library_takes(program, flag))
        return false;
    if ((value = flag_value(flag, "--benchmark_list_tests")))
        flags->lists_only = is_true(value);
    else if (strcmp(flag, "--benchmark_list_tests") == 0)
        flags->lists_only = true;
    return true;
}

/* Takes flags out of argv up to the first that cannot be taken. */
static kv_status take_all(struct flags *flags, int *argc, char **argv, struct kv_error *error)
{
    static const char prefix[] = "--benchmark_";
    const char *refused = NULL;
    int kept = 1;
    for (int i = 1; i < *argc; i++) {
        const bool is_ours = !refused && strncmp(argv[i], prefix, strlen(prefix)) == 0;
        if (is_ours && take(flags, argv[0], argv[i]))
            continue;
        if (is_ours)
            refused = argv[i];
        argv[kept++] = argv[i];
    }
    if (kept < *argc)
        argv[kept] = NULL;
    *argc = kept;
    if (refused && error)
        snprintf(error->message, sizeof error->message,
                 "%s: unknown to Google Benchmark, or not a value that can be used here; correct it or leave it out",
                 refused);
    return refused ? KV_ERROR_ARGUMENT : KV_OK;
}

static kv_status refuse(struct kv_error *error, const char *message)
{
    if (error)
        snprintf(error->message, sizeof error->message, "%s", message);
    return KV_ERROR_ARGUMENT;
}

kv_status gb_initialize(int *argc, char **argv, struct kv_error *error)
{
    if (*argc < 1 || !argv[0])
        return refuse(error, "gb_initialize: argv has no program name; pass what main was given");
    if (!gb_library_takes(argv[0], NULL))
        return refuse(error, "a BENCHMARK_* environment variable has a value Google Benchmark cannot use; unset it");
    struct flags flags = {
        .out = environment("BENCHMARK_OUT", ""),
        .out_format = environment("BENCHMARK_OUT_FORMAT", "json"),
        .lists_only = is_true(environment("BENCHMARK_LIST_TESTS", "no")),
    };
    const kv_status status = take_all(&flags, argc, argv, error);
    if (status != KV_OK)
        return status;
    if (*flags.out && strcmp(flags.out_format, "json") != 0)
        return refuse(error, "BENCHMARK_OUT_FORMAT is set to something else than json; unset it");

    /* The file is written by us, and no row may be dropped, whatever the environment says. */
    gb_library_takes(argv[0], "--benchmark_out=");
    gb_library_takes(argv[0], "--benchmark_report_aggregates_only=false");
    gb_library_takes(argv[0], "--benchmark_display_aggregates_only=false");
    gb_library_list_only(flags.lists_only);
    return gb_library_write_to(*flags.out ? flags.out : NULL, error);
}
