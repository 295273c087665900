#include "cli/cli.h"

#include "machine/context.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print_choices(const char *title, const struct kv_choice *(*choice)(int index))
{
    for (int i = 0; choice(i); i++)
        printf("%-12s %-10s %s\n", i ? "" : title, choice(i)->name, choice(i)->summary);
}

static void print_isa(void)
{
    for (int i = 0; kv_isa_choice(i); i++)
        printf("%-12s %-10s %s%s\n", i ? "" : "isa", kv_isa_choice(i)->name, kv_isa_choice(i)->summary,
               kv_isa_supported(kv_isa_choice(i)->name) ? "" : " (not on this machine)");
}

static void print_model(const char *heading, const char *name, const struct kv_config *config)
{
    const double millions = (double)kv_config_parameters(config) * 1e-6;
    printf("%-12s %-12s %3d layers, %2d heads, %4d wide, %5.*f M parameters, %5.1f KiB of cache a token\n", heading,
           name, config->n_layer, config->n_head, config->n_embd, millions < 10 ? 1 : 0, millions,
           (double)kv_config_kv_bytes_per_token(config) / 1024);
}

static void print_models(void)
{
    struct model_options embedded = model_options_default(EMBEDDED_MODEL);
    struct kv_config config;
    for (int i = 0; kv_config_preset_name(i); i++)
        if (kv_config_preset(kv_config_preset_name(i), &config, NULL) == KV_OK)
            print_model(i ? "" : "models", kv_config_preset_name(i), &config);
    if (model_shape("info", &embedded, &config) == CLI_OK)
        print_model("", EMBEDDED_MODEL, &config);
}

static void print_cache(const char *name, const struct kv_machine_cache *cache)
{
    if (cache->bytes > 0)
        printf(" %s %lld KiB x %d", name, (long long)(cache->bytes / 1024), cache->instances);
}

static void print_machine(void)
{
    struct kv_machine machine;
    kv_machine_read(&machine, NULL);
    printf("%-12s %s, %d cores in use's affinity, %d online\n", "cpu", machine.cpu_name, machine.cores_affinity,
           machine.cores_online);
    printf("%-12s", "caches");
    print_cache("L1d", &machine.l1d);
    print_cache("L2", &machine.l2);
    print_cache("L3", &machine.l3);
    printf("\n%-12s %.1f GiB, %.1f GiB available\n", "memory", (double)machine.memory_total_bytes / (1 << 30),
           (double)machine.memory_available_bytes / (1 << 30));
    printf("%-12s %s, Linux %s\n", "system", machine.os, machine.kernel);
}

int command_info(int argc, char **argv)
{
    const struct option_table table = {
        .command = argv[0],
        .usage = "",
        .summary = "Shows this machine, this build and what can be chosen.",
    };
    struct kv_build_info build;
    int status;
    if (!options_parse(&table, argc, argv, &status))
        return status;
    kv_build_info_get(&build);
    printf("%-12s %s, commit %s, %s, %s%s%s\n", "kvbench", build.version, build.commit, build.compiler,
           build.build_type, strcmp(build.sanitizers, "none") == 0 ? "" : ", sanitizers ",
           strcmp(build.sanitizers, "none") == 0 ? "" : build.sanitizers);
    print_machine();
    printf("%-12s %d (the physical cores)\n", "threads", kv_default_threads());
    const char *better = kv_openblas_better_core();
    printf("%-12s %s kernels%s%s\n", "OpenBLAS", kv_openblas_core(), better ? ", better here: OPENBLAS_CORETYPE=" : "",
           better ? better : "");
    print_choices("paths", kv_path_choice);
    print_choices("weights", kv_weights_choice);
    print_choices("cache", kv_cache_choice);
    print_choices("kv", kv_kv_choice);
    print_choices("gemm", kv_matmul_choice);
    print_isa();
    print_models();
    return CLI_OK;
}
