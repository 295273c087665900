/* What the CPU is and how its clock is governed. */
#include "machine/machine.h"
#include "machine/machine_files.h"

#include <stdlib.h>
#include <string.h>

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
        if (codes[i].code == code) {
            kv_files_copy(name, size, codes[i].name);
        }
    }
}

/* Keeps the order of the table; `flags` is cut up. */
static void note_features(struct kv_machine *machine, char *flags)
{
    bool present[N_NOTED_FEATURES] = {false};
    char *rest = NULL;
    for (char *flag = strtok_r(flags, " \t\n", &rest); flag != NULL; flag = strtok_r(NULL, " \t\n", &rest)) {
        for (int i = 0; i < N_NOTED_FEATURES; i++) {
            present[i] |= strcmp(flag, noted_features[i]) == 0;
        }
        if (strcmp(flag, "hypervisor") == 0) {
            machine->hypervisor = 1;
        }
    }
    machine->n_features = 0;
    for (int i = 0; i < N_NOTED_FEATURES; i++) {
        if (present[i]) {
            machine->features[machine->n_features++] = noted_features[i];
        }
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
    if (file == NULL) {
        return;
    }
    int arm_implementer = -1;
    char *line = NULL;
    size_t capacity = 0;
    while (getline(&line, &capacity, file) > 1) {
        char *colon = strchr(line, ':');
        if (colon != NULL) {
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

void kv_machine_read_cpu(struct kv_machine *machine, const char *root)
{
    machine->cpu_family = machine->cpu_model = machine->cpu_stepping = -1;
    machine->hypervisor = -1;
    machine->n_features = -1;
    machine->turbo = -1;
    read_cpuinfo(machine, root);
    read_turbo(machine, root);
}
