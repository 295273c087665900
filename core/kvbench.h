/* kvbench core: GPT-2 inference with and without a KV cache.
 *
 * The whole public interface. The library never prints, never exits, reads no environment variable and
 * has no mutable global state. In every function:
 *   errors         a kv_status other than KV_OK, and, when `error` is not NULL, one line in
 *                  `error->message` that names what is wrong and the remedy; out-parameters are then NULL
 *   ownership      what `*_create`, `*_load` or `*_synthesize` returned is the caller's and is given back
 *                  with the matching `*_free` (NULL is allowed); all else stays with the object it came from
 *   thread safety  distinct objects may be used by distinct threads; a kv_model is immutable and may be
 *                  shared by any number of sessions; a kv_pool and the sessions on it belong to one
 *                  calling thread at a time
 *   shapes         B = batch, T = positions, V = vocab_size, C = n_embd, L = n_layer, H = n_head; row-major,
 *                  float32, token ids int32
 */
#ifndef KVBENCH_H
#define KVBENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Errors -------------------------------------------------------------------------------------------------- */

typedef enum kv_status {
    KV_OK = 0,
    KV_ERROR_ARGUMENT,    /* an argument is out of range or unknown */
    KV_ERROR_MEMORY,      /* does not fit in the memory that is available, or an allocation failed */
    KV_ERROR_IO,          /* a file could not be opened, read or written */
    KV_ERROR_FORMAT,      /* a file is not what it claims to be */
    KV_ERROR_UNSUPPORTED, /* valid, but not something this library or this CPU can do */
    KV_ERROR_NUMERIC,     /* a logit is not a number, so no token can be selected */
    KV_ERROR_THREAD,      /* a thread could not be started */
    KV_WINDOW_FULL,       /* n_positions is reached under KV_OVERFLOW_STOP; the session is unchanged */
    KV_POOL_FULL,         /* the cache's pool has not enough blocks left; the session is unchanged */
} kv_status;

struct kv_error {
    char message[512];
};

/* ---- Threads ------------------------------------------------------------------------------------------------- */

/* A fixed pool of threads; the caller is rank 0, so n_threads = 1 starts none. */
struct kv_pool;

/* Physical cores that this process may use, by its CPU affinity and the quota of its control group (version 2, cpu.max,
 * rounded up): at least 1. */
int kv_default_threads(void);

/* n_threads 1..KV_MAX_THREADS. Errors: ARGUMENT, MEMORY, THREAD. */
#define KV_MAX_THREADS 256
kv_status kv_pool_create(struct kv_pool **pool, int n_threads, struct kv_error *error);
void kv_pool_free(struct kv_pool *pool);
int kv_pool_size(const struct kv_pool *pool);

/* Runs job(argument, rank) once on every rank 0..n_threads-1 and returns when all are done. */
void kv_pool_run(struct kv_pool *pool, void (*job)(void *argument, int rank), void *argument);

/* Barrier inside a job: returns once every rank has called it the same number of times. */
void kv_pool_barrier(struct kv_pool *pool);

/* ---- What can be chosen by name ------------------------------------------------------------------------------ */

struct kv_choice {
    const char *name;
    const char *summary; /* one line */
};

/* Row `index` of each table, NULL past the end. The first row that can run here is the default; of
 * instruction-set levels, that is the highest. */
const struct kv_choice *kv_path_choice(int index);  /* what is kept from one step to the next */
const struct kv_choice *kv_cache_choice(int index); /* how keys and values are laid out */
const struct kv_choice *kv_kv_choice(int index);    /* the type that they are kept in */
/* `name` where it is that of a layout with numbers of its own, "paged:16"; NULL: it is none. */
const char *kv_cache_name(const char *name);
/* Whether it begins as the name of a layout does and has not its numbers; the error (NULL: not wanted) says which it takes. */
bool kv_cache_misspelt(const char *name, struct kv_error *error);
/* Whether that layout drops positions, so that later ones do not attend to them. That is then so on every path. */
bool kv_cache_drops(const char *name);
/* The constant name of such a type, or of keys and values of two of them, "KEYS/VALUES"; NULL: there is none. */
const char *kv_kv_name(const char *name);
const struct kv_choice *kv_weights_choice(int index); /* the format of weights in memory */
const struct kv_choice *kv_matmul_choice(int index);
const struct kv_choice *kv_isa_choice(int index);

/* Whether that path keeps keys and values: only then a cache and its type apply. An unknown name: false. */
bool kv_path_keeps(const char *path);

/* Whether CPU and operating system support that level. An unknown name is not supported. */
bool kv_isa_supported(const char *name);
/* The highest level that is supported. */
const char *kv_isa_default(void);

/* The kernel set that OpenBLAS chose for this CPU when it was loaded, for instance "SkylakeX". */
const char *kv_openblas_core(void);
/* Its version and build options, as it reports them. */
const char *kv_openblas_config(void);

/* The value of the environment variable OPENBLAS_CORETYPE that would make a restarted process use a
 * better kernel set on this CPU, or NULL when OpenBLAS chose well. */
const char *kv_openblas_better_core(void);

/* ---- Model --------------------------------------------------------------------------------------------------- */

enum kv_activation {
    KV_GELU_NEW, /* 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))   (Hendrycks & Gimpel 2016) */
    KV_GELU,     /* 0.5 x (1 + erf(x / sqrt 2)) */
};

struct kv_config {
    int n_layer;
    int n_head;
    int n_embd;
    int n_inner; /* width of the MLP, 4 n_embd in every published GPT-2 */
    int vocab_size;
    int n_positions;
    enum kv_activation activation;
    float layer_norm_epsilon;
};

/* Published shapes by name: row `index` gives its name (NULL past the end). */
const char *kv_config_preset_name(int index);
/* Errors: ARGUMENT for an unknown name. */
kv_status kv_config_preset(const char *name, struct kv_config *config, struct kv_error *error);
/* Reads a Hugging Face config.json. Errors: IO, FORMAT, UNSUPPORTED, each naming the field. */
kv_status kv_config_load(const char *file, struct kv_config *config, struct kv_error *error);
/* Number of parameters, the tied LM head counted once; 0 when it overflows. */
uint64_t kv_config_parameters(const struct kv_config *config);
/* Bytes of keys and values that one position of one sequence takes in float32: 2 L C sizeof(float). A session says what
 * its own type takes: kv_session_kv_live_bytes. */
size_t kv_config_kv_bytes_per_token(const struct kv_config *config);

struct kv_model;

/* Both bring the weights into the format `weights` (kv_weights_choice name; NULL: the first), laid out for the one who
 * will compute with them, `matmul` (kv_matmul_choice name; NULL: the first): they are in memory once, and a session
 * needs a matmul of that layout. Only packed takes other weights than f32: UNSUPPORTED.
 *
 * Reads folder/config.json and folder/model.safetensors (F32, F16 or BF16). The file is mapped, checked
 * as a whole, and only then converted by the pool. Errors: ARGUMENT, IO, FORMAT, UNSUPPORTED, MEMORY,
 * each naming the tensor or field. */
kv_status kv_model_load(struct kv_model **model, const char *folder, const char *weights, const char *matmul,
                        struct kv_pool *pool, struct kv_error *error);

/* Weights of that shape drawn from a documented generator (core/model/synthetic.c): the same bits for the
 * same seed on every machine and any pool size. Errors: ARGUMENT, UNSUPPORTED, MEMORY. */
kv_status kv_model_synthesize(struct kv_model **model, const struct kv_config *config, uint64_t seed,
                              const char *weights, const char *matmul, struct kv_pool *pool, struct kv_error *error);
void kv_model_free(struct kv_model *model);

const struct kv_config *kv_model_config(const struct kv_model *model);
/* The kv_weights_choice name of the weights in memory. */
const char *kv_model_format(const struct kv_model *model);
/* Where the weights came from: "F32", "F16", "BF16" (the file's type) or "synthetic:SEED". */
const char *kv_model_source(const struct kv_model *model);

/* ---- Session: B sequences on one model ----------------------------------------------------------------------- */

/* What to do when a sequence would grow past n_positions. Sequences that still have room are appended to as usual. */
enum kv_overflow {
    KV_OVERFLOW_STOP,      /* KV_WINDOW_FULL when any sequence has no room; nothing changes */
    KV_OVERFLOW_RECOMPUTE, /* keep the last n_positions tokens and run them again, at every step */
    KV_OVERFLOW_SHIFT,     /* drop the older half of the window, run the rest again, go on from there */
};
/* By the number of the policy, NULL past the end. */
const struct kv_choice *kv_overflow_choice(int index);
/* Of a text of n_tokens, how many of the newest a sequence holds, however they were appended. */
int kv_overflow_kept(enum kv_overflow overflow, int n_positions, long n_tokens);

struct kv_session_options {
    const char *path; /* kv_path_choice name; NULL: the first */
    /* kv_cache_name; NULL: the first. A path that keeps nothing ignores kv, and all of cache but which positions it drops:
     * it drops them, too, as it runs a window. */
    const char *cache;
    const char *kv;     /* kv_kv_choice name, or KEYS/VALUES; NULL: the first */
    const char *matmul; /* kv_matmul_choice name; NULL: the first. Of the layout that the model was made for */
    const char *isa;    /* kv_isa_choice name; NULL: the highest supported */
    int batch;          /* B >= 1 */
    int capacity;       /* most positions a sequence will have, 1..n_positions; 0: n_positions */
    int chunk;          /* prefill at most this many positions at once; 0: the path chooses */
    enum kv_overflow overflow;
    /* Of a cache with a pool ("paged:16"): positions of all sequences together that it has blocks for, in whole blocks; 0:
     * of every sequence all. With fewer, KV_POOL_FULL may come. Others ignore it. */
    int pool;
};

struct kv_session;

/* Allocates everything that the session will need; no later call allocates. Model and pool must outlive it.
 * Errors: ARGUMENT, UNSUPPORTED, MEMORY. */
kv_status kv_session_create(struct kv_session **session, const struct kv_model *model, struct kv_pool *pool,
                            const struct kv_session_options *options, struct kv_error *error);
void kv_session_free(struct kv_session *session);

/* What appending n_new positions to options->batch sequences that hold n_before each, and computing the logits of the
 * last one, takes at least. With L layers, C = n_embd, I = n_inner, V = vocab_size, and the positions that are run
 * being a = n_before + 1 .. b = n_before + n_new on a path that keeps keys and values, a = 1 .. b on one that does not:
 *   flops = batch (sum over t = a..b of L (2 (4 C^2 + 2 C I) + 4 C t)  +  2 C V)      a product is 2 flops a weight,
 *                                      attention 4 C flops a position attended to, of a cache that drops some t at
 *                                      most as many as it keeps; vectors are not counted
 *   bytes = weights (L (4 C^2 + 2 C I) + C V, as their format stores them)            once from memory
 *         + batch (keys and values kept: those before read, all new ones written)     as the cache stores them
 *                                      activations and what is not kept stay in the processor's caches
 * weights: a kv_weights_choice name, NULL: the first. Both are 0 for an unknown name. */
struct kv_work {
    double flops;
    double bytes;
};
struct kv_work kv_step_work(const struct kv_config *config, const char *weights,
                            const struct kv_session_options *options, int n_before, int n_new);

/* Forgets all tokens. What was in the buffers has no effect on what follows. */
void kv_session_reset(struct kv_session *session);

/* Rolls every sequence b back to its first lengths[b] positions, 0..its length: what follows is as if the others had
 * never been appended. There are no logits until the next prefill. A cache that has dropped positions forgets such a
 * sequence, unless it keeps its length: all its tokens are run again when it is appended to. Errors: ARGUMENT; nothing
 * has then changed. */
kv_status kv_session_truncate(struct kv_session *session, const int *lengths, struct kv_error *error);

/* Appends T >= 1 positions to every sequence, each at its own length, and computes the logits of the last one.
 *   tokens      [B, T], each 0..V-1
 *   all_logits  [B, T, V] or NULL: also the logits of every appended position
 * Errors: ARGUMENT (a token out of range, more than `capacity` positions, all_logits over the window's
 * end), KV_WINDOW_FULL, KV_POOL_FULL. After an error the session is as it was. */
kv_status kv_session_prefill(struct kv_session *session, const int32_t *tokens, int n_tokens, float *all_logits,
                             struct kv_error *error);

/* Prefills all sequences, which are empty, with the same tokens [T]: on a path that keeps keys and values they are run
 * once and copied, so that a long prompt of a large batch takes the time of one sequence. Otherwise the same as
 * kv_session_prefill: every sequence has keys and values of its own, also where a cache could share them. Errors:
 * ARGUMENT (a sequence is not empty, too) and its own. */
kv_status kv_session_prefill_same(struct kv_session *session, const int32_t *tokens, int n_tokens,
                                  struct kv_error *error);

/* Prefills all sequences, which are empty, with tokens [B, T] whose first n_prefix, 0..T, are the same in all: on a path
 * that keeps keys and values these are run once, in sequence 0. A cache with a pool keeps them once, too, but for the
 * last block where it is not full; others keep copies. Otherwise the same as kv_session_prefill, to the bit. Errors:
 * ARGUMENT (sequences that are not empty, or whose prefix differs, too) and its own. */
kv_status kv_session_prefill_prefix(struct kv_session *session, const int32_t *tokens, int n_tokens, int n_prefix,
                                    struct kv_error *error);

/* Appends n_tokens[b] >= 0 positions to sequence b, for at least one of them, and computes the logits of the last one of
 * each that gets any; the others keep theirs.
 *   n_tokens    [B]
 *   tokens      [sum of n_tokens], those of one sequence after those of the one before
 *   all_logits  [sum of n_tokens, V] or NULL: also the logits of every appended position
 * All run together, a row of each product a position, so that the time is that of the positions there are: sequences
 * that get none cost none. The logits of a sequence are those that it has alone. Errors: as kv_session_prefill. */
kv_status kv_session_append(struct kv_session *session, const int *n_tokens, const int32_t *tokens, float *all_logits,
                            struct kv_error *error);

/* Gives sequence `to` all that sequence `from` has, its logits among it. A cache with a pool shares the blocks, and
 * copies the last one when one of the two appends to it. Errors: ARGUMENT. */
kv_status kv_session_fork(struct kv_session *session, int from, int to, struct kv_error *error);

/* Appends one position: tokens [B]. The same as kv_session_prefill with T = 1. */
kv_status kv_session_decode(struct kv_session *session, const int32_t *tokens, struct kv_error *error);

/* Logits [B, V] of the last position of every sequence; valid until the next call on the session. */
const float *kv_session_logits(const struct kv_session *session);

/* tokens [B] = argmax of those logits, the lowest id among equals. Errors: NUMERIC, ARGUMENT (no logits: before the
 * first prefill, or since kv_session_reset or kv_session_truncate). */
kv_status kv_session_greedy(struct kv_session *session, int32_t *tokens, struct kv_error *error);

/* Tokens now in the window of each sequence, [B]; up to date until the session is freed. */
const int *kv_session_lengths(const struct kv_session *session);
/* In how many calls since the last reset a sequence passed the window's end. */
int kv_session_overflows(const struct kv_session *session);
/* Bytes of keys and values kept between two calls, of all positions of all sequences, and bytes allocated for them;
 * both 0 for a path that keeps nothing from one step to the next. */
size_t kv_session_kv_live_bytes(const struct kv_session *session);
size_t kv_session_kv_reserved_bytes(const struct kv_session *session);
/* All bytes that the session allocated: the above, its tokens, logits and activations. */
size_t kv_session_bytes(const struct kv_session *session);
/* The names in force, for the record; cache and kv are "" for a path that keeps nothing, but for a cache that drops
 * positions. */
const char *kv_session_path(const struct kv_session *session);
const char *kv_session_cache(const struct kv_session *session);
const char *kv_session_kv(const struct kv_session *session);
const char *kv_session_matmul(const struct kv_session *session);
const char *kv_session_isa(const struct kv_session *session);

/* ---- Store of prefixes: what one request ran is there for the next ---------------------------------------------- */

/* Blocks of a session's cache that stay when their sequence ends, in a tree: the path to a block is the tokens before
 * it, so that a prompt finds the longest beginning that was run before, in whole blocks. The block that was used longest
 * ago, of those that no other stands behind, goes first. It belongs to the session's calling thread. */
struct kv_store;

struct kv_store_counts {
    int64_t asked_tokens, found_tokens; /* of all prompts; hit rate = found / asked */
    int64_t evicted_blocks;
    int n_blocks; /* in it */
    size_t bytes; /* of their keys and values */
};

/* Of at most `budget` bytes of keys and values; allocates all that it will need. The session, whose cache has a pool
 * ("paged:16") with room for these blocks beside those of its sequences, must outlive it. Errors: ARGUMENT (a budget
 * below one block, a cache without blocks), MEMORY. */
kv_status kv_store_create(struct kv_store **store, struct kv_session *session, size_t budget, struct kv_error *error);
/* Lets all blocks go. */
void kv_store_free(struct kv_store *store);

/* Gives `sequence`, which is empty, what there is of the beginning of tokens [n], n - 1 positions at most: *n_found. The
 * rest is then appended as usual; logits are those of a session without a store, to the bit. Errors: ARGUMENT. */
kv_status kv_store_take(struct kv_store *store, int sequence, const int32_t *tokens, int n, int *n_found,
                        struct kv_error *error);
/* Keeps the whole blocks of `sequence`, which goes on unchanged. Errors: ARGUMENT. */
kv_status kv_store_keep(struct kv_store *store, int sequence, struct kv_error *error);
/* Evicts one block, for a pool that is full; false: there is none. */
bool kv_store_evict(struct kv_store *store);
struct kv_store_counts kv_store_counts(const struct kv_store *store);

/* ---- Looking at attention ------------------------------------------------------------------------------------ */

/* The query of a sequence's newest position in one head, and the keys and values that it attends to. Valid during the
 * call only. */
struct kv_attention_view {
    int layer, head, sequence;
    int n_positions;    /* n: the positions in the cache, the newest one among them */
    int head_size;      /* C / H */
    const float *query; /* [head_size] of position n - 1 */
    /* Where keys and values are: read with kv_view_key and kv_view_value. */
    const struct kv_cache *kept;
    int kept_sequence, kept_head;
};

/* Called for every (layer, head, sequence) of a pass that computes its logits, as its last position attends: exactly
 * once a kv_session_decode, and a kv_session_prefill or kv_session_append without all_logits. Threads of the session's
 * pool call it at the same time, each for another (head, sequence), one layer after the other; it must not call the
 * session. */
struct kv_observer {
    void (*attention)(void *context, const struct kv_attention_view *view);
    void *context;
};

/* From the next call on, `observer` is called for what the session computes; NULL, the default: none, which costs one
 * comparison a head. It changes no result. The caller owns the observer and keeps it as long as it is set. */
void kv_session_observe(struct kv_session *session, const struct kv_observer *observer);

/* Element `dimension`, 0..head_size-1, of the key or value of `position`, 0..n-1. */
float kv_view_key(const struct kv_attention_view *view, int position, int dimension);
float kv_view_value(const struct kv_attention_view *view, int position, int dimension);

/* Whether that position is attended to: a cache may have dropped it, and its key and value are then NaN. */
bool kv_view_keeps(const struct kv_attention_view *view, int position);

/* weights [n], 0 for a position that was dropped, = softmax(q . k_t / sqrt(head_size)), computed anew from query and keys. */
void kv_view_weights(const struct kv_attention_view *view, float *weights);

/* ---- Where the time goes ------------------------------------------------------------------------------------- */

/* The parts of a step: each moment of each thread in kv_session_prefill, kv_session_decode and kv_session_greedy is of
 * one of them, but for the checks and copies of ids between parallel regions. */
enum kv_part {
    KV_PART_EMBEDDING,
    KV_PART_NORMS,      /* ln_1, ln_2, ln_f */
    KV_PART_QKV,        /* c_attn */
    KV_PART_ATTENTION,  /* keys and values kept, and attention */
    KV_PART_PROJECTION, /* attn_proj */
    KV_PART_MLP,        /* c_fc, its activation, mlp_proj */
    KV_PART_HEAD,       /* the product with the LM head */
    KV_PART_SELECTION,  /* kv_session_greedy */
    KV_PART_WAITING,    /* for other threads: at barriers, and where a parallel region begins and ends */
    KV_N_PARTS,
};
const char *kv_part_name(enum kv_part part);

/* What one thread spent; all zero at first. */
struct kv_account {
    int64_t ns[KV_N_PARTS];
    int64_t calls[KV_N_PARTS]; /* stretches of time that ns adds up */
    int64_t last_ns;           /* the session's: when the stretch that runs began, of CLOCK_MONOTONIC */
    char apart[64];            /* threads write no cache line of each other's */
};

/* From the next call on, every thread of the session's pool adds its time to its own of accounts [pool size]; NULL, the
 * default: nobody does, which costs a comparison a part. With accounts it is two readings of the clock a barrier. It
 * changes no result. The caller owns them, keeps them as long as they are set, and reads them between calls. */
void kv_session_account(struct kv_session *session, struct kv_account *accounts);

/* That part of kv_step_work, which is the sum of all: products by their weights, attention by keys and values; the others
 * count neither flops nor bytes. */
struct kv_work kv_part_work(enum kv_part part, const struct kv_config *config, const char *weights,
                            const struct kv_session_options *options, int n_before, int n_new);

/* ---- Sampling ------------------------------------------------------------------------------------------------ */

/* How tokens are drawn: softmax(logits / temperature) over what top-k and then top-p leave. */
struct kv_sampling {
    float temperature; /* at least 0; 0: the token of kv_session_greedy, whatever else is asked for */
    int top_k;         /* keep so many most probable tokens, of equals the lower ids; 0: all */
    float top_p;       /* of those, keep the fewest most probable whose share of their sum reaches this; 0 < p <= 1 */
    uint64_t seed;
};

/* Draws for B sequences in step. What row b draws depends on seed, b, the number of the step and the row's logits, and
 * on nothing else: row 0 of four draws as a single one does. Each token has a random number of its own in each step
 * (core/infer/sampler.c says how), so that logits that differ by at most d give another token with a probability
 * of at most 2 d / temperature, however many tokens there are, plus that of the tokens that d moves into or out of
 * top-k and top-p. Between the paths d is 0 in release builds of gcc 12 and clang 14 with the matmuls "packed" and
 * "reference"; other builds may round otherwise, and "openblas" does: d is then some 1e-6 of the largest logit. */
struct kv_sampler;

/* Allocates everything that the sampler will need: 8 bytes a token of the vocabulary and thread at most. The rows of a
 * batch are shared out over the pool, which must outlive the sampler; NULL: the caller draws all. The draws are the same.
 * Errors: ARGUMENT, each naming the field; MEMORY. */
kv_status kv_sampler_create(struct kv_sampler **sampler, const struct kv_sampling *sampling, int vocab_size, int batch,
                            struct kv_pool *pool, struct kv_error *error);
void kv_sampler_free(struct kv_sampler *sampler);

/* Back to step 0: the same draws again. */
void kv_sampler_reset(struct kv_sampler *sampler);

/* tokens [B] for logits [B, V], and on to the next step. -inf is a probability of 0. Only of the rows that are `wanted`
 * [B], where it is not NULL: the others are not looked at, and keep their token. Errors: NUMERIC (a logit is NaN or
 * +inf, or all of a row are -inf): the step is not taken, and tokens are undefined. */
kv_status kv_sampler_select(struct kv_sampler *sampler, const float *logits, const bool *wanted, int32_t *tokens,
                            struct kv_error *error);

/* ---- Speculation: several tokens a step ---------------------------------------------------------------------- */

/* A step drafts up to k tokens of each sequence cheaply, then runs all of them through the model at once, as a prompt is,
 * keeps those that the model would have said itself, and one of its own behind them; what was run for the others is cut
 * off again (Leviathan, Kalman & Matias 2023; Chen et al. 2023).
 *
 *   greedy    a draft stays when it is the argmax of the logits before it. So the tokens are those of plain steps, where
 *             logits do not depend on how many positions are run at once: to the bit with the matmul "packed"; those of
 *             "openblas" may differ in the last bits, and where two logits are that close another token wins.
 *   sampling  a draft d stays with probability min(1, p(d) / q(d)), where p and q are what temperature, top-k and top-p
 *             leave of the model's logits and of the draft's; the first that does not is drawn anew, from what p has
 *             above q. Each token has the distribution of plain steps, and not the tokens of the same seed. Tokens looked
 *             up have a q of 1.
 *
 * A draft stays, when those before it did, with a probability alpha. Were that the same everywhere, a step would give
 *   E = (1 - alpha^(k + 1)) / (1 - alpha)                              tokens   (Leviathan et al. 2023, equation 1)
 * and with c_v, the time of a pass over k + 1 positions, and c_d, that of drafting a token, both in plain steps, be
 *   E / (c_v + k c_d)                                                  times as fast
 * which is their theorem 3.8 where c_v is 1. */
#define KV_SPECULATE_MOST 63 /* k */

/* "none"; then the kinds: "lookup:4", what came next in the sequence itself the last time, and "draft:MODEL:4", what a
 * smaller model says. Row `index`, NULL past the end. */
const struct kv_choice *kv_speculate_choice(int index);

/* Reads "none", "lookup:K" or "draft:MODEL:K", with K in 1..63. k is 0 for none; the model's name is [n_model] of `name`,
 * none for a lookup. Errors: ARGUMENT, naming what is wrong. */
struct kv_speculate_name {
    int k;
    const char *model;
    int n_model;
};
kv_status kv_speculate_read(const char *name, struct kv_speculate_name *read, struct kv_error *error);

struct kv_speculation {
    int k;                             /* most drafts a step, 1..KV_SPECULATE_MOST */
    const struct kv_model *draft;      /* of the same vocabulary; NULL: look up */
    struct kv_session_options session; /* the draft's: its batch, capacity and overflow are seen to */
    struct kv_sampling sampling;       /* temperature 0: greedy */
    int n_tokens;                      /* most tokens that a sequence will have, its prompt's and new ones */
    /* [batch, n_tokens] what every sequence is, whatever the model says of it, prompt and new tokens; it must outlive the
     * speculator. A draft stays when it is the text's, and steps give what the model itself says at each place of it.
     * NULL: sequences go on with that. Greedy alone. */
    const int32_t *text;
};

/* Since the last kv_speculator_reset. Place j of a step: its draft j, which is judged when all before it stayed. */
struct kv_speculation_counts {
    int64_t steps;                     /* steps, each counted by the sequences that took part */
    int64_t tokens;                    /* that they gave */
    int64_t drafted;                   /* tokens */
    int64_t judged[KV_SPECULATE_MOST]; /* by place */
    int64_t stayed[KV_SPECULATE_MOST];
    int64_t passes;    /* steps of all sequences together */
    int64_t draft_ns;  /* of these: drafting */
    int64_t verify_ns; /* running and judging the drafts */
};

struct kv_speculator;

/* For a session, which is then stepped through it and must outlive it, as must the draft. Allocates everything that it will
 * need: with a draft and sampling 8 bytes a token of the vocabulary, draft and sequence. Errors: ARGUMENT (k, another
 * vocabulary, a text with draws, those of kv_sampler_create), MEMORY, those of kv_session_create. */
kv_status kv_speculator_create(struct kv_speculator **speculator, struct kv_session *session,
                               const struct kv_speculation *speculation, struct kv_error *error);
void kv_speculator_free(struct kv_speculator *speculator);

/* Forgets all tokens and counts. */
void kv_speculator_reset(struct kv_speculator *speculator);

/* More tokens [n] of a sequence: its prompt, and then what was selected without the speculator. The last one has not been
 * run by the session, all others have. Errors: ARGUMENT (more than n_tokens). */
kv_status kv_speculator_push(struct kv_speculator *speculator, int sequence, const int32_t *tokens, int n,
                             struct kv_error *error);

/* Has the draft run what it has not, which a step does otherwise: the prompt. Errors: those of kv_session_append. */
kv_status kv_speculator_prepare(struct kv_speculator *speculator, struct kv_error *error);

/* One step: the next tokens of every sequence b with most[b] > 0, at least 1 and no more than that.
 *   most      [B] tokens that are still wanted; 0: none, and the sequence is left alone
 *   tokens    [B, k + 1]
 *   n_tokens  [B]
 * Short of the window's end no more is drafted than fits. A sequence that is at it takes no part under stop, and when
 * that is true of all that want tokens the status is KV_WINDOW_FULL. Else all take a plain step, of one token each, so
 * that overflow does what it does without: under recompute every step is plain from there on, under shift the draft
 * runs what is left of the window again. Past its
 * own window, and where its logits are not numbers, a draft says nothing. After KV_WINDOW_FULL all is as it was; after
 * another error only a reset of session and speculator goes on. Errors: those of kv_session_append, kv_session_greedy
 * and kv_sampler_select. */
kv_status kv_speculator_step(struct kv_speculator *speculator, const int *most, int32_t *tokens, int *n_tokens,
                             struct kv_error *error);

const struct kv_speculation_counts *kv_speculator_counts(const struct kv_speculator *speculator);
/* alpha: of all drafts that were judged the part that stayed; NaN before there are any. */
double kv_speculation_acceptance(const struct kv_speculation_counts *counts);
/* E, 0 <= alpha <= 1. */
double kv_speculation_tokens(double alpha, int k);

/* ---- Text ---------------------------------------------------------------------------------------------------- */

/* Between text, which is any bytes, and token ids. Immutable once created: threads may share one. */
struct kv_tokenizer;

/* The tokenizers: row `index`, NULL past the end. "gpt2" is GPT-2's byte-level BPE: 50257 ids, of which the last is
 * <|endoftext|>; "bytes" gives each byte its value as id, 256 in all. */
const struct kv_choice *kv_tokenizer_choice(int index);

/* name: a kv_tokenizer_choice name, NULL: the first. vocab_bpe: the list of merges published with GPT-2, which "gpt2"
 * is made from; "bytes" needs none. Errors: ARGUMENT, IO, FORMAT, MEMORY, UNSUPPORTED (PCRE2 knows no Unicode). */
kv_status kv_tokenizer_create(struct kv_tokenizer **tokenizer, const char *name, const char *vocab_bpe,
                              struct kv_error *error);
void kv_tokenizer_free(struct kv_tokenizer *tokenizer);

/* The name of the tokenizer that a model's config.json asks for with the field "kvbench_tokenizer"; without it
 * vocab_size tells, 50257 or 256. Errors: those of kv_config_load; FORMAT for a field that is no such name or has more
 * ids than vocab_size; UNSUPPORTED when nothing tells. */
kv_status kv_tokenizer_of_config(const char *config_file, const char **name, struct kv_error *error);

const char *kv_tokenizer_name(const struct kv_tokenizer *tokenizer);
int kv_tokenizer_vocab_size(const struct kv_tokenizer *tokenizer);
/* The id of <|endoftext|>, -1 for a tokenizer that has none. */
int32_t kv_tokenizer_end_of_text(const struct kv_tokenizer *tokenizer);

/* *ids [*n_ids] of text [n_bytes], for the caller to free(), never NULL without an error. What decodes to the same
 * bytes whatever they are: "gpt2" takes each byte that is no part of well-formed UTF-8 for a piece of its own, and what
 * lies between two such bytes for a text of its own. With allow_special "<|endoftext|>" in the text is that one id;
 * without, it is text like any other. Takes, while it runs, 4 bytes of memory a byte of text and up to 42 a byte of
 * the longest word, of n bytes, whose time grows as n log n. Errors: ARGUMENT (more than INT32_MAX bytes), MEMORY,
 * UNSUPPORTED (PCRE2 gave up). */
kv_status kv_tokenizer_encode(const struct kv_tokenizer *tokenizer, const char *text, size_t n_bytes,
                              bool allow_special, int32_t **ids, size_t *n_ids, struct kv_error *error);

/* *text [*n_bytes], and a zero behind it, for the caller to free(): the bytes of all ids, one behind the other. They
 * may end within a character. Errors: ARGUMENT (an id out of range), MEMORY. */
kv_status kv_tokenizer_decode(const struct kv_tokenizer *tokenizer, const int32_t *ids, size_t n_ids, char **text,
                              size_t *n_bytes, struct kv_error *error);

/* The bytes [*n_bytes] of one id, not ended by a zero; the tokenizer's own. NULL, and 0, for an id out of range. */
const char *kv_tokenizer_token(const struct kv_tokenizer *tokenizer, int32_t id, size_t *n_bytes);

/* ---- Tensors on disk ----------------------------------------------------------------------------------------- */

/* Writes one float32 tensor as a safetensors file, under its final name whole or not at all.
 * shape [n_dims]. Errors: ARGUMENT, IO, MEMORY. */
kv_status kv_write_safetensors(const char *file, const char *name, const float *data, const size_t *shape, int n_dims,
                               struct kv_error *error);

/* Writes folder/config.json and folder/model.safetensors, for Hugging Face's GPT2LMHeadModel and for kv_model_load. The
 * folder is made when there is none. Each file appears whole or not at all; when writing fails, a model that was
 * there before stays as it was.
 *   model      made for matmul "openblas" or "reference"
 *   dtype      "F32", every bit, or "BF16", rounded to nearest, ties to even
 *   tokenizer  a kv_tokenizer_choice name, for the field "kvbench_tokenizer"; NULL: none
 * Errors: ARGUMENT, IO, MEMORY. */
kv_status kv_model_save(const struct kv_model *model, const char *folder, const char *dtype, const char *tokenizer,
                        struct kv_error *error);

/* Writes the model as one GGUF file of float32 tensors, for llama.cpp: ids in, ids out, since it holds no vocabulary. It
 * appears whole or not at all.
 *   model  of float32, made for matmul "openblas" or "reference"
 *   name   what the file calls it
 * Errors: ARGUMENT, IO, MEMORY. */
kv_status kv_model_save_gguf(const struct kv_model *model, const char *file, const char *name, struct kv_error *error);

#ifdef __cplusplus
}
#endif

#endif
