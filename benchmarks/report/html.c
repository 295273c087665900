#include "report/html.h"

#include "base/error.h"
#include "base/file.h"
#include "results/columns.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* Of a part that only has texts. */
enum { MAX_SLOTS = 12 };

static void print_escaped(FILE *page, const char *text, size_t n)
{
    static const char *const entities[128] = {
        ['&'] = "&amp;", ['<'] = "&lt;", ['>'] = "&gt;", ['"'] = "&quot;", ['\''] = "&#39;"};
    for (size_t i = 0; i < n; i++) {
        const unsigned char c = (unsigned char)text[i];
        if (c == ' ' && i + 1 < n && text[i + 1] == '%')
            fputs("&#160;", page);
        else if (c < 128 && entities[c])
            fputs(entities[c], page);
        else /* control characters are not allowed in HTML */
            fputc(c < ' ' || c == 127 ? ' ' : c, page);
    }
}

void kv_html_text(FILE *page, const char *text)
{
    print_escaped(page, text, strlen(text));
}

void kv_html_note(FILE *page, const char *text)
{
    for (;;) {
        const size_t before = strcspn(text, "`");
        const char *const inside = text + before + 1, *const end = text[before] ? strchr(inside, '`') : NULL;
        if (!end) {
            kv_html_text(page, text);
            return;
        }
        print_escaped(page, text, before);
        fputs("<code>", page);
        print_escaped(page, inside, (size_t)(end - inside));
        fputs("</code>", page);
        text = end + 1;
    }
}

/* ---- Parts ---------------------------------------------------------------------------------------------- */

const char *kv_html_markup(const char *name)
{
    const struct kv_page_part *part = kv_page_parts;
    while (part->name && strcmp(part->name, name) != 0)
        part++;
    return part->name ? part->text : name;
}

/* A slot that nobody fills stays on the page, where a test sees it. */
static kv_status fill_slot(FILE *page, const char *name, size_t length, const struct kv_html_slot *slot, void *context,
                           struct kv_error *error)
{
    while (slot->name && (strlen(slot->name) != length || strncmp(slot->name, name, length) != 0))
        slot++;
    if (slot->print)
        return slot->print(context, page, error);
    if (slot->text)
        kv_html_text(page, slot->text);
    else if (slot->markup)
        fputs(slot->markup, page);
    else
        fprintf(page, "{{%.*s}}", (int)length, name);
    return KV_OK;
}

kv_status kv_html_fill(FILE *page, const char *part, const struct kv_html_slot *slots, void *context,
                       struct kv_error *error)
{
    kv_status status = KV_OK;
    const char *at = kv_html_markup(part);
    for (const char *open; !status && (open = strstr(at, "{{")) != NULL;) {
        const size_t length = strcspn(open + 2, "}");
        fwrite(at, 1, (size_t)(open - at), page);
        status = fill_slot(page, open + 2, length, slots, context, error);
        at = open + 2 + length + 2;
    }
    fputs(at, page);
    return status;
}

void kv_html_part(FILE *page, const char *part, ...)
{
    struct kv_html_slot slots[MAX_SLOTS + 1] = {0};
    va_list arguments;
    va_start(arguments, part);
    for (int i = 0; i < MAX_SLOTS && (slots[i].name = va_arg(arguments, const char *)) != NULL; i++)
        slots[i].text = va_arg(arguments, const char *);
    va_end(arguments);
    (void)kv_html_fill(page, part, slots, NULL, NULL); /* texts cannot fail */
}

/* ---- Tables --------------------------------------------------------------------------------------------- */

static bool is_heading(const struct kv_table_column *column)
{
    const enum kv_column known = kv_column_find(column->name);
    return known < KV_N_COLUMNS && kv_column_info(known)->role <= KV_ROLE_POINT;
}

/* "10.2 (10.1 to 10.3)": the value, and its interval below it. */
static void print_shown(FILE *page, const char *shown)
{
    const char *const open = strstr(shown, " (");
    if (!open) {
        kv_html_text(page, !*shown || strcmp(shown, "-") == 0 ? "–" : shown);
        return;
    }
    fputs("<b>", page);
    print_escaped(page, shown, (size_t)(open - shown));
    fputs("</b> <span class=\"range\">", page);
    print_escaped(page, open + 2, strcspn(open + 2, ")"));
    fputs("</span>", page);
}

static void print_field(FILE *page, const struct kv_table_column *column, const char *shown)
{
    const char *const word = column->is_text ? " class=\"word\"" : "";
    const char *const tag = is_heading(column) ? "th" : "td";
    fprintf(page, is_heading(column) ? "<%s scope=\"row\"%s>" : "<%s%s>", tag, word);
    if (column->is_text && (strcmp(column->name, "path") == 0 || strcmp(column->name, "verdict") == 0)) {
        fputs("<span class=\"", page);
        kv_html_text(page, column->name);
        fputc(' ', page);
        kv_html_text(page, shown);
        fputs("\">", page);
        kv_html_text(page, shown);
        fputs("</span>", page);
    } else {
        print_shown(page, shown);
    }
    fprintf(page, "</%s>", tag);
}

static void print_row(FILE *page, const struct kv_table *table, size_t row)
{
    int n_columns;
    const struct kv_table_column *columns = kv_table_columns(table, &n_columns);
    const int n = kv_table_note_column(table, row);
    fputs("<tr>", page);
    for (int i = 0; i < n; i++)
        print_field(page, &columns[i], kv_table_shown(table, row, i));
    if (n < n_columns) {
        fprintf(page, "<td class=\"word reason\" colspan=\"%d\">", n_columns - n);
        kv_html_text(page, kv_table_shown(table, row, n));
        fputs("</td>", page);
    }
    fputs("</tr>\n", page);
}

kv_status kv_html_write(const char *file, kv_status (*print)(void *context, FILE *page, struct kv_error *error),
                        void *context, struct kv_error *error)
{
    char *text = NULL;
    size_t n;
    FILE *page = open_memstream(&text, &n);
    kv_status status = page ? print(context, page, error) : KV_OK;
    if ((!page || fclose(page) != 0) && !status)
        status = kv_fail(error, KV_ERROR_MEMORY, "no memory for the page: close other programs");
    if (!status)
        status = kv_file_put(file, text, n, error);
    free(text);
    return status;
}

kv_status kv_html_table(FILE *page, const struct kv_table *table, const char *label, struct kv_error *error)
{
    int n_columns;
    const struct kv_table_column *columns = kv_table_columns(table, &n_columns);
    const kv_status status = kv_table_check(table, error);
    if (status)
        return status;
    fputs("<div class=\"box\" role=\"region\" tabindex=\"0\" aria-label=\"", page);
    kv_html_text(page, label);
    fputs("\"><table><thead><tr>", page);
    for (int i = 0; i < n_columns; i++) {
        fprintf(page, "<th scope=\"col\"%s>", columns[i].is_text ? " class=\"word\"" : "");
        kv_html_text(page, columns[i].heading ? columns[i].heading : columns[i].name);
        fputs("</th>", page);
    }
    fputs("</tr></thead>\n<tbody>\n", page);
    for (size_t row = 0; row < kv_table_rows(table); row++)
        print_row(page, table, row);
    fputs("</tbody></table></div>\n", page);
    return KV_OK;
}
