/* Runs a target over files and the files of folders, in the order of their names:
 *
 *     replay FILE_OR_FOLDER..          each file's name, then what the target says of it
 *     replay --make FOLDER COUNT SEED  writes COUNT safetensors files, every second one damaged, for `replay` and for
 *                                      whoever else can read them */
#include "fuzz.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { MOST_BYTES = 1 << 16 };

static void run_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    struct stat info;
    FUZZ_HOLDS(file && fstat(fileno(file), &info) == 0);
    /* of its very size: a sanitizer sees a byte behind it */
    uint8_t *bytes = malloc((size_t)info.st_size + !info.st_size);
    FUZZ_HOLDS(bytes && fread(bytes, 1, (size_t)info.st_size, file) == (size_t)info.st_size);
    fclose(file);
    const char *slash = strrchr(path, '/');
    fuzz_say("%s\n", slash ? slash + 1 : path);
    fflush(stdout); /* the last name is that of the file that ended it */
    LLVMFuzzerTestOneInput(bytes, (size_t)info.st_size);
    free(bytes);
}

static int is_visible(const struct dirent *entry)
{
    return *entry->d_name != '.';
}

static int run(const char *path)
{
    struct stat info;
    FUZZ_HOLDS(stat(path, &info) == 0);
    if (!S_ISDIR(info.st_mode)) {
        run_file(path);
        return 1;
    }
    struct dirent **entries;
    int n = scandir(path, &entries, is_visible, alphasort), n_files = 0;
    for (int i = 0; i < n; i++) {
        char file[4096];
        snprintf(file, sizeof file, "%s/%s", path, entries[i]->d_name);
        free(entries[i]);
        n_files += run(file);
    }
    if (n >= 0)
        free(entries);
    return n_files;
}

static void make_files(const char *folder, long count, uint64_t seed)
{
    static uint8_t bytes[MOST_BYTES];
    for (long i = 0; i < count; i++) {
        char path[4096];
        size_t n;
        fuzz_make_safetensors(bytes, &n, sizeof bytes, seed + (uint64_t)i);
        if (i % 2)
            n = fuzz_damage_safetensors(bytes, n, sizeof bytes, seed + (uint64_t)i);
        snprintf(path, sizeof path, "%s/made-%05ld", folder, i);
        FILE *file = fopen(path, "wb");
        FUZZ_HOLDS(file && fwrite(bytes, 1, n, file) == n && fclose(file) == 0);
    }
}

int main(int argc, char **argv)
{
    int n_files = 0;
    if (argc == 5 && strcmp(argv[1], "--make") == 0) {
        make_files(argv[2], atol(argv[3]), strtoull(argv[4], NULL, 10));
        return 0;
    }
    for (int i = 1; i < argc; i++)
        n_files += run(argv[i]);
    if (n_files == 0)
        fputs("replay: no file to run\n", stderr);
    return n_files == 0;
}
