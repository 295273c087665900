/* The figures that plots/ drew, each with how to read it, and the animations of the dashboard. */
#include "report/parts.h"

#include "base/error.h"
#include "base/file.h"
#include "report/html.h"
#include "results/figures.h"
#include "results/peers.h"

#include <dirent.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NAME_SIZE = 300 };

/* *path is folder/name, to be given back with free; *bytes, too, and NULL where there is no such file. */
static kv_status read_file(const char *folder, const char *name, char **path, char **bytes, size_t *n,
                           struct kv_error *error)
{
    *bytes = NULL;
    if (asprintf(path, "%s/%s", folder, name) < 0) {
        *path = NULL;
        return kv_fail(error, KV_ERROR_MEMORY, "no memory to read %s: close other programs", name);
    }
    return access(*path, F_OK) == 0 ? kv_file_read(*path, bytes, n, error) : KV_OK;
}

/* ---- Figures ---------------------------------------------------------------------------------------------- */

/* Of suites that were not measured nobody asked. */
static void print_missing(const struct kv_report *report, const struct kv_figure_text *figure, FILE *page)
{
    if (!kv_report_has_suite(report, figure->suite))
        return;
    kv_html_part(page, "figure not drawn", "title", figure->title, "folder", report->folder, NULL);
    if (report->outcome->n_missing < KV_REPORT_MAX_FIGURES)
        report->outcome->missing[report->outcome->n_missing++] = figure->name;
}

/* The drawing for phones, where there is one. */
static kv_status print_narrow(const char *folder, const struct kv_figure_text *figure, FILE *page,
                              struct kv_error *error)
{
    char name[NAME_SIZE], prefix[80], *path, *text;
    size_t n;
    snprintf(name, sizeof name, "%s-narrow.svg", figure->name);
    snprintf(prefix, sizeof prefix, "%s-narrow-", figure->name);
    kv_status status = read_file(folder, name, &path, &text, &n, error);
    if (text) {
        kv_html_part(page, "figure narrow", "title", figure->title, NULL);
        const char *const defect = kv_html_svg(page, text, prefix, figure->caption);
        if (defect)
            status = kv_fail(error, KV_ERROR_FORMAT, "%s cannot be shown, %s: draw it again with kvbench plots", path,
                             defect);
    }
    free(text);
    free(path);
    return status;
}

kv_status kv_report_figure(const struct kv_report *report, const char *folder, const struct kv_figure_text *figure,
                           FILE *page, bool *found, struct kv_error *error)
{
    char name[NAME_SIZE], prefix[64], number[16], *path, *text;
    size_t n;
    snprintf(name, sizeof name, "%s.svg", figure->name);
    snprintf(prefix, sizeof prefix, "%s-", figure->name);
    kv_status status = read_file(folder, name, &path, &text, &n, error);
    *found = text != NULL;
    if (text) {
        snprintf(number, sizeof number, "%d", ++report->outcome->n_figures);
        kv_html_part(page, "figure", "name", figure->name, "title", figure->title, "reading", figure->reading, NULL);
        const char *const defect = kv_html_svg(page, text, prefix, figure->caption);
        if (defect)
            status = kv_fail(error, KV_ERROR_FORMAT, "%s cannot be shown, %s: draw it again with kvbench plots", path,
                             defect);
        if (!status)
            status = print_narrow(folder, figure, page, error);
        kv_html_part(page, "figure end", "number", number, "caption", figure->caption, "suite", figure->suite, NULL);
    }
    free(text);
    free(path);
    return status;
}

static bool concerns(const struct kv_report *report, const struct kv_figure_text *text)
{
    int i = 0;
    while (kv_figure(i) && strcmp(kv_figure(i)->name, text->name) != 0)
        i++;
    return kv_figure(i) && kv_figure_concerns(kv_figure(i), report->results);
}

static void print_sentence(void *page, const char *sentence)
{
    kv_html_part(page, "finding", "topic", "peers", "text", sentence, NULL);
}

static kv_status print_figure(const struct kv_report *report, const struct kv_figure_text *figure, FILE *page,
                              struct kv_error *error)
{
    bool found;
    kv_status status = kv_report_figure(report, report->figures, figure, page, &found, error);
    if (status || !concerns(report, figure))
        return status;
    if (!found)
        print_missing(report, figure, page);
    if (strcmp(figure->name, KV_REPORT_PEERS) == 0) {
        fputs("<ul class=\"findings\">\n", page);
        status = kv_peers_tell(report->results, print_sentence, page, error);
        fputs("</ul>\n", page);
    }
    return status;
}

/* ---- Animations ------------------------------------------------------------------------------------------- */

/* Base64 of RFC 4648, on one line, to be given back with free; NULL without memory. */
static char *base64(const unsigned char *bytes, size_t n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *const text = malloc((n + 2) / 3 * 4 + 1);
    char *out = text;
    for (size_t i = 0; text && i < n; i += 3) {
        const unsigned second = i + 1 < n ? bytes[i + 1] : 0, third = i + 2 < n ? bytes[i + 2] : 0;
        const unsigned group = (unsigned)bytes[i] << 16 | second << 8 | third;
        *out++ = digits[group >> 18];
        *out++ = digits[group >> 12 & 63];
        *out++ = i + 1 < n ? digits[group >> 6 & 63] : '=';
        *out++ = i + 2 < n ? digits[group & 63] : '=';
    }
    if (text)
        *out = '\0';
    return text;
}

static bool is_gif(const unsigned char *bytes, size_t n)
{
    return n >= 14 && (memcmp(bytes, "GIF89a", 6) == 0 || memcmp(bytes, "GIF87a", 6) == 0) && bytes[n - 1] == ';';
}

/* A GIF's size stands behind its signature, lowest byte first. */
static kv_status print_animation(const struct kv_report *report, const struct kv_figure_text *animation,
                                 const char *folder, const char *name, FILE *page, struct kv_error *error)
{
    char width[16], height[16], *path, *text, *data = NULL;
    size_t n;
    kv_status status = read_file(folder, name, &path, &text, &n, error);
    const unsigned char *const bytes = (const unsigned char *)text;
    if (text && !is_gif(bytes, n)) {
        status = kv_fail(error, KV_ERROR_FORMAT, "%s is not a whole GIF: make it again with kvbench dashboard", path);
    } else if (text && !(data = base64(bytes, n))) {
        status = kv_fail(error, KV_ERROR_MEMORY, "no memory to show %s: close other programs", path);
    } else if (text) {
        snprintf(width, sizeof width, "%d", bytes[6] | bytes[7] << 8);
        snprintf(height, sizeof height, "%d", bytes[8] | bytes[9] << 8);
        kv_html_part(page, "animation", "title", animation->title, "reading", animation->reading, "caption",
                     animation->caption, "width", width, "height", height, "data", data, "file", strrchr(path, '/') + 1,
                     NULL);
        ++report->outcome->n_animations;
    }
    free(data);
    free(text);
    free(path);
    return status;
}

/* What is said of the animation of that name; NULL when it is none. */
static const struct kv_figure_text *find_animation(const char *name)
{
    for (const struct kv_figure_text *text = kv_figure_texts; text->name; text++)
        if (!text->suite && fnmatch(text->name, name, 0) == 0)
            return text;
    return NULL;
}

static int is_animation(const struct dirent *entry)
{
    return find_animation(entry->d_name) != NULL;
}

/* Those in a folder; one that is not there has none. */
static kv_status print_animations(const struct kv_report *report, const char *folder, FILE *page,
                                  struct kv_error *error)
{
    struct dirent **entries = NULL;
    kv_status status = KV_OK;
    const int n = scandir(folder, &entries, is_animation, alphasort);
    for (int i = 0; i < n; i++) {
        if (!status)
            status = print_animation(report, find_animation(entries[i]->d_name), folder, entries[i]->d_name, page,
                                     error);
        free(entries[i]);
    }
    free(entries);
    return status;
}

kv_status kv_report_figures(void *context, FILE *page, struct kv_error *error)
{
    const struct kv_report *const report = context;
    kv_status status = KV_OK;
    for (const struct kv_figure_text *figure = kv_figure_texts; !status && figure->name; figure++)
        if (figure->suite && strcmp(figure->name, KV_REPORT_CALIBRATION) != 0)
            status = print_figure(report, figure, page, error);
    if (!status)
        status = print_animations(report, report->folder, page, error);
    if (!status)
        status = print_animations(report, report->figures, page, error);
    return status;
}
