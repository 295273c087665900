/* Whole characters out of bytes: against a decoder of another design (by value, not by table), over every two-byte
 * and many longer sequences, and split at every byte. */
#include "support.h"

#include "text/utf8.h"

#include <stdbool.h>
#include <string.h>

/* What the number, not the bytes, says: 0 for a beginning, -1 for no character, by what encoding it again gives. */
static int expected_length(const unsigned char *bytes, size_t n)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    const int length = bytes[0] < 0x80 ? 1 : bytes[0] < 0xc0 ? -1 : bytes[0] < 0xe0 ? 2 : bytes[0] < 0xf0 ? 3 : 4;
    if (length < 0 || bytes[0] >= 0xf8)
        return -1;
    uint32_t low = length == 1 ? bytes[0] : bytes[0] & (0xff >> (length + 1));
    for (size_t i = 1; i < (size_t)length && i < n; i++) {
        if (bytes[i] >> 6 != 2)
            return -1;
        low = low << 6 | (bytes[i] & 0x3f);
    }
    uint32_t high = low; /* the numbers that further bytes could still make */
    for (size_t i = n; i < (size_t)length; i++) {
        low <<= 6;
        high = high << 6 | 0x3f;
    }
    const bool only_surrogates = low >= 0xd800 && high <= 0xdfff;
    if (high < least[length] || low > 0x10ffff || only_surrogates)
        return -1;
    return n < (size_t)length ? 0 : length;
}

static void assert_length(const unsigned char *bytes, size_t n)
{
    const int length = kv_utf8_length((const char *)bytes, n), expected = expected_length(bytes, n);
    if (length != expected)
        fail_msg("%02x %02x %02x %02x, the first %zu: %d instead of %d", bytes[0], bytes[1], bytes[2], bytes[3], n,
                 length, expected);
}

static void test_lengths(void **state)
{
    static const unsigned char edges[] = {0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xff};
    (void)state;
    assert_int_equal(kv_utf8_length("", 0), 0);
    for (unsigned first = 0; first < 256; first++) {
        for (unsigned second = 0; second < 256; second++) {
            for (size_t third = 0; third < sizeof edges; third++) {
                for (size_t fourth = 0; fourth < sizeof edges; fourth++) {
                    const unsigned char bytes[] = {(unsigned char)first, (unsigned char)second, edges[third],
                                                   edges[fourth]};
                    for (size_t n = 1; n <= sizeof bytes; n++)
                        assert_length(bytes, n);
                }
            }
        }
    }
}

static void test_code_points(void **state)
{
    (void)state;
    assert_int_equal(kv_utf8_code_point("a", 1), 'a');
    assert_int_equal(kv_utf8_code_point("\xc3\xa9", 2), 0xe9);
    assert_int_equal(kv_utf8_code_point("\xe2\x82\xac", 3), 0x20ac);
    assert_int_equal(kv_utf8_code_point("\xf0\x9f\x98\x80", 4), 0x1f600);
    assert_int_equal(kv_utf8_code_point("\xf4\x8f\xbf\xbf", 4), 0x10ffff);
}

/* ---- A byte at a time ----------------------------------------------------------------------------------- */

/* Puts all bytes through a holder; `pieces` becomes what came out, with a | behind what came at once. */
static void take_all(const char *bytes, size_t n, char *pieces)
{
    struct kv_utf8_holder holder = {.n_held = 0};
    for (size_t i = 0; i < n; i++) {
        const int n_out = kv_utf8_take(&holder, bytes[i], pieces);
        assert_in_range(n_out, 0, 4);
        pieces += n_out;
        if (n_out)
            *pieces++ = '|';
    }
    const int n_rest = kv_utf8_rest(&holder, pieces);
    assert_in_range(n_rest, 0, 3);
    pieces[n_rest] = '\0';
    assert_int_equal(kv_utf8_rest(&holder, pieces + n_rest + 1), 0);
}

static void test_whole_characters(void **state)
{
    static const struct {
        const char *bytes, *pieces;
    } cases[] = {
        {"ab", "a|b|"},
        {"\xc3\xa9x", "\xc3\xa9|x|"},
        {"\xe2\x82\xac\xf0\x9f\x98\x80", "\xe2\x82\xac|\xf0\x9f\x98\x80|"},
        {"\x80z", "\x80|z|"},                        /* nothing continues nothing */
        {"\xc0\xaf", "\xc0|\xaf|"},                  /* overlong, of two */
        {"\xe0\x80\xaf", "\xe0\x80|\xaf|"},          /* of three */
        {"\xf0\x8f\xbf\xbf", "\xf0\x8f|\xbf|\xbf|"}, /* of four */
        {"\xed\xa0\x80", "\xed\xa0|\x80|"},          /* a surrogate */
        {"\xf4\x90\x80\x80", "\xf4\x90|\x80|\x80|"}, /* above U+10FFFF */
        {"\xf5\xff", "\xf5|\xff|"},                  /* never in UTF-8 */
        {"\xe2\x82z", "\xe2\x82z|"},                 /* cut off by a letter */
        {"\xe2\x82\xc3\xa9", "\xe2\x82|\xc3\xa9|"},  /* by another character */
        {"\xf0\x9f\x98\xf0\x9f\x98\x80", "\xf0\x9f\x98|\xf0\x9f\x98\x80|"},
        {"\xc3", "\xc3"}, /* by the end */
        {"\xf0\x9f\x98", "\xf0\x9f\x98"},
    };
    char pieces[64];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        take_all(cases[i].bytes, strlen(cases[i].bytes), pieces);
        assert_string_equal(pieces, cases[i].pieces);
    }
}

/* Any bytes come out as they went in, and what is out never ends within a character that may still become whole. */
static void test_any_bytes(void **state)
{
    static const unsigned char likely[] = {0x41, 0xc3, 0xa9, 0xe2, 0x82, 0xac, 0xf0, 0x9f, 0x98, 0x80, 0xed, 0xf4};
    uint64_t random = 7;
    (void)state;
    for (int round = 0; round < 2000; round++) {
        struct kv_utf8_holder holder = {.n_held = 0};
        char in[40], out[48];
        int n_out = 0;
        for (int i = 0; i < 40; i++) {
            in[i] = (char)(random_between(&random, 0, 9) ? likely[random_between(&random, 0, sizeof likely - 1)]
                                                         : random_between(&random, 0, 255));
            const int n = kv_utf8_take(&holder, in[i], out + n_out);
            n_out += n;
            assert_int_equal(n_out + holder.n_held, i + 1);
            assert_int_equal(kv_utf8_length(holder.held, (size_t)holder.n_held), 0);
        }
        n_out += kv_utf8_rest(&holder, out + n_out);
        assert_int_equal(n_out, 40);
        assert_memory_equal(out, in, 40);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_code_points),
        cmocka_unit_test(test_whole_characters),
        cmocka_unit_test(test_any_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
