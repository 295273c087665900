#include "machine/machine.h"

#include "machine/machine_files.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* os-release(5): a shell assignment, so the value may be in quotes and hold backslash escapes. */
static void unquote(char *text)
{
    char *to = text;
    char quote = *text == '"' || *text == '\'' ? *text++ : '\0';
    while (*text != '\0' && *text != quote) {
        if (*text == '\\' && quote != '\'' && text[1] != '\0') {
            text++;
        }
        *to++ = *text++;
    }
    *to = '\0';
}

static void read_system(struct kv_machine *machine, const char *root)
{
    kv_files_line(machine->hostname, sizeof machine->hostname, root, "/proc/sys/kernel/hostname");
    kv_files_line(machine->kernel, sizeof machine->kernel, root, "/proc/sys/kernel/osrelease");
    if (!kv_files_line(machine->product, sizeof machine->product, root, "/sys/class/dmi/id/product_name")) {
        kv_files_line(machine->product, sizeof machine->product, root, "/sys/firmware/devicetree/base/model");
    }
    if (!kv_files_value(machine->os, sizeof machine->os, root, "/etc/os-release", "PRETTY_NAME", '=')) {
        kv_files_value(machine->os, sizeof machine->os, root, "/usr/lib/os-release", "PRETTY_NAME", '=');
    }
    unquote(machine->os);
}

/* The kernel writes decimals with a point whatever the locale, so no strtod: "0.42" is 42 hundredths. */
static double parse_load(const char *text, const char **end)
{
    int whole, hundredths, used = 0;
    *end = text;
    if (sscanf(text, "%6d.%2d%n", &whole, &hundredths, &used) != 2 || whole < 0 || hundredths < 0) {
        return -1;
    }
    *end = text + used;
    return (whole * 100 + hundredths) / 100.0;
}

static void read_load(struct kv_machine *machine, const char *root)
{
    char text[128];
    kv_files_line(text, sizeof text, root, "/proc/loadavg");
    const char *rest = text;
    for (int i = 0; i < 3; i++) {
        machine->load[i] = parse_load(rest, &rest);
    }
}

void kv_machine_read(struct kv_machine *machine, const char *root)
{
    *machine = (struct kv_machine){0};
    root = root != NULL ? root : "";
    kv_machine_read_cpu(machine, root);
    kv_machine_read_topology(machine, root);
    kv_machine_read_memory(machine, root);
    read_system(machine, root);
    read_load(machine, root);
}

void kv_cpu_time_read(struct kv_cpu_time *time, const char *root)
{
    /* user nice system idle iowait irq softirq steal; guest time, which follows, is part of user. proc(5) */
    int64_t ticks[8];
    char text[512];
    *time = (struct kv_cpu_time){-1, -1};
    kv_files_line(text, sizeof text, root != NULL ? root : "", "/proc/stat");
    int n = sscanf(text,
                   "cpu %" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64,
                   &ticks[0], &ticks[1], &ticks[2], &ticks[3], &ticks[4], &ticks[5], &ticks[6], &ticks[7]);
    if (n != 8) {
        return;
    }
    time->steal = ticks[7];
    time->total = 0;
    for (int i = 0; i < 8; i++) {
        time->total += ticks[i];
    }
}

double kv_cpu_time_steal_percent(const struct kv_cpu_time *start, const struct kv_cpu_time *end)
{
    bool is_known = start->steal >= 0 && end->steal >= start->steal && end->total > start->total;
    return is_known ? 100.0 * (double)(end->steal - start->steal) / (double)(end->total - start->total) : -1;
}
