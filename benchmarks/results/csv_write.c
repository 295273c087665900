/* Appending rows to a CSV file, each in one write. */
#include "base/error.h"
#include "results/csv.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

struct kv_csv_writer {
    char *file;
    int descriptor;
    off_t size; /* of the whole rows in the file */
    int n_columns;
    int n_fields; /* of the row that is being made */
    char *row;    /* [capacity] */
    size_t length;
    size_t capacity;
    bool out_of_memory; /* since the row began */
};

/* ---- The row in memory -------------------------------------------------------------------------- */

static void append_bytes(struct kv_csv_writer *writer, const char *bytes, size_t n)
{
    if (writer->capacity - writer->length < n) {
        const size_t capacity = 2 * writer->capacity + n;
        char *row = realloc(writer->row, capacity);
        if (!row) {
            writer->out_of_memory = true;
            return;
        }
        writer->row = row;
        writer->capacity = capacity;
    }
    if (n > 0)
        memcpy(writer->row + writer->length, bytes, n);
    writer->length += n;
}

static void begin_field(struct kv_csv_writer *writer)
{
    if (writer->n_fields++ > 0)
        append_bytes(writer, ",", 1);
}

static void reset_row(struct kv_csv_writer *writer)
{
    writer->n_fields = 0;
    writer->length = 0;
    writer->out_of_memory = false;
}

void kv_csv_add_unknown(struct kv_csv_writer *writer)
{
    begin_field(writer);
}

void kv_csv_add_integer(struct kv_csv_writer *writer, int64_t value)
{
    char digits[32];
    begin_field(writer);
    append_bytes(writer, digits, (size_t)snprintf(digits, sizeof digits, "%" PRId64, value));
}

void kv_csv_add_double(struct kv_csv_writer *writer, double value)
{
    char digits[32];
    begin_field(writer);
    if (isfinite(value))
        append_bytes(writer, digits, (size_t)snprintf(digits, sizeof digits, "%.9g", value));
}

void kv_csv_add_text(struct kv_csv_writer *writer, const char *text)
{
    begin_field(writer);
    if (!text)
        return;
    const bool quoted = strpbrk(text, ",\"") != NULL;
    if (quoted)
        append_bytes(writer, "\"", 1);
    for (const char *c = text; *c; c++) {
        if (*c == '"')
            append_bytes(writer, "\"\"", 2);
        else
            append_bytes(writer, *c == '\n' || *c == '\r' ? " " : c, 1);
    }
    if (quoted)
        append_bytes(writer, "\"", 1);
}

static void finish_line(struct kv_csv_writer *writer)
{
    /* A row of one empty field would be a blank line, which many readers skip. */
    if (writer->n_columns == 1 && writer->length == 0)
        append_bytes(writer, "\"\"", 2);
    append_bytes(writer, "\n", 1);
}

/* ---- The file ----------------------------------------------------------------------------------- */

static kv_status fail_io(const struct kv_csv_writer *writer, const char *action, struct kv_error *error)
{
    return kv_fail(error, KV_ERROR_IO, "cannot %s %s: %s", action, writer->file, strerror(errno));
}

static kv_status fail_memory(const struct kv_csv_writer *writer, struct kv_error *error)
{
    return kv_fail(error, KV_ERROR_MEMORY, "no memory for a row of %s: close other programs", writer->file);
}

static kv_status write_row(struct kv_csv_writer *writer, struct kv_error *error)
{
    ssize_t written;
    do
        written = write(writer->descriptor, writer->row, writer->length);
    while (written < 0 && errno == EINTR);
    if (written >= 0 && (size_t)written == writer->length) {
        writer->size += written;
        return KV_OK;
    }
    if (written < 0)
        return fail_io(writer, "write a row to", error);
    /* The part of a row that still fitted on a full disk must not stay. */
    if (ftruncate(writer->descriptor, writer->size) != 0) {
        const kv_status status = fail_io(writer, "take half a row back from", error);
        /* Nothing may follow half a row: later rows fail as well. */
        close(writer->descriptor);
        writer->descriptor = -1;
        return status;
    }
    return kv_fail(error, KV_ERROR_IO, "cannot write a whole row to %s: free some space on its disk", writer->file);
}

kv_status kv_csv_end_row(struct kv_csv_writer *writer, struct kv_error *error)
{
    finish_line(writer);
    kv_status status;
    if (writer->out_of_memory)
        status = fail_memory(writer, error);
    else if (writer->n_fields != writer->n_columns)
        status = kv_fail(error, KV_ERROR_ARGUMENT,
                         "a row of %s was given %d fields: give one for each of its %d columns", writer->file,
                         writer->n_fields, writer->n_columns);
    else
        status = write_row(writer, error);
    reset_row(writer);
    return status;
}

/* Compares the file's first bytes with the header row in `writer->row`. A file that was cut off inside its header
 * counts as equal; `*whole` tells the two apart. */
static kv_status check_header(const struct kv_csv_writer *writer, bool *whole, struct kv_error *error)
{
    char *found = malloc(writer->length);
    if (!found)
        return fail_memory(writer, error);
    const ssize_t n = pread(writer->descriptor, found, writer->length, 0);
    kv_status status = KV_OK;
    if (n < 0)
        status = fail_io(writer, "read", error);
    else if (memcmp(found, writer->row, (size_t)n) != 0)
        status = kv_fail(error, KV_ERROR_FORMAT,
                         "%s has another header row than this program writes: name another file", writer->file);
    *whole = n >= 0 && (size_t)n == writer->length;
    free(found);
    return status;
}

/* Bytes up to and with the last newline. */
static kv_status measure_whole_lines(struct kv_csv_writer *writer, off_t file_size, struct kv_error *error)
{
    char block[4096];
    off_t end = file_size;
    while (end > 0) {
        const off_t start = end > (off_t)sizeof block ? end - (off_t)sizeof block : 0;
        const ssize_t n = pread(writer->descriptor, block, (size_t)(end - start), start);
        if (n != end - start)
            return fail_io(writer, "read", error);
        const char *newline = memrchr(block, '\n', (size_t)n);
        if (newline) {
            writer->size = start + (newline - block) + 1;
            return KV_OK;
        }
        end = start;
    }
    writer->size = 0;
    return KV_OK;
}

static kv_status open_file(struct kv_csv_writer *writer, struct kv_error *error)
{
    struct stat information;
    writer->descriptor = open(writer->file, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    if (writer->descriptor < 0)
        return fail_io(writer, "open", error);
    if (fstat(writer->descriptor, &information) != 0)
        return fail_io(writer, "open", error);
    if (!S_ISREG(information.st_mode))
        return kv_fail(error, KV_ERROR_IO, "%s is not a regular file: name another one", writer->file);
    /* A file system without locks is no reason to refuse. */
    if (flock(writer->descriptor, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
        return kv_fail(error, KV_ERROR_IO, "another process is writing %s: wait for it, or name another file",
                       writer->file);
    return KV_OK;
}

/* Leaves the file with its header and whole rows only. */
static kv_status prepare_file(struct kv_csv_writer *writer, const char *const *columns, struct kv_error *error)
{
    struct stat information;
    bool has_header = false;
    kv_status status = KV_OK;
    for (int i = 0; i < writer->n_columns; i++)
        kv_csv_add_text(writer, columns[i]);
    finish_line(writer);
    if (writer->out_of_memory)
        return fail_memory(writer, error);
    if ((status = check_header(writer, &has_header, error)) != KV_OK)
        return status;
    /* The size is taken under the lock: another writer may just have finished. */
    if (fstat(writer->descriptor, &information) != 0)
        return fail_io(writer, "read", error);
    if ((status = measure_whole_lines(writer, information.st_size, error)) != KV_OK)
        return status;
    if (writer->size < information.st_size && ftruncate(writer->descriptor, writer->size) != 0)
        return fail_io(writer, "cut the torn last line off", error);
    if (!has_header)
        status = write_row(writer, error);
    reset_row(writer);
    return status;
}

kv_status kv_csv_append(struct kv_csv_writer **writer, const char *file, const char *const *columns, int n_columns,
                        struct kv_error *error)
{
    *writer = NULL;
    if (n_columns < 1)
        return kv_fail(error, KV_ERROR_ARGUMENT, "%s needs columns: name at least one", file);
    struct kv_csv_writer *created = calloc(1, sizeof *created);
    char *name = strdup(file);
    if (!created || !name) {
        free(created);
        free(name);
        return kv_fail(error, KV_ERROR_MEMORY, "no memory to write %s: close other programs", file);
    }
    *created = (struct kv_csv_writer){.file = name, .descriptor = -1, .n_columns = n_columns};

    kv_status status = open_file(created, error);
    if (status == KV_OK)
        status = prepare_file(created, columns, error);
    if (status != KV_OK) {
        kv_csv_close(created);
        return status;
    }
    *writer = created;
    return KV_OK;
}

void kv_csv_close(struct kv_csv_writer *writer)
{
    if (!writer)
        return;
    if (writer->descriptor >= 0)
        close(writer->descriptor);
    free(writer->row);
    free(writer->file);
    free(writer);
}
