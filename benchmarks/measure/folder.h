/* Where a run's files go. */
#ifndef KV_MEASURE_FOLDER_H
#define KV_MEASURE_FOLDER_H

#include "kvbench.h"

struct kv_run_folder {
    char id[320];    /* DATE-HOST, in every row of the run */
    char path[4096]; /* exists, and holds no other run */
    bool in_results; /* below the results folder, so `latest` there leads to it */
    char results[4096];
};

/* Makes `out`, or results/ID when it is NULL, where results is $KVBENCH_RESULTS or "results" in the current folder.
 * Errors: ARGUMENT (it holds a run already), IO. */
kv_status kv_run_folder_make(struct kv_run_folder *folder, const char *out, struct kv_error *error);

/* Opens the folder of a run to go on with; its id is that of its rows. Errors: ARGUMENT. */
kv_status kv_run_folder_open(struct kv_run_folder *folder, const char *path, struct kv_error *error);

/* Points results/latest at the run. Errors: IO. */
kv_status kv_run_folder_link(const struct kv_run_folder *folder, struct kv_error *error);

#endif
