#include "fuzz.h"

#include <ctype.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

void fuzz_holds(bool condition, const char *text, const char *file, int line)
{
    if (condition)
        return;
    fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, text);
    abort();
}

void fuzz_refused(kv_status status, struct kv_error *error)
{
    FUZZ_HOLDS(status != KV_OK && *error->message);
    for (const char *c = error->message; *c; c++)
        FUZZ_HOLDS(!iscntrl((unsigned char)*c));
    fuzz_say("refused: %s\n", error->message);
    *error->message = '\0';
}

void fuzz_say(const char *format, ...)
{
#ifndef KV_FUZZER
    va_list arguments;
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
#else
    (void)format;
#endif
}

/* ---- Files --------------------------------------------------------------------------------------------------- */

static int memory_file = -1;
static char memory_name[64], folder_name[512];

const char *fuzz_file(const void *bytes, size_t size)
{
    if (memory_file < 0) {
        memory_file = memfd_create("input", MFD_CLOEXEC);
        snprintf(memory_name, sizeof memory_name, "/proc/%d/fd/%d", (int)getpid(), memory_file);
    }
    FUZZ_HOLDS(memory_file >= 0 && ftruncate(memory_file, 0) == 0 &&
               pwrite(memory_file, bytes, size, 0) == (ssize_t)size);
    return memory_name;
}

static int remove_entry(const char *path, const struct stat *info, int type, struct FTW *walk)
{
    (void)info;
    (void)type;
    return walk->level ? remove(path) : 0;
}

void fuzz_clear(const char *folder)
{
    nftw(folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

static void remove_folder(void)
{
    fuzz_clear(folder_name);
    rmdir(folder_name);
}

const char *fuzz_folder(void)
{
    const char *place = getenv("TMPDIR");
    if (!*folder_name) {
        snprintf(folder_name, sizeof folder_name, "%s/kvbench-fuzz-XXXXXX", place && *place ? place : "/tmp");
        FUZZ_HOLDS(mkdtemp(folder_name) != NULL);
        atexit(remove_folder);
    }
    return folder_name;
}

static void put_part(const char *folder, const char *name, const char *bytes, size_t n)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    FUZZ_HOLDS(file && fwrite(bytes, 1, n, file) == n && fclose(file) == 0);
}

void fuzz_put_parts(const char *folder, const void *data, size_t size, const char *const *names, int n_names)
{
    static const char mark[] = "=== ";
    const char *at = data, *const end = at + size;
    while (at && (size_t)(end - at) > strlen(mark) && memcmp(at, mark, strlen(mark)) == 0) {
        const char *name = at + strlen(mark), *line = memchr(name, '\n', (size_t)(end - name));
        if (!line)
            return;
        const char *body = line + 1, *next = memmem(line, (size_t)(end - line), "\n=== ", 5);
        const size_t n = body > (next ? next + 1 : end) ? 0 : (size_t)((next ? next + 1 : end) - body);
        for (int i = 0; i < n_names; i++)
            if (strlen(names[i]) == (size_t)(line - name) && memcmp(names[i], name, (size_t)(line - name)) == 0)
                put_part(folder, names[i], body, n);
        at = next ? next + 1 : NULL;
    }
}
