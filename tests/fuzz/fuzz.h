/* What the fuzz targets share. A target is one file with LLVMFuzzerTestOneInput, which hands its input to a reader and
 * aborts where a promise is broken; `replay` runs it over files in every build, libFuzzer makes inputs of its own. */
#ifndef KV_TESTS_FUZZ_H
#define KV_TESTS_FUZZ_H

#include "kvbench.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The name of a regular file, in memory, that holds bytes [size] until the next call. Other processes can read it. */
const char *fuzz_file(const void *bytes, size_t size);

/* A folder of this process in $TMPDIR, or /tmp, which goes when it ends; and all that is in it out of it. */
const char *fuzz_folder(void);
void fuzz_clear(const char *folder);
/* Puts the parts of an input, "=== NAME" lines and what follows each, into files of the folder; NAME is one of names
 * [n_names], which may be below a folder that is there. Others are left out. */
void fuzz_put_parts(const char *folder, const void *data, size_t size, const char *const *names, int n_names);

/* The promise of every error: a status, and one line that is not empty. */
void fuzz_refused(kv_status status, struct kv_error *error);
/* Aborts with the line and the file unless it holds. */
#define FUZZ_HOLDS(condition) fuzz_holds((condition), #condition, __FILE__, __LINE__)
void fuzz_holds(bool condition, const char *text, const char *file, int line);

/* What a target has to say of an input: printed by `replay`, dropped by the fuzzer. */
__attribute__((format(printf, 1, 2))) void fuzz_say(const char *format, ...);

/* ---- safetensors (mutate.c) ---------------------------------------------------------------------------------- */

/* A small file that follows the format's rules, [*n <= room], of that seed. */
void fuzz_make_safetensors(uint8_t *bytes, size_t *n, size_t room, uint64_t seed);
/* One damage that leaves most of it right: a length, a number, a type, a byte, an end. Returns the new n <= room. */
size_t fuzz_damage_safetensors(uint8_t *bytes, size_t n, size_t room, uint64_t seed);

#endif
