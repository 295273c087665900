/* The safetensors file: every way in which one can be wrong, and what we write ourselves. */
#include "checkpoint.h"
#include "unit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A file that announces a header of `announced` bytes, then has this header and n_data bytes, zero or not. */
static void put_file(const struct checkpoint *c, uint64_t announced, const char *header, size_t n_header, size_t n_data)
{
    unsigned char *bytes = calloc(8 + n_header + n_data, 1);
    assert_non_null(bytes);
    for (int i = 0; i < 8; i++)
        bytes[i] = (unsigned char)(announced >> (8 * i));
    memcpy(bytes + 8, header, n_header);
    write_bytes(c->weights_file, bytes, 8 + n_header + n_data);
    free(bytes);
}

static void put_header(const struct checkpoint *c, const char *header, size_t n_data)
{
    put_file(c, strlen(header), header, strlen(header), n_data);
}

/* The file is refused with that thing named, and let go. */
#define refuse(c, status, thing) refuse_at((c), (status), (thing), __LINE__)
static void refuse_at(const struct checkpoint *c, kv_status status, const char *thing, int line)
{
    struct kv_safetensors *file;
    const kv_status got = kv_safetensors_open(&file, c->weights_file, &error);
    check_refused(got, status, &error, c->weights_file, thing, __FILE__, line);
    assert_null(file);
    assert_int_equal(kv_safetensors_open(&file, c->weights_file, NULL), status);
    assert_released(c->weights_file);
}

/* ---- Reading: right files ----------------------------------------------------------------------- */

FOLDER_TEST(every_field)
{
    put_header(c,
               "{\"__metadata__\":{\"format\":\"pt\",\"n\":\"1\"},"
               "\"b\":{\"dtype\":\"F16\",\"shape\":[2,3],\"data_offsets\":[8,20]},"
               "\"a\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[0,8]},"
               "\"nothing\":{\"dtype\":\"BF16\",\"shape\":[5,0,7],\"data_offsets\":[20,20]},"
               "\"c\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[20,24]}}",
               24);
    struct kv_safetensors *file = open_safetensors(c->weights_file);
    assert_int_equal(kv_safetensors_count(file), 4);
    static const char *const names[] = {"a", "b", "c", "nothing"};
    static const enum kv_dtype dtypes[] = {KV_DTYPE_OTHER, KV_DTYPE_F16, KV_DTYPE_F32, KV_DTYPE_BF16};
    static const size_t places[][2] = {{0, 8}, {8, 20}, {20, 24}, {20, 20}}, elements[] = {1, 6, 1, 0};
    const unsigned char *data = kv_safetensors_at(file, 0)->data;
    for (int i = 0; i < 4; i++) {
        const struct kv_tensor *tensor = kv_safetensors_find(file, names[i]);
        assert_ptr_equal(tensor, kv_safetensors_at(file, i));
        assert_string_equal(tensor->name, names[i]);
        assert_int_equal(tensor->dtype, dtypes[i]);
        assert_int_equal(tensor->n_elements, elements[i]);
        assert_int_equal(tensor->begin, places[i][0]);
        assert_int_equal(tensor->end, places[i][1]);
        assert_ptr_equal(tensor->data, data + places[i][0]);
    }
    const struct kv_tensor *b = kv_safetensors_find(file, "b"), *a = kv_safetensors_find(file, "a");
    assert_true(b->n_dims == 2 && b->shape[0] == 2 && b->shape[1] == 3);
    assert_int_equal(a->n_dims, 0);
    assert_string_equal(a->dtype_name, "I64");
    assert_null(kv_safetensors_find(file, "__metadata__"));
    assert_null(kv_safetensors_find(file, ""));
    assert_null(kv_safetensors_find(file, "d"));
    kv_safetensors_close(file);
    assert_released(c->weights_file);
    kv_safetensors_close(NULL);
}

FOLDER_TEST(no_tensors)
{
    static const char *const headers[] = {"{}", "{}      ", "{\"__metadata__\":{}}"};
    for (size_t i = 0; i < COUNT(headers); i++) {
        put_header(c, headers[i], 0);
        struct kv_safetensors *file = open_safetensors(c->weights_file);
        assert_int_equal(kv_safetensors_count(file), 0);
        assert_null(kv_safetensors_find(file, "wte.weight"));
        kv_safetensors_close(file);
    }
}

/* Every type of the format has its width: one byte too few or too many is refused. */
FOLDER_TEST(dtypes)
{
    static const struct {
        const char *name;
        int bytes;
    } dtypes[] = {{"F64", 8}, {"F32", 4}, {"F16", 2},  {"BF16", 2},    {"I64", 8},
                  {"I32", 4}, {"I16", 2}, {"I8", 1},   {"U64", 8},     {"U32", 4},
                  {"U16", 2}, {"U8", 1},  {"BOOL", 1}, {"F8_E4M3", 1}, {"F8_E5M2", 1}};
    char header[256];
    for (size_t i = 0; i < COUNT(dtypes); i++) {
        for (int more = -1; more <= 1; more++) {
            snprintf(header, sizeof header, "{\"t\":{\"dtype\":\"%s\",\"shape\":[3],\"data_offsets\":[0,%d]}}",
                     dtypes[i].name, 3 * dtypes[i].bytes + more);
            put_header(c, header, 3 * (size_t)dtypes[i].bytes + (size_t)(more > 0));
            if (more)
                refuse(c, KV_ERROR_FORMAT, "tensor 't'");
            else
                kv_safetensors_close(open_safetensors(c->weights_file));
        }
    }
}

/* ---- Reading: wrong files ----------------------------------------------------------------------- */

/* Tensors cover the data without a gap: with a header that ends a few spaces early, all of them would be read from a few
 * bytes beside their own. */
FOLDER_TEST(gaps)
{
#define TWO(end_of_a, begin_of_b, end_of_b)                                                                            \
    "{\"a\":{\"dtype\":\"U8\",\"shape\":[" #end_of_a "],\"data_offsets\":[0," #end_of_a "]},"                          \
    "\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[" #begin_of_b "," #end_of_b "]}}        "
    put_header(c, TWO(2, 2, 4), 4);
    kv_safetensors_close(open_safetensors(c->weights_file));
    put_header(c, TWO(2, 3, 5), 5);
    refuse(c, KV_ERROR_FORMAT, "bytes 2 to 3 of the data are no tensor's");
    put_header(c, TWO(2, 2, 4), 6);
    refuse(c, KV_ERROR_FORMAT, "the tensors end at byte 4 of the data, which has 6");
    for (int fewer = 2; fewer <= 8; fewer += 2) {
        put_header(c, TWO(2, 2, 4), 4);
        FILE *file = fopen(c->weights_file, "r+b");
        assert_non_null(file);
        const int length = fgetc(file); /* below 256 */
        rewind(file);
        fputc(length - fewer, file);
        assert_int_equal(fclose(file), 0);
        refuse(c, KV_ERROR_FORMAT, "the tensors end at byte 4");
    }
#undef TWO
}

FOLDER_TEST(wrong_entries)
{
#define ENTRY(dtype, shape, offsets) "{\"t\":{\"dtype\":" dtype ",\"shape\":" shape ",\"data_offsets\":" offsets "}}"
    static const struct {
        const char *header;
        const char *named;
    } entries[] = {
        {"{\"t\":1}", "tensor 't'"},
        {"{\"t\":null}", "tensor 't'"},
        {"{\"t\":[]}", "tensor 't'"},
        {"{\"t\":{}}", "tensor 't': 'dtype'"},
        {ENTRY("7", "[1]", "[0,4]"), "tensor 't': 'dtype'"},
        {ENTRY("null", "[1]", "[0,4]"), "tensor 't': 'dtype'"},
        {ENTRY("\"F33\"", "[1]", "[0,4]"), "tensor 't': dtype 'F33'"},
        {ENTRY("\"f32\"", "[1]", "[0,4]"), "tensor 't': dtype 'f32'"},
        {ENTRY("\"\"", "[1]", "[0,4]"), "tensor 't': dtype ''"},
        {"{\"t\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", "tensor 't': 'shape'"},
        {ENTRY("\"F32\"", "1", "[0,4]"), "tensor 't': 'shape'"},
        {ENTRY("\"F32\"", "{}", "[0,4]"), "tensor 't': 'shape'"},
        {ENTRY("\"F32\"", "[-1]", "[0,4]"), "tensor 't': 'shape'"},
        {ENTRY("\"F32\"", "[1.0]", "[0,4]"), "tensor 't': 'shape'"},
        {ENTRY("\"F32\"", "[\"1\"]", "[0,4]"), "tensor 't': 'shape'"},
        {ENTRY("\"F32\"", "[null]", "[0,4]"), "tensor 't': 'shape'"},
        {ENTRY("\"F32\"", "[[1]]", "[0,4]"), "tensor 't': 'shape'"},
        {ENTRY("\"F32\"", "[1,1,1,1,1,1,1,1,1]", "[0,4]"), "tensor 't': 'shape'"},
        {ENTRY("\"F32\"", "[4294967296,4294967296]", "[0,0]"), "tensor 't': the size of its shape overflows"},
        {ENTRY("\"F32\"", "[4611686018427387904]", "[0,0]"), "tensor 't': the size of its shape overflows"},
        {ENTRY("\"F64\"", "[3,1152921504606846976]", "[0,8]"), "tensor 't': the size of its shape overflows"},
        {ENTRY("\"I8\"", "[9223372036854775807,9223372036854775807]", "[0,1]"), "overflows"},
        {ENTRY("\"F32\"", "[18446744073709551617]", "[0,4]"), "tensor 't': 'shape'"},
        {ENTRY("\"F32\"", "[1]", "[0,18446744073709551616]"), "tensor 't': 'data_offsets'"},
        {ENTRY("\"F32\"", "[1]", "[-18446744073709551616,4]"), "tensor 't': 'data_offsets'"},
        {"{\"t\":{\"dtype\":\"F32\",\"shape\":[1]}}", "tensor 't': 'data_offsets'"},
        {ENTRY("\"F32\"", "[1]", "4"), "tensor 't': 'data_offsets'"},
        {ENTRY("\"F32\"", "[1]", "[]"), "tensor 't': 'data_offsets'"},
        {ENTRY("\"F32\"", "[1]", "[4]"), "tensor 't': 'data_offsets'"},
        {ENTRY("\"F32\"", "[1]", "[0,4,4]"), "tensor 't': 'data_offsets'"},
        {ENTRY("\"F32\"", "[1]", "[-4,0]"), "tensor 't': 'data_offsets'"},
        {ENTRY("\"F32\"", "[1]", "[0,4.0]"), "tensor 't': 'data_offsets'"},
        {ENTRY("\"F32\"", "[1]", "[4,0]"), "tensor 't': data_offsets [4, 0]"},
        {ENTRY("\"F32\"", "[4611686018427387903]", "[4,0]"), "tensor 't': data_offsets [4, 0]"}, /* -4, modulo 2^64 */
        {ENTRY("\"F32\"", "[1]", "[0,8]"), "tensor 't': data_offsets [0, 8]"},
        {ENTRY("\"F32\"", "[1]", "[0,0]"), "tensor 't': data_offsets [0, 0]"},
        {ENTRY("\"F32\"", "[5]", "[0,20]"), "tensor 't': data_offsets end at 20, but the file holds 16"},
        {ENTRY("\"F32\"", "[1]", "[13,17]"), "tensor 't': data_offsets end at 17"},
        {ENTRY("\"F32\"", "[1]", "[9223372036854775803,9223372036854775807]"), "end at 9223372036854775807"},
        {ENTRY("\"F32\"", "[0]", "[17,17]"), "tensor 't': data_offsets end at 17"},
        {ENTRY("\"F32\"", "[2305843009213693951]", "[0,9223372036854775804]"), "end at 9223372036854775804"},
    };
#undef ENTRY
    for (size_t i = 0; i < COUNT(entries); i++) {
        put_header(c, entries[i].header, 16);
        refuse(c, KV_ERROR_FORMAT, entries[i].named);
    }
}

FOLDER_TEST(overlaps)
{
    static const int places[][2] = {{0, 8}, {4, 12}, {0, 4}, {4, 8}, {2, 6}, {7, 15}};
    char header[512];
    for (size_t i = 0; i < COUNT(places); i++) {
        snprintf(header, sizeof header,
                 "{\"other\":{\"dtype\":\"U8\",\"shape\":[%d],\"data_offsets\":[%d,%d]},"
                 "\"before\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]},"
                 "\"this\":{\"dtype\":\"U8\",\"shape\":[8],\"data_offsets\":[0,8]}}",
                 places[i][1] - places[i][0], places[i][0], places[i][1]);
        put_header(c, header, 16);
        refuse(c, KV_ERROR_FORMAT, "'this'");
        refuse(c, KV_ERROR_FORMAT, "'other'");
    }
}

FOLDER_TEST(not_a_header)
{
#define TENSOR "{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}"
    static const char *const headers[] = {
        "{",
        "{\"t\":" TENSOR,
        "{\"t\":" TENSOR "},",
        "{\"t\":" TENSOR "}{}",
        "{t:" TENSOR "}",
        "{\"t\":" TENSOR ",\"t\":" TENSOR "}",                         /* a tensor twice */
        "{\"t\":{\"dtype\":\"F32\",\"dtype\":\"F16\",\"shape\":[1]}}", /* a field twice */
        "{\"__metadata__\":{},\"__metadata__\":{}}",
        "{\"\xff\":" TENSOR "}",
        "{\"\\ud800\":" TENSOR "}",
        "{\"\\u0000\":" TENSOR "}",
        "{\"t\":{\"shape\":[1e999]}}",
    };
    static const char *const others[] = {"", "        ", "hello", "[]", "[{}]", "[" TENSOR "]", " {\"t\":" TENSOR "}"};
    static const char *const metadata[] = {"[]", "\"a\"", "null", "{\"a\":1}", "{\"a\":null}", "{\"a\":{}}"};
#undef TENSOR
    char header[64];
    for (size_t i = 0; i < COUNT(headers); i++) {
        put_header(c, headers[i], 16);
        refuse(c, KV_ERROR_FORMAT, "the header is not JSON: ");
    }
    for (size_t i = 0; i < COUNT(others); i++) {
        put_header(c, others[i], 16);
        refuse(c, KV_ERROR_FORMAT, "the header does not begin with '{'");
    }
    for (size_t i = 0; i < COUNT(metadata); i++) {
        snprintf(header, sizeof header, "{\"__metadata__\":%s}", metadata[i]);
        put_header(c, header, 0);
        refuse(c, KV_ERROR_FORMAT, "'__metadata__' ");
    }
}

FOLDER_TEST(deep_nesting)
{
    enum { DEPTH = 1000000 };
    char *header = malloc(DEPTH + 1);
    assert_non_null(header);
    memset(header, '[', DEPTH);
    memcpy(header, "{\"a\":", 5);
    header[DEPTH] = '\0';
    put_header(c, header, 0);
    refuse(c, KV_ERROR_FORMAT, "the header is not JSON: ");
    for (int i = 0; i + 5 <= DEPTH; i += 5)
        memcpy(header + i, "{\"a\":", 5);
    put_header(c, header, 0);
    refuse(c, KV_ERROR_FORMAT, "the header is not JSON: ");
    free(header);
}

FOLDER_TEST(header_length)
{
    static const uint64_t lengths[] = {
        3, 1u << 31, UINT64_C(1) << 32, UINT64_MAX >> 1, UINT64_C(1) << 63, UINT64_MAX - 8, UINT64_MAX - 7, UINT64_MAX};
    char named[64];
    for (size_t i = 0; i < COUNT(lengths); i++) {
        put_file(c, lengths[i], "{}", 2, 0);
        snprintf(named, sizeof named, "the header's length, %llu bytes", (unsigned long long)lengths[i]);
        refuse(c, KV_ERROR_FORMAT, named);
    }
    for (size_t n_bytes = 0; n_bytes < 8; n_bytes++) {
        write_bytes(c->weights_file, "\2\0\0\0\0\0\0\0{}", n_bytes);
        snprintf(named, sizeof named, "%zu bytes are too few", n_bytes);
        refuse(c, KV_ERROR_FORMAT, named);
    }
}

FOLDER_TEST(not_a_file)
{
    refuse(c, KV_ERROR_IO, "No such file");
    assert_int_equal(mkdir(c->weights_file, 0700), 0);
    refuse(c, KV_ERROR_IO, "not a regular file");
    struct kv_safetensors *file;
    REFUSED(kv_safetensors_open(&file, "/dev/null", &error), KV_ERROR_IO, "/dev/null", "regular");
}

/* Names are shown to a person: cut when long, and in one line. */
FOLDER_TEST(odd_names)
{
    char header[4096] = "{\"";
    memset(header + 2, 'n', 3000);
    strcpy(header + 3002, "\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,8]}}");
    put_header(c, header, 16);
    refuse(c, KV_ERROR_FORMAT, "do not hold the 4 bytes of its shape");
    put_header(c, "{\"a\\nb\\u001b[2J\\rc\":{\"dtype\":\"F\\n\",\"shape\":[],\"data_offsets\":[0,4]}}", 16);
    refuse(c, KV_ERROR_FORMAT, "tensor 'a?b?[2J?c': dtype 'F?'");
}

/* ---- Writing ------------------------------------------------------------------------------------ */

static void assert_holds(const struct checkpoint *c, const char *name, const float *values, const size_t *shape,
                         int n_dims)
{
    struct kv_safetensors *file = open_safetensors(c->weights_file);
    assert_int_equal(kv_safetensors_count(file), 1);
    const struct kv_tensor *tensor = kv_safetensors_find(file, name);
    assert_non_null(tensor);
    assert_int_equal(tensor->dtype, KV_DTYPE_F32);
    assert_int_equal(tensor->n_dims, n_dims);
    for (int i = 0; i < n_dims; i++)
        assert_int_equal(tensor->shape[i], shape[i]);
    assert_int_equal((uintptr_t)tensor->data % 8, 0);
    assert_memory_equal(tensor->data, values, tensor->n_elements * sizeof(float));
    kv_safetensors_close(file);
}

FOLDER_TEST(write_and_read)
{
    static const struct {
        const char *name;
        size_t shape[4];
        int n_dims;
    } tensors[] = {{"logits", {2, 3, 5}, 3},
                   {"t", {30}, 1},
                   {"scalar", {0}, 0},
                   {"\xc3\xa9 \"quoted\"\n", {1, 2}, 2},
                   {"", {1}, 1},
                   {"empty", {2, 0, 3}, 3},
                   {"xx", {1}, 1},
                   {"xxxxxxx", {1, 1, 1, 4}, 4}};
    float values[30];
    uint64_t random = 3;
    for (size_t i = 0; i < COUNT(values); i++)
        values[i] = random_float(&random);
    const uint32_t special[] = {0x7fc00001, 0xff800000, 0x80000000, 1}; /* NaN, -infinity, -0, a denormal */
    memcpy(values, special, sizeof special);
    for (size_t i = 0; i < COUNT(tensors); i++) { /* each replaces the one before */
        assert_ok(
            kv_write_safetensors(c->weights_file, tensors[i].name, values, tensors[i].shape, tensors[i].n_dims, &error),
            error);
        assert_holds(c, tensors[i].name, values, tensors[i].shape, tensors[i].n_dims);
        assert_int_equal(files_in(c->folder), 1);
    }
}

/* Read back by a judge that is not our own code. */
FOLDER_TEST(python_reads_it)
{
    static const char script[] =
        "import json, math, struct, sys\n"
        "file = open(sys.argv[1], 'rb').read()\n"
        "n, = struct.unpack_from('<Q', file)\n"
        "header = json.loads(file[8:8 + n])\n"
        "assert n % 8 == 0\n"
        "assert header == {'logits': {'dtype': 'F32', 'shape': [2, 1, 3], 'data_offsets': [0, 24]}}, header\n"
        "assert len(file) == 8 + n + 24\n"
        "values = struct.unpack('<6f', file[8 + n:])\n"
        "assert values[:5] == (1.5, -2.0, 2.0**-149, 3.4028234663852886e38, -math.inf), values\n"
        "assert math.isnan(values[5])\n";
    const float values[] = {1.5f, -2.0f, 0x1p-149f, 0x1.fffffep127f, -INFINITY, NAN};
    char command[256];
    OK(kv_write_safetensors(c->weights_file, "logits", values, (const size_t[]){2, 1, 3}, 3, &error));
    assert_in_range(snprintf(command, sizeof command, "'%s' -E - '%s'", KV_PYTHON, c->weights_file), 1, 255);
    FILE *python = popen(command, "we");
    assert_non_null(python);
    assert_true(fputs(script, python) >= 0);
    assert_int_equal(pclose(python), 0);
}

FOLDER_TEST(write_refused)
{
    const float value = 1;
    const size_t one = 1;
    char path[256];
    snprintf(path, sizeof path, "%s/absent/x.safetensors", c->folder);
    REFUSED(kv_write_safetensors(path, "t", &value, &one, 1, &error), KV_ERROR_IO, path, "No such file");
    assert_int_equal(mkdir(c->weights_file, 0700), 0);
    REFUSED(kv_write_safetensors(c->weights_file, "t", &value, &one, 1, &error), KV_ERROR_IO, c->weights_file,
            "directory");
    assert_int_equal(files_in(c->folder), 1);
    assert_int_equal(files_in(c->weights_file), 0);
    write_bytes(c->config_file, "", 0);
    snprintf(path, sizeof path, "%s/x.safetensors", c->config_file);
    REFUSED(kv_write_safetensors(path, "t", &value, &one, 1, &error), KV_ERROR_IO, path, "directory");
    assert_int_equal(files_in(c->folder), 2);
}

FOLDER_TEST(many_tensors)
{
    enum { LARGE = 3 * 4096 + 5 }; /* more than any buffer */
    float *values = malloc(LARGE * sizeof *values);
    assert_non_null(values);
    for (int i = 0; i < LARGE; i++)
        values[i] = (float)(i % 251) - 100; /* bfloat16 has them all */
    const struct kv_tensor_source sources[] = {
        {"z", KV_DTYPE_F32, 2, (const size_t[]){3, 5}, values + 7},
        {"scalar", KV_DTYPE_F32, 0, NULL, values + 1},
        {"nothing", KV_DTYPE_BF16, 2, (const size_t[]){4, 0}, NULL},
        {"large", KV_DTYPE_BF16, 1, (const size_t[]){LARGE}, values},
        {"a \"quoted\"\n", KV_DTYPE_BF16, 3, (const size_t[]){1, 3, 1}, values + 2},
    };
    OK(kv_safetensors_write(c->weights_file, sources, COUNT(sources), NULL, 0, &error));
    struct kv_safetensors *file = open_safetensors(c->weights_file);
    assert_int_equal(kv_safetensors_count(file), COUNT(sources));
    assert_int_equal(data_start(c->weights_file) % 64, 0);
    size_t end = 0;
    for (size_t i = 0; i < COUNT(sources); i++) {
        const struct kv_tensor *tensor = kv_safetensors_find(file, sources[i].name);
        assert_non_null(tensor);
        assert_int_equal(tensor->begin, end); /* in the order given, without gaps */
        assert_int_equal(tensor->dtype, sources[i].dtype);
        assert_int_equal(tensor->n_dims, sources[i].n_dims);
        for (int d = 0; d < tensor->n_dims; d++)
            assert_int_equal(tensor->shape[d], sources[i].shape[d]);
        const size_t width = tensor->dtype == KV_DTYPE_F32 ? 4 : 2;
        for (size_t k = 0; k < tensor->n_elements; k++) {
            uint32_t bits = 0;
            memcpy((char *)&bits + 4 - width, tensor->data + k * width, width);
            assert_memory_equal(&bits, &sources[i].data[k], sizeof bits);
        }
        end = tensor->end;
    }
    kv_safetensors_close(file);
    free(values);
}

FOLDER_TEST(notes)
{
    const struct kv_note notes[] = {{"format", "pt"}, {"", "empty"}, {"text", "two\nlines \"\xc3\xa9\""}, {"none", ""}};
    OK(kv_safetensors_write(c->weights_file, NULL, 0, notes, COUNT(notes), &error));
    struct kv_safetensors *file = open_safetensors(c->weights_file);
    for (size_t i = 0; i < COUNT(notes); i++)
        assert_string_equal(kv_safetensors_note(file, notes[i].name), notes[i].value);
    assert_null(kv_safetensors_note(file, "absent"));
    kv_safetensors_close(file);
    static const char *const headers[] = {"{}", "{\"__metadata__\":{}}", "{\"__metadata__\":{\"other\":\"1\"}}"};
    for (size_t i = 0; i < COUNT(headers); i++) {
        char bytes[64] = {(char)strlen(headers[i])};
        memcpy(bytes + 8, headers[i], strlen(headers[i]));
        write_bytes(c->weights_file, bytes, 8 + strlen(headers[i]));
        file = open_safetensors(c->weights_file);
        assert_null(kv_safetensors_note(file, "format"));
        kv_safetensors_close(file);
    }
}

FOLDER_TEST(sources_refused)
{
    const float value = 1;
    const size_t one = 1, ones[9] = {1, 1, 1, 1, 1, 1, 1, 1, 1}, huge = SIZE_MAX / 8, large = SIZE_MAX / 4 + 1,
                 none[] = {0, SIZE_MAX};
    const struct kv_tensor_source good = {"t", KV_DTYPE_F32, 1, &one, &value};
    const struct {
        struct kv_tensor_source second;
        struct kv_note note;
        const char *named;
    } cases[] = {
        {{"t", KV_DTYPE_F32, 1, &one, &value}, {"n", ""}, "'t' is taken"},
        {{"__metadata__", KV_DTYPE_F32, 1, &one, &value}, {"n", ""}, "'__metadata__' is taken"},
        {{"half", KV_DTYPE_F16, 1, &one, &value}, {"n", ""}, "'half' can be written as F32 or BF16"},
        {{"other", KV_DTYPE_OTHER, 1, &one, &value}, {"n", ""}, "'other' can be"},
        {{"deep", KV_DTYPE_F32, 9, ones, &value}, {"n", ""}, "'deep' has 9 dimensions"},
        {{"none", KV_DTYPE_F32, 2, none, &value}, {"n", ""}, "tensor 'none' overflows"},
        {{"huge", KV_DTYPE_F32, 1, &huge, &value}, {"n", ""}, "overflows"},
        {{"large", KV_DTYPE_F32, 1, &large, &value}, {"n", ""}, "'large'"},
        {{"\xff", KV_DTYPE_F32, 1, &one, &value}, {"n", ""}, "UTF-8"},
        {{"u", KV_DTYPE_F32, 1, &one, &value}, {"n", "\xc3"}, "UTF-8"},
        {{"u", KV_DTYPE_F32, 1, &one, &value}, {"\xff", ""}, "UTF-8"},
        {{"u", KV_DTYPE_F32, 1, &one, &value}, {"first", ""}, "'first' is taken"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        const struct kv_tensor_source sources[] = {good, cases[i].second};
        const struct kv_note notes[] = {{"first", "1"}, cases[i].note};
        REFUSED(kv_safetensors_write(c->weights_file, sources, 2, notes, 2, &error), KV_ERROR_ARGUMENT, c->weights_file,
                cases[i].named);
        assert_int_equal(access(c->weights_file, F_OK), -1);
    }
}

/* A write of n values that stops half-way, as on a full disk, leaves the file that was there, and nothing else. */
static void stop_half_way(const struct checkpoint *c, size_t n, size_t limit)
{
    static const float old_values[] = {3, 4};
    const size_t old_shape = COUNT(old_values);
    float *values = calloc(n, sizeof *values);
    assert_non_null(values);
    OK(kv_write_safetensors(c->weights_file, "old", old_values, &old_shape, 1, &error));
    disk_is_full(limit);
    const kv_status status = kv_write_safetensors(c->weights_file, "new", values, &n, 1, &error);
    disk_is_free();
    REFUSED(status, KV_ERROR_IO, c->weights_file, "too large");
    assert_int_equal(files_in(c->folder), 1);
    assert_holds(c, "old", old_values, &old_shape, 1);
    free(values);
}

FOLDER_TEST(write_whole_or_not_at_all)
{
    for (size_t limit = 1; limit < 400000; limit *= 8)
        stop_half_way(c, 100000, limit);
    stop_half_way(c, 3, 0); /* so small that only closing the file writes it */
    stop_half_way(c, 3, 70);
}
