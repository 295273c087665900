/* What several test programs share: reference cases, small models, and the bound on logits. */
#ifndef KV_TESTS_SUPPORT_H
#define KV_TESTS_SUPPORT_H

#include "kernels/kernels.h"

/* cmocka wants these four before itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* Fails the running test with the error's message unless status is KV_OK. */
#define assert_ok(status, error) check_ok((status), &(error), __FILE__, __LINE__)
void check_ok(kv_status status, const struct kv_error *error, const char *file, int line);

/* Fails the running test unless the call gave `expected` and one line that has both parts in it (NULL: no more than
 * the first), which is then forgotten. */
void check_refused(kv_status status, kv_status expected, struct kv_error *error, const char *part, const char *other,
                   const char *file, int line);

/* Fails the running test unless every value is within `bound` times the largest |expected|. */
#define assert_close(values, expected, n, bound) check_close((values), (expected), (n), (bound), __FILE__, __LINE__)
void check_close(const float *values, const float *expected, size_t n, double bound, const char *file, int line);

/* A folder of data/reference. */
struct reference_case {
    char folder[512];
    int batch, n_tokens, n_greedy; /* B, T, and T + new tokens */
    int32_t *tokens;               /* [B, T] */
    int32_t *greedy;               /* [B, T + new] */
    float *logits;                 /* [B, T, V] */
};

/* Fails the running test when anything is missing. */
void load_case(struct reference_case *c, const char *name);
void free_case(struct reference_case *c);

/* A new folder in $TMPDIR, or /tmp, whose name `path` [room] takes; and its end, with all that is in it. 0: done. */
int folder_make(char *path, size_t room);
int folder_remove(const char *path);
/* Files and folders in it. */
int files_in(const char *folder);

/* A whole file as text, for the caller to free. */
char *read_text(const char *path);
void write_text(const char *path, const char *text);

/* What an environment variable says, such as how many cases KV_COUNT asks for. */
uint64_t number_of(const char *variable, uint64_t otherwise);

/* A repeatable stream of numbers for tests: the next one, and one of low..high. */
uint64_t next_random(uint64_t *state);
int random_between(uint64_t *state, int low, int high);
float random_float(uint64_t *state); /* -1..1 */

/* The instruction-set levels that this machine can run: name `index`, NULL past the end. */
const char *supported_isa(int index);
/* Its kernels, NULL past the end. */
const struct kv_kernels *supported_kernels(int index);

/* Appends n greedy tokens to row b: sequence [B, n_tokens + n], its first n_tokens given in every row. */
void generate_greedy(struct kv_session *session, int batch, int32_t *sequences, int n_tokens, int n);

#endif
