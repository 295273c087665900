/* Writing packs: which names are left out, and the archive. */
#include "results/pack.h"

#include "base/error.h"
#include "base/file.h"
#include "base/random.h"
#include "results/csv.h"
#include "results/results.h"

#include <archive.h>
#include <archive_entry.h>
#include <ctype.h>
#include <jansson.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct packing {
    const char *folder;
    bool with_names;
    const char *host; /* of context.json, else this machine's */
    char this_host[256], user[64];
    json_t *context;
    char *texts[KV_PACK_N_FILES]; /* NULL: not in the folder */
    size_t n_bytes[KV_PACK_N_FILES];
    struct kv_error *error;
};

static kv_status fail_memory(const struct packing *packing)
{
    return kv_fail(packing->error, KV_ERROR_MEMORY, "%s: no memory to pack it: close other programs", packing->folder);
}

/* ---- Names that are left out ---------------------------------------------------------------------------------------- */

/* Whether a word is, or names, a file of this machine; `any`: in a text that holds nothing else with a slash in it. */
static bool is_path(const char *word, size_t n, bool any)
{
    return memchr(word, '/', n) && (any || *word == '/' || *word == '~' || *word == '.');
}

static bool is_word(const char *word, size_t n, const char *name)
{
    return *name && strlen(name) == n && strncmp(word, name, n) == 0;
}

/* Writes the text with the last name of each path, and with "host" and "user" for theirs. */
static void write_clean(const struct packing *packing, FILE *out, const char *text, bool any_slash)
{
    static const char between[] = " \t,;:='\"()[]";
    while (*text) {
        const size_t n = strcspn(text, between);
        size_t skipped = 0;
        if (is_path(text, n, any_slash))
            for (size_t i = 0; i + 1 < n; i++)
                skipped = text[i] == '/' ? i + 1 : skipped;
        if (is_word(text + skipped, n - skipped, packing->host))
            fputs("host", out);
        else if (is_word(text + skipped, n - skipped, packing->user))
            fputs("user", out);
        else
            fwrite(text + skipped, 1, n - skipped, out);
        text += n;
        for (; *text && strchr(between, *text); text++)
            fputc(*text, out);
    }
}

/* "2026-11-27T010931" of "2026-11-27T010931-HOST"; an id of another form is cleaned as any text. */
static void write_run_id(const struct packing *packing, FILE *out, const char *id)
{
    static const char form[] = "dddd-dd-ddTdddddd-";
    size_t n = 0;
    while (form[n] && (form[n] == 'd' ? isdigit((unsigned char)id[n]) : id[n] == form[n]))
        n++;
    if (form[n])
        write_clean(packing, out, id, true);
    else
        fwrite(id, 1, n - 1, out);
}

/* A field as it goes into the pack, in text for free(); NULL: no memory. */
static char *clean_field(const struct packing *packing, const char *column, const char *field)
{
    char *text = NULL;
    size_t n;
    FILE *out = open_memstream(&text, &n);
    if (!out)
        return NULL;
    if (packing->with_names)
        fputs(field, out);
    else if (strcmp(column, "run_id") == 0)
        write_run_id(packing, out, field);
    else if (strcmp(column, "model") == 0 || strcmp(column, "weights_source") == 0)
        write_clean(packing, out, field, true);
    else if (strcmp(column, "error") == 0)
        write_clean(packing, out, field, false);
    else
        fputs(field, out);
    if (fclose(out) != 0) {
        free(text);
        return NULL;
    }
    return text;
}

/* The same of a JSON value, a new reference; NULL: no memory. */
static json_t *clean_json(const struct packing *packing, const json_t *value)
{
    const char *key;
    char *text = NULL;
    json_t *item, *made = NULL;
    size_t i, n;
    if (json_is_object(value)) {
        made = json_object();
        json_object_foreach((json_t *)(uintptr_t)value, key, item)
            json_object_set_new(made, key, strcmp(key, "hostname") == 0 ? json_null() : clean_json(packing, item));
    } else if (json_is_array(value)) {
        made = json_array();
        json_array_foreach(value, i, item) json_array_append_new(made, clean_json(packing, item));
    } else if (json_is_string(value)) {
        FILE *out = open_memstream(&text, &n);
        if (!out)
            return NULL;
        write_clean(packing, out, json_string_value(value), false);
        if (fclose(out) == 0)
            made = json_string(text);
        free(text);
    } else {
        made = json_deep_copy(value);
    }
    return made;
}

/* The words of the command, and its model, are paths where they have a slash at all. */
static void shorten_run(const struct packing *packing, json_t *context)
{
    json_t *run = json_object_get(context, "run"), *command = json_object_get(run, "command"), *word;
    size_t i;
    json_array_foreach(command, i, word)
    {
        char *text = clean_field(packing, "model", json_is_string(word) ? json_string_value(word) : "");
        json_array_set_new(command, i, json_string(text));
        free(text);
    }
    if (json_is_string(json_object_get(run, "model"))) {
        char *text = clean_field(packing, "model", json_string_value(json_object_get(run, "model")));
        json_object_set_new(run, "model", json_string(text));
        free(text);
    }
}

/* ---- The files ------------------------------------------------------------------------------------------------------- */

static void write_field(FILE *out, const char *text)
{
    if (!text[strcspn(text, ",\"\r\n")]) {
        fputs(text, out);
        return;
    }
    fputc('"', out);
    for (; *text; text++) {
        if (*text == '"')
            fputc('"', out);
        fputc(*text, out);
    }
    fputc('"', out);
}

static kv_status pack_table(const struct packing *packing, const char *file, FILE *out)
{
    struct kv_csv_table *table;
    kv_status status = kv_csv_read(&table, file, packing->error);
    if (status)
        return status;
    const size_t n_columns = kv_csv_columns(table);
    for (size_t i = 0; i < n_columns; i++) {
        write_field(out, kv_csv_name(table, i));
        fputc(i + 1 < n_columns ? ',' : '\n', out);
    }
    for (size_t row = 0; !status && row < kv_csv_rows(table); row++)
        for (size_t i = 0; !status && i < n_columns; i++) {
            char *text = clean_field(packing, kv_csv_name(table, i), kv_csv_text(table, row, i));
            if (!text)
                status = fail_memory(packing);
            else
                write_field(out, text);
            fputc(i + 1 < n_columns ? ',' : '\n', out);
            free(text);
        }
    kv_csv_free(table);
    return status;
}

static kv_status pack_json(const struct packing *packing, const char *file, FILE *out)
{
    json_error_t problem;
    json_t *read = json_load_file(file, 0, &problem);
    if (!read)
        return kv_fail(packing->error, KV_ERROR_FORMAT, "%s cannot be read (%.120s): mend or delete it", file,
                       problem.text);
    json_t *made = packing->with_names ? json_incref(read) : clean_json(packing, read);
    if (!packing->with_names)
        shorten_run(packing, made);
    const bool written = made && json_dumpf(made, out, JSON_INDENT(2) | JSON_REAL_PRECISION(12)) == 0;
    fputc('\n', out);
    json_decref(made);
    json_decref(read);
    return written ? KV_OK : fail_memory(packing);
}

static kv_status pack_file(struct packing *packing, int which)
{
    const char *name = kv_pack_file(which);
    char *file;
    if (asprintf(&file, "%s/%s", packing->folder, name) < 0)
        return fail_memory(packing);
    kv_status status = KV_OK;
    if (access(file, F_OK) == 0) {
        FILE *out = open_memstream(&packing->texts[which], &packing->n_bytes[which]);
        if (out)
            status = strstr(name, ".json") ? pack_json(packing, file, out) : pack_table(packing, file, out);
        if ((!out || fclose(out) != 0) && !status)
            status = fail_memory(packing);
    }
    free(file);
    return status;
}

static kv_status pack_files(struct packing *packing)
{
    size_t total = KV_PACK_MANIFEST_BYTES;
    for (int i = 0; kv_pack_file(i); i++) {
        const kv_status status = pack_file(packing, i);
        if (status)
            return status;
        total += packing->n_bytes[i];
    }
    return total <= KV_PACK_MOST_BYTES
               ? KV_OK
               : kv_fail(packing->error, KV_ERROR_ARGUMENT, "%s: %zu MiB are more than a pack may hold, %d MiB",
                         packing->folder, total >> 20, KV_PACK_MOST_BYTES >> 20);
}

/* ---- The archive ------------------------------------------------------------------------------------------------------ */

static la_ssize_t write_bytes(struct archive *archive, void *output, const void *bytes, size_t n)
{
    (void)archive;
    kv_file_write(output, bytes, n);
    return (la_ssize_t)n;
}

/* An entry without an owner or a time: the same run gives the same pack. */
static bool add_entry(struct archive *archive, const char *name, const char *bytes, size_t n)
{
    struct archive_entry *entry = archive_entry_new();
    if (!entry)
        return false;
    archive_entry_set_pathname(entry, name);
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0644);
    archive_entry_set_size(entry, (la_int64_t)n);
    archive_entry_set_mtime(entry, 0, 0);
    const bool good = archive_write_header(archive, entry) == ARCHIVE_OK &&
                      archive_write_data(archive, bytes, n) == (la_ssize_t)n;
    archive_entry_free(entry);
    return good;
}

/* pack.json, for free(); NULL: no memory. */
static char *make_manifest(const struct packing *packing)
{
    json_t *files = json_object();
    for (int i = 0; kv_pack_file(i); i++) {
        char hash[17];
        if (!packing->texts[i])
            continue;
        snprintf(hash, sizeof hash, "%016llx",
                 (unsigned long long)kv_hash_bytes(packing->texts[i], packing->n_bytes[i]));
        json_object_set_new(files, kv_pack_file(i),
                            json_pack("{s:I, s:s}", "bytes", (json_int_t)packing->n_bytes[i], "hash", hash));
    }
    json_t *manifest = json_pack("{s:i, s:o}", "kvbench_pack", 1, "files", files);
    char *text = json_dumps(manifest, JSON_INDENT(2));
    json_decref(manifest);
    return text;
}

static kv_status write_archive(const struct packing *packing, struct kv_file *output)
{
    struct archive *archive = archive_write_new();
    char *manifest = make_manifest(packing);
    bool good = archive && manifest && archive_write_add_filter_gzip(archive) == ARCHIVE_OK &&
                archive_write_set_filter_option(archive, "gzip", "timestamp", NULL) == ARCHIVE_OK &&
                archive_write_set_format_ustar(archive) == ARCHIVE_OK &&
                archive_write_set_bytes_in_last_block(archive, 1) == ARCHIVE_OK &&
                archive_write_open(archive, output, NULL, write_bytes, NULL) == ARCHIVE_OK &&
                add_entry(archive, KV_PACK_MANIFEST, manifest, strlen(manifest));
    for (int i = 0; kv_pack_file(i); i++)
        if (packing->texts[i])
            good = good && add_entry(archive, kv_pack_file(i), packing->texts[i], packing->n_bytes[i]);
    good = good && archive_write_close(archive) == ARCHIVE_OK;
    free(manifest);
    archive_write_free(archive);
    return good ? KV_OK : fail_memory(packing); /* writing fails in kv_file_finish */
}

/* Whose names are left out. Both may be unknown. */
static void find_names(struct packing *packing)
{
    char file[4200];
    const struct passwd *user = getpwuid(getuid());
    snprintf(packing->user, sizeof packing->user, "%s", user ? user->pw_name : "");
    gethostname(packing->this_host, sizeof packing->this_host - 1);
    snprintf(file, sizeof file, "%s/context.json", packing->folder);
    packing->context = json_load_file(file, 0, NULL);
    packing->host = json_string_value(json_object_get(json_object_get(packing->context, "machine"), "hostname"));
    if (!packing->host)
        packing->host = packing->this_host;
}

kv_status kv_pack_write(const char *folder, const char *file, bool with_names, struct kv_error *error)
{
    struct packing packing = {.folder = folder, .with_names = with_names, .error = error};
    struct kv_results *results;
    struct kv_file output;
    kv_status status = kv_results_load(&results, folder, error);
    kv_results_free(results);
    if (status)
        return status;
    find_names(&packing);
    status = pack_files(&packing);
    if (!status && (status = kv_file_open(&output, file, error)) == KV_OK) {
        status = write_archive(&packing, &output);
        if (!status)
            status = kv_file_finish(&output, error);
        if (!status)
            status = kv_file_publish(&output, error);
        kv_file_close(&output);
    }
    for (int i = 0; kv_pack_file(i); i++)
        free(packing.texts[i]);
    json_decref(packing.context);
    return status;
}
