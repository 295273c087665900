/* The command line: help, mistakes, models that cannot be read, the environment, and the restart for OpenBLAS. */
#include "cli_runner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TINY KV_DATA_DIR "/reference/tiny-f32"

/* ---- Help ---------------------------------------------------------------------------------------------- */

enum { MAX_COMMANDS = 32 };

/* The commands that the help of the program lists; returns how many. */
static int read_commands(struct cli *cli, char (*names)[32])
{
    int n = 0;
    RUN(cli, "--help");
    assert_exit(cli, 0);
    for (const char *line = cli->out; *line && n < MAX_COMMANDS; line = strchr(line, '\n') + 1)
        if (sscanf(line, "  %31[a-z]", names[n]) == 1 && strncmp(line, "  ", 2) == 0 && line[2] != ' ')
            n++;
    return n;
}

static void test_help(void **state)
{
    static const char *const known[] = {"bench", "generate", "logits", "info", "limits"};
    static const char *const requests[] = {"--help", "-h"};
    struct cli *cli = *state;
    char names[MAX_COMMANDS][32], usage[64];
    const int n = read_commands(cli, names);
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        int at = 0;
        while (at < n && strcmp(names[at], known[i]) != 0)
            at++;
        assert_in_range(at, 0, n - 1);
    }
    for (int i = 0; i < n * 2; i++) {
        RUN(cli, names[i / 2], requests[i % 2]);
        assert_exit(cli, 0);
        snprintf(usage, sizeof usage, "Usage: kvbench %s ", names[i / 2]);
        assert_ptr_equal(strstr(cli->out, usage), cli->out);
        assert_int_equal(count_lines(cli->out, "-h, --help"), 1);
        assert_string_equal(cli->err, "");
    }
    assert_int_equal(cli_count_entries(cli), 0);
}

static void test_help_of_the_program(void **state)
{
    struct cli *cli = *state;
    RUN(cli, "--help");
    assert_exit(cli, 0);
    char *expected = strdup(cli->out);
    assert_non_null(expected);
    static const char *const requests[][2] = {{NULL}, {"help"}, {"-h"}};
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        cli_run(cli, requests[i]);
        assert_exit(cli, 0);
        assert_string_equal(cli->out, expected);
        assert_string_equal(cli->err, "");
    }
    free(expected);
}

static void test_version(void **state)
{
    struct cli *cli = *state;
    char version[32];
    RUN(cli, "--version");
    assert_exit(cli, 0);
    assert_int_equal(sscanf(cli->out, "kvbench %31[0-9.]", version), 1);
    assert_int_equal(count_lines(cli->out, ""), 1);
}

static void test_info(void **state)
{
    struct cli *cli = *state;
    RUN(cli, "info");
    assert_exit(cli, 0);
    assert_string_equal(cli->err, "");
    for (int i = 0; kv_isa_choice(i); i++)
        assert_int_equal(count_lines(cli->out, kv_isa_choice(i)->summary), 1);
    for (int i = 0; kv_path_choice(i); i++)
        assert_int_equal(count_lines(cli->out, kv_path_choice(i)->summary), 1);
    for (int i = 0; kv_config_preset_name(i); i++)
        assert_non_null(strstr(cli->out, kv_config_preset_name(i)));
}

/* ---- Mistakes ------------------------------------------------------------------------------------------ */

/* Exit status 2 and one line, before anything is made. */
static void assert_mistake(struct cli *cli, const char *const *arguments, const char *part)
{
    cli_run(cli, arguments);
    assert_complaint(cli, 2, part);
    assert_int_equal(cli_count_entries(cli), 0);
}

static void test_mistakes(void **state)
{
    static const struct {
        const char *arguments[8];
        const char *part;
    } mistakes[] = {
        {{"frobnicate"}, "'frobnicate' is not a command"},
        {{""}, "'' is not a command"},
        {{"--frobnicate"}, "'--frobnicate' is not a command"},
        {{"generate", "--frobnicate"}, "unknown option '--frobnicate'"},
        {{"generate", "-Z"}, "unknown option '-Z'"},
        {{"generate", "-Zn"}, "unknown option '-Z'"},
        {{"generate", "--ids=3"}, "'--ids=3'"},
        {{"generate", "more"}, "unexpected argument 'more'"},
        {{"generate", "--ids", "--", "--new"}, "unexpected argument '--new'"},
        {{"generate", "--tokens"}, "a value is missing after '--tokens'"},
        {{"generate", "-n"}, "a value is missing after '-n'"},
        {{"logits", "--tokens", "1,2"}, "--out FILE is needed"},
        {{"logits", "--out", "logits.safetensors"}, "--tokens IDS is needed"},
        {{"bench", "--frobnicate"}, "unknown option '--frobnicate'"},
        {{"bench", "--batch"}, "a value is missing after '--batch'"},
        {{"bench", "--benchmark_frobnicate=1"}, "--benchmark_frobnicate=1"},
        {{"bench", "--benchmark_out=a.csv", "--benchmark_out_format=csv"}, "--benchmark_out_format=csv"},
        {{"info", "more"}, "unexpected argument 'more'"},
        {{"info", "--frobnicate"}, "unknown option '--frobnicate'"},
        {{"limits", "more"}, "unexpected argument 'more'"},
    };
    for (size_t i = 0; i < sizeof mistakes / sizeof mistakes[0]; i++)
        assert_mistake(*state, mistakes[i].arguments, mistakes[i].part);
}

static void test_bad_values(void **state)
{
    static const struct {
        const char *command;
        const char *option;
        const char *values[16];
    } rows[] = {
        {"generate", "new", {"-1", "many", "1.5", "3x", "", "1073741824", "99999999999999999999"}},
        {"generate", "chunk", {"0", "-1", "all", "2147483648"}},
        {"generate", "threads", {"0", "-1", "257", "two", ""}},
        {"generate", "seed", {"-1", "1.0", "x", "", "18446744073709551616"}},
        {"generate", "tokens", {"", "1,,2", "1,2;3", ";1", "1;", "1 2", "-1", "1.5", "x", "2147483648"}},
        {"generate", "path", {"fast", "", "Cached", "naive,cached"}},
        {"generate", "overflow", {"wrap", ""}},
        {"generate", "gemm", {"cublas", ""}},
        {"generate", "isa", {"sse9", ""}},
        {"logits", "tokens", {"1,2;3", "1,2;3,4;5"}},
        {"logits", "chunk", {"0", "x"}},
        {"bench", "batch", {"", "0", "-1", "1,,2", "4-1", "1-8*1", "1-8+0", "1-", "x", "2147483648"}},
        {"bench", "reps", {"0", "-1", "x", ""}},
        {"bench", "new", {"0", "-1", "x", ""}},
        {"bench", "prompt", {"0", "-1", "x", ""}},
        {"bench", "suite", {"everything", ""}},
        {"bench", "path", {"fast", "", "naive,", ",naive", "naive,naive", "naive;cached"}},
        {"limits", "threads", {"0", "x"}},
        {"limits", "isa", {"sse9"}},
    };
    struct cli *cli = *state;
    char option[64], part[128];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        snprintf(option, sizeof option, "--%s", rows[i].option);
        for (int v = 0; rows[i].values[v]; v++) {
            snprintf(part, sizeof part, "kvbench %s: %s: ", rows[i].command, option);
            assert_mistake(cli, (const char *const[]){rows[i].command, option, rows[i].values[v], NULL}, part);
            snprintf(part, sizeof part, "'%s'", rows[i].values[v]);
            assert_non_null(strstr(cli->err, part));
        }
    }
}

/* ---- Models -------------------------------------------------------------------------------------------- */

/* Every command that needs a model refuses this one and leaves nothing behind. */
static void assert_model_refused(struct cli *cli, const char *model, int status, const char *part)
{
    const int n = cli_count_entries(cli);
    RUN(cli, "generate", "--model", model, "--tokens", "1,2");
    assert_complaint(cli, status, part);
    RUN(cli, "logits", "--model", model, "--tokens", "1,2", "--out", "logits.safetensors");
    assert_complaint(cli, status, part);
    RUN(cli, "bench", "--model", model, "--out", "run");
    assert_complaint(cli, status, part);
    assert_int_equal(cli_count_entries(cli), n);
}

static void test_model_is_nowhere(void **state)
{
    assert_model_refused(*state, "gtp2", 2, "'gtp2' is neither a folder nor one of gpt2");
    assert_model_refused(*state, "", 2, "'' is neither");
    assert_model_refused(*state, "no such/folder", 2, "'no such/folder' is neither");
}

static void copy_file(const char *from, const char *to, size_t n_bytes)
{
    char *bytes = malloc(n_bytes ? n_bytes : 1);
    FILE *in = fopen(from, "rbe"), *out = fopen(to, "wbe");
    assert_true(bytes && in && out);
    assert_int_equal(fread(bytes, 1, n_bytes, in), n_bytes);
    assert_int_equal(fwrite(bytes, 1, n_bytes, out), n_bytes);
    assert_int_equal(fclose(out), 0);
    fclose(in);
    free(bytes);
}

static void test_model_is_spoilt(void **state)
{
    struct cli *cli = *state;
    struct stat whole;
    char folder[CLI_PATH_SIZE], config[CLI_PATH_SIZE], weights[CLI_PATH_SIZE];
    cli_path(cli, "model", folder);
    cli_path(cli, "model/config.json", config);
    cli_path(cli, "model/model.safetensors", weights);
    assert_int_equal(mkdir(folder, 0755), 0);
    assert_model_refused(cli, folder, 1, "config.json");
    write_text(config, "{\"n_layer\": 2,");
    assert_model_refused(cli, folder, 1, "config.json");
    assert_int_equal(unlink(config), 0);
    assert_int_equal(symlink(TINY "/config.json", config), 0);
    assert_model_refused(cli, folder, 1, "model.safetensors");
    write_text(weights, "no safetensors file at all");
    assert_model_refused(cli, folder, 1, "model.safetensors");
    assert_int_equal(stat(TINY "/model.safetensors", &whole), 0);
    copy_file(TINY "/model.safetensors", weights, 0);
    assert_model_refused(cli, folder, 1, "model.safetensors");
    copy_file(TINY "/model.safetensors", weights, (size_t)whole.st_size - 1);
    assert_model_refused(cli, folder, 1, "model.safetensors");
    copy_file(TINY "/model.safetensors", weights, (size_t)whole.st_size);
    RUN(cli, "generate", "--model", folder, "--tokens", "1,2", "-n", "1");
    assert_exit(cli, 0);
}

/* A checkpoint that was fetched goes before synthetic weights, unless --synthetic asks for those. */
static void test_fetched_checkpoint(void **state)
{
    struct cli *cli = *state;
    char models[CLI_PATH_SIZE], fetched[CLI_PATH_SIZE], setting[CLI_PATH_SIZE + 32];
    struct reference_case c;
    load_case(&c, "tiny-f32");
    char *prompt = ids_text(c.tokens, 1, c.n_tokens, c.n_tokens);
    char *expected = ids_text(c.greedy, 1, c.n_greedy, c.n_tokens + 2);
    cli_path(cli, "models", models);
    cli_path(cli, "models/gpt2", fetched);
    assert_int_equal(mkdir(models, 0755), 0);
    assert_int_equal(symlink(TINY, fetched), 0);
    snprintf(setting, sizeof setting, "KVBENCH_MODELS=%s", models);
    cli->settings[0] = setting;
    RUN(cli, "generate", "--model", "gpt2", "--tokens", prompt, "-n", "2");
    assert_exit(cli, 0);
    assert_int_equal(strncmp(cli->out, expected, strlen(expected)), 0);
    assert_null(strstr(cli->err, "synthetic"));
    RUN(cli, "generate", "--model", "gpt2", "--tokens", prompt, "-n", "2", "--synthetic", "--seed", "7");
    assert_exit(cli, 0);
    assert_int_equal(count_lines(cli->err, "synthetic weights, seed 7"), 1);
    assert_int_equal(strncmp(cli->out, prompt, strlen(prompt)), 0);
    assert_int_not_equal(strncmp(cli->out, expected, strlen(expected)), 0);
    free(prompt);
    free(expected);
    free_case(&c);
}

/* ---- Environment --------------------------------------------------------------------------------------- */

static void generate_a_little(struct cli *cli)
{
    RUN(cli, "generate", "--model", TINY, "--tokens", "1,2", "-n", "3");
}

static void test_isa_of_the_environment(void **state)
{
    struct cli *cli = *state;
    char setting[64];
    generate_a_little(cli);
    assert_exit(cli, 0);
    char *expected = strdup(cli->out);
    assert_non_null(expected);
    cli->settings[0] = setting;
    for (int i = 0; kv_isa_choice(i); i++) {
        snprintf(setting, sizeof setting, "KVBENCH_ISA=%s", kv_isa_choice(i)->name);
        generate_a_little(cli);
        if (kv_isa_supported(kv_isa_choice(i)->name)) {
            assert_exit(cli, 0);
            assert_string_equal(cli->out, expected);
        } else {
            assert_complaint(cli, 2, kv_isa_choice(i)->name);
        }
    }
    cli->settings[0] = "KVBENCH_ISA=nonsense";
    generate_a_little(cli);
    assert_complaint(cli, 2, "'nonsense'");
    RUN(cli, "limits");
    assert_complaint(cli, 2, "'nonsense'");
    RUN(cli, "generate", "--model", TINY, "--tokens", "1,2", "-n", "3", "--isa", "portable");
    assert_exit(cli, 0);
    assert_string_equal(cli->out, expected);
    cli->settings[0] = "KVBENCH_ISA=";
    generate_a_little(cli);
    assert_exit(cli, 0);
    free(expected);
}

static void test_stdout_is_full(void **state)
{
    static const char *const requests[][16] = {
        {"--help"},
        {"--version"},
        {"generate", "--help"},
        {"info"},
        {"generate", "--model", TINY, "--tokens", "1,2", "-n", "3"},
        {"bench", "--suite", "batch", "--batch", "1", "--benchmark_list_tests"},
        {"bench", "--model", TINY, "--suite", "batch", "--batch", "1", "--new", "2", "--reps", "1"},
    };
    struct cli *cli = *state;
    cli->stdout_file = "/dev/full";
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        cli_run(cli, requests[i]);
        assert_exit(cli, 1);
        assert_int_equal(count_lines(cli->err, ": stdout cannot be written: No space left on device"), 1);
    }
}

/* ---- OpenBLAS that mistakes the CPU -------------------------------------------------------------------- */

/* What the program should start over with after OpenBLAS said "Prescott"; NULL: this CPU has nothing better. */
static const char *better_than_prescott(void)
{
    return kv_isa_supported("avx512") ? "SkylakeX" : kv_isa_supported("avx2") ? "Haswell" : NULL;
}

/* Sanitizers want to be loaded first; `options` is the caller's, as settings keep no copy. */
static void preload_fake(struct cli *cli, char *options, size_t size)
{
    const char *given = getenv("ASAN_OPTIONS");
    snprintf(options, size, "ASAN_OPTIONS=%s:verify_asan_link_order=0", given ? given : "");
    cli->settings[0] = "LD_PRELOAD=" KV_FAKE_OPENBLAS;
    cli->settings[1] = options;
    cli->settings[2] = "OPENBLAS_CORETYPE";
}

/* Once, in one line that names both, and nothing else of what was asked for changes. */
static void assert_started_over(const struct cli *cli)
{
    char line[256];
    const char *better = better_than_prescott();
    assert_int_equal(count_lines(cli->err, "started over"), better ? 1 : 0);
    if (!better)
        return;
    snprintf(line, sizeof line, "kvbench: OpenBLAS took this CPU for Prescott; started over with OPENBLAS_CORETYPE=%s ",
             better);
    assert_ptr_equal(strstr(cli->err, line), cli->err);
}

static void test_restart(void **state)
{
    struct cli *cli = *state;
    char options[512], core[64];
    generate_a_little(cli);
    assert_exit(cli, 0);
    char *expected = strdup(cli->out);
    assert_non_null(expected);
    preload_fake(cli, options, sizeof options);
    generate_a_little(cli);
    assert_exit(cli, 0);
    assert_string_equal(cli->out, expected);
    free(expected);
    assert_started_over(cli);
    RUN(cli, "info");
    assert_exit(cli, 0);
    assert_started_over(cli);
    snprintf(core, sizeof core, "%s kernels", better_than_prescott() ? better_than_prescott() : "Prescott");
    assert_int_equal(count_lines(cli->out, core), 1);
    assert_null(strstr(cli->out, "better here"));
}

static void test_restart_keeps_status_and_arguments(void **state)
{
    struct cli *cli = *state;
    char options[512];
    preload_fake(cli, options, sizeof options);
    RUN(cli, "generate", "--model", "a name; 'with' $much \\in *it");
    assert_exit(cli, 2);
    assert_started_over(cli);
    assert_int_equal(count_lines(cli->err, "'a name; 'with' $much \\in *it' is neither a folder"), 1);
    RUN(cli, "generate", "--model", "");
    assert_exit(cli, 2);
    assert_int_equal(count_lines(cli->err, "'' is neither a folder"), 1);
    RUN(cli, "generate", "--model", TINY, "--tokens", "97", "-n", "1");
    assert_exit(cli, 1);
    assert_started_over(cli);
}

static void test_no_restart(void **state)
{
    struct cli *cli = *state;
    char options[512];
    preload_fake(cli, options, sizeof options);
    RUN(cli, "generate", "--help");
    assert_exit(cli, 0);
    assert_string_equal(cli->err, "");
    cli->settings[2] = "OPENBLAS_CORETYPE=Prescott";
    RUN(cli, "info");
    assert_exit(cli, 0);
    assert_string_equal(cli->err, "");
    assert_int_equal(count_lines(cli->out, "Prescott kernels"), 1);
    assert_int_equal(count_lines(cli->out, "better here: OPENBLAS_CORETYPE="), better_than_prescott() ? 1 : 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLI_TEST(test_help),
        CLI_TEST(test_help_of_the_program),
        CLI_TEST(test_version),
        CLI_TEST(test_info),
        CLI_TEST(test_mistakes),
        CLI_TEST(test_bad_values),
        CLI_TEST(test_model_is_nowhere),
        CLI_TEST(test_model_is_spoilt),
        CLI_TEST(test_fetched_checkpoint),
        CLI_TEST(test_isa_of_the_environment),
        CLI_TEST(test_stdout_is_full),
        CLI_TEST(test_restart),
        CLI_TEST(test_restart_keeps_status_and_arguments),
        CLI_TEST(test_no_restart),
    };
    return cmocka_run_group_tests_name("cli", tests, NULL, NULL);
}
