/* Checkpoints of a training run, and the files that they are made of: what goes in comes out with the same bits, and
 * what is no checkpoint of this run changes nothing. */
#include "train_bench.h"
#include "unit.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct kv_config small_shape = {2, 2, 32, 128, 256, 32, KV_GELU_NEW, 1e-5f};

/* ---- Going on ----------------------------------------------------------------------------------------- */

static void assert_same_state(const struct bench *a, const struct bench *b)
{
    for (int part = 0; part < KV_TRAINER_N_PARTS; part++)
        if (part != KV_TRAINER_GRADIENTS)
            assert_memory_equal(a->trainer->parts[part].base, b->trainer->parts[part].base,
                                a->trainer->parts[part].bytes);
    assert_int_equal(kv_trainer_steps(a->trainer), kv_trainer_steps(b->trainer));
}

FOLDER_TEST(goes_on_with_the_same_bits)
{
    static const struct kv_config *const shapes[] = {&small_shape, &odd_shape};
    for (size_t i = 0; i < COUNT(shapes); i++) {
        struct bench whole, resumed;
        open_synthetic(&whole, shapes[i], 2, 32, 2);
        open_bench(&resumed, shapes[i], 2, 32, 2);
        for (int step = 0; step < 5; step++)
            bench_step(&whole, 1e-2f);
        OK(kv_trainer_save(whole.trainer, c->weights_file, NULL, 0, &error));
        for (int step = 0; step < 5; step++)
            bench_step(&whole, 1e-2f);
        bench_step(&resumed, 1e-2f); /* what was there does not matter */
        OK(kv_trainer_restore(resumed.trainer, c->weights_file, &error));
        assert_released(c->weights_file);
        assert_int_equal(kv_trainer_steps(resumed.trainer), 5);
        for (int step = 0; step < 5; step++) {
            bench_loss(&resumed); /* a look at the loss in between changes nothing */
            bench_step(&resumed, 1e-2f);
        }
        assert_same_state(&whole, &resumed);
        close_bench(&whole);
        close_bench(&resumed);
    }
}

FOLDER_TEST(notes_before_a_trainer)
{
    const struct kv_note notes[] = {{"seed", "42"}, {"text", "/home/\xc3\xa9/a.txt"}}, taken = {"steps", "7"};
    struct bench bench;
    open_bench(&bench, &odd_shape, 1, 8, 1);
    bench.trainer->steps = INT64_MAX;
    OK(kv_trainer_save(bench.trainer, c->weights_file, notes, 2, &error));
    struct kv_safetensors *file = open_safetensors(c->weights_file);
    assert_string_equal(kv_safetensors_note(file, "seed"), "42");
    assert_string_equal(kv_safetensors_note(file, "text"), notes[1].value);
    assert_string_equal(kv_safetensors_note(file, "steps"), "9223372036854775807");
    assert_string_equal(kv_safetensors_note(file, "model"),
                        "n_layer 2, n_head 3, n_embd 27, n_inner 41, vocab_size 53, n_positions 80, gelu_new, "
                        "layer_norm_epsilon 9.99999975e-06");
    assert_int_equal(kv_safetensors_count(file), 3 * (4 + 12 * 2));
    const struct kv_tensor *moment = kv_safetensors_find(file, "second_moment.h.1.mlp.c_proj.weight");
    assert_true(moment && moment->n_dims == 2 && moment->shape[0] == 41 && moment->shape[1] == 27);
    kv_safetensors_close(file);
    bench.trainer->steps = 0;
    OK(kv_trainer_restore(bench.trainer, c->weights_file, &error));
    assert_true(kv_trainer_steps(bench.trainer) == INT64_MAX);
    REFUSED(kv_trainer_save(bench.trainer, c->weights_file, &taken, 1, &error), KV_ERROR_ARGUMENT, c->weights_file,
            "'steps' is taken");
    close_bench(&bench);
}

/* ---- What is refused ---------------------------------------------------------------------------------- */

/* Two benches in the same state, and a file that is a checkpoint of it. */
struct refusal {
    const struct checkpoint *c;
    struct bench bench, before;
    char other[176];
};

static void open_refusal(struct refusal *r, const struct checkpoint *c)
{
    *r = (struct refusal){.c = c};
    snprintf(r->other, sizeof r->other, "%s/other.safetensors", c->folder);
    open_synthetic(&r->bench, &odd_shape, 1, 16, 1);
    open_bench(&r->before, &odd_shape, 1, 16, 1);
    bench_step(&r->bench, 1e-2f);
    OK(kv_trainer_save(r->bench.trainer, c->weights_file, NULL, 0, &error));
    OK(kv_trainer_restore(r->before.trainer, c->weights_file, &error));
    bench_step(&r->bench, 1e-2f); /* the file is not what the trainer holds: a change would show */
    bench_step(&r->before, 1e-2f);
}

static void close_refusal(struct refusal *r)
{
    close_bench(&r->bench);
    close_bench(&r->before);
}

#define refuse(r, file, status, thing) refuse_at((r), (file), (status), (thing), __LINE__)
static void refuse_at(const struct refusal *r, const char *file, kv_status expected, const char *thing, int line)
{
    const kv_status status = kv_trainer_restore(r->bench.trainer, file, &error);
    check_refused(status, expected, &error, file, thing, __FILE__, line);
    assert_same_state(&r->bench, &r->before);
    assert_released(file);
}

/* Copies the checkpoint with another last note, and with tensor `changed` left out (n_dims -1), of another type or
 * shape, or added, when there is none of that name. */
static void put_other(const struct refusal *r, const char *changed, int n_dims, enum kv_dtype dtype,
                      struct kv_note note)
{
    static const float one = 1;
    struct kv_safetensors *file = open_safetensors(r->c->weights_file);
    const int n = kv_safetensors_count(file);
    struct kv_tensor_source *sources = calloc((size_t)n + 1, sizeof *sources);
    assert_non_null(sources);
    int kept = 0;
    for (int i = 0; i < n; i++) {
        const struct kv_tensor *tensor = kv_safetensors_at(file, i);
        const bool is_it = strcmp(tensor->name, changed) == 0;
        if (!is_it || n_dims >= 0)
            sources[kept++] = (struct kv_tensor_source){tensor->name, is_it ? dtype : KV_DTYPE_F32,
                                                        is_it ? n_dims : tensor->n_dims, (const size_t *)tensor->shape,
                                                        (const float *)(const void *)tensor->data};
    }
    if (*changed && !kv_safetensors_find(file, changed))
        sources[kept++] = (struct kv_tensor_source){changed, dtype, 0, NULL, &one};
    const struct kv_note notes[] = {{"model", kv_safetensors_note(file, "model")}, note};
    OK(kv_safetensors_write(r->other, sources, kept, notes, 2, &error));
    free(sources);
    kv_safetensors_close(file);
}

FOLDER_TEST(other_files_refused)
{
    struct refusal r;
    struct kv_config heads = odd_shape, wider = odd_shape;
    struct bench other;
    open_refusal(&r, c);
    snprintf(r.other, sizeof r.other, "%s/absent", r.c->folder);
    refuse(&r, r.other, KV_ERROR_IO, "No such file");
    refuse(&r, r.c->folder, KV_ERROR_IO, "regular file");
    write_bytes(r.other, "not a checkpoint", 16);
    refuse(&r, r.other, KV_ERROR_FORMAT, "not safetensors");
    OK(kv_write_safetensors(r.other, "logits", (const float[]){1}, (const size_t[]){1}, 1, &error));
    refuse(&r, r.other, KV_ERROR_FORMAT, "not a checkpoint of a training run");
    heads.n_head = 9; /* every tensor has the right shape */
    wider.n_inner++;
    const struct kv_config *const configs[] = {&heads, &wider};
    for (size_t i = 0; i < COUNT(configs); i++) {
        open_bench(&other, configs[i], 1, 16, 1);
        OK(kv_trainer_save(other.trainer, r.other, NULL, 0, &error));
        refuse(&r, r.other, KV_ERROR_ARGUMENT, i ? "n_inner 42" : "n_head 9");
        close_bench(&other);
    }
    close_refusal(&r);
}

FOLDER_TEST(damaged_checkpoints_refused)
{
    struct refusal r;
    const struct kv_note steps = {"steps", "1"};
    static const char *const wrong[] = {"", "-1", "1.5", " 1", "+1", "x", "1x", "9223372036854775808"};
    open_refusal(&r, c);
    put_other(&r, "second_moment.ln_f.bias", -1, KV_DTYPE_F32, steps);
    refuse(&r, r.other, KV_ERROR_FORMAT, "'second_moment.ln_f.bias' is missing");
    put_other(&r, "weights.wte.weight", -1, KV_DTYPE_F32, steps);
    refuse(&r, r.other, KV_ERROR_FORMAT, "'weights.wte.weight' is missing");
    put_other(&r, "first_moment.h.1.attn.c_attn.weight", 1, KV_DTYPE_F32, steps);
    refuse(&r, r.other, KV_ERROR_FORMAT, "'first_moment.h.1.attn.c_attn.weight' has another shape");
    put_other(&r, "second_moment.h.1.mlp.c_proj.bias", 1, KV_DTYPE_BF16, steps);
    refuse(&r, r.other, KV_ERROR_FORMAT, "'second_moment.h.1.mlp.c_proj.bias' has another shape or type");
    put_other(&r, "third_moment.ln_f.bias", 0, KV_DTYPE_F32, steps);
    refuse(&r, r.other, KV_ERROR_FORMAT, "85 tensors");
    for (size_t i = 0; i < COUNT(wrong); i++) {
        put_other(&r, "", 0, KV_DTYPE_F32, (struct kv_note){"steps", wrong[i]});
        refuse(&r, r.other, KV_ERROR_FORMAT, "note 'steps'");
    }
    put_other(&r, "", 0, KV_DTYPE_F32, (struct kv_note){"step", "1"});
    refuse(&r, r.other, KV_ERROR_FORMAT, "no note 'steps'");
    OK(kv_safetensors_write(r.other, NULL, 0, &steps, 1, &error));
    refuse(&r, r.other, KV_ERROR_FORMAT, "no note 'model'");
    assert_int_equal(truncate(r.c->weights_file, (off_t)data_start(r.c->weights_file) + 4000), 0);
    refuse(&r, r.c->weights_file, KV_ERROR_FORMAT, "truncated");
    close_refusal(&r);
}

/* As on a full disk. */
FOLDER_TEST(the_last_checkpoint_stays)
{
    struct bench bench, restored;
    open_synthetic(&bench, &odd_shape, 1, 16, 1);
    open_bench(&restored, &odd_shape, 1, 16, 1);
    OK(kv_trainer_save(bench.trainer, c->weights_file, NULL, 0, &error));
    for (size_t limit = 1; limit < 100000; limit *= 10) {
        bench_step(&restored, 1e-2f);
        disk_is_full(limit);
        const kv_status status = kv_trainer_save(restored.trainer, c->weights_file, NULL, 0, &error);
        disk_is_free();
        REFUSED(status, KV_ERROR_IO, c->weights_file, "too large");
        OK(kv_trainer_restore(restored.trainer, c->weights_file, &error));
        assert_same_state(&bench, &restored);
    }
    assert_int_equal(files_in(c->folder), 1);
    close_bench(&bench);
    close_bench(&restored);
}
