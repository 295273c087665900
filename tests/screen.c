#include "screen.h"

#include "support.h"

#include "base/utf8.h"

#include <string.h>

static bool is_blank(const VTermScreenCell *cell)
{
    return cell->chars[0] == 0 || cell->chars[0] == ' ';
}

static int damage(VTermRect rect, void *user)
{
    struct screen *s = user;
    VTermScreenCell cell;
    for (VTermPos at = {rect.start_row, s->width}; at.row < rect.end_row && rect.end_col > s->width; at.row++)
        s->was_too_narrow |= s->cursor_is_hidden &&
                             vterm_screen_get_cell(vterm_obtain_screen(s->terminal), at, &cell) && !is_blank(&cell);
    return 1;
}

static int set_property(VTermProp property, VTermValue *value, void *user)
{
    if (property == VTERM_PROP_CURSORVISIBLE)
        ((struct screen *)user)->cursor_is_hidden = !value->boolean;
    return 1;
}

static int unknown_control(unsigned char control, void *user)
{
    (void)user;
    fail_msg("control character %d", control);
    return 1;
}

static int unknown_sequence(const char *leader, const long *arguments, int n, const char *intermediate, char command,
                            void *user)
{
    (void)leader, (void)arguments, (void)n, (void)intermediate, (void)user;
    fail_msg("ESC [ ... %c is not known", command);
    return 1;
}

static const VTermScreenCallbacks callbacks = {.damage = damage, .settermprop = set_property};
static const VTermParserCallbacks fallbacks = {.control = unknown_control, .csi = unknown_sequence};

void screen_free(struct screen *s)
{
    if (s->terminal)
        vterm_free(s->terminal);
    s->terminal = NULL;
}

void screen_clear(struct screen *s, int width, int height)
{
    assert_in_range(width, 1, SCREEN_WIDTH);
    assert_in_range(height, 1, SCREEN_HEIGHT);
    screen_free(s);
    memset(s, 0, sizeof *s);
    s->width = width;
    s->height = height;
    s->terminal = vterm_new(height, width + 1);
    assert_non_null(s->terminal);
    vterm_set_utf8(s->terminal, true);
    VTermScreen *screen = vterm_obtain_screen(s->terminal);
    vterm_screen_reset(screen, true);
    vterm_screen_set_callbacks(screen, &callbacks, s);
    vterm_screen_set_unrecognised_fallbacks(screen, &fallbacks, s);
}

void screen_show(struct screen *s, const char *bytes, size_t n)
{
    for (size_t at = 0; at < n;) {
        const int length = kv_utf8_length(bytes + at, n - at);
        assert_in_range(length, 1, 4);
        if ((unsigned char)bytes[at] < ' ' && !strchr("\r\n\033", bytes[at]))
            fail_msg("control character %d", bytes[at]);
        if (bytes[at] == '\033')
            assert_true(at + 1 < n && bytes[at + 1] == '[');
        at += (size_t)length;
    }
    assert_int_equal(vterm_input_write(s->terminal, bytes, n), n);
}

const char *screen_text(struct screen *s)
{
    VTermScreen *screen = vterm_obtain_screen(s->terminal);
    size_t end = 0, text_end = 0;
    s->n_bold = 0;
    for (VTermPos at = {0, 0}; at.row < s->height; at.row++) {
        const VTermRect row = {at.row, at.row + 1, 0, s->width + 1};
        VTermScreenCell cell;
        end += vterm_screen_get_text(screen, s->text + end, sizeof s->text - 1 - end, row);
        while (end > 0 && s->text[end - 1] == ' ')
            end--;
        for (at.col = 0; at.col < s->width; at.col++)
            s->n_bold += vterm_screen_get_cell(screen, at, &cell) && cell.attrs.bold && !is_blank(&cell);
        if (end > 0 && s->text[end - 1] != '\n')
            text_end = end + 1;
        s->text[end++] = '\n';
    }
    s->text[text_end] = '\0';
    return s->text;
}
