/* What context.json says of the machine that a run was measured on. */
#ifndef KV_RESULTS_MEASURED_ON_H
#define KV_RESULTS_MEASURED_ON_H

#include "results/compare.h"

/* Reads folder/context.json. A run without it is compared all the same: nothing here is an error, but a file that
 * cannot be read is told in `machine->problem`. */
void kv_measured_on_read(struct kv_measured_on *machine, const char *folder);

#endif
