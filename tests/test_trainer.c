/* A trainer: steps, what they learn, and what it promises besides: the same bits, memory stated
 * beforehand, nothing allocated in a step, errors that change nothing. */
#include "allocations.h"
#include "train_bench.h"
#include "unit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct kv_config small_shape = {2, 2, 32, 128, 256, 32, KV_GELU_NEW, 1e-5f};

/* ---- Allocations, counted and refused ----------------------------------------------------------------- */

static int n_blocks, blocks_until_failure = -1;
static size_t block_bytes;

kv_status __real_kv_block_allocate(struct kv_block *block, const struct kv_layout *layout, const char *what,
                                   struct kv_error *error);
kv_status __wrap_kv_block_allocate(struct kv_block *block, const struct kv_layout *layout, const char *what,
                                   struct kv_error *error);

kv_status __wrap_kv_block_allocate(struct kv_block *block, const struct kv_layout *layout, const char *what,
                                   struct kv_error *error)
{
    n_allocations++;
    if (blocks_until_failure >= 0 && blocks_until_failure-- == 0)
        return KV_ERROR_MEMORY;
    n_blocks++;
    block_bytes += layout->bytes;
    return __real_kv_block_allocate(block, layout, what, error);
}

/* ---- Steps -------------------------------------------------------------------------------------------- */

/* Clipping, and decay of matrices only: the first step by its formula, g' / (|g'| + epsilon) and lr * decay * w. */
TEST(step_clips_and_decays)
{
    struct bench bench;
    double sum = 0;
    open_synthetic(&bench, &odd_shape, 2, 20, 2);
    const struct kv_tensor_slot *w = bench.trainer->slots[KV_TRAINER_WEIGHTS];
    const struct kv_tensor_slot *g = bench.trainer->slots[KV_TRAINER_GRADIENTS];
    const struct kv_tensor_slot *m = bench.trainer->slots[KV_TRAINER_FIRST_MOMENT];
    bench_step(&bench, 0); /* for the gradients; the moments are then put back */
    for (int i = 0; i < bench.trainer->n_slots; i++)
        for (size_t k = 0; k < g[i].n_elements; k++)
            sum += (double)g[i].data[k] * (double)g[i].data[k];
    assert_true(sum > 1);
    assert_true(fabs(kv_trainer_gradient_norm(bench.trainer) - sqrt(sum)) < 1e-5 * sqrt(sum));
    for (int part = KV_TRAINER_FIRST_MOMENT; part <= KV_TRAINER_SECOND_MOMENT; part++)
        memset(bench.trainer->parts[part].base, 0, bench.trainer->parts[part].bytes);
    bench.trainer->steps = 0;
    float *before = malloc(bench.trainer->parts[0].bytes);
    assert_non_null(before);
    memcpy(before, bench.trainer->parts[0].base, bench.trainer->parts[0].bytes);
    bench_step(&bench, 0.01f);
    for (int i = 0; i < bench.trainer->n_slots; i++) {
        const float *old = before + (w[i].data - (const float *)(const void *)bench.trainer->parts[0].base);
        const double keep = w[i].role == KV_ROLE_MATRIX ? 1 - 0.01 * 0.1 : 1;
        for (size_t k = 0; k < w[i].n_elements; k++) {
            const double clipped = (double)g[i].data[k] / sqrt(sum), moved = clipped / (fabs(clipped) + 1e-8);
            assert_true(fabs((double)m[i].data[k] - 0.1 * clipped) < 1e-7);
            assert_true(fabs((double)w[i].data[k] - (keep * (double)old[k] - 0.01 * moved)) < 1e-5);
        }
    }
    free(before);
    close_bench(&bench);
}

TEST(learning_rate)
{
    const struct kv_learning_schedule s = {.peak = 1, .floor = 0.1f, .warmup_steps = 9, .total_steps = 109};
    static const struct {
        int64_t step;
        float rate;
    } cases[] = {{0, 0.1f},   {4, 0.5f},          {9, 1},      {34, 0.868198052f},
                 {59, 0.55f}, {84, 0.231801949f}, {109, 0.1f}, {1000, 0.1f}};
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_float_equal(kv_learning_rate(&s, cases[i].step), cases[i].rate, 1e-6);
    for (int64_t i = 9; i < 109; i++)
        assert_true(kv_learning_rate(&s, i + 1) < kv_learning_rate(&s, i));
}

static const char text[] = "she sells sea shells by the sea shore; ";
enum { PERIOD = sizeof text - 1 };

/* The text over and over, every sequence from another place on. */
static void lay_text(const struct bench *bench, int B, int T, int offset)
{
    for (int i = 0; i < B * T; i++) {
        const int at = offset + i / T * 11 + i % T;
        bench->tokens[i] = text[at % PERIOD];
        bench->targets[i] = text[(at + 1) % PERIOD];
    }
}

/* What was learned is what the core's sessions compute: the same loss, and they say the text on. */
static void check_session(const struct bench *bench, int T)
{
    struct kv_session *session;
    const struct kv_session_options options = {.matmul = "openblas", .batch = 1};
    const struct kv_model *model = kv_trainer_model(bench->trainer);
    int32_t said[32] = {0};
    double expected = 0;
    float *logits = malloc((size_t)T * 256 * sizeof *logits);
    assert_non_null(logits);
    OK(kv_session_create(&session, model, bench->pool, &options, &error));
    for (int b = 0; b < 8; b++) {
        kv_session_reset(session);
        OK(kv_session_prefill(session, bench->tokens + b * T, T, logits, &error));
        expected += cross_entropy(logits, bench->targets + b * T, T, 256) / 8;
    }
    assert_true(fabs(bench_loss(bench) - expected) < 1e-5);
    for (int i = 0; i < 20; i++)
        said[i] = text[i];
    kv_session_reset(session);
    generate_greedy(session, 1, said, 20, 12);
    for (int i = 0; i < 32; i++)
        assert_int_equal(said[i], text[i]);
    kv_session_free(session);
    free(logits);
}

TEST(learns_a_text)
{
    struct bench bench;
    const struct kv_config shape = {2, 4, 64, 256, 256, 32, KV_GELU_NEW, 1e-5f};
    const struct kv_learning_schedule schedule = {3e-3f, 3e-4f, 10, 200};
    double loss = 0;
    open_bench(&bench, &shape, 8, 32, 2);
    OK(kv_trainer_initialize(bench.trainer, 1, &error));
    for (int i = 0; i < 200; i++) {
        lay_text(&bench, 8, 32, i);
        loss = bench_step(&bench, kv_learning_rate(&schedule, kv_trainer_steps(bench.trainer)));
        if (i == 0)
            assert_true(fabs(loss - log(256)) < 0.1); /* nothing known yet: all bytes alike */
    }
    assert_true(loss < 0.15); /* who knows three bytes before is left with 0.169 */
    check_session(&bench, 32);
    close_bench(&bench);
}

/* ---- The same bits ------------------------------------------------------------------------------------ */

static void assert_same_part(const struct bench *a, const struct bench *b, enum kv_trainer_part part)
{
    assert_memory_equal(a->trainer->parts[part].base, b->trainer->parts[part].base, a->trainer->parts[part].bytes);
}

TEST(twice_the_same_bits)
{
    for (int n_threads = 1; n_threads <= 3; n_threads++) {
        struct bench a, b;
        open_synthetic(&a, &odd_shape, 3, 70, n_threads);
        open_synthetic(&b, &odd_shape, 3, 70, n_threads);
        for (int i = 0; i < 4; i++)
            assert_true(bench_step(&a, 1e-2f) == bench_step(&b, 1e-2f));
        for (int part = 0; part < KV_TRAINER_N_PARTS; part++)
            assert_same_part(&a, &b, (enum kv_trainer_part)part);
        close_bench(&a);
        close_bench(&b);
    }
}

/* Three sequences for up to seven threads: more threads than there are slices of some columns. */
TEST(threads_agree)
{
    struct bench one;
    open_synthetic(&one, &odd_shape, 3, 70, 1);
    const double loss = bench_step(&one, 1e-2f);
    const struct kv_tensor_slot *expected = one.trainer->slots[KV_TRAINER_GRADIENTS];
    for (int n_threads = 2; n_threads <= 7; n_threads += n_threads == 3 ? 4 : 1) {
        struct bench more;
        open_synthetic(&more, &odd_shape, 3, 70, n_threads);
        assert_true(fabs(bench_step(&more, 1e-2f) - loss) < 1e-6);
        const struct kv_tensor_slot *slots = more.trainer->slots[KV_TRAINER_GRADIENTS];
        for (int i = 0; i < one.trainer->n_slots; i++)
            assert_close(slots[i].data, expected[i].data, slots[i].n_elements, 1e-5);
        close_bench(&more);
    }
    close_bench(&one);
}

TEST(initial_weights)
{
    struct bench a, b;
    open_bench(&a, &small_shape, 1, 8, 1);
    open_bench(&b, &small_shape, 1, 8, 3);
    OK(kv_trainer_initialize(a.trainer, 5, &error));
    OK(kv_trainer_initialize(b.trainer, 5, &error));
    assert_same_part(&a, &b, KV_TRAINER_WEIGHTS);
    OK(kv_trainer_initialize(b.trainer, 6, &error));
    assert_false(same_weights(kv_trainer_model(a.trainer), kv_trainer_model(b.trainer)));
    const struct kv_tensor_slot *slots = a.trainer->slots[KV_TRAINER_WEIGHTS];
    for (int i = 0; i < a.trainer->n_slots; i++) {
        double sum = 0, expected = strstr(slots[i].name, "c_proj") ? 0.01 : 0.02; /* sqrt(2 L) = 2 */
        for (size_t k = 0; k < slots[i].n_elements; k++)
            sum += (double)slots[i].data[k] * (double)slots[i].data[k];
        const double deviation = sqrt(sum / (double)slots[i].n_elements);
        if (slots[i].role == KV_ROLE_MATRIX)
            assert_true(fabs(deviation / expected - 1) < 0.1);
        else
            assert_true(deviation == (slots[i].role == KV_ROLE_NORM ? 1 : 0));
    }
    close_bench(&a);
    close_bench(&b);
}

/* ---- Memory and errors -------------------------------------------------------------------------------- */

TEST(memory_is_as_stated)
{
    for (int n_threads = 1; n_threads <= 2; n_threads++) {
        struct bench bench;
        block_bytes = 0;
        open_bench(&bench, &odd_shape, 3, 70, n_threads);
        assert_int_equal(block_bytes, kv_trainer_bytes(&odd_shape, 3, 70, n_threads));
        close_bench(&bench);
    }
    assert_int_equal(kv_trainer_bytes(&odd_shape, 0, 70, 1), 0);
    assert_int_equal(kv_trainer_bytes(&odd_shape, 3, 70, 0), 0);
    const struct kv_config endless = {INT32_MAX, 1, INT32_MAX / 3, INT32_MAX, INT32_MAX, INT32_MAX, KV_GELU, 1e-5f};
    assert_int_equal(kv_trainer_bytes(&endless, 1, 1, 1), 0);
}

TEST(steps_allocate_nothing)
{
    struct bench bench;
    open_synthetic(&bench, &odd_shape, 2, 70, 2);
    n_allocations = 0;
    for (int i = 0; i < 3; i++) {
        bench_step(&bench, 1e-3f);
        bench_loss(&bench);
    }
    assert_int_equal(n_allocations, 0);
    close_bench(&bench);
}

static kv_status create(const struct kv_config *config, int B, int T, const struct kv_trainer_options *options)
{
    struct kv_pool *pool = make_pool(1);
    struct kv_trainer *trainer = (struct kv_trainer *)&error;
    error.message[0] = 0;
    n_blocks = 0;
    const kv_status status = kv_trainer_create(&trainer, config, B, T, pool, options, &error);
    assert_true(status == KV_OK || trainer == NULL);
    kv_trainer_free(trainer);
    kv_pool_free(pool);
    return status;
}

TEST(creation_refuses)
{
    const struct kv_trainer_options good = kv_trainer_default_options();
    struct kv_trainer_options o[5] = {good, good, good, good, good};
    const struct {
        int n_head, B, T;
        const struct kv_trainer_options *options;
    } wrong[] = {{2, 0, 32, &good}, {2, 1, 0, &good},  {2, 1, 33, &good}, {2, INT32_MAX, 32, &good},
                 {0, 1, 32, &good}, {5, 1, 32, &good}, {2, 1, 32, &o[0]}, {2, 1, 32, &o[1]},
                 {2, 1, 32, &o[2]}, {2, 1, 32, &o[3]}, {2, 1, 32, &o[4]}};
    struct kv_config c = small_shape;
    o[0].beta1 = 1;
    o[1].beta2 = NAN;
    o[2].epsilon = 0;
    o[3].weight_decay = -1;
    o[4].clip_norm = -1;
    for (size_t i = 0; i < COUNT(wrong); i++) {
        c.n_head = wrong[i].n_head;
        assert_int_equal(create(&c, wrong[i].B, wrong[i].T, wrong[i].options), KV_ERROR_ARGUMENT);
    }
    c = small_shape;
    assert_int_equal(create(&c, 1, 32, &good), KV_OK);
    REFUSED(create(&c, 60000000, 32, &good), KV_ERROR_MEMORY, "MiB", NULL);
    assert_int_equal(n_blocks, 0); /* refused before any memory was taken */
    for (int block = 0; block < KV_TRAINER_N_PARTS + 1; block++) {
        blocks_until_failure = block;
        assert_int_equal(create(&c, 1, 32, &good), KV_ERROR_MEMORY);
        assert_int_equal(n_blocks, block);
    }
}

TEST(copying_refuses)
{
    struct bench bench;
    struct kv_model *packed, *other;
    struct kv_config c = small_shape;
    open_bench(&bench, &small_shape, 1, 8, 1);
    OK(kv_model_synthesize(&packed, &c, 1, NULL, "packed", bench.pool, &error));
    c.n_head = 4; /* the same tensors, another model */
    OK(kv_model_synthesize(&other, &c, 1, NULL, "openblas", bench.pool, &error));
    assert_int_equal(kv_trainer_copy_weights(bench.trainer, packed, &error), KV_ERROR_ARGUMENT);
    assert_int_equal(kv_trainer_copy_weights(bench.trainer, other, &error), KV_ERROR_ARGUMENT);
    kv_model_free(packed);
    kv_model_free(other);
    close_bench(&bench);
}

/* Through the slots, as a checkpoint does it. */
static void copy_state(const struct bench *from, struct bench *to)
{
    static const enum kv_trainer_part parts[] = {KV_TRAINER_WEIGHTS, KV_TRAINER_FIRST_MOMENT, KV_TRAINER_SECOND_MOMENT};
    for (size_t p = 0; p < COUNT(parts); p++) {
        const struct kv_tensor_slot *source = from->trainer->slots[parts[p]];
        const struct kv_tensor_slot *target = to->trainer->slots[parts[p]];
        for (int i = 0; i < from->trainer->n_slots; i++)
            memcpy(target[i].data, source[i].data, source[i].n_elements * sizeof(float));
    }
    to->trainer->steps = kv_trainer_steps(from->trainer);
}

/* Nothing but the loss, and the error, tells that a step was tried. */
static void assert_refused_step(struct bench *bench, float learning_rate, kv_status expected)
{
    struct bench before;
    double loss = 0;
    open_bench(&before, &small_shape, 2, 16, 2);
    copy_state(bench, &before);
    error.message[0] = 0;
    assert_int_equal(kv_trainer_step(bench->trainer, bench->tokens, bench->targets, learning_rate, &loss, &error),
                     expected);
    assert_true(strlen(error.message) > 10);
    assert_same_part(bench, &before, KV_TRAINER_WEIGHTS);
    assert_same_part(bench, &before, KV_TRAINER_FIRST_MOMENT);
    assert_same_part(bench, &before, KV_TRAINER_SECOND_MOMENT);
    assert_int_equal(kv_trainer_steps(bench->trainer), 1);
    close_bench(&before);
}

TEST(steps_refuse)
{
    struct bench bench;
    double loss;
    open_synthetic(&bench, &small_shape, 2, 16, 2);
    bench_step(&bench, 1e-3f);
    assert_refused_step(&bench, NAN, KV_ERROR_ARGUMENT);
    assert_refused_step(&bench, -1, KV_ERROR_ARGUMENT);
    bench.tokens[31] = 256;
    assert_refused_step(&bench, 1e-3f, KV_ERROR_ARGUMENT);
    bench.tokens[31] = 255;
    bench.targets[3] = -1;
    assert_refused_step(&bench, 1e-3f, KV_ERROR_ARGUMENT);
    bench.targets[3] = 0;
    float *weight = bench.trainer->slots[KV_TRAINER_WEIGHTS][2].data; /* ln_f.weight */
    const float good = *weight;
    *weight = NAN;
    assert_refused_step(&bench, 1e-3f, KV_ERROR_NUMERIC);
    assert_int_equal(kv_trainer_loss(bench.trainer, bench.tokens, bench.targets, &loss, &error), KV_ERROR_NUMERIC);
    *weight = 1e38f; /* the logits overflow */
    assert_refused_step(&bench, 1e-3f, KV_ERROR_NUMERIC);
    *weight = good; /* no trace is left in the buffers */
    bench_step(&bench, 1e-3f);
    close_bench(&bench);
}
