/* What the parts that tell of a comparison have in common. */
#ifndef KV_RESULTS_NAMES_H
#define KV_RESULTS_NAMES_H

#include "results/compare.h"

/* Longest text of a cell; longer ones are cut. */
enum { KV_CELL_SIZE = 256 };

/* Whether the pairs differ in that column, as kv_pair_key gives it. */
bool kv_pairs_vary(const struct kv_comparison *comparison, int key);

/* Makes every control character a question mark: what files hold must not reach a terminal as an escape sequence. */
void kv_make_printable(char *text);

#endif
