#include "cli/cli.h"

#include "base/memory.h"
#include "machine/context.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A line at a time: what it is of, the name of a choice or NULL, and what is said. */
struct info {
    struct kv_table *table; /* NULL: text */
    const char *last;       /* a text says it once */
};

__attribute__((format(printf, 5, 6))) static void tell(struct info *info, const char *item, const char *name, int width,
                                                       const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (info->table) {
        kv_table_add_text(info->table, item);
        kv_table_add_text(info->table, name ? name : "");
        kv_table_add_text(info->table, text);
        return;
    }
    printf("%-12s ", info->last && strcmp(info->last, item) == 0 ? "" : item);
    info->last = item;
    if (name)
        printf("%-*s ", width, name);
    puts(text);
}

static void tell_choices(struct info *info, const char *title, const struct kv_choice *(*choice)(int index))
{
    for (int i = 0; choice(i); i++)
        tell(info, title, choice(i)->name, 10, "%s", choice(i)->summary);
}

static void tell_isa(struct info *info)
{
    for (int i = 0; kv_isa_choice(i); i++)
        tell(info, "isa", kv_isa_choice(i)->name, 10, "%s%s", kv_isa_choice(i)->summary,
             kv_isa_supported(kv_isa_choice(i)->name) ? "" : " (not on this machine)");
}

static void tell_model(struct info *info, const char *name, const struct kv_config *config)
{
    const double millions = (double)kv_config_parameters(config) * 1e-6;
    tell(info, "models", name, 12, "%3d layers, %2d heads, %4d wide, %5.*f M parameters, %5.1f KiB of cache a token",
         config->n_layer, config->n_head, config->n_embd, millions < 10 ? 1 : 0, millions,
         (double)kv_config_kv_bytes_per_token(config) / 1024);
}

static void tell_models(struct info *info)
{
    struct model_options embedded = model_options_default(EMBEDDED_MODEL);
    struct kv_config config;
    for (int i = 0; kv_config_preset_name(i); i++)
        if (kv_config_preset(kv_config_preset_name(i), &config, NULL) == KV_OK)
            tell_model(info, kv_config_preset_name(i), &config);
    if (model_shape("info", &embedded, &config) == CLI_OK)
        tell_model(info, EMBEDDED_MODEL, &config);
}

/* Adds "L2 1024 KiB x 2" to text. */
static void add_cache(char *text, size_t size, const char *name, const struct kv_machine_cache *cache)
{
    const size_t n = strlen(text);
    if (cache->bytes > 0)
        snprintf(text + n, size - n, "%s%s %lld KiB x %d", n ? " " : "", name, (long long)(cache->bytes / 1024),
                 cache->instances);
}

/* Asked for as weights ask, and then looked at: what the system promises is not what it gives. */
static void tell_huge_pages(struct info *info, const char *setting)
{
    struct kv_layout layout = {0};
    struct kv_block block;
    const double mib = 1 << 20;
    kv_layout_add(&layout, 64, 1 << 20, 1);
    if (!*setting || kv_block_allocate(&block, &layout, "a block", NULL) != KV_OK)
        return;
    memset(block.base, 1, block.bytes);
    const int64_t huge = kv_huge_bytes(block.base, block.bytes, NULL);
    if (huge >= 0)
        tell(info, "huge pages", NULL, 0, "%s: of a block of %.0f MiB %.0f MiB lie in them%s", setting,
             (double)block.bytes / mib, (double)huge / mib,
             strcmp(setting, "never") == 0 ? "; /sys/kernel/mm/transparent_hugepage/enabled can allow them" : "");
    kv_block_free(&block);
}

static void tell_machine(struct info *info)
{
    struct kv_machine machine;
    char caches[128] = "", quota[40] = "";
    kv_machine_read(&machine, NULL);
    if (machine.cpu_quota > 0)
        snprintf(quota, sizeof quota, ", with a quota of %.3g CPUs", machine.cpu_quota);
    tell(info, "cpu", NULL, 0, "%s, this process may use %d of %d cores%s", machine.cpu_name, machine.cores_affinity,
         machine.cores_online, quota);
    add_cache(caches, sizeof caches, "L1d", &machine.l1d);
    add_cache(caches, sizeof caches, "L2", &machine.l2);
    add_cache(caches, sizeof caches, "L3", &machine.l3);
    tell(info, "caches", NULL, 0, "%s", caches);
    tell(info, "memory", NULL, 0, "%.1f GiB, %.1f GiB available", (double)machine.memory_total_bytes / (1 << 30),
         (double)machine.memory_available_bytes / (1 << 30));
    tell_huge_pages(info, machine.huge_pages);
    tell(info, "system", NULL, 0, "%s, Linux %s", machine.os, machine.kernel);
}

static void tell_all(struct info *info)
{
    struct kv_build_info build;
    kv_build_info_get(&build);
    tell(info, "kvbench", NULL, 0, "%s, commit %s, %s, %s%s%s", build.version, build.commit, build.compiler,
         build.build_type, strcmp(build.sanitizers, "none") == 0 ? "" : ", sanitizers ",
         strcmp(build.sanitizers, "none") == 0 ? "" : build.sanitizers);
    tell_machine(info);
    tell(info, "threads", NULL, 0, "%d unless --threads says otherwise: the cores, or the quota rounded up",
         kv_default_threads());
    const char *better = kv_openblas_better_core();
    tell(info, "OpenBLAS", NULL, 0, "%s kernels%s%s", kv_openblas_core(),
         better ? ", better here: OPENBLAS_CORETYPE=" : "", better ? better : "");
    tell_choices(info, "paths", kv_path_choice);
    tell_choices(info, "weights", kv_weights_choice);
    tell_choices(info, "cache", kv_cache_choice);
    tell_choices(info, "kv", kv_kv_choice);
    tell_choices(info, "gemm", kv_matmul_choice);
    tell_isa(info);
    tell_models(info);
}

int command_info(int argc, char **argv)
{
    static const struct kv_table_column columns[] = {{"item", NULL, true}, {"name", NULL, true}, {"text", NULL, true}};
    const char *format_name;
    const struct option_row rows[] = {format_row(&format_name)};
    const struct option_table table = {
        .command = argv[0],
        .usage = "[OPTIONS]",
        .summary = "Shows this machine, this build and what can be chosen.",
        .rows = rows,
        .n_rows = sizeof rows / sizeof *rows,
    };
    struct info info = {.table = NULL};
    struct kv_error error = {""};
    int status;
    if (!options_parse(&table, argc, argv, &status))
        return status;
    if (format_of(format_name) != KV_FORMAT_TEXT && kv_table_create(&info.table, NULL, columns, 3, &error) != KV_OK)
        return cli_fail(argv[0], CLI_FAILED, "%s", error.message);
    tell_all(&info);
    return info.table ? print_and_free(argv[0], info.table, format_of(format_name)) : CLI_OK;
}
