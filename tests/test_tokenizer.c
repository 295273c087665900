/* Text to ids and back: against the ids of other tokenizers, for any bytes, at any length, and with files that are not
 * what they should be. */
#include "allocations.h"
#include "checkpoint.h"
#include "unit.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define GPT2_DATA   KV_DATA_DIR "/gpt2"
#define VOCAB       GPT2_DATA "/vocab.bpe"
#define END_OF_TEXT "<|endoftext|>"

enum { MEGABYTE = 1 << 20 };

/* ---- What the tests share ------------------------------------------------------------------------------- */

struct ids {
    int32_t *ids;
    size_t n;
};

static struct kv_tokenizer *open_tokenizer(const char *name)
{
    struct kv_tokenizer *tokenizer;
    OK(kv_tokenizer_create(&tokenizer, name, VOCAB, &error));
    return tokenizer;
}

static int set_up(void **state)
{
    *state = open_tokenizer("gpt2");
    return 0;
}

static int tear_down(void **state)
{
    kv_tokenizer_free(*state);
    return 0;
}

#define GPT2_TEST(name) TEST_WITH(name, struct kv_tokenizer *gpt2, NULL, NULL)

static struct ids encode(const struct kv_tokenizer *tokenizer, const char *text, size_t n_bytes, bool allow_special)
{
    struct ids made;
    OK(kv_tokenizer_encode(tokenizer, text, n_bytes, allow_special, &made.ids, &made.n, &error));
    assert_non_null(made.ids);
    return made;
}

/* The text comes back, as a whole and token by token. */
static void check_decodes(const struct kv_tokenizer *tokenizer, const struct ids *made, const char *text,
                          size_t n_bytes)
{
    char *back;
    size_t n_back, n_token, at = 0;
    OK(kv_tokenizer_decode(tokenizer, made->ids, made->n, &back, &n_back, &error));
    assert_int_equal(n_back, n_bytes);
    assert_memory_equal(back, text, n_bytes);
    assert_int_equal(back[n_bytes], 0);
    for (size_t i = 0; i < made->n; i++, at += n_token) {
        const char *token = kv_tokenizer_token(tokenizer, made->ids[i], &n_token);
        assert_in_range(n_token, 1, n_bytes - at);
        assert_memory_equal(token, text + at, n_token);
    }
    free(back);
}

static void check_encodes(const struct kv_tokenizer *tokenizer, const char *text, size_t n_bytes, bool allow_special,
                          const int32_t *expected, size_t n_expected)
{
    struct ids made = encode(tokenizer, text, n_bytes, allow_special);
    if (made.n != n_expected || memcmp(made.ids, expected, n_expected * sizeof *expected) != 0)
        fail_msg("'%.200s' gives other ids than expected (%zu for %zu)", text, made.n, n_expected);
    check_decodes(tokenizer, &made, text, n_bytes);
    free(made.ids);
}
#define CHECK_ENCODES(tokenizer, text, special, ...)                                                                   \
    check_encodes((tokenizer), (text), sizeof(text) - 1, (special), (const int32_t[]){__VA_ARGS__},                    \
                  COUNT(((const int32_t[]){__VA_ARGS__})))

/* ---- The ids of others ---------------------------------------------------------------------------------- */

static size_t check_case_file(const struct kv_tokenizer *tokenizer, const char *file)
{
    json_error_t json_error;
    json_t *cases = json_load_file(file, JSON_ALLOW_NUL, &json_error), *item;
    size_t index, n_cases = json_array_size(cases);
    if (!cases)
        fail_msg("%s: %s", file, json_error.text);
    json_array_foreach(cases, index, item)
    {
        const json_t *text = json_object_get(item, "text"), *ids = json_object_get(item, "ids");
        const size_t n = json_array_size(ids);
        assert_true(json_is_string(text) && json_is_array(ids));
        int32_t *expected = calloc(n + 1, sizeof *expected);
        assert_non_null(expected);
        for (size_t i = 0; i < n; i++)
            expected[i] = (int32_t)json_integer_value(json_array_get(ids, i));
        check_encodes(tokenizer, json_string_value(text), json_string_length(text), false, expected, n);
        free(expected);
    }
    json_decref(cases);
    return n_cases;
}

GPT2_TEST(cases)
{
    assert_int_equal(check_case_file(gpt2, GPT2_DATA "/cases.json"), 26);
}

GPT2_TEST(more_cases)
{
    assert_in_range(check_case_file(gpt2, GPT2_DATA "/more_cases.json"), 700, 2000);
}

GPT2_TEST(ids)
{
    size_t n;
    assert_string_equal(kv_tokenizer_name(gpt2), "gpt2");
    assert_int_equal(kv_tokenizer_vocab_size(gpt2), 50257);
    assert_int_equal(kv_tokenizer_end_of_text(gpt2), 50256);
    assert_memory_equal(kv_tokenizer_token(gpt2, 0, &n), "!", 1);
    assert_memory_equal(kv_tokenizer_token(gpt2, 188, &n), "\0", 1); /* the first byte that is not printable */
    assert_int_equal(n, 1);
    assert_memory_equal(kv_tokenizer_token(gpt2, 50256, &n), END_OF_TEXT, sizeof END_OF_TEXT - 1);
    assert_int_equal(n, sizeof END_OF_TEXT - 1);
    assert_null(kv_tokenizer_token(gpt2, 50257, &n));
    assert_int_equal(n, 0);
    assert_null(kv_tokenizer_token(gpt2, -1, &n));
}

GPT2_TEST(special)
{
    CHECK_ENCODES(gpt2, END_OF_TEXT, true, 50256);
    CHECK_ENCODES(gpt2, END_OF_TEXT, false, 27, 91, 437, 1659, 5239, 91, 29);
    CHECK_ENCODES(gpt2, "hello" END_OF_TEXT END_OF_TEXT " hello", true, 31373, 50256, 50256, 23748);
    CHECK_ENCODES(gpt2, "<|endoftext|", true, 27, 91, 437, 1659, 5239, 91);
}

/* ---- Any bytes ------------------------------------------------------------------------------------------ */

/* Each text is invalid UTF-8 as a whole: every byte of it is a piece of its own, and a bound for what is around it. The
 * longer ones hold bytes that would merge if they were taken for one character. */
GPT2_TEST(invalid_bytes)
{
    static const char *const invalid[] = {"\x80",
                                          "\xBF\x80",
                                          "\xC0\x80",
                                          "\xC1\xBF",
                                          "\xC3",
                                          "\xE0\x82\x8E", /* overlong */
                                          "\xE2\x82",     /* cut short */
                                          "\xED\xA3\x8F", /* a surrogate */
                                          "\xED\xA5\x9E",
                                          "\xF0\x82\x8E\x80", /* overlong */
                                          "\xF0\x9F\x98",     /* cut short */
                                          "\xF4\x93\x98\x80", /* past U+10FFFF */
                                          "\xF5\x81\x96\x80",
                                          "\xF8\x82\x8E\x80\x80",
                                          "\xFE\xFF"};
    char text[64];
    int32_t byte_ids[256];
    size_t n;
    for (int32_t id = 0; id < 256; id++)
        byte_ids[(unsigned char)*kv_tokenizer_token(gpt2, id, &n)] = id;
    for (size_t i = 0; i < COUNT(invalid); i++) {
        int32_t expected[16] = {31373, 220, 220}; /* "hello" and two spaces, the second not kept for a word */
        n = 3;
        for (const char *byte = invalid[i]; *byte; byte++)
            expected[n++] = byte_ids[(unsigned char)*byte];
        expected[n++] = 31373;
        check_encodes(gpt2, text, (size_t)snprintf(text, sizeof text, "hello  %shello", invalid[i]), false, expected,
                      n);
        check_encodes(gpt2, invalid[i], strlen(invalid[i]), false, expected + 3, n - 4);
    }
}

/* Noise, and pieces of well-formed text with noise among them. */
static size_t random_text(uint64_t *random, char *text, size_t room)
{
    static const char *const parts[] = {"the ", " ",        "é",         "日本", "😀",  "\xE2\x82", "\xA0",
                                        "'ll",  "  \n",     END_OF_TEXT, "12",   "a",  "\r",       "\xCC\x81",
                                        "=",    "\xF0\x9F", "\xED",      "xyz",  "\t", "\xC2"};
    const int n_parts = random_between(random, 0, 60), noise = random_between(random, 0, 4);
    size_t n = 0;
    for (int i = 0; i < n_parts && n + 32 < room; i++) {
        const char *part = parts[random_between(random, 0, (int)COUNT(parts) - 1)];
        if (random_between(random, 1, 4) <= noise)
            text[n++] = (char)random_between(random, 0, 255);
        else
            n += strlen(strcpy(text + n, part));
    }
    return n;
}

GPT2_TEST(random_bytes)
{
    struct kv_tokenizer *bytes = open_tokenizer("bytes");
    uint64_t random = 1;
    for (int round = 0; round < 20000; round++) {
        char room[2048];
        const size_t n = random_text(&random, room, sizeof room);
        char *text = malloc(n + 1); /* of the very size, so that a sanitizer sees a read past the end */
        assert_non_null(text);
        memcpy(text, room, n);
        text[n] = '\0';
        text = realloc(text, n ? n : 1);
        const struct kv_tokenizer *tokenizer = round % 8 ? gpt2 : bytes;
        struct ids made = encode(tokenizer, text, n, round % 2);
        check_decodes(tokenizer, &made, text, n);
        free(made.ids);
        free(text);
    }
    kv_tokenizer_free(bytes);
}

TEST(bytes)
{
    struct kv_tokenizer *t = open_tokenizer("bytes");
    char all[256];
    int32_t expected[256];
    for (int i = 0; i < 256; i++)
        all[i] = (char)(expected[i] = i);
    assert_string_equal(kv_tokenizer_name(t), "bytes");
    assert_int_equal(kv_tokenizer_vocab_size(t), 256);
    assert_int_equal(kv_tokenizer_end_of_text(t), -1);
    check_encodes(t, all, 256, true, expected, 256);
    CHECK_ENCODES(t, "<|e", true, '<', '|', 'e');
    kv_tokenizer_free(t);
    OK(kv_tokenizer_create(&t, "bytes", NULL, &error));
    struct ids made = encode(t, NULL, 0, false);
    assert_int_equal(made.n, 0);
    free(made.ids);
    kv_tokenizer_free(t);
}

/* ---- Any length ----------------------------------------------------------------------------------------- */

static double processor_seconds(void)
{
    struct timespec time;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* The thread sanitizer makes it many times slower. */
#ifdef __SANITIZE_THREAD__
#define MOST_SECONDS 100
#else
#define MOST_SECONDS 20
#endif

/* A quadratic step would take hours; what is linear takes a fraction of a second, or a few with sanitizers. */
GPT2_TEST(megabytes)
{
    static const struct {
        const char *part;
        bool allow_special;
    } texts[] = {{"a", false},
                 {"z", false},
                 {"thequickbrownfoxjumpsoverthelazydog", false},
                 {"The quick brown fox jumps over the lazy dog, doesn't it? ", false},
                 {" ", false},
                 {"\n", false},
                 {"7", false},
                 {"-", false},
                 {"'", false},
                 {"日", false},
                 {"\xE1\xA0\x8E", false}, /* U+180E, a space to PCRE2 and none to Unicode */
                 {"\xFF", false},
                 {"\xE2\x82 ", false},
                 {END_OF_TEXT, true},
                 {"<|endoftext|", true}};
    char *text = malloc(MEGABYTE);
    assert_non_null(text);
    for (size_t i = 0; i < COUNT(texts); i++) {
        const size_t n_part = strlen(texts[i].part);
        for (size_t at = 0; at < MEGABYTE; at++)
            text[at] = texts[i].part[at % n_part];
        const double start = processor_seconds();
        struct ids made = encode(gpt2, text, MEGABYTE, texts[i].allow_special);
        const double seconds = processor_seconds() - start;
        if (seconds > MOST_SECONDS)
            fail_msg("1 MB of '%s' takes %.1f s of processor time to encode", texts[i].part, seconds);
        check_decodes(gpt2, &made, text, MEGABYTE);
        free(made.ids);
    }
    free(text);
}

/* ---- Threads -------------------------------------------------------------------------------------------- */

static void *encode_often(void *argument)
{
    static const char text[] = " vibe coding to learn kv cache.";
    static const int32_t expected[] = {27426, 19617, 284, 2193, 479, 85, 12940, 13};
    intptr_t n_wrong = 0;
    for (int i = 0; i < 500; i++) {
        int32_t *ids;
        size_t n;
        n_wrong += kv_tokenizer_encode(argument, text, sizeof text - 1, false, &ids, &n, NULL) != KV_OK ||
                   n != COUNT(expected) || memcmp(ids, expected, sizeof expected) != 0;
        free(ids);
    }
    return (void *)n_wrong;
}

GPT2_TEST(threads_share_one)
{
    pthread_t threads[4];
    for (size_t i = 0; i < COUNT(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, encode_often, gpt2), 0);
    for (size_t i = 0; i < COUNT(threads); i++) {
        void *n_wrong;
        assert_int_equal(pthread_join(threads[i], &n_wrong), 0);
        assert_null(n_wrong);
    }
}

/* ---- What is refused ------------------------------------------------------------------------------------ */

TEST(choices)
{
    struct kv_tokenizer *t;
    assert_string_equal(kv_tokenizer_choice(0)->name, "gpt2");
    assert_string_equal(kv_tokenizer_choice(1)->name, "bytes");
    assert_null(kv_tokenizer_choice(2));
    assert_null(kv_tokenizer_choice(-1));
    REFUSED(kv_tokenizer_create(&t, "words", VOCAB, &error), KV_ERROR_ARGUMENT, "words", NULL);
    assert_null(t);
    REFUSED(kv_tokenizer_create(&t, NULL, NULL, &error), KV_ERROR_ARGUMENT, "vocab.bpe", NULL);
    kv_tokenizer_free(NULL);
}

GPT2_TEST(bad_arguments)
{
    int32_t *ids;
    char *text;
    size_t n;
    const size_t too_many = (size_t)INT32_MAX + 1;
    REFUSED(kv_tokenizer_encode(gpt2, "", too_many, false, &ids, &n, &error), KV_ERROR_ARGUMENT, "2147483648", NULL);
    assert_null(ids);
    REFUSED(kv_tokenizer_decode(gpt2, (const int32_t[]){0, 50257}, 2, &text, &n, &error), KV_ERROR_ARGUMENT, "50257",
            "number 2");
    assert_null(text);
    assert_int_equal(kv_tokenizer_decode(gpt2, (const int32_t[]){-1}, 1, &text, &n, NULL), KV_ERROR_ARGUMENT);
}

static void refuse_file(const char *file, kv_status expected, const char *thing)
{
    struct kv_tokenizer *t;
    REFUSED(kv_tokenizer_create(&t, "gpt2", file, &error), expected, file, thing);
    assert_null(t);
}

FOLDER_TEST(bad_files)
{
    static const struct {
        const char *text, *thing;
    } files[] = {{"", "line 1"},
                 {"#version: 0.2", "line 1"},
                 {"a b\n", "line 1"},
                 {"#version: 0.2\n", "0 merges"},
                 {"#version: 0.2\na b\n", "1 merges"},
                 {"#version: 0.2\na b\na b\n", "line 3"},   /* makes the same token twice */
                 {"#version: 0.2\nab c\n", "line 2"},       /* from a token that is not made yet */
                 {"#version: 0.2\na b c\n", "line 2"},      /* three sides */
                 {"#version: 0.2\na b\r\n", "line 2"},      /* line ends of another system */
                 {"#version: 0.2\n a\n", "line 2"},         /* no left side */
                 {"#version: 0.2\na \n", "line 2"},         /* no right side */
                 {"#version: 0.2\n日 a\n", "line 2"},       /* stands for no byte */
                 {"#version: 0.2\na \xC4\n", "line 2"},     /* half a character */
                 {"#version: 0.2\na \xE1\x81\n", "line 2"}, /* a third of one that would be 'A' */
                 {"#version: 0.2\na b", "line 2"}};
    refuse_file(c->config_file, KV_ERROR_IO, "No such file");
    refuse_file(c->folder, KV_ERROR_IO, "directory");
    for (size_t i = 0; i < COUNT(files); i++) {
        write_text(c->config_file, files[i].text);
        refuse_file(c->config_file, KV_ERROR_FORMAT, files[i].thing);
    }
    char *whole = read_text(VOCAB);
    const size_t n = strlen(whole);
    write_bytes(c->config_file, whole, n / 2);
    refuse_file(c->config_file, KV_ERROR_FORMAT, "copy it again");
    whole = realloc(whole, n + 8);
    assert_non_null(whole);
    write_text(c->config_file, strcat(whole, "a \xC3\xA9\n"));
    refuse_file(c->config_file, KV_ERROR_FORMAT, "50000 merges");
    free(whole);
}

/* Whatever the damage, what loads is whole and what does not says so. */
FOLDER_TEST(damaged_files)
{
    uint64_t random = 7;
    char *whole = read_text(VOCAB);
    const size_t n = strlen(whole);
    int n_refused = 0;
    for (int round = 0; round < 60; round++) {
        struct kv_tokenizer *t;
        unsigned char *bytes = malloc(n + 24);
        assert_non_null(bytes);
        memcpy(bytes, whole, n);
        write_bytes(c->config_file, bytes, damage(bytes, n, round % 2 ? n : 2000, &random));
        const kv_status status = kv_tokenizer_create(&t, "gpt2", c->config_file, &error);
        if (status) {
            REFUSED(status, KV_ERROR_FORMAT, c->config_file, NULL);
            n_refused++;
        } else {
            struct ids made = encode(t, "hello world", 11, false);
            check_decodes(t, &made, "hello world", 11);
            free(made.ids);
        }
        kv_tokenizer_free(t);
        free(bytes);
    }
    assert_in_range(n_refused, 30, 60);
    free(whole);
}

static kv_status open_and_encode(const char *name, struct kv_error *error)
{
    struct kv_tokenizer *t;
    struct ids made;
    char *text;
    size_t n;
    kv_status status = kv_tokenizer_create(&t, name, VOCAB, error);
    if (status)
        return status;
    status = kv_tokenizer_encode(t, "hello world", 11, false, &made.ids, &made.n, error);
    if (!status) {
        status = kv_tokenizer_decode(t, made.ids, made.n, &text, &n, error);
        free(text);
    }
    free(made.ids);
    kv_tokenizer_free(t);
    return status;
}

/* Every allocation that is needed; one that only gives memory back may fail unnoticed. */
TEST(no_memory)
{
    static const struct {
        const char *name;
        int needed;
    } expected[] = {{"gpt2", 12}, {"bytes", 5}};
    for (size_t i = 0; i < COUNT(expected); i++) {
        int n_failed = 0;
        n_allocations = 0;
        OK(open_and_encode(expected[i].name, &error));
        for (int n = 0, all = n_allocations; n < all; n++) {
            allocations_left = n;
            const kv_status status = open_and_encode(expected[i].name, &error);
            allocations_left = -1;
            if (status)
                REFUSED(status, KV_ERROR_MEMORY, "no memory", NULL);
            n_failed += status != KV_OK;
        }
        assert_int_equal(n_failed, expected[i].needed);
    }
}

GROUP(set_up, tear_down)
