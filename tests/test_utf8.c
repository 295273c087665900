/* UTF-8 against a decoder of another design (by value, not by table), over every two-byte and many longer sequences. */
#include "unit.h"

#include "base/utf8.h"

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

TEST(lengths)
{
    static const unsigned char edges[] = {0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xff};
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

TEST(code_points)
{
    assert_int_equal(kv_utf8_code_point("a", 1), 'a');
    assert_int_equal(kv_utf8_code_point("\xc3\xa9", 2), 0xe9);
    assert_int_equal(kv_utf8_code_point("\xe2\x82\xac", 3), 0x20ac);
    assert_int_equal(kv_utf8_code_point("\xf0\x9f\x98\x80", 4), 0x1f600);
    assert_int_equal(kv_utf8_code_point("\xf4\x8f\xbf\xbf", 4), 0x10ffff);
}
