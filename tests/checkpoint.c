#include "checkpoint.h"

#include "model/weights.h"

#include <dirent.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* The tensors of a GPT-2 checkpoint, written down apart from core/model/weights.c. Dimensions: V vocab_size,
 * P n_positions, C n_embd, Q 3 n_embd, I n_inner. */
struct row {
    const char *name;
    const char *shape; /* a letter a dimension */
    size_t field;
};
static const struct row global_rows[] = {
    {"wte.weight", "VC", offsetof(struct kv_model, wte)},
    {"wpe.weight", "PC", offsetof(struct kv_model, wpe)},
};
static const struct row layer_rows[] = {
    {"ln_1.weight", "C", offsetof(struct kv_layer_weights, ln_1_weight)},
    {"ln_1.bias", "C", offsetof(struct kv_layer_weights, ln_1_bias)},
    {"attn.c_attn.weight", "CQ", offsetof(struct kv_layer_weights, c_attn_weight)},
    {"attn.c_attn.bias", "Q", offsetof(struct kv_layer_weights, c_attn_bias)},
    {"attn.c_proj.weight", "CC", offsetof(struct kv_layer_weights, attn_proj_weight)},
    {"attn.c_proj.bias", "C", offsetof(struct kv_layer_weights, attn_proj_bias)},
    {"ln_2.weight", "C", offsetof(struct kv_layer_weights, ln_2_weight)},
    {"ln_2.bias", "C", offsetof(struct kv_layer_weights, ln_2_bias)},
    {"mlp.c_fc.weight", "CI", offsetof(struct kv_layer_weights, c_fc_weight)},
    {"mlp.c_fc.bias", "I", offsetof(struct kv_layer_weights, c_fc_bias)},
    {"mlp.c_proj.weight", "IC", offsetof(struct kv_layer_weights, mlp_proj_weight)},
    {"mlp.c_proj.bias", "C", offsetof(struct kv_layer_weights, mlp_proj_bias)},
};
static const struct row last_rows[] = {
    {"ln_f.weight", "C", offsetof(struct kv_model, ln_f_weight)},
    {"ln_f.bias", "C", offsetof(struct kv_model, ln_f_bias)},
};
enum { N_GLOBAL = COUNT(global_rows), N_LAYER = COUNT(layer_rows), N_LAST = COUNT(last_rows) };

/* The row of a tensor and its layer (-1: none); NULL past the last. */
static const struct row *find_row(const struct kv_config *config, int index, int *layer)
{
    const int last = index - N_GLOBAL - config->n_layer * N_LAYER;
    *layer = -1;
    if (index < N_GLOBAL)
        return &global_rows[index];
    if (last >= 0)
        return last < N_LAST ? &last_rows[last] : NULL;
    *layer = (index - N_GLOBAL) / N_LAYER;
    return &layer_rows[(index - N_GLOBAL) % N_LAYER];
}

static int dimension(const struct kv_config *config, char letter)
{
    switch (letter) {
    case 'V':
        return config->vocab_size;
    case 'P':
        return config->n_positions;
    case 'C':
        return config->n_embd;
    case 'Q':
        return 3 * config->n_embd;
    default:
        return config->n_inner;
    }
}

bool model_tensor_name(const struct kv_config *config, int index, char *name, size_t *n_elements)
{
    int layer;
    const struct row *row = find_row(config, index, &layer);
    if (!row)
        return false;
    if (layer < 0)
        snprintf(name, 48, "%s", row->name);
    else
        snprintf(name, 48, "h.%d.%s", layer, row->name);
    *n_elements = 1;
    for (const char *letter = row->shape; *letter; letter++)
        *n_elements *= (size_t)dimension(config, *letter);
    return true;
}

const float *model_tensor(const struct kv_model *model, int index)
{
    int layer;
    const float *pointer;
    const struct row *row = find_row(&model->config, index, &layer);
    assert_non_null(row);
    const char *owner = layer < 0 ? (const char *)model : (const char *)&model->layers[layer];
    memcpy(&pointer, owner + row->field, sizeof pointer);
    return pointer;
}

bool same_weights(const struct kv_model *a, const struct kv_model *b)
{
    char name[48];
    size_t n;
    bool same = true;
    for (int i = 0; model_tensor_name(&a->config, i, name, &n); i++)
        same &= memcmp(model_tensor(a, i), model_tensor(b, i), n * sizeof(float)) == 0;
    return same;
}

void assert_same_weights(const struct kv_model *a, const struct kv_model *b)
{
    assert_memory_equal(&a->config, &b->config, sizeof a->config);
    assert_true(same_weights(a, b));
}

/* ---- Types -------------------------------------------------------------------------------------- */

static size_t dtype_bytes(const char *dtype)
{
    return strcmp(dtype, "F64") == 0 ? 8 : strcmp(dtype, "F32") == 0 ? 4 : 2;
}

double dtype_value(const char *dtype, uint32_t bits)
{
    const int exponent_bits = strcmp(dtype, "F16") == 0 ? 5 : 8;
    const int mantissa_bits = (int)dtype_bytes(dtype) * 8 - 1 - exponent_bits;
    const int largest = (1 << exponent_bits) - 1, bias = largest / 2;
    const int mantissa = (int)(bits & ((1u << mantissa_bits) - 1)), exponent = (int)(bits >> mantissa_bits) & largest;
    double value = ldexp(mantissa + (1 << mantissa_bits), exponent - bias - mantissa_bits);
    if (exponent == 0)
        value = ldexp(mantissa, 1 - bias - mantissa_bits);
    else if (exponent == largest)
        value = mantissa ? (double)NAN : (double)INFINITY;
    return bits >> (exponent_bits + mantissa_bits) ? -value : value;
}

float checkpoint_element(const struct checkpoint *c, const char *name, size_t i)
{
    const json_t *entry = json_object_get(c->header, name);
    const char *dtype = json_string_value(json_object_get(entry, "dtype"));
    assert_non_null(dtype);
    const json_int_t begin = json_integer_value(json_array_get(json_object_get(entry, "data_offsets"), 0));
    const unsigned char *bytes = c->data + begin + i * dtype_bytes(dtype);
    uint32_t bits = 0;
    for (size_t k = 0; k < dtype_bytes(dtype); k++)
        bits |= (uint32_t)bytes[k] << (8 * k);
    return (float)dtype_value(dtype, bits);
}

/* n random finite values of that type. */
static void draw_values(unsigned char *bytes, size_t n, const char *dtype, uint64_t *random)
{
    const size_t width = dtype_bytes(dtype);
    for (size_t i = 0; i < n * width; i++)
        bytes[i] = (unsigned char)(next_random(random) >> 56);
    for (size_t i = 0; i < n; i++)
        bytes[(i + 1) * width - 1] &= 0xbf; /* the exponent's top bit off: below 2 */
}

/* ---- Building ----------------------------------------------------------------------------------- */

static void add_tensor(struct checkpoint *c, const char *name, const char *dtype, json_t *shape, uint64_t *random)
{
    size_t n = 1, i;
    json_t *size;
    json_array_foreach(shape, i, size) n *= (size_t)json_integer_value(size);
    const size_t n_bytes = n * dtype_bytes(dtype);
    c->data = realloc(c->data, c->n_data + n_bytes);
    assert_non_null(c->data);
    draw_values(c->data + c->n_data, n, dtype, random);
    json_t *entry = json_pack("{s:s, s:o, s:[I, I]}", "dtype", dtype, "shape", shape, "data_offsets",
                              (json_int_t)c->n_data, (json_int_t)(c->n_data + n_bytes));
    assert_non_null(entry);
    assert_int_equal(json_object_set_new(c->header, name, entry), 0);
    c->n_data += n_bytes;
}

static void add_model_tensors(struct checkpoint *c, const char *prefix, const char *dtype, uint64_t *random)
{
    char name[48], full_name[128];
    size_t n;
    int layer;
    for (int i = 0; model_tensor_name(&c->shape, i, name, &n); i++) {
        json_t *shape = json_array();
        for (const char *letter = find_row(&c->shape, i, &layer)->shape; *letter; letter++)
            json_array_append_new(shape, json_integer(dimension(&c->shape, *letter)));
        snprintf(full_name, sizeof full_name, "%s%s", prefix, name);
        add_tensor(c, full_name, dtype, shape, random);
    }
}

static void add_masks(struct checkpoint *c, const char *prefix, const char *dtype, uint64_t *random)
{
    char name[128];
    for (int layer = 0; layer < c->shape.n_layer; layer++) {
        snprintf(name, sizeof name, "%sh.%d.attn.bias", prefix, layer);
        add_tensor(c, name, dtype, json_pack("[i, i, i, i]", 1, 1, c->shape.n_positions, c->shape.n_positions), random);
        snprintf(name, sizeof name, "%sh.%d.attn.masked_bias", prefix, layer);
        add_tensor(c, name, dtype, json_array(), random);
    }
}

static void clear(struct checkpoint *c)
{
    json_decref(c->config);
    json_decref(c->header);
    free(c->data);
    c->config = c->header = NULL;
    c->data = NULL;
    c->n_data = 0;
    c->more_spaces = 0;
}

void checkpoint_build(struct checkpoint *c, const struct checkpoint_options *options)
{
    static const struct kv_config small = {2, 2, 8, 32, 11, 7, KV_GELU_NEW, 1e-5f};
    const char *prefix = options->prefix ? options->prefix : "", *dtype = options->dtype ? options->dtype : "F32";
    uint64_t random = 1;
    clear(c);
    c->shape = options->config.n_layer ? options->config : small;
    c->config = json_pack("{s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:s, s:f}", "model_type", "gpt2", "n_layer",
                          c->shape.n_layer, "n_head", c->shape.n_head, "n_embd", c->shape.n_embd, "n_inner",
                          c->shape.n_inner, "vocab_size", c->shape.vocab_size, "n_positions", c->shape.n_positions,
                          "activation_function", c->shape.activation == KV_GELU ? "gelu" : "gelu_new",
                          "layer_norm_epsilon", (double)c->shape.layer_norm_epsilon);
    c->header = json_pack("{s:{s:s}}", "__metadata__", "format", "pt");
    assert_true(c->config && c->header);
    if (options->lm_head)
        add_tensor(c, "lm_head.weight", dtype, json_pack("[i, i]", c->shape.vocab_size, c->shape.n_embd), &random);
    if (options->masks)
        add_masks(c, prefix, dtype, &random);
    add_model_tensors(c, prefix, dtype, &random);
}

/* ---- Files -------------------------------------------------------------------------------------- */

unsigned char *checkpoint_image(const struct checkpoint *c, size_t *n_bytes)
{
    char *text = json_dumps(c->header, JSON_COMPACT | JSON_PRESERVE_ORDER);
    assert_non_null(text);
    const size_t length = strlen(text), header = (length + 7) / 8 * 8 + (size_t)c->more_spaces;
    unsigned char *image = malloc(8 + header + c->n_data);
    assert_non_null(image);
    for (int i = 0; i < 8; i++)
        image[i] = (unsigned char)((uint64_t)header >> (8 * i));
    memset(image + 8, ' ', header);
    memcpy(image + 8, text, length);
    memcpy(image + 8 + header, c->data, c->n_data);
    free(text);
    *n_bytes = 8 + header + c->n_data;
    return image;
}

void write_bytes(const char *file, const void *bytes, size_t n_bytes)
{
    unlink(file); /* file systems flush a file that is cut and written again, which takes longer than all the rest */
    FILE *stream = fopen(file, "wbe");
    assert_non_null(stream);
    assert_int_equal(fwrite(bytes, 1, n_bytes, stream), n_bytes);
    assert_int_equal(fclose(stream), 0);
}

void checkpoint_write(const struct checkpoint *c)
{
    size_t n_bytes;
    unsigned char *image = checkpoint_image(c, &n_bytes);
    assert_int_equal(json_dump_file(c->config, c->config_file, JSON_INDENT(2)), 0);
    write_bytes(c->weights_file, image, n_bytes);
    free(image);
}

int checkpoint_set_up(void **state)
{
    struct checkpoint *c = *state = calloc(1, sizeof *c);
    if (!c || folder_make(c->folder, sizeof c->folder) != 0)
        return -1;
    snprintf(c->config_file, sizeof c->config_file, "%s/config.json", c->folder);
    snprintf(c->weights_file, sizeof c->weights_file, "%s/model.safetensors", c->folder);
    return 0;
}

int checkpoint_tear_down(void **state)
{
    struct checkpoint *c = *state;
    const int failed = folder_remove(c->folder);
    clear(c);
    free(c);
    return failed;
}

struct kv_safetensors *open_safetensors(const char *file)
{
    struct kv_safetensors *opened;
    struct kv_error error;
    assert_ok(kv_safetensors_open(&opened, file, &error), error);
    return opened;
}

uint64_t data_start(const char *file)
{
    uint64_t header;
    FILE *stream = fopen(file, "re");
    assert_non_null(stream);
    assert_int_equal(fread(&header, sizeof header, 1, stream), 1);
    fclose(stream);
    return 8 + header;
}

size_t damage(unsigned char *bytes, size_t n, size_t reach, uint64_t *random)
{
    static const char telling[] = "0919-+eE.,:[]{}\"\\ \n\xff\x80";
    reach = reach < n ? reach : n;
    const size_t at = next_random(random) % reach, most = n - at < 24 ? n - at : 24;
    const size_t length = 1 + next_random(random) % most;
    switch (random_between(random, 0, 4)) {
    case 0:
        bytes[at] ^= (unsigned char)(1 << random_between(random, 0, 7));
        return n;
    case 1:
        bytes[at] = (unsigned char)telling[next_random(random) % (sizeof telling - 1)];
        return n;
    case 2:
        memmove(bytes + at, bytes + at + length, n - at - length);
        return n - length;
    case 3:
        memmove(bytes + at + length, bytes + at, n - at);
        return n + length;
    default:
        memmove(bytes + next_random(random) % (reach - most + 1), bytes + at, length);
        return n;
    }
}

/* ---- What a refusal leaves ------------------------------------------------------------------------ */

void assert_released(const char *file)
{
    char line[1024];
    FILE *maps = fopen("/proc/self/maps", "re");
    assert_non_null(maps);
    while (fgets(line, sizeof line, maps))
        assert_null(strstr(line, file));
    fclose(maps);
    DIR *descriptors = opendir("/proc/self/fd");
    assert_non_null(descriptors);
    for (struct dirent *entry; (entry = readdir(descriptors));) {
        const ssize_t length = readlinkat(dirfd(descriptors), entry->d_name, line, sizeof line - 1);
        line[length > 0 ? length : 0] = '\0';
        assert_string_not_equal(line, file);
    }
    closedir(descriptors);
}

static struct rlimit whole_disk;
static void (*disk_handler)(int);

void disk_is_full(size_t limit)
{
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &whole_disk), 0);
    disk_handler = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &(struct rlimit){limit, whole_disk.rlim_max}), 0);
}

void disk_is_free(void)
{
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &whole_disk), 0);
    signal(SIGXFSZ, disk_handler);
}
