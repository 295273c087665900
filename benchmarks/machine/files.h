/* Reading the small files of /proc and /sys; shared by machine.c and topology.c only.
 * A path is `root` followed by the formatted rest, which starts with a slash. */
#ifndef KV_MACHINE_FILES_H
#define KV_MACHINE_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct kv_machine;

/* The file opened for reading, or NULL. The caller closes it. */
FILE *kv_files_open(const char *root, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* First line of the file without the blanks around it, cut to `size`; false and empty when there is none. */
bool kv_files_line(char *text, size_t size, const char *root, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* The value of the first line "KEY<separator>VALUE" of the file, blanks around both removed, cut to `size`;
 * false and empty when there is none. */
bool kv_files_value(char *value, size_t size, const char *root, const char *path, const char *key, char separator);

/* Copies at most size - 1 bytes without the blanks around them. */
void kv_files_copy(char *copy, size_t size, const char *text);

/* The number, 0 or more, that the text starts with (0x: hexadecimal); -1 when there is none or it overflows. */
int64_t kv_files_number(const char *text);

/* The same, -1 too when it is no int. */
int kv_files_int(const char *text);

/* The part of kv_machine_read that is in topology.c: CPUs, cores, sockets, caches and governors. */
void kv_machine_read_topology(struct kv_machine *machine, const char *root);

#endif
