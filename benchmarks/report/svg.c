/* Drawings as parts of a page: copied tag by tag, which is all that cleaning them takes. */
#include "report/html.h"

#include <string.h>
#include <strings.h>

static const char cut_short[] = "it is cut short", malformed[] = "it is not well-formed";

struct drawing {
    FILE *page;
    const char *at;
    const char *prefix;
    const char *label;
    int depth;          /* of open elements */
    bool is_done;       /* the root element has ended */
    const char *defect; /* NULL: none so far */
};

static bool begins(const char *text, const char *with)
{
    return strncasecmp(text, with, strlen(with)) == 0;
}

static const char *skip_space(const char *at)
{
    return at + strspn(at, " \t\r\n");
}

/* ---- Attributes ------------------------------------------------------------------------------------------- */

/* The prefix goes behind the # of a link and of each url(#x), as clip-path and fill have it, and before an id. */
static void print_value(struct drawing *drawing, const char *value, const char *end, bool is_id, bool is_link)
{
    if (is_id)
        fputs(drawing->prefix, drawing->page);
    for (const char *at = value; at < end; at++) {
        fputc(*at, drawing->page);
        if (*at == '#' && ((is_link && at == value) || (at - value >= 4 && strncmp(at - 4, "url(", 4) == 0)))
            fputs(drawing->prefix, drawing->page);
    }
}

/* Copies NAME="VALUE" without what only a file of its own has. */
static void print_attribute(struct drawing *drawing)
{
    const char *const name = drawing->at;
    const size_t length = strcspn(name, " \t\r\n=<>/\"'");
    const char *const equals = skip_space(name + length), *const open = *equals == '=' ? skip_space(equals + 1) : "";
    const char *const end = length && (*open == '"' || *open == '\'') ? strchr(open + 1, *open) : NULL;
    const bool is_link = (length == 4 && begins(name, "href")) || (length == 10 && begins(name, "xlink:href"));
    if (!end) {
        drawing->defect = malformed;
        return;
    }
    drawing->at = skip_space(end + 1);
    if (begins(name, "on"))
        drawing->defect = "it has an event handler";
    if (is_link && open[1] != '#' && !begins(open + 1, "data:image/"))
        drawing->defect = "it refers to another file";
    if (begins(name, "xmlns"))
        return;
    fprintf(drawing->page, " %.*s=%c", (int)length, name, *open);
    print_value(drawing, open + 1, end, length == 2 && begins(name, "id"), is_link);
    fputc(*open, drawing->page);
}

/* ---- Elements --------------------------------------------------------------------------------------------- */

static void print_end_tag(struct drawing *drawing)
{
    const char *const end = strchr(drawing->at, '>');
    if (!end || drawing->depth == 0) {
        drawing->defect = malformed;
        return;
    }
    fwrite(drawing->at, 1, (size_t)(end + 1 - drawing->at), drawing->page);
    drawing->at = end + 1;
    drawing->is_done = --drawing->depth == 0;
}

static void print_start_tag(struct drawing *drawing)
{
    const size_t length = strcspn(drawing->at, " \t\r\n/>");
    if (drawing->depth == 0 && (drawing->is_done || !begins(drawing->at, "<svg"))) {
        drawing->defect = "it is not one SVG element";
        return;
    }
    fwrite(drawing->at, 1, length, drawing->page);
    drawing->at = skip_space(drawing->at + length);
    if (drawing->depth == 0) {
        fputs(" role=\"img\" aria-label=\"", drawing->page);
        kv_html_text(drawing->page, drawing->label);
        fputc('"', drawing->page);
    }
    while (!drawing->defect && *drawing->at != '>' && *drawing->at != '/')
        print_attribute(drawing);
    const bool is_empty = *drawing->at == '/';
    if (!drawing->defect && drawing->at[is_empty] != '>')
        drawing->defect = malformed;
    if (drawing->defect)
        return;
    drawing->at += is_empty + 1;
    fputs(is_empty ? "/>" : ">", drawing->page);
    drawing->depth += !is_empty;
    drawing->is_done = drawing->depth == 0;
}

static void print_markup(struct drawing *drawing)
{
    static const char *const left_out[][2] = {
        {"<!--", "-->"}, {"<?", ">"}, {"<!", ">"}, {"<title", "</title>"}, {"<desc", "</desc>"}};
    for (size_t i = 0; i < sizeof left_out / sizeof left_out[0]; i++) {
        if (!begins(drawing->at, left_out[i][0]))
            continue;
        const char *const end = strstr(drawing->at, left_out[i][1]);
        drawing->at = end ? end + strlen(left_out[i][1]) : drawing->at;
        drawing->defect = end ? NULL : cut_short;
        return;
    }
    if (begins(drawing->at, "<script") || begins(drawing->at, "<foreignObject"))
        drawing->defect = "it holds more than a drawing";
    else if (begins(drawing->at, "</"))
        print_end_tag(drawing);
    else
        print_start_tag(drawing);
}

const char *kv_html_svg(FILE *page, const char *text, const char *prefix, const char *label)
{
    struct drawing drawing = {.page = page, .at = text, .prefix = prefix, .label = label};
    while (!drawing.defect && *drawing.at) {
        const size_t length = strcspn(drawing.at, "<");
        if (drawing.depth > 0)
            fwrite(drawing.at, 1, length, page);
        drawing.at += length;
        if (*drawing.at)
            print_markup(&drawing);
    }
    return !drawing.defect && !drawing.is_done ? cut_short : drawing.defect;
}
