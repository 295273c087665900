#include "report/page.h"

#include <assert.h>
#include <stdarg.h>
#include <string.h>

static void print_escaped(FILE *page, const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        switch (text[i]) {
        case '&':
            fputs("&amp;", page);
            break;
        case '<':
            fputs("&lt;", page);
            break;
        case '>':
            fputs("&gt;", page);
            break;
        case '"':
            fputs("&quot;", page);
            break;
        case '\'':
            fputs("&#39;", page);
            break;
        case ' ': /* a number keeps its % on its line */
            fputs(i + 1 < n && text[i + 1] == '%' ? "&#160;" : " ", page);
            break;
        default: /* control characters are not allowed in HTML */
            fputc((unsigned char)text[i] < ' ' || text[i] == 127 ? ' ' : text[i], page);
        }
    }
}

void kv_page_print(FILE *page, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    for (const char *at = format; *at; at++) {
        const size_t literal = strcspn(at, "%");
        fwrite(at, 1, literal, page);
        at += literal;
        if (!*at)
            break;
        at++;
        if (*at == 's') {
            const char *text = va_arg(arguments, const char *);
            print_escaped(page, text, strlen(text));
        } else if (*at == 'd') {
            fprintf(page, "%d", va_arg(arguments, int));
        } else if (at[0] == 'z' && at[1] == 'u') {
            fprintf(page, "%zu", va_arg(arguments, size_t));
            at++;
        } else {
            assert(*at == '%');
            fputc('%', page);
        }
    }
    va_end(arguments);
}

void kv_page_print_note(FILE *page, const char *text)
{
    for (;;) {
        const size_t before = strcspn(text, "`");
        const char *const inside = text + before + 1, *const end = text[before] ? strchr(inside, '`') : NULL;
        if (!end) {
            print_escaped(page, text, strlen(text));
            return;
        }
        print_escaped(page, text, before);
        fputs("<code>", page);
        print_escaped(page, inside, (size_t)(end - inside));
        fputs("</code>", page);
        text = end + 1;
    }
}

void kv_page_print_base64(FILE *page, const unsigned char *bytes, size_t n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < n; i += 3) {
        const unsigned second = i + 1 < n ? bytes[i + 1] : 0, third = i + 2 < n ? bytes[i + 2] : 0;
        const unsigned group = (unsigned)bytes[i] << 16 | second << 8 | third;
        fputc(digits[group >> 18], page);
        fputc(digits[group >> 12 & 63], page);
        fputc(i + 1 < n ? digits[group >> 6 & 63] : '=', page);
        fputc(i + 2 < n ? digits[group & 63] : '=', page);
    }
}
