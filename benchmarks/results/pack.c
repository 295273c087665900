/* Reading packs. All of one is read and checked in memory; then its folder is made. */
#include "results/pack.h"

#include "base/error.h"
#include "base/file.h"
#include "base/random.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct member {
    char *bytes; /* NULL: not in the pack */
    size_t n_bytes;
};

struct reading {
    const char *pack;
    struct archive *archive;
    json_t *manifest;
    struct member members[KV_PACK_N_FILES];
    size_t total;
    struct kv_error *error;
};

const char *kv_pack_file(int index)
{
    static const char *const others[] = {"summary.csv", "context.json", "datapackage.json"};
    if (index < KV_N_FILES)
        return kv_file_info((enum kv_file_kind)index)->name;
    return index < KV_PACK_N_FILES ? others[index - KV_N_FILES] : NULL;
}

bool kv_pack_is(const char *place)
{
    static const char ending[] = ".kvbench";
    struct stat info;
    const size_t length = strlen(place), n = strlen(ending);
    return length > n && strcmp(place + length - n, ending) == 0 && stat(place, &info) == 0 && !S_ISDIR(info.st_mode);
}

char *kv_pack_beside(const char *pack, const char *ending)
{
    char *name;
    return asprintf(&name, "%.*s%s", (int)(strlen(pack) - strlen(".kvbench")), pack, ending) < 0 ? NULL : name;
}

/* ---- Checking ------------------------------------------------------------------------------------------------------ */

static kv_status fail_memory(const struct reading *reading)
{
    return kv_fail(reading->error, KV_ERROR_MEMORY, "%s: no memory to unpack it: close other programs", reading->pack);
}

static kv_status fail_archive(const struct reading *reading)
{
    const char *reason = archive_error_string(reading->archive);
    return kv_fail(reading->error, KV_ERROR_FORMAT,
                   "%s is damaged, or no pack of kvbench (%.120s): get it again, or make it with kvbench pack",
                   reading->pack, reason ? reason : "it ends too early");
}

/* `name` is another's, and is shown without control characters. */
static kv_status fail_entry(const struct reading *reading, const char *name, const char *problem)
{
    char shown[64];
    snprintf(shown, sizeof shown, "%s", name ? name : "");
    for (char *c = shown; *c; c++)
        *c = (unsigned char)*c < ' ' || (unsigned char)*c >= 127 ? '?' : *c; /* what is cut may be half a character */
    return kv_fail(reading->error, KV_ERROR_FORMAT, "%s holds \"%s\", %s: it is refused", reading->pack, shown,
                   problem);
}

/* All bytes of the entry that was just met, *bytes [n] for free(). */
static kv_status read_entry(const struct reading *reading, size_t n, char **bytes)
{
    size_t at = 0;
    la_ssize_t got = 1;
    *bytes = malloc(n + 1);
    if (!*bytes)
        return fail_memory(reading);
    while (at < n && (got = archive_read_data(reading->archive, *bytes + at, n - at)) > 0)
        at += (size_t)got;
    (*bytes)[at] = '\0';
    return at == n ? KV_OK : fail_archive(reading);
}

static kv_status next_entry(const struct reading *reading, struct archive_entry **entry)
{
    const int got = archive_read_next_header(reading->archive, entry);
    if (got == ARCHIVE_EOF)
        *entry = NULL;
    return got == ARCHIVE_EOF || got == ARCHIVE_OK ? KV_OK : fail_archive(reading);
}

/* Its size, once it is known to be a plain file whose bytes fit. */
static kv_status check_entry(struct reading *reading, struct archive_entry *entry, size_t *n)
{
    const char *name = archive_entry_pathname(entry);
    const la_int64_t size = archive_entry_size(entry);
    if (archive_entry_filetype(entry) != AE_IFREG || archive_entry_hardlink(entry) || archive_entry_symlink(entry))
        return fail_entry(reading, name, "which is a link or no file");
    if (size < 0 || size > KV_PACK_MOST_BYTES - (la_int64_t)reading->total)
        return fail_entry(reading, name, "which is larger than any run");
    *n = (size_t)size;
    reading->total += *n;
    return KV_OK;
}

static kv_status read_manifest(struct reading *reading)
{
    struct archive_entry *entry;
    size_t n = 0;
    char *text = NULL;
    kv_status status = next_entry(reading, &entry);
    if (!status && archive_filter_count(reading->archive) > 2) /* gzip, and what it is read from */
        return kv_fail(reading->error, KV_ERROR_FORMAT, "%s is compressed more than once: it is refused",
                       reading->pack);
    const char *name = status || !entry ? NULL : archive_entry_pathname(entry);
    if (!status && (!name || strcmp(name, KV_PACK_MANIFEST) != 0))
        status = kv_fail(reading->error, KV_ERROR_FORMAT,
                         "%s is no pack of kvbench, it does not begin with " KV_PACK_MANIFEST
                         ": make it with kvbench pack",
                         reading->pack);
    if (!status)
        status = check_entry(reading, entry, &n);
    if (!status && n > KV_PACK_MANIFEST_BYTES)
        status = fail_entry(reading, name, "which is too long");
    if (!status)
        status = read_entry(reading, n, &text);
    if (!status)
        reading->manifest = json_loadb(text, n, JSON_REJECT_DUPLICATES, NULL);
    free(text);
    if (!status && json_integer_value(json_object_get(reading->manifest, "kvbench_pack")) != 1)
        status = fail_entry(reading, name, "which is not of version 1, the one known here");
    return status;
}

static kv_status read_member(struct reading *reading, struct archive_entry *entry)
{
    const char *name = archive_entry_pathname(entry);
    char hash[17];
    size_t n;
    int which = 0;
    while (kv_pack_file(which) && strcmp(kv_pack_file(which), name ? name : "") != 0)
        which++;
    if (!kv_pack_file(which))
        return fail_entry(reading, name, "which is no file of a run");
    const json_t *known = json_object_get(json_object_get(reading->manifest, "files"), kv_pack_file(which));
    const char *expected = json_string_value(json_object_get(known, "hash"));
    struct member *member = &reading->members[which];
    if (member->bytes)
        return fail_entry(reading, name, "twice");
    kv_status status = check_entry(reading, entry, &n);
    if (!status && (!expected || json_integer_value(json_object_get(known, "bytes")) != (json_int_t)n))
        return fail_entry(reading, name, "of which " KV_PACK_MANIFEST " says otherwise");
    if (!status)
        status = read_entry(reading, n, &member->bytes);
    member->n_bytes = n;
    if (!status) {
        snprintf(hash, sizeof hash, "%016llx", (unsigned long long)kv_hash_bytes(member->bytes, n));
        if (strcmp(hash, expected) != 0)
            status = fail_entry(reading, name, "which is damaged");
    }
    return status;
}

static kv_status read_members(struct reading *reading)
{
    struct archive_entry *entry;
    size_t n = 0;
    kv_status status;
    while ((status = next_entry(reading, &entry)) == KV_OK && entry) {
        status = read_member(reading, entry);
        if (status)
            return status;
        n++;
    }
    if (!status && n != json_object_size(json_object_get(reading->manifest, "files")))
        status = kv_fail(reading->error, KV_ERROR_FORMAT,
                         "%s lacks files that its " KV_PACK_MANIFEST " names: get it again", reading->pack);
    return status;
}

static kv_status read_pack(struct reading *reading)
{
    kv_status status = KV_OK;
    reading->archive = archive_read_new();
    if (!reading->archive)
        return fail_memory(reading);
    if (archive_read_support_filter_gzip(reading->archive) != ARCHIVE_OK ||
        archive_read_support_format_tar(reading->archive) != ARCHIVE_OK ||
        archive_read_open_filename(reading->archive, reading->pack, 65536) != ARCHIVE_OK)
        status = fail_archive(reading);
    if (!status)
        status = read_manifest(reading);
    if (!status)
        status = read_members(reading);
    archive_read_free(reading->archive);
    json_decref(reading->manifest);
    return status;
}

/* ---- The folders of open packs ------------------------------------------------------------------------------------- */

enum { MOST_OPEN = 4096, NAME_SIZE = 512 }; /* a history has all of its packs open */
/* What a signal handler can reach: nothing is handed to it. "": free. */
static char open_folders[MOST_OPEN][NAME_SIZE];

/* unlink and rmdir alone, which a signal handler may call. */
static void remove_folder(const char *folder)
{
    char name[NAME_SIZE + 32];
    const size_t length = strlen(folder);
    memcpy(name, folder, length);
    name[length] = '/';
    for (int i = 0; kv_pack_file(i); i++) {
        strcpy(name + length + 1, kv_pack_file(i));
        unlink(name);
    }
    rmdir(folder);
}

void kv_pack_remove_all(void)
{
    for (int i = 0; i < MOST_OPEN; i++)
        if (*open_folders[i])
            remove_folder(open_folders[i]);
}

/* Makes the folder and notes it; NULL with errno. */
static char *make_folder(void)
{
    const char *place = getenv("TMPDIR");
    char name[NAME_SIZE];
    int slot = 0;
    while (slot < MOST_OPEN && *open_folders[slot])
        slot++;
    errno = EMFILE;
    if (slot == MOST_OPEN ||
        snprintf(name, sizeof name, "%s/kvbench-XXXXXX", place && *place ? place : "/tmp") >= (int)sizeof name)
        return NULL;
    /* between its making and its noting no signal may end the program */
    sigset_t all, before;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    const bool made = mkdtemp(name) != NULL;
    const int reason = errno;
    if (made)
        strcpy(open_folders[slot], name);
    sigprocmask(SIG_SETMASK, &before, NULL);
    errno = reason;
    return made ? open_folders[slot] : NULL;
}

static kv_status write_member(const char *folder, const char *name, const struct member *member, struct kv_error *error)
{
    char file[NAME_SIZE + 32];
    snprintf(file, sizeof file, "%s/%s", folder, name);
    const int fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    FILE *stream = fd < 0 ? NULL : fdopen(fd, "w");
    const bool written = stream && fwrite(member->bytes, 1, member->n_bytes, stream) == member->n_bytes;
    const int reason = errno;
    const bool closed = !stream || fclose(stream) == 0;
    return written && closed ? KV_OK
                             : kv_fail(error, KV_ERROR_IO, "%s: cannot be written: %s; set TMPDIR to another folder",
                                       file, strerror(written ? errno : reason));
}

kv_status kv_pack_open(char **folder, const char *pack, struct kv_error *error)
{
    struct reading reading = {.pack = pack, .error = error};
    struct stat info;
    kv_status status = KV_OK;
    *folder = NULL;
    if (stat(pack, &info) != 0 || access(pack, R_OK) != 0)
        status = kv_fail(error, KV_ERROR_IO, "%s: %s", pack, strerror(errno));
    else if (!S_ISREG(info.st_mode)) /* opening a pipe would wait for who writes it */
        status = kv_fail(error, KV_ERROR_FORMAT, "%s is no plain file: name a pack", pack);
    else
        status = read_pack(&reading);
    if (!status && !(*folder = make_folder()))
        status = kv_fail(error, KV_ERROR_IO, "%s: no folder to unpack it into: %s; set TMPDIR to another one", pack,
                         strerror(errno));
    for (int i = 0; i < KV_PACK_N_FILES; i++) {
        if (!status && reading.members[i].bytes)
            status = write_member(*folder, kv_pack_file(i), &reading.members[i], error);
        free(reading.members[i].bytes);
    }
    if (status) {
        kv_pack_close(*folder);
        *folder = NULL;
    }
    return status;
}

void kv_pack_close(char *folder)
{
    if (!folder)
        return;
    remove_folder(folder);
    *folder = '\0';
}

void kv_pack_name(struct kv_error *error, const char *folder, const char *pack)
{
    if (!error || !folder)
        return;
    char message[sizeof error->message];
    const char *at = strstr(error->message, folder);
    if (!at)
        return;
    const char *rest = at + strlen(folder);
    const bool is_file = *rest == '/';
    snprintf(message, sizeof message, "%.*s%.300s%s%s", (int)(at - error->message), error->message, pack,
             is_file ? ": " : "", rest + is_file);
    memcpy(error->message, message, sizeof message);
}
