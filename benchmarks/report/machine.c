/* The machine, the program and the run, from context.json, and the limits that were measured. */
#include "report/parts.h"

#include "report/html.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

/* ---- A value ---------------------------------------------------------------------------------------------- */

/* Text that grows up to its size. */
struct text {
    char bytes[4096];
    size_t n;
};

__attribute__((format(printf, 2, 3))) static void add(struct text *text, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    const int n = vsnprintf(text->bytes + text->n, sizeof text->bytes - text->n, format, arguments);
    va_end(arguments);
    if (n > 0)
        text->n += (size_t)n < sizeof text->bytes - text->n ? (size_t)n : sizeof text->bytes - text->n - 1;
}

static void add_bytes(struct text *text, double bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    int unit = 0;
    for (; bytes >= 1024 && unit < 4; unit++)
        bytes /= 1024;
    add(text, bytes == floor(bytes) ? "%.0f %s" : "%.1f %s", bytes, units[unit]);
}

/* Items as they are, or arguments as a shell takes them. */
static bool add_list(struct text *text, const json_t *list, bool is_command)
{
    const json_t *item;
    size_t i;
    json_array_foreach(list, i, item)
    {
        const char *const word = json_string_value(item);
        add(text, "%s", i && !is_command ? ", " : "");
        if (json_is_number(item))
            add(text, "%.2f", json_number_value(item));
        else if (word)
            add(text, is_command ? (!*word || strchr(word, ' ') ? " '%s'" : " %s") : "%s", word);
    }
    return json_array_size(list) > 0;
}

static void add_number(struct text *text, const json_t *value, const char *kind)
{
    const double number = json_number_value(value);
    if (strcmp(kind, "bytes") == 0)
        add_bytes(text, number);
    else if (strcmp(kind, "times") != 0)
        add(text, json_is_real(value) ? "%.2f" : "%.0f", number);
    else if (number > 1)
        add(text, "%.0f × ", number);
}

/* `slot` is what stands in the braces; false: unknown. *is_one: it is the number 1. */
static bool add_value(struct text *text, const struct kv_report *report, const char *slot, bool *is_one)
{
    char names[80] = "", kind[40] = "", no[40] = "";
    sscanf(slot, "%79[^:}]:%39[^:}]:%39[^:}]", names, kind, no);
    const json_t *const value = kv_report_context(report, names);
    *is_one = json_is_number(value) && json_number_value(value) == 1;
    switch (value ? json_typeof(value) : JSON_NULL) {
    case JSON_ARRAY:
        return add_list(text, value, strcmp(kind, "command") == 0);
    case JSON_STRING:
        add(text, "%s", json_string_value(value));
        return true;
    case JSON_INTEGER:
    case JSON_REAL:
        add_number(text, value, kind);
        return true;
    case JSON_TRUE:
    case JSON_FALSE:
        add(text, "%s", json_is_true(value) ? kind : no);
        return true;
    default: /* a piece that stays empty is left out as well */
        return *kind && strcmp(kind, "bytes") != 0 && strcmp(kind, "command") != 0;
    }
}

/* ---- Facts ------------------------------------------------------------------------------------------------ */

/* One piece, up to | or the end; false: a value is unknown. */
static bool add_piece(struct text *text, const struct kv_report *report, const char *piece)
{
    bool is_one = false;
    while (*piece && *piece != '|') {
        if (*piece == '{') {
            if (!add_value(text, report, piece + 1, &is_one))
                return false;
            piece += strcspn(piece, "}") + 1;
        } else if (strncmp(piece, "(s)", 3) == 0) {
            add(text, "%s", is_one ? "" : "s");
            piece += 3;
        } else {
            add(text, "%c", *piece++);
        }
    }
    return true;
}

static void print_fact(const struct kv_report *report, const struct kv_fact_text *fact, FILE *page)
{
    struct text text = {.n = 0};
    for (const char *piece = fact->pieces, *end; piece; piece = *end ? end + 1 : NULL) {
        const size_t before = text.n;
        add(&text, "%s", before ? ", " : "");
        const size_t start = text.n;
        if (!add_piece(&text, report, piece) || text.n == start)
            text.n = before;
        text.bytes[text.n] = '\0';
        end = piece + strcspn(piece, "|");
    }
    if (text.n)
        kv_html_part(page, strstr(fact->pieces, ":command") ? "code fact" : "fact", "title", fact->title, "text",
                     text.bytes, NULL);
}

/* The machine stands beside all that follows it. */
kv_status kv_report_machine(void *context, FILE *page, struct kv_error *error)
{
    static const char *const before[] = {"<div class=\"columns\"><div>\n", "</dl></div>\n<div>\n", "</dl>\n"};
    const struct kv_report *const report = context;
    int n_headings = 0;
    (void)error;
    if (!report->context) {
        kv_html_part(page, "no context", NULL);
        return KV_OK;
    }
    for (const struct kv_fact_text *fact = kv_fact_texts; fact->title; fact++) {
        if (fact->pieces) {
            print_fact(report, fact, page);
            continue;
        }
        fputs(before[n_headings < 2 ? n_headings++ : 2], page);
        kv_html_part(page, "facts", "title", fact->title, NULL);
    }
    fputs("</dl></div></div>\n", page);
    return KV_OK;
}

/* ---- Limits ----------------------------------------------------------------------------------------------- */

kv_status kv_report_limits(void *context, FILE *page, struct kv_error *error)
{
    static const struct kv_table_column columns[] = {
        {.name = "moment", .heading = "at the", .is_text = true},
        {.name = "threads"},
        {.name = "isa", .is_text = true},
        {.name = "read_bytes_per_s", .heading = "read GB/s, best"},
        {.name = "read_bytes_per_s_median", .heading = "median"},
        {.name = "fma_flop_per_s", .heading = "GFLOPS, best"},
        {.name = "fma_flop_per_s_median", .heading = "median"},
    };
    const struct kv_results *const results = ((const struct kv_report *)context)->results;
    struct kv_table *table;
    if (!results->n_limits) {
        kv_html_part(page, "no limits", NULL);
        return KV_OK;
    }
    kv_status status = kv_table_create(&table, NULL, columns, (int)(sizeof columns / sizeof columns[0]), error);
    if (status)
        return status;
    for (size_t i = 0; i < results->n_limits; i++) {
        const struct kv_limits_row *const row = &results->limits[i];
        char threads[16];
        snprintf(threads, sizeof threads, "%d", row->threads);
        kv_table_add_text(table, row->moment);
        kv_table_add_number(table, row->threads, threads);
        kv_table_add_text(table, row->isa);
        kv_table_add_number(table, row->read_bytes_per_s / 1e9, NULL);
        kv_table_add_number(table, row->read_bytes_per_s_median / 1e9, NULL);
        kv_table_add_number(table, row->fma_flop_per_s / 1e9, NULL);
        kv_table_add_number(table, row->fma_flop_per_s_median / 1e9, NULL);
    }
    status = kv_html_table(page, table, "Limits", error);
    kv_table_free(table);
    return status;
}
