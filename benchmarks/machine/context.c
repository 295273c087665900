#include "machine/context.h"

#include "base/error.h"
#include "base/file.h"
#include "base/pool.h"
#include "base/random.h"
#include "base/utf8.h"

#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void kv_context_start(struct kv_context *context, const struct kv_build_info *build,
                      const struct kv_library_info *libraries, const struct kv_run_info *run, const char *root)
{
    *context = (struct kv_context){
        .build = *build,
        .libraries = *libraries,
        .run = *run,
        .root = root,
        .start = time(NULL),
        .steal_percent = -1,
    };
    kv_machine_read(&context->machine, root);
    kv_cpu_time_read(&context->cpu_time, root);
}

void kv_context_finish(struct kv_context *context)
{
    struct kv_cpu_time now;
    kv_cpu_time_read(&now, context->root);
    context->steal_percent = kv_cpu_time_steal_percent(&context->cpu_time, &now);
    context->end = time(NULL);
    context->finished = true;
}

/* ---- Values: unknown is null ------------------------------------------------------------------------ */

/* jansson refuses texts that are not UTF-8, which arguments and names from the system may be. */
static json_t *string(const char *text)
{
    char *copy = strdup(text);
    if (!copy)
        return NULL;
    for (char *at = copy; *at;) {
        const int length = kv_utf8_length(at, strnlen(at, 4));
        if (length < 1)
            *at = '?';
        at += length > 0 ? length : 1;
    }
    json_t *value = json_string(copy);
    free(copy);
    return value;
}

static json_t *text(const char *text)
{
    return text && *text ? string(text) : json_null();
}

static json_t *integer(int64_t value)
{
    return value < 0 ? json_null() : json_integer(value);
}

static json_t *boolean(int value)
{
    return value < 0 ? json_null() : json_boolean(value);
}

static json_t *real(double value)
{
    return value < 0 ? json_null() : json_real(value);
}

/* ISO 8601 in local time, "2024-05-01T12:00:00+02:00": strftime's %z lacks the colon. */
static json_t *moment(time_t time)
{
    struct tm local;
    char out[64] = "";
    const size_t length = localtime_r(&time, &local) ? strftime(out, sizeof out - 1, "%Y-%m-%dT%H:%M:%S%z", &local) : 0;
    if (length > 2) {
        memmove(out + length - 1, out + length - 2, 3);
        out[length - 2] = ':';
    }
    return text(out);
}

/* Of n texts; NULL when any part of it could not be made. */
static json_t *strings(int n, const char *const *texts)
{
    json_t *array = json_array();
    for (int i = 0; array && i < n; i++)
        if (json_array_append_new(array, string(texts[i])) != 0) {
            json_decref(array);
            array = NULL;
        }
    return array;
}

/* ---- Sections: json_pack takes the values, and is NULL when one of them could not be made ------------ */

static json_t *cache_json(const struct kv_machine_cache *cache)
{
    return json_pack("{s:o, s:o}", "bytes", integer(cache->bytes), "instances", integer(cache->instances));
}

static json_t *cpu_json(const struct kv_machine *m)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}",
                     "vendor", text(m->cpu_vendor), "name", text(m->cpu_name), "family", integer(m->cpu_family),
                     "model", integer(m->cpu_model), "stepping", integer(m->cpu_stepping), "features",
                     m->n_features < 0 ? json_null() : strings(m->n_features, m->features), "cpus_online",
                     integer(m->cpus_online), "cpus_affinity", integer(m->cpus_affinity), "cores_online",
                     integer(m->cores_online), "cores_affinity", integer(m->cores_affinity), "quota",
                     m->cpu_quota > 0 ? json_real(m->cpu_quota) : json_null(), "sockets", integer(m->sockets), "l1d",
                     cache_json(&m->l1d), "l1i", cache_json(&m->l1i), "l2", cache_json(&m->l2), "l3",
                     cache_json(&m->l3), "governor", text(m->governor), "turbo", boolean(m->turbo));
}

static json_t *machine_json(const struct kv_machine *m)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:{s:o, s:o, s:o, s:o}}", "hostname", text(m->hostname), "product",
                     text(m->product), "hypervisor", boolean(m->hypervisor), "os", text(m->os), "kernel",
                     text(m->kernel), "cpu", cpu_json(m), "memory", "total_bytes", integer(m->memory_total_bytes),
                     "available_bytes", integer(m->memory_available_bytes), "limit_bytes",
                     integer(m->memory_limit_bytes), "huge_pages", text(m->huge_pages));
}

/* kv_hash_bytes of the file of this program: the same binary is told from another one. */
static json_t *program_hash(void)
{
    char *bytes, hash[17] = "";
    size_t n;
    if (kv_file_read("/proc/self/exe", &bytes, &n, NULL) == KV_OK)
        snprintf(hash, sizeof hash, "%016llx", (unsigned long long)kv_hash_bytes(bytes, n));
    free(bytes);
    return text(hash);
}

/* The commit is "HASH" or "HASH-dirty", which become two members; "unknown" is two unknowns. */
static json_t *build_json(const struct kv_build_info *b)
{
    static const char suffix[] = "-dirty";
    char commit[80] = "";
    int dirty = -1;
    if (b->commit && strcmp(b->commit, "unknown") != 0 && strlen(b->commit) < sizeof commit) {
        const size_t length = strlen(b->commit), end = strlen(suffix);
        strcpy(commit, b->commit);
        dirty = length > end && strcmp(commit + length - end, suffix) == 0;
        if (dirty)
            commit[length - end] = '\0';
    }
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "version", text(b->version), "commit",
                     text(commit), "dirty", boolean(dirty), "program", program_hash(), "compiler", text(b->compiler),
                     "flags", text(b->flags), "build_type", text(b->build_type), "sanitizers", text(b->sanitizers),
                     "optimized", boolean(b->optimized), "assertions", boolean(b->assertions));
}

static json_t *libraries_json(const struct kv_library_info *l)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o}", "google_benchmark", text(l->google_benchmark), "openblas_core",
                     text(l->openblas_core), "openblas_better_core", text(l->openblas_better_core), "openblas_config",
                     text(l->openblas_config), "jansson", text(jansson_version_str()));
}

static json_t *run_json(const struct kv_context *c)
{
    const struct kv_run_info *run = &c->run;
    const double *load = c->machine.load;
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:[o, o, o], s:o}", "command",
                     strings(run->argc, (const char *const *)run->argv), "start", moment(c->start), "end",
                     c->finished ? moment(c->end) : json_null(), "model", text(run->model), "weights",
                     text(run->weights), "gemm", text(run->gemm), "isa", text(run->isa), "threads",
                     integer(run->threads), "seed", integer(run->seed), "load_at_start", real(load[0]), real(load[1]),
                     real(load[2]), "steal_percent", real(c->steal_percent));
}

static json_t *warnings_json(const struct kv_context *context)
{
    struct kv_warning warnings[KV_CONTEXT_MAX_WARNINGS];
    const int n = kv_context_warnings(context, warnings);
    json_t *array = json_array();
    for (int i = 0; array && i < n; i++) {
        const char *severity = warnings[i].severity == KV_SEVERITY_INFO ? "info" : "warning";
        if (json_array_append_new(array,
                                  json_pack("{s:s, s:o}", "severity", severity, "text", text(warnings[i].text))) != 0) {
            json_decref(array);
            array = NULL;
        }
    }
    return array;
}

static int write_part(const char *text, size_t n, void *output)
{
    kv_file_write(output, text, n);
    return 0;
}

kv_status kv_context_write(const struct kv_context *c, const char *folder, struct kv_error *error)
{
    char file[PATH_MAX];
    struct kv_file output = {0};
    if (snprintf(file, sizeof file, "%s/context.json", folder) >= (int)sizeof file)
        return kv_fail(error, KV_ERROR_IO, "%.200s...: the path is too long; choose a shorter results folder", folder);
    json_t *object = json_pack("{s:i, s:o, s:o, s:o, s:o, s:o}", "format_version", 1, "machine",
                               machine_json(&c->machine), "build", build_json(&c->build), "libraries",
                               libraries_json(&c->libraries), "run", run_json(c), "warnings", warnings_json(c));
    kv_status status = object ? kv_file_open(&output, file, error)
                              : kv_fail(error, KV_ERROR_MEMORY,
                                        "%s: out of memory while writing; free some memory and run again", file);
    if (!status) {
        if (json_dump_callback(object, write_part, &output, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) != 0)
            output.reason = output.reason ? output.reason : ENOMEM;
        kv_file_write(&output, "\n", 1);
        status = kv_file_finish(&output, error);
    }
    if (!status)
        status = kv_file_publish(&output, error);
    kv_file_close(&output);
    json_decref(object);
    return status;
}

/* ---- Warnings --------------------------------------------------------------------------------------- */

struct warning_list {
    struct kv_warning *warnings;
    int count;
};

__attribute__((format(printf, 3, 4))) static void add(struct warning_list *list, enum kv_severity severity,
                                                      const char *format, ...)
{
    struct kv_warning *warning = &list->warnings[list->count++];
    warning->severity = severity;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(warning->text, sizeof warning->text, format, arguments);
    va_end(arguments);
}

static bool is_known(const char *text)
{
    return text && *text;
}

static void check_load(struct warning_list *list, const struct kv_machine *machine)
{
    int cores = machine->cores_online > 0 ? machine->cores_online : machine->cpus_online;
    if (cores > 0 && machine->load[0] > 0.5 * cores) {
        add(list, KV_SEVERITY_WARNING,
            "the load was %.2f on %d cores at the start: stop what else runs here, wait a minute and run again",
            machine->load[0], cores);
    }
}

static void check_clock(struct warning_list *list, const struct kv_machine *machine)
{
    if (is_known(machine->governor) && strcmp(machine->governor, "performance") != 0) {
        add(list, KV_SEVERITY_WARNING,
            "the CPU frequency governor is %s, so the clock follows the load: "
            "run `sudo cpupower frequency-set -g performance`",
            machine->governor);
    }
    if (machine->turbo == 1) {
        bool is_inverted = strstr(machine->turbo_control, "no_turbo");
        add(list, KV_SEVERITY_INFO,
            "turbo is on, so the clock depends on temperature and on how many cores are busy: "
            "for steadier figures run `echo %d | sudo tee /sys/devices/system/cpu/%s`",
            is_inverted, machine->turbo_control);
    }
}

static void check_build(struct warning_list *list, const struct kv_build_info *build)
{
    bool is_sanitized = is_known(build->sanitizers) && strcmp(build->sanitizers, "none") != 0;
    if (is_sanitized) {
        add(list, KV_SEVERITY_WARNING,
            "this build of kvbench has the sanitizers %s, which slow it: "
            "configure one with `meson setup --buildtype=release -Db_sanitize=none`",
            build->sanitizers);
    } else if (!build->optimized) {
        add(list, KV_SEVERITY_WARNING,
            "this build of kvbench is not optimized (build type %s): configure one with "
            "`meson setup --buildtype=release`",
            is_known(build->build_type) ? build->build_type : "unknown");
    }
}

static void check_openblas(struct warning_list *list, const struct kv_library_info *libraries)
{
    if (is_known(libraries->openblas_better_core)) {
        add(list, KV_SEVERITY_WARNING,
            "OpenBLAS uses its %s kernels, but this CPU can run %s: set the environment variable OPENBLAS_CORETYPE=%s",
            is_known(libraries->openblas_core) ? libraries->openblas_core : "generic", libraries->openblas_better_core,
            libraries->openblas_better_core);
    }
}

static void check_threads(struct warning_list *list, const struct kv_context *context)
{
    int cores = context->machine.cores_affinity;
    double quota = context->machine.cpu_quota;
    if (quota > 0 && context->run.threads > ceil(quota)) {
        add(list, KV_SEVERITY_WARNING, "%d threads share a quota of %.3g CPUs: use --threads %d", context->run.threads,
            quota, kv_threads_of(context->run.threads, quota));
    } else if (cores > 0 && context->run.threads > cores) {
        add(list, KV_SEVERITY_WARNING, "%d threads share %d physical core%s: use --threads %d", context->run.threads,
            cores, cores == 1 ? "" : "s", cores);
    }
}

static void check_steal(struct warning_list *list, double steal_percent)
{
    if (steal_percent > 1) {
        add(list, KV_SEVERITY_WARNING,
            "the host took %.1f %% of this virtual machine's CPU time during the run: "
            "run again at a quieter time, or on a machine of its own",
            steal_percent);
    }
}

int kv_context_warnings(const struct kv_context *context, struct kv_warning warnings[KV_CONTEXT_MAX_WARNINGS])
{
    struct warning_list list = {.warnings = warnings};
    check_load(&list, &context->machine);
    check_clock(&list, &context->machine);
    check_build(&list, &context->build);
    check_openblas(&list, &context->libraries);
    check_threads(&list, context);
    check_steal(&list, context->steal_percent);
    return list.count;
}
