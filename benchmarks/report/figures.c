/* The figures that plots/ drew, each with how to read it, and the animations of the dashboard. */
#include "report/parts.h"

#include "base/error.h"
#include "report/html.h"

#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_SIZE = 300 };

/* The bytes of folder/name and a 0 behind them, to be given back with free; *bytes is NULL where there is no such file.
 * Errors: IO, MEMORY. */
static kv_status read_file(const char *folder, const char *name, char **bytes, size_t *n, struct kv_error *error)
{
    char *path, chunk[1 << 14];
    size_t taken;
    *bytes = NULL;
    if (asprintf(&path, "%s/%s", folder, name) < 0)
        return kv_fail(error, KV_ERROR_MEMORY, "no memory to read %s: close other programs", name);
    FILE *const in = fopen(path, "rbe");
    const int reason = errno;
    free(path);
    if (!in && reason == ENOENT)
        return KV_OK;
    if (!in)
        return kv_fail(error, KV_ERROR_IO, "%s/%s cannot be opened: %s", folder, name, strerror(reason));
    FILE *const out = open_memstream(bytes, n);
    while (out && (taken = fread(chunk, 1, sizeof chunk, in)) > 0)
        fwrite(chunk, 1, taken, out);
    const bool is_whole = !ferror(in);
    fclose(in);
    if (out && fclose(out) == 0 && is_whole)
        return KV_OK;
    free(*bytes);
    *bytes = NULL;
    return is_whole ? kv_fail(error, KV_ERROR_MEMORY, "no memory to read %s/%s: close other programs", folder, name)
                    : kv_fail(error, KV_ERROR_IO, "%s/%s cannot be read", folder, name);
}

/* ---- Figures ---------------------------------------------------------------------------------------------- */

static void print_missing(const struct kv_report *report, const struct kv_figure_text *figure, FILE *page)
{
    const bool can_be_drawn = kv_report_has_suite(report, figure->suite);
    kv_html_part(page, can_be_drawn ? "figure not drawn" : "figure not measured", "title", figure->title, "folder",
                 report->folder, "suite", figure->suite, NULL);
    if (can_be_drawn && report->outcome->n_missing < KV_REPORT_MAX_FIGURES)
        report->outcome->missing[report->outcome->n_missing++] = figure->name;
}

static kv_status print_figure(const struct kv_report *report, const struct kv_figure_text *figure, FILE *page,
                              struct kv_error *error)
{
    char file[NAME_SIZE], prefix[64], number[16], *text;
    size_t n;
    snprintf(file, sizeof file, "figures/%s.svg", figure->name);
    snprintf(prefix, sizeof prefix, "%s-", figure->name);
    const kv_status status = read_file(report->folder, file, &text, &n, error);
    if (status || !text) {
        if (!status)
            print_missing(report, figure, page);
        return status;
    }
    snprintf(number, sizeof number, "%d", ++report->outcome->n_figures);
    kv_html_part(page, "figure", "name", figure->name, "title", figure->title, "reading", figure->reading, NULL);
    const char *const defect = kv_html_svg(page, text, prefix, figure->caption);
    kv_html_part(page, "figure end", "number", number, "caption", figure->caption, "suite", figure->suite, NULL);
    free(text);
    return defect ? kv_fail(error, KV_ERROR_FORMAT, "%s/%s cannot be shown, %s: draw it again with kvbench plots",
                            report->folder, file, defect)
                  : KV_OK;
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
                                 const char *name, FILE *page, struct kv_error *error)
{
    char width[16], height[16], *text;
    size_t n;
    kv_status status = read_file(report->folder, name, &text, &n, error);
    if (status || !text)
        return status;
    const unsigned char *const bytes = (const unsigned char *)text;
    char *const data = is_gif(bytes, n) ? base64(bytes, n) : NULL;
    if (data) {
        const char *const slash = strrchr(name, '/');
        snprintf(width, sizeof width, "%d", bytes[6] | bytes[7] << 8);
        snprintf(height, sizeof height, "%d", bytes[8] | bytes[9] << 8);
        kv_html_part(page, "animation", "title", animation->title, "reading", animation->reading, "caption",
                     animation->caption, "width", width, "height", height, "data", data, "file",
                     slash ? slash + 1 : name, NULL);
        ++report->outcome->n_animations;
    } else if (is_gif(bytes, n)) {
        status = kv_fail(error, KV_ERROR_MEMORY, "no memory to show %s: close other programs", name);
    } else {
        status = kv_fail(error, KV_ERROR_FORMAT, "%s/%s is not a whole GIF: make it again with kvbench dashboard",
                         report->folder, name);
    }
    free(data);
    free(text);
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

/* Those in a folder of the run, "" or "figures/"; one that is not there has none. */
static kv_status print_animations(const struct kv_report *report, const char *place, FILE *page, struct kv_error *error)
{
    char *folder, name[NAME_SIZE];
    struct dirent **entries = NULL;
    kv_status status = KV_OK;
    if (asprintf(&folder, "%s/%s", report->folder, place) < 0)
        return kv_fail(error, KV_ERROR_MEMORY, "no memory to look for animations: close other programs");
    const int n = scandir(folder, &entries, is_animation, alphasort);
    for (int i = 0; i < n; i++) {
        snprintf(name, sizeof name, "%s%s", place, entries[i]->d_name);
        if (!status)
            status = print_animation(report, find_animation(entries[i]->d_name), name, page, error);
        free(entries[i]);
    }
    free(entries);
    free(folder);
    return status;
}

kv_status kv_report_figures(void *context, FILE *page, struct kv_error *error)
{
    const struct kv_report *const report = context;
    kv_status status = KV_OK;
    for (const struct kv_figure_text *figure = kv_figure_texts; !status && figure->name; figure++)
        if (figure->suite)
            status = print_figure(report, figure, page, error);
    if (!status)
        status = print_animations(report, "", page, error);
    if (!status)
        status = print_animations(report, "figures/", page, error);
    return status;
}
