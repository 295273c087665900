/* Our own calls of malloc, calloc and realloc, which the linker gives to these (--wrap): counted, and failed on request. */
#ifndef KV_TESTS_ALLOCATIONS_H
#define KV_TESTS_ALLOCATIONS_H

/* Since it was last set; threads count as well. */
extern _Atomic int n_allocations;

/* Those that still succeed before the one that fails; -1: none does. */
extern _Atomic int allocations_left;

#endif
