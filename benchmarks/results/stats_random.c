/* The generator that the bootstrap draws from. */
#include "results/stats.h"

static uint64_t splitmix64(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static uint64_t rotate_left(uint64_t x, int bits)
{
    return (x << bits) | (x >> (64 - bits));
}

void kv_stats_random_seed(struct kv_stats_random *random, uint64_t seed)
{
    for (int i = 0; i < 4; i++)
        random->state[i] = splitmix64(&seed);
}

uint64_t kv_stats_random_next(struct kv_stats_random *random)
{
    uint64_t *s = random->state;
    const uint64_t result = rotate_left(s[1] * 5, 7) * 9;
    const uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate_left(s[3], 45);
    return result;
}

uint32_t kv_stats_random_below(struct kv_stats_random *random, uint32_t bound)
{
    uint64_t product;
    /* 2^32 mod bound of the low halves would fall to some results once more than to others: draw again. */
    const uint32_t rejected = (uint32_t)-bound % bound;
    do
        product = (kv_stats_random_next(random) >> 32) * bound;
    while ((uint32_t)product < rejected);
    return (uint32_t)(product >> 32);
}
