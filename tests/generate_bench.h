/* What the tests of `kvbench generate` with text work with: a folder to run in, a model to make, what runs wrote. */
#ifndef KV_TESTS_GENERATE_BENCH_H
#define KV_TESTS_GENERATE_BENCH_H

#include "packets.h"
#include "screen.h"
#include "urn.h"

/* One thread: the models are too small for more to do them good. */
#define GENERATE(model) "generate", "--threads", "1", "--model", (model)

struct bench {
    struct cli *cli;
    struct checkpoint *checkpoint;
    struct packets p, q; /* two runs to compare */
    struct screen screen;
};

/* cmocka fixtures: *state becomes a struct bench. */
int generate_bench_set_up(void **state);
int generate_bench_tear_down(void **state);
#define GENERATE_TEST(function)                                                                                        \
    cmocka_unit_test_setup_teardown(function, generate_bench_set_up, generate_bench_tear_down)

/* The folder of a random model on bytes with a window of 64. */
const char *byte_model(struct bench *bench);

#endif
