/* A command line as a JSON array of strings: what a run that is resumed starts with. */
#ifndef KV_CLI_ARGUMENTS_H
#define KV_CLI_ARGUMENTS_H

#include <jansson.h>

/* argv [argc] as text, for the caller to free(); NULL without memory, or when an argument is not UTF-8. */
char *arguments_to_json(int argc, char **argv);

/* argv, ended by NULL, for the caller to give back with arguments_free; NULL without memory, or when an element is no
 * string. */
char **arguments_of_json(const json_t *array);
void arguments_free(char **argv);

#endif
