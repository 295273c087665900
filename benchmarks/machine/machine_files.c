#include "machine/machine_files.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static FILE *open_formatted(const char *root, const char *format, va_list arguments)
{
    char path[PATH_MAX];
    int used = snprintf(path, sizeof path, "%s", root);
    if (used < 0 || (size_t)used >= sizeof path) {
        return NULL;
    }
    size_t room = sizeof path - (size_t)used;
    int added = vsnprintf(path + used, room, format, arguments);
    return added < 0 || (size_t)added >= room ? NULL : fopen(path, "re");
}

FILE *kv_files_open(const char *root, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    FILE *file = open_formatted(root, format, arguments);
    va_end(arguments);
    return file;
}

void kv_files_copy(char *copy, size_t size, const char *text)
{
    while (isspace((unsigned char)*text)) {
        text++;
    }
    size_t length = strnlen(text, size - 1);
    memmove(copy, text, length);
    while (length > 0 && isspace((unsigned char)copy[length - 1])) {
        length--;
    }
    copy[length] = '\0';
}

bool kv_files_line(char *text, size_t size, const char *root, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    FILE *file = open_formatted(root, format, arguments);
    va_end(arguments);
    text[0] = '\0';
    if (file == NULL) {
        return false;
    }
    if (fgets(text, (int)size, file) != NULL) {
        kv_files_copy(text, size, text);
    }
    fclose(file);
    return text[0] != '\0';
}

bool kv_files_value(char *value, size_t size, const char *root, const char *path, const char *key, char separator)
{
    value[0] = '\0';
    FILE *file = kv_files_open(root, "%s", path);
    if (file == NULL) {
        return false;
    }
    char *line = NULL;
    size_t capacity = 0;
    while (value[0] == '\0' && getline(&line, &capacity, file) >= 0) {
        char *colon = strchr(line, separator);
        if (colon != NULL) {
            *colon = '\0';
            kv_files_copy(line, capacity, line);
            if (strcmp(line, key) == 0) {
                kv_files_copy(value, size, colon + 1);
            }
        }
    }
    free(line);
    fclose(file);
    return value[0] != '\0';
}

int64_t kv_files_number(const char *text)
{
    if (!isdigit((unsigned char)*text)) {
        return -1;
    }
    int base = strncmp(text, "0x", 2) == 0 ? 16 : 10;
    errno = 0;
    long long number = strtoll(text, NULL, base);
    return errno == 0 ? number : -1;
}

int kv_files_int(const char *text)
{
    int64_t number = kv_files_number(text);
    return number <= INT_MAX ? (int)number : -1;
}
