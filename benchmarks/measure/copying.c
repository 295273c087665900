/* The task of copying with edits: a passage, and behind it the same passage with every so many-th token another one. */
#include "measure/fixture.h"

#include "base/random.h"

#include <math.h>

/* Both streams of draws are the task's own, so that it is the same in every run. */
#define PASSAGE UINT64_C(0x70617373616765)
#define EDITS   UINT64_C(0x6564697473)

/* As words are in a text: the id of rank r about as often as 1 / r (Zipf's law). */
static int32_t draw_token(uint64_t key, uint64_t index, int vocab_size)
{
    const double uniform = (double)(kv_draw64(key, index) >> 11) * 0x1p-53;
    const int id = (int)pow(vocab_size, uniform) - 1;
    return id < vocab_size ? id : vocab_size - 1;
}

void kv_copying_passage(int vocab_size, int sequence, int32_t *passage, int n)
{
    for (int i = 0; i < n; i++)
        passage[i] = draw_token(kv_draw64(PASSAGE, (uint64_t)sequence), (uint64_t)i, vocab_size);
}

void kv_copying_text(int vocab_size, int sequence, const int32_t *passage, int n_passage, int edit_every, int32_t *text,
                     int n)
{
    for (int i = 0; i < n; i++) {
        const int32_t copied = passage[i % n_passage];
        text[i] = copied;
        if ((i + 1) % edit_every)
            continue;
        text[i] = draw_token(kv_draw64(EDITS, (uint64_t)sequence), (uint64_t)i, vocab_size);
        if (text[i] == copied)
            text[i] = (copied + 1) % vocab_size;
    }
}
