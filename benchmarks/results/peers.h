/* The engines of a run, held against kvbench: what `kvbench peers` ends with, the page tells and the figure peers draws.
 * Only cells of suite batch are looked at.
 *
 *   errors         a kv_status other than KV_OK, and one line in `error->message` when `error` is not NULL
 *   ownership      results are borrowed, and must outlive what was found in them
 *   thread safety  distinct objects may be used by distinct threads
 */
#ifndef KV_RESULTS_PEERS_H
#define KV_RESULTS_PEERS_H

#include "results/results.h"
#include "results/table.h"

#include <stdio.h>

/* The engine that all others are held against. */
#define KV_OWN_ENGINE "kvbench"

struct kv_peer_cell {
    const struct kv_cell_results *cell; /* of a peer, or of kvbench */
    const struct kv_cell_results *own;  /* kvbench at the same point, with the same weights and threads, the fastest
                                           where there are several; NULL: not measured. Of kvbench itself: `cell` */
    bool is_own;
};

/* *cells [*n] by weights, threads, size and engine, kvbench first, for the caller to free(); *n is 0 where nothing but
 * kvbench was asked for. Errors: MEMORY. */
kv_status kv_peers_find(const struct kv_results *results, struct kv_peer_cell **cells, size_t *n,
                        struct kv_error *error);

/* A row a cell: of kvbench its times, of a peer what they are as multiples of kvbench's, with their interval; peak
 * memory, start-up, tokens in common. A cell that was not measured has the reason instead. Errors: MEMORY. */
kv_status kv_peers_table(const struct kv_results *results, struct kv_table **table, struct kv_error *error);

/* For each precision and peer a sentence without a full stop: who decodes faster, at which batch and by how much, and
 * in fewer bits than float32 whether the tokens are others. Errors: MEMORY. */
kv_status kv_peers_tell(const struct kv_results *results, void (*tell)(void *context, const char *sentence),
                        void *context, struct kv_error *error);

/* For people what was run, the table and the sentences; in CSV or JSON the table alone. Errors: IO, MEMORY. */
kv_status kv_peers_print(const struct kv_results *results, enum kv_format format, FILE *stream, struct kv_error *error);

#endif
