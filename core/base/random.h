/* SplitMix64 (Steele, Lea & Flood 2014) as a counter-based generator: r(i) = mix(key + (i + 1) * KV_GOLDEN_64) can be
 * drawn alone, in any order, by any thread, and has the same bits on every machine. */
#ifndef KV_BASE_RANDOM_H
#define KV_BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

#define KV_GOLDEN_64 UINT64_C(0x9e3779b97f4a7c15) /* 2^64 / golden ratio, odd */

static inline uint64_t kv_mix64(uint64_t z)
{
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* Draw number `index` of the stream of that key. */
static inline uint64_t kv_draw64(uint64_t key, uint64_t index)
{
    return kv_mix64(key + (index + 1) * KV_GOLDEN_64);
}

/* FNV-1a, 64 bit (Fowler, Noll & Vo), of bytes [n]. */
static inline uint64_t kv_hash_bytes(const void *bytes, size_t n)
{
    const unsigned char *at = bytes;
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < n; i++)
        hash = (hash ^ at[i]) * UINT64_C(0x100000001b3);
    return hash;
}

#endif
