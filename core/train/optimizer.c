/* The learning rate's course, and AdamW on every tensor by all threads. */
#include "train/trainer.h"

#include <math.h>

float kv_learning_rate(const struct kv_learning_schedule *s, int64_t step)
{
    if (step < s->warmup_steps)
        return (float)((double)s->peak * (double)(step + 1) / (double)(s->warmup_steps + 1));
    if (step >= s->total_steps)
        return s->floor;
    const double progress = (double)(step - s->warmup_steps) / (double)(s->total_steps - s->warmup_steps);
    return (float)((double)s->floor + 0.5 * (1.0 + cos(M_PI * progress)) * ((double)s->peak - (double)s->floor));
}

struct kv_adamw kv_train_adamw(const struct kv_trainer *t, float learning_rate)
{
    const struct kv_trainer_options *o = &t->options;
    const double step = (double)(t->steps + 1), rate = (double)learning_rate, clip = (double)o->clip_norm;
    return (struct kv_adamw){
        .gradient_scale = clip > 0 && t->gradient_norm > clip ? (float)(clip / t->gradient_norm) : 1.0f,
        .beta1 = o->beta1,
        .beta2 = o->beta2,
        .epsilon = o->epsilon,
        .keep = (float)(1.0 - rate * (double)o->weight_decay),
        .rate = (float)(rate / (1.0 - pow((double)o->beta1, step))),
        .root_correction = (float)(1.0 / sqrt(1.0 - pow((double)o->beta2, step))),
    };
}

void kv_train_update_job(void *argument, int rank)
{
    const struct kv_train_update *update = argument;
    const struct kv_trainer *t = update->trainer;
    const size_t n_ranks = (size_t)kv_pool_size(t->pool);
    for (int i = 0; i < t->n_slots; i++) {
        const struct kv_tensor_slot *slot = &t->slots[KV_TRAINER_WEIGHTS][i];
        const size_t begin = slot->n_elements * (size_t)rank / n_ranks;
        const size_t end = slot->n_elements * ((size_t)rank + 1) / n_ranks;
        struct kv_adamw adamw = update->adamw;
        if (slot->role != KV_ROLE_MATRIX)
            adamw.keep = 1.0f;
        t->kernels->train->adamw(&adamw, slot->data + begin, t->slots[KV_TRAINER_GRADIENTS][i].data + begin,
                                 t->slots[KV_TRAINER_FIRST_MOMENT][i].data + begin,
                                 t->slots[KV_TRAINER_SECOND_MOMENT][i].data + begin, end - begin);
    }
}
