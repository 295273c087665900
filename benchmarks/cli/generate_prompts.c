/* --prompts: a file with a prompt a line. A line is all that stands before its end, "\n" or "\r\n"; the last one may
 * have none. An empty line is refused, since no model continues nothing, and to skip it would give the sequences behind it
 * other numbers, and so other draws, than their lines have. */
#include "cli/generate.h"

#include "base/error.h"
#include "base/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static size_t count_lines(const char *text, size_t n_bytes)
{
    size_t n = n_bytes && text[n_bytes - 1] != '\n';
    for (size_t i = 0; i < n_bytes; i++)
        n += text[i] == '\n';
    return n;
}

/* Bytes of the line at `text`, without its end; *next is behind that. */
static size_t line_length(const char *text, const char *end, const char **next)
{
    const char *line_end = memchr(text, '\n', (size_t)(end - text));
    *next = line_end ? line_end + 1 : end;
    line_end = line_end ? line_end : end;
    return (size_t)(line_end - text) - (line_end > text && line_end[-1] == '\r');
}

/* What no tokenizer is needed to see. */
static kv_status check(const struct generate_prompts *p, struct kv_error *error)
{
    const char *at = p->text, *end = p->text + p->n_bytes, *next;
    if (p->n == 0)
        return kv_fail(error, KV_ERROR_ARGUMENT, "--prompts: %.200s is empty; give a prompt a line", p->name);
    for (int line = 1; at < end; at = next, line++) {
        const size_t n = line_length(at, end, &next);
        if (memchr(at, '\0', n))
            return kv_fail(error, KV_ERROR_ARGUMENT,
                           "--prompts: line %d of %.200s has a zero byte in it; give plain text", line, p->name);
        if (n == 0)
            return kv_fail(error, KV_ERROR_ARGUMENT,
                           "--prompts: line %d of %.200s is empty; give at least one character, or leave it out", line,
                           p->name);
    }
    return KV_OK;
}

kv_status generate_prompts_read(struct generate_prompts *p, const char *file, struct kv_error *error)
{
    const bool is_stdin = strcmp(file, "-") == 0;
    p->name = is_stdin ? "stdin" : file;
    const kv_status status = is_stdin ? kv_stream_read(stdin, p->name, &p->text, &p->n_bytes, error)
                                      : kv_file_read(file, &p->text, &p->n_bytes, error);
    if (status)
        return status;
    const size_t n = count_lines(p->text, p->n_bytes);
    if (n > INT32_MAX)
        return kv_fail(error, KV_ERROR_ARGUMENT, "--prompts: %.200s has more than %d lines", p->name, INT32_MAX);
    p->n = (int)n;
    return check(p, error);
}

/* Puts ids [n_ids], which it frees, behind those that are there. */
static kv_status add(struct generate_prompts *p, int line, int32_t *ids, size_t n_ids, size_t *n_all,
                     struct kv_error *error)
{
    int32_t *more = realloc(p->ids, (*n_all + n_ids) * sizeof *more);
    if (more) {
        memcpy(more + *n_all, ids, n_ids * sizeof *more);
        p->ids = more;
        *n_all += n_ids;
        p->lengths[line] = (int)n_ids;
        p->longest = p->lengths[line] > p->longest ? p->lengths[line] : p->longest;
    }
    free(ids);
    return more ? KV_OK : kv_fail(error, KV_ERROR_MEMORY, "no memory for the prompts of %.200s", p->name);
}

kv_status generate_prompts_encode(struct generate_prompts *p, const struct kv_tokenizer *tokenizer, int most,
                                  struct kv_error *error)
{
    const char *at = p->text, *end = p->text + p->n_bytes, *next;
    size_t n_all = 0;
    p->lengths = calloc((size_t)p->n, sizeof *p->lengths);
    if (!p->lengths)
        return kv_fail(error, KV_ERROR_MEMORY, "no memory for %d prompts", p->n);
    for (int line = 0; line < p->n; line++, at = next) {
        const size_t n_bytes = line_length(at, end, &next);
        int32_t *ids;
        size_t n_ids;
        kv_status status = kv_tokenizer_encode(tokenizer, at, n_bytes, false, &ids, &n_ids, error);
        if (!status && n_ids > (size_t)most) {
            free(ids);
            return kv_fail(error, KV_WINDOW_FULL,
                           "--prompts: line %d of %.200s: %zu tokens, n_positions is %d; give fewer, or choose "
                           "--overflow recompute or shift",
                           line + 1, p->name, n_ids, most);
        }
        if (!status)
            status = add(p, line, ids, n_ids, &n_all, error);
        if (status)
            return status;
    }
    return KV_OK;
}

void generate_prompts_free(struct generate_prompts *p)
{
    free(p->text);
    free(p->ids);
    free(p->lengths);
    *p = (struct generate_prompts){0};
}
