#include "measure/folder.h"

#include "base/error.h"
#include "results/csv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static kv_status make_folders(const char *path, struct kv_error *error)
{
    char part[4096];
    snprintf(part, sizeof part, "%s", path);
    for (char *slash = strchr(part + 1, '/');; slash = strchr(slash + 1, '/')) {
        if (slash)
            *slash = '\0';
        if (mkdir(part, 0777) != 0 && errno != EEXIST)
            return kv_fail(error, KV_ERROR_IO, "folder %s cannot be made: %s", part, strerror(errno));
        if (!slash)
            return KV_OK;
        *slash = '/';
    }
}

static void make_id(char *id, size_t size)
{
    char host[256] = "", date[64];
    const time_t now = time(NULL);
    struct tm local;
    gethostname(host, sizeof host - 1);
    localtime_r(&now, &local);
    strftime(date, sizeof date, "%Y-%m-%dT%H%M%S", &local);
    snprintf(id, size, "%s-%s", date, *host ? host : "unknown");
}

/* results/ID, with a number behind the id when a run of the same second has that name; returns its length. */
static int name_in_results(struct kv_run_folder *folder)
{
    const size_t plain = strlen(folder->id);
    int length = snprintf(folder->path, sizeof folder->path, "%s/%s", folder->results, folder->id);
    for (int i = 2; access(folder->path, F_OK) == 0 && i < 1000; i++) {
        snprintf(folder->id + plain, sizeof folder->id - plain, "-%d", i);
        length = snprintf(folder->path, sizeof folder->path, "%s/%s", folder->results, folder->id);
    }
    return length;
}

kv_status kv_run_folder_make(struct kv_run_folder *folder, const char *out, struct kv_error *error)
{
    const char *results = getenv("KVBENCH_RESULTS");
    char runs[sizeof folder->path + 16];
    int length;
    make_id(folder->id, sizeof folder->id);
    snprintf(folder->results, sizeof folder->results, "%s", results && *results ? results : "results");
    folder->in_results = !out;
    if (out)
        length = snprintf(folder->path, sizeof folder->path, "%s", out);
    else
        length = name_in_results(folder);
    if (length < 1 || length >= (int)sizeof folder->path)
        return kv_fail(error, KV_ERROR_ARGUMENT, "--out: '%.60s' is not a folder's name", out ? out : folder->results);
    const kv_status status = make_folders(folder->path, error);
    if (status)
        return status;
    snprintf(runs, sizeof runs, "%s/runs.csv", folder->path);
    if (access(runs, F_OK) == 0)
        return kv_fail(error, KV_ERROR_ARGUMENT, "%s holds a run already: choose another folder with --out",
                       folder->path);
    return KV_OK;
}

/* The run_id in the first row of a file, when it has one. */
static bool read_id(const char *folder, const char *name, char *id, size_t size)
{
    char file[4200];
    struct kv_csv_table *table;
    size_t column;
    snprintf(file, sizeof file, "%s/%s", folder, name);
    if (kv_csv_read(&table, file, NULL) != KV_OK)
        return false;
    const bool found = kv_csv_rows(table) > 0 && kv_csv_column(table, "run_id", &column, NULL) == KV_OK;
    if (found)
        snprintf(id, size, "%s", kv_csv_text(table, 0, column));
    kv_csv_free(table);
    return found;
}

kv_status kv_run_folder_open(struct kv_run_folder *folder, const char *path, struct kv_error *error)
{
    *folder = (struct kv_run_folder){.in_results = false};
    if (snprintf(folder->path, sizeof folder->path, "%s", path) >= (int)sizeof folder->path)
        return kv_fail(error, KV_ERROR_ARGUMENT, "--resume: '%.60s...' is too long a name", path);
    /* A run that was killed before it measured anything has no row yet, and takes a new id. */
    if (!read_id(path, "limits.csv", folder->id, sizeof folder->id) &&
        !read_id(path, "runs.csv", folder->id, sizeof folder->id))
        make_id(folder->id, sizeof folder->id);
    return KV_OK;
}

kv_status kv_run_folder_link(const struct kv_run_folder *folder, struct kv_error *error)
{
    char latest[sizeof folder->results + 16], temporary[sizeof latest + 32];
    if (!folder->in_results)
        return KV_OK;
    snprintf(latest, sizeof latest, "%s/latest", folder->results);
    snprintf(temporary, sizeof temporary, "%s.%ld", latest, (long)getpid());
    if (symlink(folder->id, temporary) == 0 && rename(temporary, latest) == 0)
        return KV_OK;
    const int saved = errno;
    unlink(temporary);
    return kv_fail(error, KV_ERROR_IO, "%s cannot be made: %s", latest, strerror(saved));
}
