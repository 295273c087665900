#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

kv_status kv_fail(struct kv_error *error, kv_status status, const char *format, ...)
{
    if (error) {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(error->message, sizeof error->message, format, arguments);
        va_end(arguments);
        /* Names come from files: a newline or an escape sequence in one must not reach a terminal. */
        for (char *c = error->message; *c; c++)
            *c = (unsigned char)*c < ' ' || *c == 127 ? '?' : *c;
    }
    return status;
}

int kv_choice_find(const struct kv_choice *(*table)(int index), const char *what, const char *name,
                   struct kv_error *error)
{
    char names[256] = "";
    size_t n = 0;
    if (!name)
        return 0;
    for (int i = 0; table(i); i++) {
        if (strcmp(table(i)->name, name) == 0)
            return i;
        if (n < sizeof names)
            n += (size_t)snprintf(names + n, sizeof names - n, "%s%s", i ? ", " : "", table(i)->name);
    }
    kv_fail(error, KV_ERROR_ARGUMENT, "%s '%.40s' is not known; use one of: %s", what, name, names);
    return -1;
}
