/* What the files of the summary share among themselves. */
#ifndef KV_RESULTS_SUMMARY_PARTS_H
#define KV_RESULTS_SUMMARY_PARTS_H

#include "results/summary.h"
#include "results/table.h"

/* Columns of the CSV files. */
extern const char *const kv_key_names[KV_N_KEYS];
extern const char *const kv_figure_names[KV_N_ROW_FIGURES];

const char *kv_configuration_status_name(enum kv_configuration_status status);

/* Adds growth and slope of suite trace from folder/tokens.csv, where it is there and says without doubt which
 * configuration a row belongs to. Errors: IO, FORMAT, MEMORY. */
kv_status kv_summary_read_tokens(struct kv_summary *summary, const char *folder, struct kv_error *error);

/* Fills summary->findings. Errors: MEMORY. */
kv_status kv_summary_find(struct kv_summary *summary, struct kv_error *error);

/* ---- Questions ------------------------------------------------------------------------------------------------- */

/* Whether configurations of a suite (NULL: of all) differ in that key. What is unknown differs from nothing. */
bool kv_key_varies(const struct kv_summary *summary, const char *suite, enum kv_key key);

bool kv_configuration_is(const struct kv_configuration *configuration, enum kv_key key, const char *text);

/* Whether it was measured to its end and its times count: those of suite memory are by the way. */
bool kv_configuration_is_timed(const struct kv_configuration *configuration);

/* Whether two configurations agree in all keys but run_id, context_tokens and the exceptions, a bit (1 << key) each. */
bool kv_configurations_agree(const struct kv_configuration *a, const struct kv_configuration *b, unsigned exceptions);

/* ---- Texts, cut to `size`, and returned ------------------------------------------------------------------- */

#define KV_WHERE_SIZE  192

/* "batch 8", and what else sets the configuration apart from others of its suite, but its path and the exceptions. */
const char *kv_summary_where_text(const struct kv_summary *summary, const struct kv_configuration *configuration,
                          unsigned exceptions, char *text, size_t size);

/* A value and its interval, rounded alike, but so that the ends can be told apart. */
struct kv_summary_interval_text {
    char value[KV_NUMBER_SIZE];
    char range[2 * KV_NUMBER_SIZE + 32]; /* "95 % interval 7.6 to 8.2" */
};
void kv_summary_interval_text(double value, struct kv_stats_interval interval, struct kv_summary_interval_text *text);

#endif
