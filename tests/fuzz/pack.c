/* A pack of a run. An input that begins with "=== " is its entries, of which a tar is made with sums that are right, and
 * pack.json too where the input has none; any other is the file itself. What opens has the bytes that went in, and no
 * other files. */
#include "fuzz.h"

#include "base/random.h"
#include "results/pack.h"

#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct entry {
    char name[64];
    const char *bytes;
    size_t n;
};
enum { MOST_ENTRIES = 16 };

static int split(const char *data, size_t size, struct entry entries[MOST_ENTRIES])
{
    int n = 0;
    const char *const end = data + size;
    for (const char *at = data, *next; at && n < MOST_ENTRIES; at = next) {
        const char *line = memchr(at, '\n', (size_t)(end - at));
        next = line ? memmem(line, (size_t)(end - line), "\n=== ", 5) : NULL;
        const char *stop = next ? ++next : end;
        if (!line)
            break;
        struct entry *entry = &entries[n++];
        snprintf(entry->name, sizeof entry->name, "%.*s", (int)(line - at - 4), at + 4);
        entry->bytes = line + 1;
        entry->n = stop > line ? (size_t)(stop - line - 1) : 0;
    }
    return n;
}

static char *make_manifest(const struct entry *entries, int n)
{
    json_t *files = json_object();
    char hash[17];
    for (int i = 0; i < n; i++) {
        snprintf(hash, sizeof hash, "%016" PRIx64, kv_hash_bytes(entries[i].bytes, entries[i].n));
        json_object_set_new(files, entries[i].name,
                            json_pack("{s:I, s:s}", "bytes", (json_int_t)entries[i].n, "hash", hash));
    }
    json_t *manifest = json_pack("{s:i, s:o}", "kvbench_pack", 1, "files", files);
    char *text = json_dumps(manifest, JSON_COMPACT);
    json_decref(manifest);
    FUZZ_HOLDS(text != NULL);
    return text;
}

/* Its name's first letters say what it is: "l:" a link, "d:" a folder, else a file. */
static void put_entry(struct archive *archive, const struct entry *e)
{
    struct archive_entry *entry = archive_entry_new();
    const bool is_link = strncmp(e->name, "l:", 2) == 0, is_folder = strncmp(e->name, "d:", 2) == 0;
    archive_entry_set_pathname(entry, e->name + (is_link || is_folder ? 2 : 0));
    archive_entry_set_filetype(entry, is_link ? AE_IFLNK : (is_folder ? AE_IFDIR : AE_IFREG));
    if (is_link)
        archive_entry_set_symlink(entry, "/etc/passwd");
    archive_entry_set_perm(entry, 0644);
    archive_entry_set_size(entry, is_link || is_folder ? 0 : (la_int64_t)e->n);
    if (archive_write_header(archive, entry) == ARCHIVE_OK && !is_link && !is_folder)
        archive_write_data(archive, e->bytes, e->n);
    archive_entry_free(entry);
}

/* The tar of the entries, in memory that is to be freed. */
static char *make_tar(const struct entry *entries, int n, size_t *used)
{
    size_t room = 65536;
    for (int i = 0; i < n; i++)
        room += entries[i].n + 4096;
    char *tar = malloc(room);
    struct archive *archive = archive_write_new();
    FUZZ_HOLDS(tar && archive && archive_write_set_format_pax_restricted(archive) == ARCHIVE_OK &&
               archive_write_open_memory(archive, tar, room, used) == ARCHIVE_OK);
    char *manifest = NULL;
    if (strcmp(entries[0].name, KV_PACK_MANIFEST) != 0) {
        manifest = make_manifest(entries, n);
        const struct entry first = {KV_PACK_MANIFEST, manifest, strlen(manifest)};
        put_entry(archive, &first);
    }
    for (int i = 0; i < n; i++)
        put_entry(archive, &entries[i]);
    free(manifest);
    archive_write_close(archive);
    archive_write_free(archive);
    return tar;
}

static void check_folder(const char *folder, const struct entry *entries, int n)
{
    int n_found = 0;
    DIR *files = opendir(folder);
    FUZZ_HOLDS(files != NULL);
    for (const struct dirent *file; (file = readdir(files));) {
        const struct entry *entry = NULL;
        for (int i = 0; i < n; i++)
            if (strcmp(entries[i].name, file->d_name) == 0)
                entry = &entries[i];
        if (*file->d_name == '.')
            continue;
        FUZZ_HOLDS(entry != NULL);
        n_found++;
        char path[1024];
        snprintf(path, sizeof path, "%s/%s", folder, file->d_name);
        FILE *stream = fopen(path, "rb");
        for (size_t i = 0; i < entry->n; i++)
            FUZZ_HOLDS(stream && fgetc(stream) == (unsigned char)entry->bytes[i]);
        FUZZ_HOLDS(stream && fgetc(stream) == EOF);
        fclose(stream);
    }
    closedir(files);
    fuzz_say("opened: %d files\n", n_found);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct entry entries[MOST_ENTRIES];
    const bool is_list = size > 4 && memcmp(data, "=== ", 4) == 0;
    const int n = is_list ? split((const char *)data, size, entries) : 0;
    char *folder, *tar = NULL;
    size_t n_tar = 0;
    struct kv_error error = {""};
    setenv("TMPDIR", fuzz_folder(), 1);
    if (n > 0)
        tar = make_tar(entries, n, &n_tar);
    const kv_status status = kv_pack_open(&folder, tar ? fuzz_file(tar, n_tar) : fuzz_file(data, size), &error);
    FUZZ_HOLDS((status == KV_OK) == (folder != NULL));
    if (status)
        fuzz_refused(status, &error);
    else if (n > 0)
        check_folder(folder, entries, n);
    kv_pack_close(folder);
    free(tar);
    return 0;
}
