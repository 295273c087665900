/* A safetensors file: what loads lies whole inside the file and covers it; the lines said of it are those of
 * reader.py, which reads the format by its published rules and knows nothing of this program. */
#include "fuzz.h"

#include "base/random.h"
#include "model/safetensors.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* "636174": a name may hold anything. */
static void say_hex(const char *text)
{
    for (; *text; text++)
        fuzz_say("%02x", (unsigned char)*text);
}

static void say_tensor(const struct kv_tensor *tensor)
{
    fuzz_say("tensor ");
    say_hex(tensor->name);
    fuzz_say(" %s [", tensor->dtype_name);
    for (int i = 0; i < tensor->n_dims; i++)
        fuzz_say("%s%" PRIu64, i ? "," : "", tensor->shape[i]);
    fuzz_say("] %zu %zu %016" PRIx64 "\n", tensor->begin, tensor->end,
             kv_hash_bytes(tensor->data, tensor->end - tensor->begin));
}

static void check_tensor(const struct kv_safetensors *file, int index)
{
    const struct kv_tensor *tensor = kv_safetensors_at(file, index);
    uint64_t elements = 1;
    for (int i = 0; i < tensor->n_dims; i++)
        elements *= tensor->shape[i];
    FUZZ_HOLDS(tensor->n_elements == elements && tensor->begin <= tensor->end);
    FUZZ_HOLDS(elements ? (tensor->end - tensor->begin) % elements == 0 : tensor->begin == tensor->end);
    FUZZ_HOLDS(kv_safetensors_find(file, tensor->name) == tensor);
    FUZZ_HOLDS(index == 0 || strcmp(kv_safetensors_at(file, index - 1)->name, tensor->name) < 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct kv_safetensors *file;
    struct kv_error error = {""};
    const kv_status status = kv_safetensors_open(&file, fuzz_file(data, size), &error);
    FUZZ_HOLDS((status == KV_OK) == (file != NULL));
    if (status) {
        fuzz_refused(status, &error);
        return 0;
    }
    size_t covered = 0;
    for (int i = 0; i < kv_safetensors_count(file); i++) {
        const struct kv_tensor *tensor = kv_safetensors_at(file, i);
        check_tensor(file, i);
        say_tensor(tensor);
        covered += tensor->end - tensor->begin;
        kv_safetensors_release(tensor);
    }
    uint64_t length = 0;
    for (int i = 0; i < 8; i++)
        length |= (uint64_t)data[i] << (8 * i);
    FUZZ_HOLDS(8 + length + covered == size);
    fuzz_say("loaded: %d tensors\n", kv_safetensors_count(file));
    kv_safetensors_close(file);
    return 0;
}
