/* How many CPUs, cores, sockets and caches there are, and which of them this process may use. */
#include "machine/files.h"
#include "machine/machine.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* Linux is configured for at most 8192 CPUs (NR_CPUS). */
#define MAX_CPUS 8192

struct cpu_set {
    uint64_t words[MAX_CPUS / 64];
};

static bool cpu_set_has(const struct cpu_set *set, int cpu)
{
    return set->words[cpu / 64] >> (cpu % 64) & 1;
}

static int cpu_set_count(const struct cpu_set *set)
{
    int count = 0;
    for (int word = 0; word < MAX_CPUS / 64; word++)
        count += __builtin_popcountll(set->words[word]);
    return count;
}

/* The lowest CPU that is in both sets, -1 when there is none. */
static int cpu_set_lowest_common(const struct cpu_set *a, const struct cpu_set *b)
{
    for (int word = 0; word < MAX_CPUS / 64; word++) {
        uint64_t common = a->words[word] & b->words[word];
        if (common != 0)
            return word * 64 + __builtin_ctzll(common);
    }
    return -1;
}

/* Reads a kernel CPU list such as "0-3,8"; false when it is empty or anything else. */
static bool cpu_set_parse(struct cpu_set *set, const char *text)
{
    *set = (struct cpu_set){{0}};
    for (;;) {
        char *end;
        if (!isdigit((unsigned char)*text))
            return false;
        unsigned long first = strtoul(text, &end, 10);
        unsigned long last = first;
        if (*end == '-') {
            text = end + 1;
            if (!isdigit((unsigned char)*text))
                return false;
            last = strtoul(text, &end, 10);
        }
        if (first > last || last >= MAX_CPUS)
            return false;
        for (unsigned long cpu = first; cpu <= last; cpu++)
            set->words[cpu / 64] |= (uint64_t)1 << (cpu % 64);
        if (*end != ',')
            return *end == '\0';
        text = end + 1;
    }
}

/* How many groups the CPUs of `set` fall into, by the list of its group that each CPU has in `file`: a group
 * is counted at its lowest member. -1 when a list is missing or does not hold its own CPU. */
static int count_groups(const char *root, const struct cpu_set *set, const char *file)
{
    int groups = 0;
    for (int cpu = 0; cpu < MAX_CPUS; cpu++) {
        if (!cpu_set_has(set, cpu))
            continue;
        char text[4096];
        struct cpu_set group;
        kv_files_line(text, sizeof text, root, "/sys/devices/system/cpu/cpu%d/%s", cpu, file);
        if (!cpu_set_parse(&group, text) || !cpu_set_has(&group, cpu))
            return -1;
        groups += cpu_set_lowest_common(&group, set) == cpu;
    }
    return groups;
}

/* "48K" in bytes; -1 when the unit is not one of the kernel's. */
static int64_t parse_size(const char *text)
{
    int64_t number = kv_files_number(text);
    const char *unit = text + strspn(text, "0123456789");
    int shift = strcmp(unit, "K") == 0 ? 10 : strcmp(unit, "M") == 0 ? 20 : strcmp(unit, "G") == 0 ? 30 : -1;
    return number < 0 || shift < 0 || number > INT64_MAX >> shift ? -1 : number << shift;
}

static struct kv_machine_cache *find_cache(struct kv_machine *machine, int level, const char *type)
{
    if (level == 1)
        return strcmp(type, "Data") == 0 ? &machine->l1d : strcmp(type, "Instruction") == 0 ? &machine->l1i : NULL;
    return level == 2 ? &machine->l2 : level == 3 ? &machine->l3 : NULL;
}

static void read_caches(struct kv_machine *machine, const char *root, const struct cpu_set *online)
{
    char text[64];
    int first = cpu_set_lowest_common(online, online);
    for (int index = 0;
         kv_files_line(text, sizeof text, root, "/sys/devices/system/cpu/cpu%d/cache/index%d/level", first, index);
         index++) {
        int level = kv_files_int(text);
        kv_files_line(text, sizeof text, root, "/sys/devices/system/cpu/cpu%d/cache/index%d/type", first, index);
        struct kv_machine_cache *cache = find_cache(machine, level, text);
        if (cache) {
            char shared[64];
            kv_files_line(text, sizeof text, root, "/sys/devices/system/cpu/cpu%d/cache/index%d/size", first, index);
            cache->bytes = parse_size(text);
            snprintf(shared, sizeof shared, "cache/index%d/shared_cpu_list", index);
            cache->instances = count_groups(root, online, shared);
        }
    }
}

static bool is_listed(const char *list, const char *name)
{
    size_t length = strlen(name);
    for (const char *at = list; (at = strstr(at, name)); at += length) {
        if ((at == list || at[-1] == ',') && (at[length] == '\0' || at[length] == ','))
            return true;
    }
    return false;
}

static void read_governors(struct kv_machine *machine, const char *root, const struct cpu_set *affinity)
{
    size_t used = 0;
    for (int cpu = 0; cpu < MAX_CPUS; cpu++) {
        char name[32];
        if (cpu_set_has(affinity, cpu) &&
            kv_files_line(name, sizeof name, root, "/sys/devices/system/cpu/cpu%d/cpufreq/scaling_governor", cpu) &&
            !is_listed(machine->governor, name) && used + strlen(name) + 2 <= sizeof machine->governor) {
            used += (size_t)sprintf(machine->governor + used, "%s%s", used > 0 ? "," : "", name);
        }
    }
}

void kv_machine_read_topology(struct kv_machine *machine, const char *root)
{
    const struct kv_machine_cache unknown = {-1, -1};
    machine->l1d = machine->l1i = machine->l2 = machine->l3 = unknown;
    machine->cpus_online = machine->cpus_affinity = -1;
    machine->cores_online = machine->cores_affinity = machine->sockets = -1;

    char text[4096];
    struct cpu_set online, affinity;
    kv_files_line(text, sizeof text, root, "/sys/devices/system/cpu/online");
    if (!cpu_set_parse(&online, text))
        return;
    machine->cpus_online = cpu_set_count(&online);
    machine->cores_online = count_groups(root, &online, "topology/thread_siblings_list");
    machine->sockets = count_groups(root, &online, "topology/core_siblings_list");
    read_caches(machine, root, &online);

    kv_files_value(text, sizeof text, root, "/proc/self/status", "Cpus_allowed_list", ':');
    if (!cpu_set_parse(&affinity, text))
        return;
    /* A process may be allowed CPUs that could be plugged in but are not there. */
    for (int word = 0; word < MAX_CPUS / 64; word++)
        affinity.words[word] &= online.words[word];
    machine->cpus_affinity = cpu_set_count(&affinity);
    machine->cores_affinity = count_groups(root, &affinity, "topology/thread_siblings_list");
    read_governors(machine, root, &affinity);
}
