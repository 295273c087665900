/* Buffers that end at a page nobody may touch: a kernel that reads or writes past the end dies there. */
#ifndef KV_TESTS_GUARD_H
#define KV_TESTS_GUARD_H

#include <stddef.h>

struct guard {
    float *end; /* the first byte of the closed page */
    void *mapping;
    size_t bytes;
};

/* Room for n floats, with a closed page on either side. Fails the running test when there is no memory. */
void guard_create(struct guard *guard, size_t n);
void guard_free(struct guard *guard);
/* n guards at once; 0. */
int guards_create(struct guard *guards, const size_t *floats, int n);
int guards_free(struct guard *guards, int n);

/* The last n of them, all NaN, and so are the GUARD_MARGIN floats before: garbage that is used shows. They stay
 * the guard's, and are aligned as a float is and no better. */
#define GUARD_MARGIN 64
float *guard_last(struct guard *guard, size_t n);

/* guard_last, holding a copy of values [n]. */
float *guard_copy(struct guard *guard, const float *values, size_t n);

/* Fails the running test when something was written just before the n floats that guard_last gave. */
#define assert_guard(guard, n) check_guard((guard), (n), __FILE__, __LINE__)
void check_guard(const struct guard *guard, size_t n, const char *file, int line);

#endif
