#include "base/utf8.h"

int kv_utf8_length(const char *bytes, size_t n)
{
    const unsigned char lead = n ? (unsigned char)bytes[0] : 0;
    if (lead < 0x80)
        return n > 0;
    if (lead < 0xC2 || lead > 0xF4)
        return -1;
    const int length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
    for (int i = 1; i < length; i++) {
        if ((size_t)i == n)
            return 0;
        /* The second byte is what excludes overlong forms, surrogates and what lies past U+10FFFF. */
        const unsigned char byte = (unsigned char)bytes[i];
        const unsigned char low = i > 1 ? 0x80 : lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
        const unsigned char high = i > 1 ? 0xBF : lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
        if (byte < low || byte > high)
            return -1;
    }
    return length;
}

uint32_t kv_utf8_code_point(const char *bytes, int length)
{
    static const unsigned char first_bits[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    uint32_t code = (unsigned char)bytes[0] & first_bits[length];
    for (int i = 1; i < length; i++)
        code = code << 6 | ((unsigned char)bytes[i] & 0x3f);
    return code;
}
