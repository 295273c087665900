/* bfloat16: the upper half of a float32. */
#ifndef KV_BASE_BFLOAT_H
#define KV_BASE_BFLOAT_H

#include <stdint.h>
#include <string.h>

/* Rounded to nearest, ties to even; what is too large becomes infinity. */
static inline uint16_t kv_to_bfloat(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    if ((bits & 0x7fffffff) > 0x7f800000) /* rounding could make a NaN infinity: it only becomes quiet */
        return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static inline float kv_from_bfloat(uint16_t half)
{
    const uint32_t bits = (uint32_t)half << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

#endif
