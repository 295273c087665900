/* The context.json of a run, its warnings, and what is said of the build. */
#include "unit.h"

#include "machine/context.h"
#include "sample_machines.h"

#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *arguments[] = {"kvbench", "bench", "", "a \"b\"\n", "\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80",
                            /* a byte that never occurs, a surrogate, two overlong forms, one past the end, a cut */
                            "\xff\xc3\xa9", "\xed\xa0\x80", "\xc0\x80 \xe0\x80\x80", "\xf4\x90\x80\x80", "a\xe2\x82"};

#define SAMPLE_TEST(name) TEST_WITH(name, void *nothing, sample_set_up, sample_tear_down)

static int set_up(void **state)
{
    (void)state;
    setenv("TZ", "IST-5:30", 1); /* POSIX form: no time zone data needed */
    tzset();
    return 0;
}
GROUP(set_up, NULL)

static void start(struct kv_context *context, const char *tree)
{
    const struct kv_build_info build = {
        .version = "0.1.0",
        .compiler = "gcc 12.2.0",
        .flags = "-std=c17",
        .build_type = "release",
        .sanitizers = "none",
        .commit = "0123456789012345678901234567890123456789-dirty",
        .optimized = true,
    };
    const struct kv_library_info libraries = {.google_benchmark = "1.7.1", .openblas_core = "SkylakeX"};
    const struct kv_run_info run = {
        .argc = sizeof arguments / sizeof arguments[0],
        .argv = arguments,
        .model = "gpt2",
        .weights = "synthetic:1",
        .gemm = "openblas",
        .isa = "avx512",
        .threads = 2,
    };
    kv_context_start(context, &build, &libraries, &run, tree);
}

/* -E, because PYTHONOPTIMIZE would take the assertions out. */
static void run_python(const char *script)
{
    char command[128];
    snprintf(command, sizeof command, "python3 -E - %s/context.json", sample_root);
    FILE *python = popen(command, "w");
    assert_non_null(python);
    assert_true(fputs(script, python) >= 0);
    assert_int_equal(pclose(python), 0);
}

static const char load_json[] = "import datetime, json, sys\n"
                                "def unique(pairs):\n"
                                "    assert len(dict(pairs)) == len(pairs), pairs\n"
                                "    return dict(pairs)\n"
                                "with open(sys.argv[1], encoding='utf-8') as file:\n"
                                "    c = json.load(file, object_pairs_hook=unique)\n"
                                "machine, cpu, memory = c['machine'], c['machine']['cpu'], c['machine']['memory']\n"
                                "build, run = c['build'], c['run']\n";

static void check_json(const char *assertions)
{
    char script[4096];
    assert_in_range(snprintf(script, sizeof script, "%s%s", load_json, assertions), 1, sizeof script - 1);
    run_python(script);
}

SAMPLE_TEST(written_context)
{
    sample_intel_vm();
    struct kv_context context;
    start(&context, sample_root);
    assert_int_equal(kv_context_write(&context, sample_root, &error), KV_OK);
    check_json("assert run['end'] is None and run['steal_percent'] is None and c['warnings'] == []\n");

    sample_put("cpu  1080 5 50 800 20 3 2 40 40 0\n", "/proc/stat");
    kv_context_finish(&context);
    assert_int_equal(kv_context_write(&context, sample_root, &error), KV_OK);
    check_json("assert list(c) == ['format_version', 'machine', 'build', 'libraries', 'run', 'warnings']\n"
               "assert c['format_version'] == 1\n"
               "assert machine['hostname'] == 'xeon' and machine['hypervisor'] is True\n"
               "assert cpu['model'] == 207 and cpu['features'][0] == 'sse2' and len(cpu['features']) == 13\n"
               "assert cpu['l3'] == {'bytes': 260 << 20, 'instances': 1}\n"
               "assert cpu['governor'] is None and cpu['turbo'] is None\n"
               "assert memory['limit_bytes'] == 4 << 30 and memory['huge_pages'] == 'madvise'\n"
               "assert build['commit'] == '0123456789' * 4 and build['dirty'] is True\n"
               "assert build['sanitizers'] == 'none' and build['assertions'] is False\n"
               "assert c['libraries']['openblas_core'] == 'SkylakeX'\n"
               "assert c['libraries']['openblas_config'] is None and c['libraries']['jansson']\n"
               "q = '?'\n" /* C has trigraphs */
               "assert run['command'] == ['kvbench', 'bench', '', 'a \"b\"\\n', '\\u00e9 \\u20ac \\U0001f600',\n"
               "                          '?\\u00e9', q * 3, q * 2 + ' ' + q * 3, q * 4, 'a' + q * 2], run['command']\n"
               "start, end = (datetime.datetime.fromisoformat(run[k]) for k in ('start', 'end'))\n"
               "assert start.utcoffset() == end.utcoffset() == datetime.timedelta(hours=5, minutes=30)\n"
               "now = datetime.datetime.now(datetime.timezone.utc)\n"
               "assert start <= end <= now and (now - start).total_seconds() < 600, (start, end, now)\n"
               "assert run['load_at_start'] == [0.42, 1.05, 10.99] and run['threads'] == 2\n"
               "assert run['steal_percent'] == 2, run['steal_percent']\n"
               "assert [w['severity'] for w in c['warnings']] == ['warning']\n"
               "assert '2.0 %' in c['warnings'][0]['text']\n");
}

SAMPLE_TEST(written_unknowns)
{
    struct kv_context context;
    start(&context, sample_root);
    context.build.commit = "unknown";
    context.run = (struct kv_run_info){.threads = -1};
    kv_context_finish(&context);
    assert_int_equal(kv_context_write(&context, sample_root, NULL), KV_OK);
    check_json("def leaves(value):\n"
               "    return [x for v in value.values() for x in leaves(v)] if isinstance(value, dict) else [value]\n"
               "assert set(leaves(machine)) == {None}, machine\n"
               "assert build['commit'] is None and build['dirty'] is None\n"
               "q = '?'\n" /* C has trigraphs */
               "assert run['command'] == [] and run['load_at_start'] == [None] * 3\n"
               "assert run['model'] is None and run['threads'] is None and run['steal_percent'] is None\n"
               "assert c['warnings'] == []\n");

    context.build.commit = "0123456";
    assert_int_equal(kv_context_write(&context, sample_root, NULL), KV_OK);
    check_json("assert build['commit'] == '0123456' and build['dirty'] is False\n");
}

/* No context.json, and nothing half written beside it. */
static void assert_nothing_written(void)
{
    char command[160];
    snprintf(command, sizeof command, "test -z \"$(find %s -maxdepth 1 -type f -name 'context.json*')\"", sample_root);
    assert_int_equal(system(command), 0);
}

SAMPLE_TEST(write_failures)
{
    struct kv_context context;
    start(&context, sample_root);
    char folder[PATH_MAX + 100];
    snprintf(folder, sizeof folder, "%s/missing", sample_root);
    REFUSED(kv_context_write(&context, folder, &error), KV_ERROR_IO,
            "missing/context.json: cannot be written: No such file or directory", NULL);

    sample_put("", "/context.json/in the way");
    REFUSED(kv_context_write(&context, sample_root, &error), KV_ERROR_IO, "context.json: cannot be written", NULL);
    assert_nothing_written();

    memset(folder, 'x', sizeof folder - 1);
    folder[sizeof folder - 1] = '\0';
    REFUSED(kv_context_write(&context, folder, &error), KV_ERROR_IO, "too long", NULL);
}

static int allocations;
static int failing_allocation;

static void *unreliable_malloc(size_t size)
{
    return allocations++ == failing_allocation ? NULL : malloc(size);
}

/* Reads context.json and removes it. The caller frees the value. */
static json_t *take_json(void)
{
    char path[128];
    snprintf(path, sizeof path, "%s/context.json", sample_root);
    json_t *value = json_load_file(path, 0, NULL);
    assert_non_null(value);
    assert_int_equal(unlink(path), 0);
    return value;
}

/* Whichever allocation fails: an error and no file, never a file that lacks something. */
SAMPLE_TEST(write_without_memory)
{
    sample_amd_server();
    struct kv_context context;
    start(&context, sample_root);
    json_set_alloc_funcs(unreliable_malloc, free);
    failing_allocation = -1;
    allocations = 0;
    assert_int_equal(kv_context_write(&context, sample_root, &error), KV_OK);
    int needed = allocations;
    json_t *expected = take_json();
    assert_true(needed > 100);

    for (failing_allocation = 0; failing_allocation < needed; failing_allocation++) {
        allocations = 0;
        kv_status status = kv_context_write(&context, sample_root, &error);
        assert_true(status == KV_ERROR_MEMORY || status == KV_ERROR_IO);
        assert_nothing_written();
    }
    json_set_alloc_funcs(malloc, free);
    assert_int_equal(kv_context_write(&context, sample_root, &error), KV_OK);
    json_t *written = take_json();
    assert_true(json_equal(written, expected));
    json_decref(written);
    json_decref(expected);
}

/* ---- Warnings ----------------------------------------------------------------------------------- */

/* Asserts that there is one warning, of that severity, which has both texts in it. */
static void assert_warns(const struct kv_context *context, enum kv_severity severity, const char *seen,
                         const char *remedy)
{
    struct kv_warning warnings[KV_CONTEXT_MAX_WARNINGS];
    assert_int_equal(kv_context_warnings(context, warnings), 1);
    assert_int_equal(warnings[0].severity, severity);
    assert_non_null(strstr(warnings[0].text, seen));
    assert_non_null(strstr(warnings[0].text, remedy));
    assert_null(strchr(warnings[0].text, '\n'));
}

SAMPLE_TEST(no_warning)
{
    sample_intel_vm();
    struct kv_context context;
    struct kv_warning warnings[KV_CONTEXT_MAX_WARNINGS];
    start(&context, sample_root);
    context.machine.load[0] = 1; /* exactly 0.5 on each of 2 cores */
    context.steal_percent = 1;
    context.machine.turbo = 0;
    strcpy(context.machine.governor, "performance");
    assert_int_equal(kv_context_warnings(&context, warnings), 0);
}

/* What is changed on a quiet machine, and the one warning that comes of it. */
#define WARNS(change, severity, seen, remedy)                                                                          \
    do {                                                                                                               \
        context = quiet;                                                                                               \
        change;                                                                                                        \
        assert_warns(&context, KV_SEVERITY_##severity, (seen), (remedy));                                              \
    } while (0)

SAMPLE_TEST(each_warning)
{
    struct kv_context quiet, context;
    sample_intel_vm();
    start(&quiet, sample_root);
    WARNS(context.machine.load[0] = 1.01, WARNING, "load was 1.01 on 2 cores", "run again");
    WARNS(strcpy(context.machine.governor, "schedutil,performance"), WARNING, "governor is schedutil,performance",
          "frequency-set -g performance");
    quiet.machine.turbo_control = "cpufreq/boost";
    WARNS(context.machine.turbo = 1, INFO, "turbo is on", "`echo 0 | sudo tee /sys/devices/system/cpu/cpufreq/boost`");
    quiet.machine.turbo_control = "intel_pstate/no_turbo";
    WARNS(context.machine.turbo = 1, INFO, "turbo is on", "`echo 1 | sudo tee");
    quiet.build.build_type = "debug";
    WARNS(context.build.optimized = false, WARNING, "not optimized (build type debug)", "--buildtype=release");
    /* One line on the build is enough. */
    WARNS(context.build.optimized = false;
          context.build.sanitizers = "address,undefined", WARNING, "sanitizers address,undefined", "-Db_sanitize=none");
    quiet.libraries.openblas_core = "Prescott";
    WARNS(context.libraries.openblas_better_core = "SkylakeX", WARNING, "its Prescott kernels",
          "OPENBLAS_CORETYPE=SkylakeX");
    /* As many as the CPUs allowed, but those are 2 cores. */
    WARNS(context.run.threads = 3, WARNING, "3 threads share 2 physical cores", "--threads 2");
    WARNS(context.steal_percent = 1.26, WARNING, "1.3 %", "run again");
}

SAMPLE_TEST(all_warnings_at_once)
{
    sample_amd_server();
    struct kv_context context;
    struct kv_warning warnings[KV_CONTEXT_MAX_WARNINGS];
    start(&context, sample_root);
    context.build.optimized = false;
    context.libraries.openblas_better_core = "Zen";
    context.run.threads = 5;
    context.steal_percent = 50;
    assert_int_equal(kv_context_warnings(&context, warnings), KV_CONTEXT_MAX_WARNINGS);
    const char *order[KV_CONTEXT_MAX_WARNINGS] = {"load", "governor", "turbo", "build", "OpenBLAS", "threads", "host"};
    for (int i = 0; i < KV_CONTEXT_MAX_WARNINGS; i++) {
        assert_non_null(strstr(warnings[i].text, order[i]));
    }
}

/* ---- Build -------------------------------------------------------------------------------------- */

SAMPLE_TEST(build_info)
{
    struct kv_build_info build;
    kv_build_info_get(&build);
    assert_true(build.version[0] >= '0' && build.version[0] <= '9');
    assert_true(build.compiler[0] != '\0' && build.build_type[0] != '\0' && build.sanitizers[0] != '\0');
    size_t hash = strspn(build.commit, "0123456789abcdef");
    bool is_hash = hash >= 40 && (build.commit[hash] == '\0' || strcmp(build.commit + hash, "-dirty") == 0);
    assert_true(is_hash || strcmp(build.commit, "unknown") == 0);
}
