#include "report/html.h"

#include <string.h>
#include <strings.h>

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

/* Goes on behind the next `end`. */
static void skip(struct drawing *drawing, const char *end)
{
    const char *found = strstr(drawing->at, end);
    if (found)
        drawing->at = found + strlen(end);
    else
        drawing->defect = "it is cut short";
}

/* ---- Attributes --------------------------------------------------------------------------------- */

struct attribute {
    const char *name;
    size_t name_length;
    const char *value; /* without its quotes */
    size_t value_length;
    char quote;
};

static bool is_named(const struct attribute *attribute, const char *name)
{
    return attribute->name_length == strlen(name) && begins(attribute->name, name);
}

/* url(#x) is how attributes such as clip-path and fill refer to an id. */
static void print_value(struct drawing *drawing, const struct attribute *attribute)
{
    static const char reference[] = "url(#";
    const char *const end = attribute->value + attribute->value_length;
    for (const char *at = attribute->value; at < end; at++) {
        fputc(*at, drawing->page);
        if (at - attribute->value >= 4 && strncmp(at - 4, reference, 5) == 0)
            fputs(drawing->prefix, drawing->page);
    }
}

static void print_attribute(struct drawing *drawing, const struct attribute *attribute)
{
    const bool is_link = is_named(attribute, "href") || is_named(attribute, "xlink:href");
    const bool is_local = attribute->value_length && *attribute->value == '#';
    if (begins(attribute->name, "xmlns"))
        return;
    if (begins(attribute->name, "on"))
        drawing->defect = "it has an event handler";
    else if (is_link && !is_local && !begins(attribute->value, "data:image/"))
        drawing->defect = "it refers to another file";
    fprintf(drawing->page, " %.*s=%c", (int)attribute->name_length, attribute->name, attribute->quote);
    if (is_named(attribute, "id")) {
        fprintf(drawing->page, "%s%.*s", drawing->prefix, (int)attribute->value_length, attribute->value);
    } else if (is_link && is_local) {
        fprintf(drawing->page, "#%s%.*s", drawing->prefix, (int)attribute->value_length - 1, attribute->value + 1);
    } else {
        print_value(drawing, attribute);
    }
    fputc(attribute->quote, drawing->page);
}

static const char *skip_space(const char *at)
{
    return at + strspn(at, " \t\r\n");
}

/* The next NAME="VALUE" of the tag; false at its end, and when it is not well-formed. */
static bool next_attribute(struct drawing *drawing, struct attribute *attribute)
{
    const char *at = drawing->at = skip_space(drawing->at);
    if (*at == '>' || *at == '/')
        return false;
    attribute->name = at;
    attribute->name_length = strcspn(at, " \t\r\n=<>/\"'");
    at = skip_space(at + attribute->name_length);
    if (attribute->name_length && *at == '=') {
        at = skip_space(at + 1);
        attribute->quote = *at;
        attribute->value = at + 1;
        const char *end = *at == '"' || *at == '\'' ? strchr(attribute->value, *at) : NULL;
        if (end) {
            attribute->value_length = (size_t)(end - attribute->value);
            drawing->at = end + 1;
            return true;
        }
    }
    drawing->defect = "it is not well-formed";
    return false;
}

/* ---- Elements ----------------------------------------------------------------------------------- */

static void print_end_tag(struct drawing *drawing)
{
    const size_t length = strcspn(drawing->at, ">");
    if (!drawing->at[length] || drawing->depth == 0) {
        drawing->defect = "it is not well-formed";
        return;
    }
    fwrite(drawing->at, 1, length + 1, drawing->page);
    drawing->at += length + 1;
    drawing->is_done = --drawing->depth == 0;
}

static void print_start_tag(struct drawing *drawing)
{
    struct attribute attribute;
    const size_t length = strcspn(drawing->at, " \t\r\n/>");
    const bool is_root = drawing->depth == 0;
    if (is_root && (drawing->is_done || !begins(drawing->at, "<svg"))) {
        drawing->defect = "it is not one SVG element";
        return;
    }
    fwrite(drawing->at, 1, length, drawing->page);
    drawing->at += length;
    if (is_root) {
        fputs(" role=\"img\" aria-label=\"", drawing->page);
        kv_html_text(drawing->page, drawing->label);
        fputc('"', drawing->page);
    }
    while (!drawing->defect && next_attribute(drawing, &attribute))
        print_attribute(drawing, &attribute);
    if (drawing->defect)
        return;
    const bool is_empty = drawing->at[0] == '/';
    drawing->at += is_empty;
    if (*drawing->at != '>') {
        drawing->defect = "it is not well-formed";
        return;
    }
    drawing->at++;
    fputs(is_empty ? "/>" : ">", drawing->page);
    drawing->depth += !is_empty;
    drawing->is_done = drawing->depth == 0;
}

static void print_markup(struct drawing *drawing)
{
    const char *at = drawing->at;
    if (begins(at, "<!--"))
        skip(drawing, "-->");
    else if (begins(at, "<?") || begins(at, "<!"))
        skip(drawing, ">");
    else if (begins(at, "<title"))
        skip(drawing, "</title>");
    else if (begins(at, "<desc"))
        skip(drawing, "</desc>");
    else if (begins(at, "<script") || begins(at, "<foreignObject"))
        drawing->defect = "it holds more than a drawing";
    else if (begins(at, "</"))
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
    if (!drawing.defect && !drawing.is_done)
        drawing.defect = "it is cut short";
    return drawing.defect;
}
