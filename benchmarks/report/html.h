/* Writing HTML from parts of page.html, tables and drawings: what comes as text is escaped. Streams keep their own
 * error, which whoever closes them checks. */
#ifndef KV_REPORT_HTML_H
#define KV_REPORT_HTML_H

#include "results/table.h"

/* ---- What embed.py makes of page.css, planner.js, page.html, figures.txt and facts.txt when the program is built ------------- */

extern const char *const kv_page_style;
extern const char *const kv_page_script, *const kv_page_script_hash; /* the hash as the page's policy names it */

struct kv_page_part {
    const char *name;
    const char *text; /* markup with slots, {{name}} */
};
extern const struct kv_page_part kv_page_parts[]; /* up to the one without a name */

/* What is said of a figure, or of an animation, which has no suite. */
struct kv_figure_text {
    const char *name; /* of figures/NAME.svg; a pattern of an animation's file */
    const char *suite;
    const char *title;
    const char *reading;
    const char *caption;
};
extern const struct kv_figure_text kv_figure_texts[]; /* up to the one without a name */

/* A fact of context.json; facts.txt says what its pieces are. */
struct kv_fact_text {
    const char *title;
    const char *pieces; /* NULL: the heading of the next ones */
};
extern const struct kv_fact_text kv_fact_texts[]; /* up to the one without a title */

/* ---- Text and parts ------------------------------------------------------------------------------------- */

/* Escaped, for elements and for quoted attributes; a number keeps its % on its line. */
void kv_html_text(FILE *page, const char *text);

/* The same of a note: what stands between two ` becomes <code>. */
void kv_html_note(FILE *page, const char *text);

/* What fills a slot: text, markup, or what a function writes. */
struct kv_html_slot {
    const char *name;
    const char *text;   /* escaped, */
    const char *markup; /* or not */
    kv_status (*print)(void *context, FILE *page, struct kv_error *error);
};

/* Writes a part of page.html with its slots filled, [.. up to one without a name]. Errors: those of the functions. */
kv_status kv_html_fill(FILE *page, const char *part, const struct kv_html_slot *slots, void *context,
                       struct kv_error *error);

/* The markup of a part. */
const char *kv_html_markup(const char *part);

/* A part whose slots are texts: kv_html_part(page, "fact", "title", title, "text", text, NULL). */
__attribute__((sentinel)) void kv_html_part(FILE *page, const char *part, ...);

/* Writes what `print` prints as one file. It is made in memory, so that nothing is begun beside the file when something
 * cannot be read. Errors: IO, MEMORY, those of print. */
kv_status kv_html_write(const char *file, kv_status (*print)(void *context, FILE *page, struct kv_error *error),
                        void *context, struct kv_error *error);

/* ---- Tables and drawings -------------------------------------------------------------------------------- */

/* The columns that say what a row is about head it; parentheses are set smaller, and a reason takes the rest of its
 * row. `label` is for screen readers. Errors: MEMORY, of the table's making. */
kv_status kv_html_table(FILE *page, const struct kv_table *table, const char *label, struct kv_error *error);

/* Writes the SVG file in `text` without what only a file of its own needs (prolog, namespaces, title). Every id, and
 * every reference to one, gets `prefix`, so that drawings with different prefixes share a page; `label` says to
 * screen readers what it shows.
 * Returns NULL, or, when it is not one whole SVG element or holds more than a drawing (a script, a handler, a
 * reference to another file), what is wrong, a constant; part of it may have been written then. */
const char *kv_html_svg(FILE *page, const char *text, const char *prefix, const char *label);

#endif
