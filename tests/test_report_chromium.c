/* The report as Chromium shows it, its figures drawn by plots/. Skipped, with its reason, where no Chromium is
 * installed. */
#include "browser.h"
#include "cli_runner.h"
#include "report_folder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SKIPPED = 77, N_PICTURES = 10 };

struct shown {
    struct cli *cli;
    struct browser browser;
};

/* Makes the report of a whole run, and shows it. */
static int set_up(void **state)
{
    struct shown *shown = calloc(1, sizeof *shown);
    char page[CLI_PATH_SIZE], profile[CLI_PATH_SIZE];
    void *cli;
    if (!shown || cli_set_up(&cli) != 0)
        return -1;
    *state = shown;
    shown->cli = cli;
    put_whole_run(shown->cli->folder);
    put_animation(shown->cli->folder);
    cli_finish(shown->cli, cli_start(shown->cli, KV_PLOTS_SCRIPT, (const char *const[]){".", NULL}));
    assert_exit(shown->cli, 0);
    RUN(shown->cli, "report", ".", "--against", ".");
    assert_exit(shown->cli, 0);
    cli_path(shown->cli, "report.html", page);
    cli_path(shown->cli, "profile", profile);
    browser_start(&shown->browser, profile);
    browser_resize(&shown->browser, 1200, 900, false);
    browser_open(&shown->browser, page);
    return 0;
}

static int tear_down(void **state)
{
    struct shown *shown = *state;
    void *cli = shown->cli;
    browser_stop(&shown->browser);
    free(shown);
    return cli_tear_down(&cli);
}

static double number(struct shown *shown, const char *expression)
{
    json_t *value = browser_value(&shown->browser, expression);
    assert_true(json_is_number(value));
    const double result = json_number_value(value);
    json_decref(value);
    return result;
}

/* Neither what the page logs, nor what Chromium says of it. */
static void test_no_console_message(void **state)
{
    struct shown *shown = *state;
    size_t i;
    json_t *event;
    assert_true(number(shown, "document.readyState === 'complete' ? 1 : 0") == 1);
    json_array_foreach(shown->browser.events, i, event)
    {
        const char *method = json_string_value(json_object_get(event, "method"));
        if (method && (strcmp(method, "Log.entryAdded") == 0 || strcmp(method, "Runtime.consoleAPICalled") == 0 ||
                       strcmp(method, "Runtime.exceptionThrown") == 0))
            fail_msg("%s", json_dumps(event, 0));
    }
}

/* Boxes of all figures: [place, width, height, width of what is drawn inside]. */
static void check_pictures(struct shown *shown)
{
    json_t *boxes = browser_value(&shown->browser,
                                  "[...document.querySelectorAll('figure')].map(f => {"
                                  "const p = f.querySelector('svg, img'), b = p.getBoundingClientRect();"
                                  "return [f.id, b.width, b.height, p.getBBox ? p.getBBox().width : b.width]})");
    assert_int_equal(json_array_size(boxes), N_PICTURES);
    for (size_t i = 0; i < N_PICTURES; i++) {
        const json_t *box = json_array_get(boxes, i);
        const bool is_animation = i == N_PICTURES - 1;
        for (size_t side = 1; side <= 3; side++)
            if (!(json_number_value(json_array_get(box, side)) >= (is_animation ? 1 : 200)))
                fail_msg("%s", json_dumps(box, 0));
        if (!is_animation)
            assert_string_equal(json_string_value(json_array_get(box, 0)) + strlen("figure-"), figure_names[i]);
    }
    json_decref(boxes);
}

static void test_pictures_are_visible(void **state)
{
    struct shown *shown = *state;
    check_pictures(shown);
    browser_prefer(&shown->browser, "dark");
    check_pictures(shown);
    browser_resize(&shown->browser, 390, 844, true);
    check_pictures(shown);
    /* each symbol of a drawing is one of its own */
    assert_true(number(shown, "[...document.querySelectorAll('use')].filter(u => "
                              "!u.closest('svg').contains(document.querySelector(u.getAttribute('xlink:href') || "
                              "u.getAttribute('href')))).length") == 0);
    assert_true(number(shown, "document.querySelectorAll('use').length") > 50);
}

static void test_fits_the_window(void **state)
{
    static const int widths[] = {320, 390, 768, 1200};
    struct shown *shown = *state;
    for (size_t i = 0; i < sizeof widths / sizeof widths[0]; i++) {
        browser_resize(&shown->browser, widths[i], 844, widths[i] < 1000);
        const double width = number(shown, "document.documentElement.scrollWidth");
        if (width > widths[i])
            fail_msg("the page is %g px wide in a window of %d px", width, widths[i]);
    }
}

/* Relative luminance of WCAG 2.1 and the contrast of text and what lies behind it, of the page and of soft text. */
static void check_contrast(struct shown *shown)
{
    const double contrast = number(
        shown, "(() => { const light = c => { const [r, g, b] = c.match(/[0-9.]+/g).map(v => v / 255)"
               ".map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);"
               "return .2126 * r + .7152 * g + .0722 * b; };"
               "const behind = e => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor;"
               "if (!c.endsWith(', 0)')) return c; } };"
               "return Math.min(...[...document.querySelectorAll('p, li, a, th, td, dt, dd, .range, .soft, h1 em, "
               "summary, figcaption, .numbers b, .notes b')].map(e => {"
               "const a = light(getComputedStyle(e).color), b = light(behind(e));"
               "return (Math.max(a, b) + .05) / (Math.min(a, b) + .05); })); })()");
    if (!(contrast >= 4.5))
        fail_msg("a text has a contrast of %.2f to what is behind it", contrast);
}

static void test_light_and_dark(void **state)
{
    static const char background[] = "Number(getComputedStyle(document.body).backgroundColor.match(/[0-9]+/)[0])";
    struct shown *shown = *state;
    browser_prefer(&shown->browser, "light");
    assert_true(number(shown, background) > 200);
    check_contrast(shown);
    browser_prefer(&shown->browser, "dark");
    assert_true(number(shown, background) < 60);
    check_contrast(shown);
    /* drawings keep the white they were made for */
    assert_true(number(shown, "Number(getComputedStyle(document.querySelector('.canvas')).backgroundColor"
                              ".match(/[0-9]+/)[0])") == 255);
}

static void test_prints(void **state)
{
    struct shown *shown = *state;
    json_t *printed = browser_call(&shown->browser, "Page.printToPDF", NULL);
    const char *data = json_string_value(json_object_get(printed, "data"));
    assert_non_null(data);
    assert_memory_equal(data, "JVBERi", 6); /* %PDF in base64 */
    assert_true(strlen(data) > 100000);
    json_decref(printed);
    json_decref(browser_call(&shown->browser, "Emulation.setEmulatedMedia", json_pack("{ss}", "media", "print")));
    assert_true(number(shown, "getComputedStyle(document.querySelector('nav')).display === 'none' ? 1 : 0") == 1);
    assert_true(number(shown, "[...document.querySelectorAll('figure')].filter(f => "
                              "getComputedStyle(f).breakInside !== 'avoid').length") == 0);
    assert_true(number(shown, "[...document.querySelectorAll('details li')].filter(l => !l.checkVisibility({"
                              "contentVisibilityAuto: true})).length") == 0);
}

int main(void)
{
    if (!browser_program()) {
        puts("skipped: no chromium on PATH; Debian's package chromium has it");
        return SKIPPED;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_console_message),
        cmocka_unit_test(test_pictures_are_visible),
        cmocka_unit_test(test_fits_the_window),
        cmocka_unit_test(test_light_and_dark),
        cmocka_unit_test(test_prints),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
