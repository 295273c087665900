/* How much memory there is, and how much of it this process may take. */
#include "machine/machine.h"
#include "machine/machine_files.h"

#include <stdlib.h>
#include <string.h>

static int64_t read_meminfo(const char *root, const char *key)
{
    char value[64];
    kv_files_value(value, sizeof value, root, "/proc/meminfo", key, ':');
    int64_t kibibytes = kv_files_number(value);
    return kibibytes < 0 || kibibytes > INT64_MAX / 1024 || strstr(value, "kB") == NULL ? -1 : kibibytes * 1024;
}

/* Lowers `limit` to the lowest limit of the group and the groups above it: each of them binds. `path` is cut up.
 * A container often sees only the top of its own tree, so a folder that is missing is passed over. */
static void lower_to_group_limit(int64_t *limit, const char *root, const char *mount, const char *file, char *path)
{
    for (;;) {
        char text[64];
        kv_files_line(text, sizeof text, root, "/sys/fs/cgroup%s%s/%s", mount, path, file);
        int64_t bytes = kv_files_number(text);
        if (bytes >= 0 && bytes < *limit) {
            *limit = bytes;
        }
        char *slash = strrchr(path, '/');
        if (slash == NULL) {
            return;
        }
        *slash = '\0';
    }
}

static bool names_memory(char *controllers)
{
    char *rest = NULL;
    for (char *name = strtok_r(controllers, ",", &rest); name != NULL; name = strtok_r(NULL, ",", &rest)) {
        if (strcmp(name, "memory") == 0) {
            return true;
        }
    }
    return false;
}

/* Each line of /proc/self/cgroup is "ID:CONTROLLERS:PATH"; version 2 has one line, with no controllers. */
static int64_t read_group_limit(const char *root)
{
    int64_t limit = INT64_MAX;
    FILE *file = kv_files_open(root, "/proc/self/cgroup");
    if (file == NULL) {
        return limit;
    }
    char *line = NULL;
    size_t capacity = 0;
    while (getline(&line, &capacity, file) >= 0) {
        line[strcspn(line, "\n")] = '\0';
        char *controllers = strchr(line, ':');
        char *path = controllers != NULL ? strchr(controllers + 1, ':') : NULL;
        if (path == NULL) {
            continue;
        }
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
    char *close = open != NULL ? strchr(open, ']') : NULL;
    if (close != NULL) {
        *close = '\0';
        kv_files_copy(machine->huge_pages, sizeof machine->huge_pages, open + 1);
    }
}

void kv_machine_read_memory(struct kv_machine *machine, const char *root)
{
    machine->memory_total_bytes = read_meminfo(root, "MemTotal");
    machine->memory_available_bytes = read_meminfo(root, "MemAvailable");
    int64_t limit = read_group_limit(root);
    bool is_lower = limit < (machine->memory_total_bytes >= 0 ? machine->memory_total_bytes : INT64_MAX);
    machine->memory_limit_bytes = is_lower ? limit : -1;
    read_huge_pages(machine, root);
}
