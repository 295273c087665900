#include "machine/machine.h"

#include "base/pool.h"
#include "machine/files.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* ---- Files below /proc and /sys --------------------------------------------------------------------- */

static FILE *open_formatted(const char *root, const char *format, va_list arguments)
{
    char path[PATH_MAX];
    int used = snprintf(path, sizeof path, "%s", root);
    if (used < 0 || (size_t)used >= sizeof path)
        return NULL;
    size_t room = sizeof path - (size_t)used;
    int added = vsnprintf(path + used, room, format, arguments);
    return added < 0 || (size_t)added >= room ? NULL : fopen(path, "re");
}

FILE *kv_files_open(const char *root, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    FILE *file = open_formatted(root, format, arguments);
    va_end(arguments);
    return file;
}

void kv_files_copy(char *copy, size_t size, const char *text)
{
    while (isspace((unsigned char)*text))
        text++;
    size_t length = strnlen(text, size - 1);
    memmove(copy, text, length);
    while (length > 0 && isspace((unsigned char)copy[length - 1]))
        length--;
    copy[length] = '\0';
}

bool kv_files_line(char *text, size_t size, const char *root, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    FILE *file = open_formatted(root, format, arguments);
    va_end(arguments);
    text[0] = '\0';
    if (!file)
        return false;
    if (fgets(text, (int)size, file))
        kv_files_copy(text, size, text);
    fclose(file);
    return text[0] != '\0';
}

bool kv_files_value(char *value, size_t size, const char *root, const char *path, const char *key, char separator)
{
    value[0] = '\0';
    FILE *file = kv_files_open(root, "%s", path);
    if (!file)
        return false;
    char *line = NULL;
    size_t capacity = 0;
    while (value[0] == '\0' && getline(&line, &capacity, file) >= 0) {
        char *colon = strchr(line, separator);
        if (colon) {
            *colon = '\0';
            kv_files_copy(line, capacity, line);
            if (strcmp(line, key) == 0)
                kv_files_copy(value, size, colon + 1);
        }
    }
    free(line);
    fclose(file);
    return value[0] != '\0';
}

int64_t kv_files_number(const char *text)
{
    if (!isdigit((unsigned char)*text))
        return -1;
    int base = strncmp(text, "0x", 2) == 0 ? 16 : 10;
    errno = 0;
    long long number = strtoll(text, NULL, base);
    return errno == 0 ? number : -1;
}

int kv_files_int(const char *text)
{
    int64_t number = kv_files_number(text);
    return number <= INT_MAX ? (int)number : -1;
}

/* ---- The CPU, and how its clock is governed --------------------------------------------------------- */

static const char *const noted_features[] = {
    "sse2",     "sse4_2",   "avx",      "avx2",     "fma",         "f16c",        "avx_vnni",    "avx512f",
    "avx512bw", "avx512cd", "avx512dq", "avx512vl", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_tile",
    "amx_bf16", "amx_int8", "amx_fp16", "asimd",    "asimdhp",     "asimddp",     "asimdfhm",    "bf16",
    "i8mm",     "sve",      "sve2",     "svebf16",  "svei8mm",     "sme",
};
#define N_NOTED_FEATURES ((int)(sizeof noted_features / sizeof noted_features[0]))
_Static_assert(N_NOTED_FEATURES <= KV_MACHINE_MAX_FEATURES, "kv_machine.features is too short");

/* Codes of Arm's MIDR register, which has numbers only: Arm Architecture Reference Manual, MIDR_EL1, and the
 * Technical Reference Manual of each core. */
struct arm_code {
    int code;
    const char *name;
};

static const struct arm_code arm_implementers[] = {
    {0x41, "ARM"},    {0x42, "Broadcom"}, {0x43, "Cavium"}, {0x46, "Fujitsu"},
    {0x4e, "NVIDIA"}, {0x51, "Qualcomm"}, {0x61, "Apple"},  {0xc0, "Ampere"},
};

static const struct arm_code arm_parts[] = {
    {0xd03, "Cortex-A53"},  {0xd04, "Cortex-A35"},  {0xd05, "Cortex-A55"},  {0xd07, "Cortex-A57"},
    {0xd08, "Cortex-A72"},  {0xd09, "Cortex-A73"},  {0xd0a, "Cortex-A75"},  {0xd0b, "Cortex-A76"},
    {0xd0c, "Neoverse-N1"}, {0xd40, "Neoverse-V1"}, {0xd49, "Neoverse-N2"}, {0xd4f, "Neoverse-V2"},
};

static void copy_arm_name(char *name, size_t size, const struct arm_code *codes, size_t n_codes, int code)
{
    for (size_t i = 0; i < n_codes; i++) {
        if (codes[i].code == code)
            kv_files_copy(name, size, codes[i].name);
    }
}

/* Keeps the order of the table; `flags` is cut up. */
static void note_features(struct kv_machine *machine, char *flags)
{
    bool present[N_NOTED_FEATURES] = {false};
    char *rest = NULL;
    for (char *flag = strtok_r(flags, " \t\n", &rest); flag; flag = strtok_r(NULL, " \t\n", &rest)) {
        for (int i = 0; i < N_NOTED_FEATURES; i++)
            present[i] |= strcmp(flag, noted_features[i]) == 0;
        if (strcmp(flag, "hypervisor") == 0)
            machine->hypervisor = 1;
    }
    machine->n_features = 0;
    for (int i = 0; i < N_NOTED_FEATURES; i++) {
        if (present[i])
            machine->features[machine->n_features++] = noted_features[i];
    }
}

static void note_cpuinfo(struct kv_machine *machine, int *arm_implementer, const char *key, char *value)
{
    if (strcmp(key, "vendor_id") == 0) {
        kv_files_copy(machine->cpu_vendor, sizeof machine->cpu_vendor, value);
    } else if (strcmp(key, "model name") == 0) {
        kv_files_copy(machine->cpu_name, sizeof machine->cpu_name, value);
    } else if (strcmp(key, "cpu family") == 0 || strcmp(key, "CPU architecture") == 0) {
        machine->cpu_family = kv_files_int(value);
    } else if (strcmp(key, "model") == 0 || strcmp(key, "CPU part") == 0) {
        machine->cpu_model = kv_files_int(value);
    } else if (strcmp(key, "stepping") == 0 || strcmp(key, "CPU revision") == 0) {
        machine->cpu_stepping = kv_files_int(value);
    } else if (strcmp(key, "CPU implementer") == 0) {
        *arm_implementer = kv_files_int(value);
    } else if (strcmp(key, "flags") == 0) {
        machine->hypervisor = 0; /* x86 virtual machines have the flag, and only x86 calls the line so */
        note_features(machine, value);
    } else if (strcmp(key, "Features") == 0) {
        note_features(machine, value);
    }
}

/* The first CPU speaks for all: its block ends at the first empty line. */
static void read_cpuinfo(struct kv_machine *machine, const char *root)
{
    FILE *file = kv_files_open(root, "/proc/cpuinfo");
    if (!file)
        return;
    int arm_implementer = -1;
    char *line = NULL;
    size_t capacity = 0;
    while (getline(&line, &capacity, file) > 1) {
        char *colon = strchr(line, ':');
        if (colon) {
            char value[4096];
            kv_files_copy(value, sizeof value, colon + 1);
            *colon = '\0';
            kv_files_copy(line, capacity, line);
            note_cpuinfo(machine, &arm_implementer, line, value);
        }
    }
    free(line);
    fclose(file);

    copy_arm_name(machine->cpu_vendor, sizeof machine->cpu_vendor, arm_implementers,
                  sizeof arm_implementers / sizeof arm_implementers[0], arm_implementer);
    if (arm_implementer == 0x41 && machine->cpu_name[0] == '\0') {
        copy_arm_name(machine->cpu_name, sizeof machine->cpu_name, arm_parts, sizeof arm_parts / sizeof arm_parts[0],
                      machine->cpu_model);
    }
}

static void read_turbo(struct kv_machine *machine, const char *root)
{
    static const struct {
        const char *path;
        int on;
    } controls[] = {{"intel_pstate/no_turbo", 0}, {"cpufreq/boost", 1}};

    for (size_t i = 0; i < sizeof controls / sizeof controls[0] && machine->turbo < 0; i++) {
        char text[16];
        kv_files_line(text, sizeof text, root, "/sys/devices/system/cpu/%s", controls[i].path);
        int value = kv_files_int(text);
        if (value == 0 || value == 1) {
            machine->turbo = value == controls[i].on;
            machine->turbo_control = controls[i].path;
        }
    }
}

static void read_cpu(struct kv_machine *machine, const char *root)
{
    machine->cpu_family = machine->cpu_model = machine->cpu_stepping = -1;
    machine->hypervisor = -1;
    machine->n_features = -1;
    machine->turbo = -1;
    read_cpuinfo(machine, root);
    read_turbo(machine, root);
}

/* ---- How much memory there is, and how much of it this process may take ----------------------------- */

static int64_t read_meminfo(const char *root, const char *key)
{
    char value[64];
    kv_files_value(value, sizeof value, root, "/proc/meminfo", key, ':');
    int64_t kibibytes = kv_files_number(value);
    return kibibytes < 0 || kibibytes > INT64_MAX / 1024 || !strstr(value, "kB") ? -1 : kibibytes * 1024;
}

/* Lowers `limit` to the lowest limit of the group and the groups above it: each of them binds. `path` is cut up.
 * A container often sees only the top of its own tree, so a folder that is missing is passed over. */
static void lower_to_group_limit(int64_t *limit, const char *root, const char *mount, const char *file, char *path)
{
    for (;;) {
        char text[64];
        kv_files_line(text, sizeof text, root, "/sys/fs/cgroup%s%s/%s", mount, path, file);
        int64_t bytes = kv_files_number(text);
        if (bytes >= 0 && bytes < *limit)
            *limit = bytes;
        char *slash = strrchr(path, '/');
        if (!slash)
            return;
        *slash = '\0';
    }
}

static bool names_memory(char *controllers)
{
    char *rest = NULL;
    for (char *name = strtok_r(controllers, ",", &rest); name; name = strtok_r(NULL, ",", &rest)) {
        if (strcmp(name, "memory") == 0)
            return true;
    }
    return false;
}

/* Each line of /proc/self/cgroup is "ID:CONTROLLERS:PATH"; version 2 has one line, with no controllers. */
static int64_t read_group_limit(const char *root)
{
    int64_t limit = INT64_MAX;
    FILE *file = kv_files_open(root, "/proc/self/cgroup");
    if (!file)
        return limit;
    char *line = NULL;
    size_t capacity = 0;
    while (getline(&line, &capacity, file) >= 0) {
        line[strcspn(line, "\n")] = '\0';
        char *controllers = strchr(line, ':');
        char *path = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!path)
            continue;
        *path++ = '\0';
        controllers++;
        if (controllers[0] == '\0') {
            lower_to_group_limit(&limit, root, "", "memory.max", path);
        } else if (names_memory(controllers)) {
            lower_to_group_limit(&limit, root, "/memory", "memory.limit_in_bytes", path);
        }
    }
    free(line);
    fclose(file);
    return limit;
}

/* The word in brackets is the one in force: "always [madvise] never". */
static void read_huge_pages(struct kv_machine *machine, const char *root)
{
    char text[128];
    kv_files_line(text, sizeof text, root, "/sys/kernel/mm/transparent_hugepage/enabled");
    char *open = strchr(text, '[');
    char *close = open ? strchr(open, ']') : NULL;
    if (close) {
        *close = '\0';
        kv_files_copy(machine->huge_pages, sizeof machine->huge_pages, open + 1);
    }
}

/* smaps has a head a mapping, "7f00-7f80 rw-p ..", then its sizes; neighbours are one mapping. */
int64_t kv_huge_bytes(const void *base, size_t bytes, const char *root)
{
    FILE *file = kv_files_open(root ? root : "", "/proc/self/smaps");
    if (!file)
        return -1;
    const uintptr_t begin = (uintptr_t)base, end = begin + bytes;
    char *line = NULL;
    size_t size = 0, kibibytes, huge = 0;
    unsigned long long from, to;
    bool inside = false;
    while (getline(&line, &size, file) > 0) {
        if (sscanf(line, "%llx-%llx ", &from, &to) == 2)
            inside = from < end && to > begin;
        else if (inside && sscanf(line, "AnonHugePages: %zu kB", &kibibytes) == 1)
            huge += kibibytes * 1024;
    }
    free(line);
    fclose(file);
    return (int64_t)(huge < bytes ? huge : bytes);
}

static void read_memory(struct kv_machine *machine, const char *root)
{
    machine->memory_total_bytes = read_meminfo(root, "MemTotal");
    machine->memory_available_bytes = read_meminfo(root, "MemAvailable");
    int64_t limit = read_group_limit(root);
    bool is_lower = limit < (machine->memory_total_bytes >= 0 ? machine->memory_total_bytes : INT64_MAX);
    machine->memory_limit_bytes = is_lower ? limit : -1;
    read_huge_pages(machine, root);
}

/* ---- The system, its load, and the whole ------------------------------------------------------------ */

/* os-release(5): a shell assignment, so the value may be in quotes and hold backslash escapes. */
static void unquote(char *text)
{
    char *to = text;
    char quote = *text == '"' || *text == '\'' ? *text++ : '\0';
    while (*text != '\0' && *text != quote) {
        if (*text == '\\' && quote != '\'' && text[1] != '\0')
            text++;
        *to++ = *text++;
    }
    *to = '\0';
}

static void read_system(struct kv_machine *machine, const char *root)
{
    kv_files_line(machine->hostname, sizeof machine->hostname, root, "/proc/sys/kernel/hostname");
    kv_files_line(machine->kernel, sizeof machine->kernel, root, "/proc/sys/kernel/osrelease");
    if (!kv_files_line(machine->product, sizeof machine->product, root, "/sys/class/dmi/id/product_name"))
        kv_files_line(machine->product, sizeof machine->product, root, "/sys/firmware/devicetree/base/model");
    if (!kv_files_value(machine->os, sizeof machine->os, root, "/etc/os-release", "PRETTY_NAME", '='))
        kv_files_value(machine->os, sizeof machine->os, root, "/usr/lib/os-release", "PRETTY_NAME", '=');
    unquote(machine->os);
}

/* The kernel writes decimals with a point whatever the locale, so no strtod: "0.42" is 42 hundredths. */
static double parse_load(const char *text, const char **end)
{
    int whole, hundredths, used = 0;
    *end = text;
    if (sscanf(text, "%6d.%2d%n", &whole, &hundredths, &used) != 2 || whole < 0 || hundredths < 0)
        return -1;
    *end = text + used;
    return (whole * 100 + hundredths) / 100.0;
}

static void read_load(struct kv_machine *machine, const char *root)
{
    char text[128];
    kv_files_line(text, sizeof text, root, "/proc/loadavg");
    const char *rest = text;
    for (int i = 0; i < 3; i++)
        machine->load[i] = parse_load(rest, &rest);
}

void kv_machine_read(struct kv_machine *machine, const char *root)
{
    *machine = (struct kv_machine){0};
    root = root ? root : "";
    read_cpu(machine, root);
    kv_machine_read_topology(machine, root);
    const double quota = kv_cpu_quota(root);
    machine->cpu_quota = quota > 0 ? quota : -1;
    read_memory(machine, root);
    read_system(machine, root);
    read_load(machine, root);
}

void kv_cpu_time_read(struct kv_cpu_time *time, const char *root)
{
    /* user nice system idle iowait irq softirq steal; guest time, which follows, is part of user. proc(5) */
    int64_t ticks[8];
    char text[512];
    *time = (struct kv_cpu_time){-1, -1};
    kv_files_line(text, sizeof text, root ? root : "", "/proc/stat");
    int n = sscanf(text,
                   "cpu %" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64,
                   &ticks[0], &ticks[1], &ticks[2], &ticks[3], &ticks[4], &ticks[5], &ticks[6], &ticks[7]);
    if (n != 8)
        return;
    time->steal = ticks[7];
    time->total = 0;
    for (int i = 0; i < 8; i++)
        time->total += ticks[i];
}

double kv_cpu_time_steal_percent(const struct kv_cpu_time *start, const struct kv_cpu_time *end)
{
    bool is_known = start->steal >= 0 && end->steal >= start->steal && end->total > start->total;
    return is_known ? 100.0 * (double)(end->steal - start->steal) / (double)(end->total - start->total) : -1;
}
