/* What changed since an earlier run: kvbench compare, as a section of the page. */
#ifndef KV_REPORT_CHANGES_H
#define KV_REPORT_CHANGES_H

#include "kvbench.h"

#include <stdio.h>

struct kv_changes;

/* Holds the run in `folder` against that in `earlier`. Errors: as kv_measurements_load and kv_compare. */
kv_status kv_changes_load(struct kv_changes **changes, const char *earlier, const char *folder, struct kv_error *error);
void kv_changes_free(struct kv_changes *changes);

/* One sentence for the top of the page. */
void kv_changes_print_sentence(const struct kv_changes *changes, FILE *page);
void kv_changes_print(const struct kv_changes *changes, FILE *page);

#endif
