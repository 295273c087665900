#include "support.h"

#include "model/safetensors.h"

#include <dirent.h>
#include <ftw.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void check_ok(kv_status status, const struct kv_error *error, const char *file, int line)
{
    if (status == KV_OK)
        return;
    print_error("status %d: %s\n", (int)status, error->message);
    _fail(file, line);
}

void check_refused(kv_status status, kv_status expected, struct kv_error *error, const char *part, const char *other,
                   const char *file, int line)
{
    const bool right = status == expected && strstr(error->message, part) &&
                       (!other || strstr(error->message, other)) && !strpbrk(error->message, "\n\r");
    if (!right) {
        print_error("status %d instead of %d, '%s' and '%s' wanted in one line: %s\n", (int)status, (int)expected, part,
                    other ? other : "", status ? error->message : "no error");
        _fail(file, line);
    }
    error->message[0] = '\0';
}

void check_close(const float *values, const float *expected, size_t n, double bound, const char *file, int line)
{
    double largest = 0, worst = 0;
    size_t at = 0;
    for (size_t i = 0; i < n; i++)
        largest = fmax(largest, fabs((double)expected[i]));
    for (size_t i = 0; i < n; i++) {
        const double difference = fabs((double)values[i] - (double)expected[i]);
        if (!(difference <= worst)) { /* also true for NaN */
            worst = difference;
            at = i;
        }
    }
    if (worst <= bound * largest)
        return;
    print_error("value %zu is %.9g, expected %.9g: off by %.3g of the largest, bound %.3g\n", at, (double)values[at],
                (double)expected[at], worst / largest, bound);
    _fail(file, line);
}

/* JSON [[..], ..] -> a new array [rows, columns] */
static int32_t *read_rows(const json_t *array, int *rows, int *columns)
{
    assert_true(json_is_array(array) && json_array_size(array) > 0);
    *rows = (int)json_array_size(array);
    *columns = (int)json_array_size(json_array_get(array, 0));
    int32_t *values = malloc((size_t)*rows * (size_t)*columns * sizeof *values);
    assert_non_null(values);
    for (int i = 0; i < *rows; i++) {
        const json_t *row = json_array_get(array, (size_t)i);
        assert_int_equal(json_array_size(row), *columns);
        for (int j = 0; j < *columns; j++)
            values[i * *columns + j] = (int32_t)json_integer_value(json_array_get(row, (size_t)j));
    }
    return values;
}

void load_case(struct reference_case *c, const char *name)
{
    char path[600];
    struct kv_error error;
    struct kv_safetensors *file;
    int rows;
    snprintf(c->folder, sizeof c->folder, "%s/reference/%s", KV_DATA_DIR, name);
    snprintf(path, sizeof path, "%s/expected.json", c->folder);
    json_t *json = json_load_file(path, 0, NULL);
    assert_non_null(json);
    c->tokens = read_rows(json_object_get(json, "tokens"), &c->batch, &c->n_tokens);
    c->greedy = read_rows(json_object_get(json, "greedy"), &rows, &c->n_greedy);
    assert_int_equal(rows, c->batch);
    json_decref(json);
    snprintf(path, sizeof path, "%s/logits.safetensors", c->folder);
    assert_ok(kv_safetensors_open(&file, path, &error), error);
    const struct kv_tensor *tensor = kv_safetensors_find(file, "logits");
    assert_non_null(tensor);
    assert_int_equal(tensor->dtype, KV_DTYPE_F32);
    c->logits = malloc(tensor->n_elements * sizeof(float));
    assert_non_null(c->logits);
    memcpy(c->logits, tensor->data, tensor->n_elements * sizeof(float));
    kv_safetensors_close(file);
}

void free_case(struct reference_case *c)
{
    free(c->tokens);
    free(c->greedy);
    free(c->logits);
}

int folder_make(char *path, size_t room)
{
    const char *parent = getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp";
    return snprintf(path, room, "%s/kvbench-test-XXXXXX", parent) < (int)room && mkdtemp(path) ? 0 : -1;
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status, (void)type, (void)walk;
    return remove(path);
}

int folder_remove(const char *path)
{
    return nftw(path, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

int files_in(const char *folder)
{
    int n = 0;
    DIR *entries = opendir(folder);
    assert_non_null(entries);
    for (struct dirent *entry; (entry = readdir(entries));)
        n += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(entries);
    return n;
}

char *read_text(const char *path)
{
    char *text = NULL;
    size_t size = 0;
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    const ssize_t length = getdelim(&text, &size, '\0', file);
    fclose(file);
    assert_true(length > 0);
    return text;
}

void write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

uint64_t number_of(const char *variable, uint64_t otherwise)
{
    const char *text = getenv(variable);
    return text ? strtoull(text, NULL, 10) : otherwise;
}

uint64_t next_random(uint64_t *state) /* xorshift64*, Vigna 2016 */
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 0x2545f4914f6cdd1du;
}

int random_between(uint64_t *state, int low, int high)
{
    return low + (int)(next_random(state) >> 33) % (high - low + 1);
}

float random_float(uint64_t *state)
{
    return (float)(int32_t)(next_random(state) >> 32) * 0x1p-31f;
}

const char *supported_isa(int index)
{
    for (int i = 0; kv_isa_choice(i); i++)
        if (kv_isa_supported(kv_isa_choice(i)->name) && index-- == 0)
            return kv_isa_choice(i)->name;
    return NULL;
}

const struct kv_kernels *supported_kernels(int index)
{
    const struct kv_kernels *kernels = NULL;
    struct kv_error error;
    if (supported_isa(index))
        assert_ok(kv_kernels_find(supported_isa(index), &kernels, &error), error);
    return kernels;
}

void generate_greedy(struct kv_session *session, int batch, int32_t *sequences, int n_tokens, int n)
{
    struct kv_error error;
    const int total = n_tokens + n;
    int32_t *tokens = malloc((size_t)batch * (size_t)n_tokens * sizeof *tokens);
    assert_non_null(tokens);
    for (int b = 0; b < batch; b++)
        memcpy(tokens + b * n_tokens, sequences + b * total, (size_t)n_tokens * sizeof *tokens);
    assert_ok(kv_session_prefill(session, tokens, n_tokens, NULL, &error), error);
    for (int i = 0; i < n; i++) {
        assert_ok(kv_session_greedy(session, tokens, &error), error);
        for (int b = 0; b < batch; b++)
            sequences[b * total + n_tokens + i] = tokens[b];
        if (i + 1 < n)
            assert_ok(kv_session_decode(session, tokens, &error), error);
    }
    free(tokens);
}
