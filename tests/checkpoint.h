/* Checkpoints of small random models, whole or spoilt on purpose, in a temporary folder that each test has to
 * itself. Every failure in here ends the running test. */
#ifndef KV_TESTS_CHECKPOINT_H
#define KV_TESTS_CHECKPOINT_H

#include "model/safetensors.h"
#include "support.h"

#include <jansson.h>

/* What checkpoint_build makes; all zero is the smallest: F32 and nothing but the model's own tensors. */
struct checkpoint_options {
    struct kv_config config; /* n_layer 0: two layers of width 8 */
    const char *dtype;       /* "F32" (NULL), "F16", "BF16" or "F64" */
    const char *prefix;      /* before every name but lm_head.weight, for instance "transformer." */
    bool masks;              /* h.N.attn.bias and h.N.attn.masked_bias, as old files have them */
    bool lm_head;            /* lm_head.weight, with values of its own */
};

/* Tests change any of it between checkpoint_build and checkpoint_write. */
struct checkpoint {
    char folder[128];
    char config_file[160];
    char weights_file[160];
    struct kv_config shape;
    json_t *config;      /* written as config.json */
    json_t *header;      /* written before the data, with spaces up to a multiple of 8 bytes */
    int more_spaces;     /* after those: 1..7 leave the data unaligned */
    unsigned char *data; /* [n_data], malloc'ed */
    size_t n_data;
};

/* cmocka fixtures: *state becomes a struct checkpoint with an empty folder. */
int checkpoint_set_up(void **state);
int checkpoint_tear_down(void **state);

/* A test of unit.h in such a folder, by the name `c`. */
#define FOLDER_TEST(name) TEST_WITH(name, struct checkpoint *c, checkpoint_set_up, checkpoint_tear_down)

/* As on a full disk: files end after `limit` bytes, until disk_is_free. */
void disk_is_full(size_t limit);
void disk_is_free(void);

void checkpoint_build(struct checkpoint *c, const struct checkpoint_options *options);
void checkpoint_write(const struct checkpoint *c);

/* The bytes of model.safetensors, [*n_bytes], for the caller to free. */
unsigned char *checkpoint_image(const struct checkpoint *c, size_t *n_bytes);

/* Puts those bytes into a file, whatever was there before. */
void write_bytes(const char *file, const void *bytes, size_t n_bytes);

struct kv_safetensors *open_safetensors(const char *file);
/* Where the data begins, from the file's first 8 bytes. */
uint64_t data_start(const char *file);

/* Makes one change among the first `reach` of n bytes: a bit flipped, a byte replaced, a piece cut out, doubled, or
 * moved. Returns the new n, at most 24 more: `bytes` has room for them. */
size_t damage(unsigned char *bytes, size_t n, size_t reach, uint64_t *random);

/* The value that these bits stand for, by the definition of the type ("F32", "F16" or "BF16"). */
double dtype_value(const char *dtype, uint32_t bits);

/* Element i of a tensor of the checkpoint's data. */
float checkpoint_element(const struct checkpoint *c, const char *name, size_t i);

/* The model's own tensors in the order of the file: name, count of elements; false past the last. `name` [48]. */
bool model_tensor_name(const struct kv_config *config, int index, char *name, size_t *n_elements);
/* Where a loaded model keeps the tensor of that index. */
const float *model_tensor(const struct kv_model *model, int index);

/* Fails the running test unless every weight of the two has the same bits; whether all do. */
void assert_same_weights(const struct kv_model *a, const struct kv_model *b);
bool same_weights(const struct kv_model *a, const struct kv_model *b);

/* Fails the running test when this process still has that file open or mapped. */
void assert_released(const char *file);

#endif
