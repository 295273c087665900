/* A run as one file, NAME.kvbench: what `kvbench pack` writes, and kv_results_load and kv_figures_write read in place of
 * a folder.
 *
 *   form      a tar in gzip. Its first entry is pack.json: {"kvbench_pack": 1, "files": {"runs.csv": {"bytes": N,
 *             "hash": "0123456789abcdef"}, ..}}, hash being kv_hash_bytes; then these files, in any order: the CSV files
 *             of a run, context.json and datapackage.json, with those names and nothing before them
 *   names     unless they are asked for, it holds no host name, no user name and no path: run ids end with the date, of
 *             a path only its last name is kept, the host in context.json is null
 *   strange   whatever else is in one is refused, before a byte is written: other entries, links, folders, a second
 *             entry of a name, sizes or hashes that differ, more than KV_PACK_MOST_BYTES unpacked, a truncated file
 *   folder    an open pack is a folder of its own in $TMPDIR (/tmp), which nobody else can read. kv_pack_close removes
 *             it; the program's signal handlers do, through kv_pack_remove_all
 *   threads   one at a time: the open packs are noted where a signal handler finds them
 */
#ifndef KV_RESULTS_PACK_H
#define KV_RESULTS_PACK_H

#include "results/columns.h"

#define KV_PACK_MOST_BYTES 268435456 /* 256 MiB: a run of an hour has some */

/* Whether the name is that of a pack: it ends with .kvbench and is no folder. */
bool kv_pack_is(const char *place);

/* "results/x.kvbench", "-figures": "results/x-figures", which the caller gives back with free(); NULL: no memory. */
char *kv_pack_beside(const char *pack, const char *ending);

/* *folder is a new folder with the files of the pack, whose name lives until kv_pack_close; NULL after an error. Errors: IO, FORMAT (it is no pack, or
 * damaged, or holds what none should), MEMORY. */
kv_status kv_pack_open(char **folder, const char *pack, struct kv_error *error);
/* Removes the folder, and its name with it; NULL is allowed. */
void kv_pack_close(char *folder);
/* Where a message names a file in the folder, it names one in the pack: "x.kvbench: runs.csv line 3 ..". */
void kv_pack_name(struct kv_error *error, const char *folder, const char *pack);

/* Removes the folders of all open packs; a signal handler may call it. */
void kv_pack_remove_all(void);

/* Packs the run in `folder`, which can be read. The file appears whole or not at all. Errors: as kv_results_load;
 * ARGUMENT (more than KV_PACK_MOST_BYTES), IO. */
kv_status kv_pack_write(const char *folder, const char *file, bool with_names, struct kv_error *error);

/* ---- What pack_write.c and pack.c share --------------------------------------------------------------------------- */

#define KV_PACK_MANIFEST "pack.json"
enum { KV_PACK_N_FILES = KV_N_FILES + 3, KV_PACK_MANIFEST_BYTES = 65536 };
/* The files that a pack may hold; NULL past the end. */
const char *kv_pack_file(int index);

#endif
