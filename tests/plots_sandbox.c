#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "plots_sandbox.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- Run folders ---------------------------------------------------------------------------------- */

static int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *walk)
{
    (void)info, (void)kind, (void)walk;
    return remove(path);
}

int create_run(void **state)
{
    struct run *run = calloc(1, sizeof *run);
    assert_non_null(run);
    strcpy(run->folder, "/tmp/kvbench-plots-XXXXXX");
    assert_non_null(mkdtemp(run->folder));
    snprintf(run->csv, sizeof run->csv, "%s/runs.csv", run->folder);
    *state = run;
    return 0;
}

int remove_run(void **state)
{
    struct run *run = *state;
    int failed = nftw(run->folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    free(run);
    return failed;
}

void append(const char *file, const char *text)
{
    FILE *stream = fopen(file, "a");
    assert_non_null(stream);
    assert_true(fputs(text, stream) >= 0);
    assert_int_equal(fclose(stream), 0);
}

void append_to_run(const struct run *run, const char *name, const char *text)
{
    char file[PATH_BYTES];
    snprintf(file, sizeof file, "%s/%s", run->folder, name);
    append(file, text);
}

/* ---- Running and reading --------------------------------------------------------------------------- */

char *read_file(const char *file, size_t *n_bytes)
{
    FILE *stream = fopen(file, "rb");
    if (stream == NULL)
        fail_msg("%s is not there", file);
    char *text = calloc(1, 1 << 20);
    assert_non_null(text);
    *n_bytes = fread(text, 1, (1 << 20) - 1, stream);
    fclose(stream);
    return text;
}

static void read_into(char *text, size_t capacity, const char *file)
{
    size_t n_bytes;
    char *content = read_file(file, &n_bytes);
    assert_true(n_bytes < capacity);
    memcpy(text, content, n_bytes + 1);
    free(content);
}

static void redirect(int descriptor, const char *file)
{
    int opened = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (opened < 0 || dup2(opened, descriptor) < 0)
        _exit(126);
}

void render(struct run *run, const char *first, const char *second)
{
    char output[PATH_BYTES], message[PATH_BYTES];
    snprintf(output, sizeof output, "%s/stdout.txt", run->folder);
    snprintf(message, sizeof message, "%s/stderr.txt", run->folder);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        redirect(STDOUT_FILENO, output);
        redirect(STDERR_FILENO, message);
        execl(KV_PLOTS_SCRIPT, KV_PLOTS_SCRIPT, first, second, (char *)NULL);
        _exit(127);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    run->status = WEXITSTATUS(status);
    read_into(run->output, sizeof run->output, output);
    read_into(run->message, sizeof run->message, message);
}

/* ---- What must be true ------------------------------------------------------------------------------ */

void assert_contains(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        fail_msg("\"%s\" is not in: %s", part, text);
}

static void figure_name(const struct run *run, const char *name, const char *format, char *file)
{
    snprintf(file, PATH_BYTES, "%s/figures/%s.%s", run->folder, name, format);
}

void assert_error(const struct run *run, int status, const char *part)
{
    char figures[PATH_BYTES];
    assert_int_equal(run->status, status);
    assert_string_equal(run->output, "");
    assert_int_equal(strncmp(run->message, "plots: ", 7), 0);
    assert_contains(run->message, part);
    assert_ptr_equal(strchr(run->message, '\n'), run->message + strlen(run->message) - 1);
    snprintf(figures, sizeof figures, "%s/figures", run->folder);
    assert_int_not_equal(access(figures, F_OK), 0);
}

static unsigned big_endian(const unsigned char *bytes)
{
    return (unsigned)bytes[0] << 24 | (unsigned)bytes[1] << 16 | (unsigned)bytes[2] << 8 | bytes[3];
}

char *assert_figure(const struct run *run, const char *name)
{
    char line[PATH_BYTES], file[PATH_BYTES];
    assert_string_equal(run->message, "");
    assert_int_equal(run->status, 0);
    snprintf(line, sizeof line, "/figures/%s.png and .svg\n", name);
    assert_contains(run->output, line);

    size_t n_bytes;
    figure_name(run, name, "png", file);
    unsigned char *png = (unsigned char *)read_file(file, &n_bytes);
    assert_true(n_bytes > 20000);
    assert_memory_equal(png, "\x89PNG\r\n\x1a\n", 8);
    assert_int_equal(big_endian(png + 16), 1800);
    assert_true(big_endian(png + 20) >= 800);
    assert_memory_equal(png + n_bytes - 8, "IEND", 4);
    free(png);

    figure_name(run, name, "svg", file);
    char *svg = read_file(file, &n_bytes);
    assert_true(n_bytes > 5000);
    assert_int_equal(strncmp(svg, "<?xml", 5), 0);
    assert_contains(svg, "<svg");
    assert_contains(svg + n_bytes - 10, "</svg>");
    assert_contains(svg, "fill=\"#ffffff\"");
    return svg;
}

void assert_skipped(const struct run *run, const char *name, const char *reason)
{
    char begin[128], file[PATH_BYTES];
    snprintf(begin, sizeof begin, "%s: skipped, ", name);
    assert_contains(run->output, begin);
    const char *line = strstr(run->output, begin), *found = strstr(line, reason);
    if (!found || found > strchr(line, '\n'))
        fail_msg("\"%s\" is not why %s was skipped: %s", reason, name, run->output);
    figure_name(run, name, "png", file);
    assert_int_not_equal(access(file, F_OK), 0);
    figure_name(run, name, "svg", file);
    assert_int_not_equal(access(file, F_OK), 0);
}
