#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "machine/context.h"

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
    return text != NULL && text[0] != '\0';
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
        bool is_inverted = strstr(machine->turbo_control, "no_turbo") != NULL;
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
    if (cores > 0 && context->run.threads > cores) {
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
