/* The two loops that the machine's limits are measured with, at one level; see level.h. */

/* may_alias: `sum` reads an array of float through it. */
typedef float probe_vector __attribute__((vector_size(KV_LANES * sizeof(float)), may_alias));

static double sum_of_lanes(const probe_vector *x, int n)
{
    double total = 0;
    for (int i = 0; i < n; i++)
        for (int lane = 0; lane < KV_LANES; lane++)
            total += (double)x[i][lane];
    return total;
}

static double probe_sum(const float *data, size_t n)
{
    /* Eight sums, so that the additions never wait for each other and memory alone sets the pace. */
    enum { STREAMS = 8 };
    _Static_assert(KV_PROBE_BLOCK % (STREAMS * KV_LANES) == 0, "a block is whole rounds of the loop");

    const probe_vector *vectors = (const probe_vector *)data;
    probe_vector x[STREAMS] = {0};
    for (size_t i = 0; i < n / KV_LANES; i += STREAMS)
        for (size_t s = 0; s < STREAMS; s++)
            x[s] += vectors[i + s];
    return sum_of_lanes(x, STREAMS);
}

static double probe_multiply_add(float factor, float addend, size_t rounds)
{
    probe_vector x[KV_PROBE_CHAINS];
    for (int c = 0; c < KV_PROBE_CHAINS; c++)
        x[c] = (probe_vector){0} + (float)(c + 1) / 64;
    const probe_vector a = (probe_vector){0} + factor;
    const probe_vector b = (probe_vector){0} + addend;
    for (size_t round = 0; round < rounds; round++) {
        for (int c = 0; c < KV_PROBE_CHAINS; c++)
            x[c] = x[c] * a + b;
    }
    return sum_of_lanes(x, KV_PROBE_CHAINS);
}
