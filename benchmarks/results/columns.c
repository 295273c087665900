#include "results/columns.h"

#include "base/error.h"
#include "base/file.h"
#include "results/csv.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ORIGIN(text)          .type = KV_TYPE_TEXT, .role = KV_ROLE_ORIGIN, .unit = "", .meaning = text
#define NAME_AXIS(p, text)    .type = KV_TYPE_TEXT, .role = KV_ROLE_AXIS, .unit = "", .prefix = p, .meaning = text
#define COUNT_AXIS(p, text)   .type = KV_TYPE_COUNT, .role = KV_ROLE_AXIS, .unit = "", .prefix = p, .meaning = text
#define POINT(p, u, text)     .type = KV_TYPE_COUNT, .role = KV_ROLE_POINT, .unit = u, .prefix = p, .meaning = text
#define STATE(t, text)        .type = t, .role = KV_ROLE_STATE, .unit = "", .meaning = text
#define FIGURE(r, u, l, text) .type = KV_TYPE_NUMBER, .role = r, .unit = u, .label = l, .meaning = text
#define BYTES(l, text)        .type = KV_TYPE_COUNT, .role = KV_ROLE_SIZE, .unit = "B", .label = l, .meaning = text

static const struct kv_column_info columns[KV_N_COLUMNS] = {
    [KV_COLUMN_RUN_ID] = {.name = "run_id", ORIGIN("the run: date and host")},
    [KV_COLUMN_CELL] = {.name = "cell",
                        ORIGIN("the cell's id: its kind, axes and sizes; rows with equal ids are "
                               "repetitions of one thing")},
    [KV_COLUMN_SUITE] = {.name = "suite",
                         .type = KV_TYPE_TEXT,
                         .role = KV_ROLE_KIND,
                         .unit = "",
                         .prefix = "",
                         .meaning = "the suite that asked for the cell"},
    [KV_COLUMN_KERNEL] = {.name = "kernel",
                          .type = KV_TYPE_TEXT,
                          .role = KV_ROLE_KIND,
                          .unit = "",
                          .prefix = "",
                          .meaning = "matmul or attention"},
    [KV_COLUMN_SHAPE] = {.name = "shape",
                         .type = KV_TYPE_TEXT,
                         .role = KV_ROLE_KIND,
                         .unit = "",
                         .prefix = "",
                         .meaning = "which product of the model, or decode or prefill of attention"},

    [KV_COLUMN_ENGINE] = {.name = "engine", NAME_AXIS("e-", "who runs the model: kvbench, or a peer")},
    [KV_COLUMN_PATH] = {.name = "path",
                        NAME_AXIS("", "naive: every step runs the whole window; cached: prefill once, "
                                      "then one position a step")},
    [KV_COLUMN_WEIGHTS] = {.name = "weights", NAME_AXIS("w-", "format of the weights in memory")},
    [KV_COLUMN_CACHE] = {.name = "cache", NAME_AXIS("", "layout of the KV cache; empty where nothing is kept")},
    [KV_COLUMN_KV] = {.name = "kv",
                      NAME_AXIS("kv-", "type of the cached keys and values; empty where nothing is kept")},
    [KV_COLUMN_GEMM] = {.name = "gemm", NAME_AXIS("", "who computes the matrix products")},
    [KV_COLUMN_ISA] = {.name = "isa", NAME_AXIS("", "instruction set of the kernels")},
    [KV_COLUMN_THREADS] = {.name = "threads", COUNT_AXIS("t", "threads that compute")},
    [KV_COLUMN_CHUNK] = {.name = "chunk",
                         COUNT_AXIS("c", "most positions of a prefill at once; 0: the path's own choice")},
    [KV_COLUMN_SPECULATE] = {.name = "speculate",
                             NAME_AXIS("s-",
                                       "what drafts tokens that a step runs at once, and how many at most; none: a "
                                       "token a step")},
    [KV_COLUMN_OVERFLOW] = {.name = "overflow",
                            NAME_AXIS("o-", "what a step past n_positions does: recompute runs the last n_positions "
                                            "tokens, shift drops the older half of them and runs the rest; stop: none "
                                            "goes past it")},

    [KV_COLUMN_BATCH] = {.name = "batch", POINT("b", "sequences", "sequences that run in step, B")},
    [KV_COLUMN_PROMPT_TOKENS] = {.name = "prompt_tokens", POINT("p", "tokens", "tokens of the prompt")},
    [KV_COLUMN_NEW_TOKENS] = {.name = "new_tokens", POINT("n", "tokens", "new tokens, N")},
    [KV_COLUMN_PREFIX_TOKENS] = {.name = "prefix_tokens",
                                 POINT(
                                     "s", "tokens",
                                     "first tokens of the prompt that all sequences share, which are run once; empty: "
                                     "each runs its own")},
    [KV_COLUMN_EDIT_EVERY] = {.name = "edit_every",
                              POINT("e", "tokens",
                                    "the new tokens are given, whatever the model says: the prompt again, with another "
                                    "token in every so many-th place; empty: the model writes them")},
    [KV_COLUMN_CONTEXT_TOKENS] = {.name = "context_tokens",
                                  POINT("x", "tokens",
                                        "positions in the sequence when the last new token is selected; "
                                        "of attention, positions that the last query sees; of quality, the most that "
                                        "a prediction sees, others see more than half as many")},
    [KV_COLUMN_ROWS] = {.name = "rows", POINT("m", "", "rows of x in a product; queries a head in attention")},
    [KV_COLUMN_N] = {.name = "n", POINT(NULL, "", "columns of the weights of a product")},
    [KV_COLUMN_K] = {.name = "k", POINT(NULL, "", "rows of the weights of a product")},

    [KV_COLUMN_MODEL] = {.name = "model", ORIGIN("the model's name or folder")},
    [KV_COLUMN_WEIGHTS_SOURCE] = {.name = "weights_source",
                                  ORIGIN("where the weights came from: the type in the "
                                         "checkpoint, or synthetic:SEED")},

    [KV_COLUMN_ENGINE_VERSION] = {.name = "engine_version", ORIGIN("the peer's own version, as it said")},
    [KV_COLUMN_ENGINE_OPTIONS] = {.name = "engine_options", ORIGIN("what the peer said of how it runs the model")},
    [KV_COLUMN_STARTUP_S] = {.name = "startup_s",
                             FIGURE(KV_ROLE_TIME, "s", "start-up",
                                    "from the start of the peer's process until its model was loaded")},
    [KV_COLUMN_ENGINE_THREADS] = {.name = "engine_threads",
                                  STATE(KV_TYPE_COUNT, "threads of the peer that computed in its warm-up: each did a "
                                                       "fifth or more of what the busiest did")},
    [KV_COLUMN_SAME_TOKENS] = {.name = "same_tokens",
                               .type = KV_TYPE_COUNT,
                               .role = KV_ROLE_SIZE,
                               .unit = "tokens",
                               .label = "same tokens",
                               .meaning = "new tokens of the peer's first sequence, from the first on, that are "
                                          "those of kvbench in float32"},

    [KV_COLUMN_REPETITION] = {.name = "repetition", STATE(KV_TYPE_COUNT, "number of the repetition, from 1")},
    [KV_COLUMN_ROUND] = {.name = "round",
                         STATE(KV_TYPE_COUNT, "round of the run, from 1: every cell is measured once a "
                                              "round")},
    [KV_COLUMN_PLACE] = {.name = "place",
                         STATE(KV_TYPE_COUNT, "place in that round, from 1; the order is drawn anew "
                                              "each round")},
    [KV_COLUMN_STARTED_S] = {.name = "started_s",
                             .type = KV_TYPE_NUMBER,
                             .role = KV_ROLE_STATE,
                             .unit = "s",
                             .meaning = "when the repetition began, since 1970"},
    [KV_COLUMN_STATUS] = {.name = "status",
                          STATE(KV_TYPE_TEXT, "ok, failed, skipped, or stalled: the machine stood "
                                              "still, and the repetition was measured again")},
    [KV_COLUMN_TOKEN] = {.name = "token", STATE(KV_TYPE_COUNT, "number of the new token, from 1")},
    [KV_COLUMN_LATENCY_NS] = {.name = "latency_ns",
                              FIGURE(KV_ROLE_TIME, "ns", "latency",
                                     "t_i - t_(i-1): time of that "
                                     "token; of token 1, TTFT")},
    [KV_COLUMN_PHASE] = {.name = "phase", STATE(KV_TYPE_TEXT, "prefill, or decode: the mean of the steps after it")},
    [KV_COLUMN_PART] = {.name = "part", STATE(KV_TYPE_TEXT, "part of a step; waiting: at barriers for other threads")},
    [KV_COLUMN_PART_NS] = {.name = "part_ns",
                           FIGURE(KV_ROLE_SIZE, "ns", "time", "time of a step in that part, the mean of the threads")},
    [KV_COLUMN_CALLS] = {.name = "calls",
                         FIGURE(KV_ROLE_SIZE, "", "calls", "times in a step that a thread came to that part")},
    [KV_COLUMN_COLD_TTFT_MS] = {.name = "cold_ttft_ms",
                                FIGURE(KV_ROLE_TIME, "ms", "cold TTFT", "TTFT of the cell's very first run")},
    [KV_COLUMN_TTFT_MS] = {.name = "ttft_ms", FIGURE(KV_ROLE_TIME, "ms", "TTFT", "time to first token: t_1 - t_0")},
    [KV_COLUMN_TTPT_MS] = {.name = "ttpt_ms",
                           FIGURE(KV_ROLE_TIME, "ms", "TTPT (TPOT)",
                                  "time per token after the first, elsewhere "
                                  "TPOT: (t_N - t_1) / (N - 1)")},
    [KV_COLUMN_TTPT_P50_MS] = {.name = "ttpt_p50_ms", FIGURE(KV_ROLE_TIME, "ms", "TTPT p50", "median step latency")},
    [KV_COLUMN_TTPT_P95_MS] = {.name = "ttpt_p95_ms",
                               FIGURE(KV_ROLE_TIME, "ms", "TTPT p95", "95th percentile of the step latency")},
    [KV_COLUMN_TTPT_P99_MS] = {.name = "ttpt_p99_ms",
                               FIGURE(KV_ROLE_TIME, "ms", "TTPT p99",
                                      "99th percentile of the step latency, from 100 steps on")},
    [KV_COLUMN_E2E_MS] = {.name = "e2e_ms",
                          FIGURE(KV_ROLE_TIME, "ms", "E2E", "time from prompt to last token: t_N - t_0")},
    [KV_COLUMN_PREFILL_TOK_S] = {.name = "prefill_tok_s",
                                 FIGURE(KV_ROLE_RATE, "tok/s", "prefill", "prefill throughput: B prompt / TTFT")},
    [KV_COLUMN_DECODE_TOK_S] = {.name = "decode_tok_s",
                                FIGURE(KV_ROLE_RATE, "tok/s", "decode", "decode throughput: B / TTPT")},
    [KV_COLUMN_OUTPUT_TOK_S] = {.name = "output_tok_s",
                                FIGURE(KV_ROLE_RATE, "tok/s", "output",
                                       "output throughput, prefill included: B N / E2E")},
    [KV_COLUMN_STEP_TOKENS] = {.name = "step_tokens",
                               FIGURE(KV_ROLE_SIZE, "tokens", "tokens a step",
                                      "tokens of a sequence and step after the first, where steps speculate")},
    [KV_COLUMN_ACCEPTANCE] = {.name = "acceptance",
                              FIGURE(KV_ROLE_SIZE, "", "acceptance",
                                     "of the drafts that were judged, the part that stayed: alpha")},
    [KV_COLUMN_ACCEPTANCE_BY_PLACE] = {.name = "acceptance_by_place",
                                       STATE(KV_TYPE_TEXT,
                                             "the same of the first, second, .. draft of a step, of those "
                                             "before which all stayed; 12 places at most")},
    [KV_COLUMN_DRAFT_MS] = {.name = "draft_ms", FIGURE(KV_ROLE_SIZE, "ms", "drafting", "time of a step in drafting")},
    [KV_COLUMN_VERIFY_MS] = {.name = "verify_ms",
                             FIGURE(KV_ROLE_SIZE, "ms", "verifying",
                                    "time of a step in running its drafts through the model and judging them")},
    [KV_COLUMN_KV_LIVE_BYTES] = {.name = "kv_live_bytes", BYTES("KV live", "keys and values in use at the end")},
    [KV_COLUMN_KV_RESERVED_BYTES] = {.name = "kv_reserved_bytes",
                                     BYTES("KV reserved", "bytes allocated for keys and "
                                                          "values")},
    [KV_COLUMN_HELD_SEQUENCES] = {.name = "held_sequences",
                                  .type = KV_TYPE_COUNT,
                                  .role = KV_ROLE_SIZE,
                                  .unit = "sequences",
                                  .label = "sequences that fit",
                                  .meaning = "of a load of lengths between an eighth of context_tokens and all of it, "
                                             "sequences in the positions that a contiguous cache keeps for the batch; "
                                             "else empty"},
    [KV_COLUMN_RSS_PEAK_BYTES] = {.name = "rss_peak_bytes",
                                  BYTES("RSS",
                                        "the process's peak of resident memory during the repetition, less other open "
                                        "cells and what probes read")},
    [KV_COLUMN_PREFILL_FLOPS] = {.name = "prefill_flops",
                                 FIGURE(KV_ROLE_SIZE, "flop", "prefill flops", "least arithmetic of the prefill")},
    [KV_COLUMN_PREFILL_BYTES] = {.name = "prefill_bytes",
                                 FIGURE(KV_ROLE_SIZE, "B", "prefill bytes", "least bytes from memory of the prefill")},
    [KV_COLUMN_FLOPS] = {.name = "flops",
                         FIGURE(KV_ROLE_SIZE, "flop", "flops",
                                "least arithmetic of a mean step, of that "
                                "token, of one call, or of a part")},
    [KV_COLUMN_BYTES] = {.name = "bytes",
                         FIGURE(KV_ROLE_SIZE, "B", "bytes",
                                "least bytes from memory of a mean step, of "
                                "that token, of one call, or of a part")},
    [KV_COLUMN_LIMIT_MS] = {.name = "limit_ms",
                            FIGURE(KV_ROLE_SIZE, "ms", "limit",
                                   "least time of a mean step: the larger of bytes / bandwidth "
                                   "and flops / peak, by the row's probes")},
    [KV_COLUMN_LIMIT_NS] = {.name = "limit_ns", FIGURE(KV_ROLE_SIZE, "ns", "limit", "the same of that token")},
    [KV_COLUMN_LIMIT_PCT] = {.name = "limit_pct",
                             FIGURE(KV_ROLE_SIZE, "%", "of the limit",
                                    "100 limit / time: of a mean step, of one call, or of a part")},
    [KV_COLUMN_LIMIT_FAULT] = {.name = "limit_fault",
                               STATE(KV_TYPE_TEXT, "why there is no share of the limit: the row was faster than its "
                                                   "probes allow")},
    [KV_COLUMN_SECONDS] = {.name = "seconds",
                           FIGURE(KV_ROLE_TIME, "s", "time",
                                  "time of one call, the mean over a "
                                  "repetition")},
    [KV_COLUMN_GFLOPS] = {.name = "gflops", FIGURE(KV_ROLE_RATE, "GFLOPS", "GFLOPS", "flops / seconds / 1e9")},
    [KV_COLUMN_GBYTES_S] = {.name = "gbytes_s", FIGURE(KV_ROLE_RATE, "GB/s", "GB/s", "bytes / seconds / 1e9")},
    [KV_COLUMN_GATE] = {.name = "gate",
                        STATE(KV_TYPE_TEXT, "how the cell is held against its reference before it is "
                                            "timed: exact, or lossy with a bound")},
    [KV_COLUMN_LOGIT_DIFFERENCE] = {.name = "logit_difference",
                                    .type = KV_TYPE_NUMBER,
                                    .role = KV_ROLE_STATE,
                                    .unit = "",
                                    .meaning =
                                        "largest difference of a logit from the reference's that the gate found, "
                                        "as a part of the largest logit"},
    [KV_COLUMN_ERROR] = {.name = "error", STATE(KV_TYPE_TEXT, "why a cell failed or was skipped")},

    [KV_COLUMN_SCORED_TOKENS] = {.name = "scored_tokens",
                                 .type = KV_TYPE_COUNT,
                                 .role = KV_ROLE_SIZE,
                                 .unit = "tokens",
                                 .meaning = "tokens of the text that are predicted, the same ones for every arm and "
                                            "context"},
    [KV_COLUMN_PERPLEXITY] = {.name = "perplexity",
                              FIGURE(KV_ROLE_SIZE, "", "perplexity", "e^(mean -ln p of the predicted token)")},
    [KV_COLUMN_PERPLEXITY_LOW] = {.name = "perplexity_low",
                                  FIGURE(KV_ROLE_SIZE, "", "perplexity, least",
                                         "lower end of its 95 % interval over 20 blocks of the text")},
    [KV_COLUMN_PERPLEXITY_HIGH] = {.name = "perplexity_high",
                                   FIGURE(KV_ROLE_SIZE, "", "perplexity, most", "upper end of the same")},
    [KV_COLUMN_PERPLEXITY_RATIO] = {.name = "perplexity_ratio",
                                    FIGURE(KV_ROLE_SIZE, "", "perplexity, × float32",
                                           "perplexity over that of float32 for the same tokens")},
    [KV_COLUMN_PERPLEXITY_RATIO_LOW] = {.name = "perplexity_ratio_low",
                                        FIGURE(KV_ROLE_SIZE, "", "perplexity ratio, least",
                                               "lower end of its interval")},
    [KV_COLUMN_PERPLEXITY_RATIO_HIGH] = {.name = "perplexity_ratio_high",
                                         FIGURE(KV_ROLE_SIZE, "", "perplexity ratio, most", "upper end of the same")},
    [KV_COLUMN_DIVERGENCE] = {.name = "divergence",
                              FIGURE(KV_ROLE_SIZE, "nats", "divergence",
                                     "mean over the tokens of sum f (ln f - ln p): f the probabilities by float32 "
                                     "weights and cache, p by this arm (Kullback and Leibler 1951)")},
    [KV_COLUMN_DIVERGENCE_LOW] = {.name = "divergence_low",
                                  FIGURE(KV_ROLE_SIZE, "nats", "divergence, least", "lower end of its interval")},
    [KV_COLUMN_DIVERGENCE_HIGH] = {.name = "divergence_high",
                                   FIGURE(KV_ROLE_SIZE, "nats", "divergence, most", "upper end of the same")},
    [KV_COLUMN_DIVERGENCE_P99] = {.name = "divergence_p99",
                                  FIGURE(KV_ROLE_SIZE, "nats", "divergence p99",
                                         "99th percentile of the divergence of a token")},
    [KV_COLUMN_DIVERGENCE_P99_LOW] = {.name = "divergence_p99_low",
                                      FIGURE(KV_ROLE_SIZE, "nats", "divergence p99, least",
                                             "lower end of its interval")},
    [KV_COLUMN_DIVERGENCE_P99_HIGH] = {.name = "divergence_p99_high",
                                       FIGURE(KV_ROLE_SIZE, "nats", "divergence p99, most", "upper end of the same")},
    [KV_COLUMN_DIVERGENCE_LARGEST] = {.name = "divergence_largest",
                                      FIGURE(KV_ROLE_SIZE, "nats", "largest divergence",
                                             "the largest divergence of a token")},
    [KV_COLUMN_TOP_AGREEMENT_PCT] = {.name = "top_agreement_pct",
                                     FIGURE(KV_ROLE_SIZE, "%", "same top token",
                                            "tokens for which the likeliest prediction is that of float32")},
    [KV_COLUMN_TOP_AGREEMENT_LOW_PCT] = {.name = "top_agreement_low_pct",
                                         FIGURE(KV_ROLE_SIZE, "%", "same top token, least",
                                                "lower end of its interval")},
    [KV_COLUMN_TOP_AGREEMENT_HIGH_PCT] = {.name = "top_agreement_high_pct",
                                          FIGURE(KV_ROLE_SIZE, "%", "same top token, most", "upper end of the same")},
    [KV_COLUMN_KV_TOKEN_BYTES] = {.name = "kv_token_bytes",
                                  FIGURE(KV_ROLE_SIZE, "B", "KV a token",
                                         "keys and values in use, scales and all, over the positions in the cache")},

    [KV_COLUMN_PROBES] = {.name = "probes",
                          STATE(KV_TYPE_COUNT, "probes of the machine that the next columns are of: "
                                               "before, after and within the repetition")},
    [KV_COLUMN_PROBE_READ_BYTES_PER_S] = {.name = "probe_read_bytes_per_s",
                                          FIGURE(KV_ROLE_STRAIN, "B/s", "probed bandwidth",
                                                 "read bandwidth beyond the caches, the best of these probes")},
    [KV_COLUMN_PROBE_FMA_FLOP_PER_S] = {.name = "probe_fma_flop_per_s",
                                        FIGURE(KV_ROLE_STRAIN, "flop/s", "probed peak",
                                               "rate of fused multiply-adds, the best of these probes")},
    [KV_COLUMN_PROBE_CHANGE_PCT] = {.name = "probe_change_pct",
                                    FIGURE(KV_ROLE_STRAIN, "%", "change of the probes",
                                           "100 (largest / smallest - 1) of these probes, of reading or of "
                                           "arithmetic, whichever is more")},
    [KV_COLUMN_STOLEN_PCT] = {.name = "stolen_pct",
                              FIGURE(KV_ROLE_STRAIN, "%", "stolen time",
                                     "CPU time that the host took from this virtual machine")},
    [KV_COLUMN_PRESSURE_PCT] = {.name = "pressure_pct",
                                FIGURE(KV_ROLE_STRAIN, "%", "CPU pressure",
                                       "time in which something had to wait for a CPU (/proc/pressure/cpu)")},
    [KV_COLUMN_SWITCHES] = {.name = "switches",
                            FIGURE(KV_ROLE_STRAIN, "", "switches", "times that a thread was made to give up its CPU")},
    [KV_COLUMN_PAGE_FAULTS] = {.name = "page_faults",
                               FIGURE(KV_ROLE_STRAIN, "", "page faults", "page faults of the process")},
    [KV_COLUMN_CLOCK_HZ] = {.name = "clock_hz",
                            FIGURE(KV_ROLE_STRAIN, "Hz", "clock", "clock of the CPUs, where it can be seen")},

    [KV_COLUMN_MOMENT] = {.name = "moment", STATE(KV_TYPE_TEXT, "start or end of the run")},
    [KV_COLUMN_READ_BYTES_PER_S] = {.name = "read_bytes_per_s",
                                    FIGURE(KV_ROLE_RATE, "B/s", "read bandwidth",
                                           "best read bandwidth beyond the caches")},
    [KV_COLUMN_READ_BYTES_PER_S_MEDIAN] = {.name = "read_bytes_per_s_median",
                                           FIGURE(KV_ROLE_RATE, "B/s", "median read bandwidth", "median of the same")},
    [KV_COLUMN_FMA_FLOP_PER_S] = {.name = "fma_flop_per_s",
                                  FIGURE(KV_ROLE_RATE, "flop/s", "peak",
                                         "best rate of fused multiply-adds, 2 flops each")},
    [KV_COLUMN_FMA_FLOP_PER_S_MEDIAN] = {.name = "fma_flop_per_s_median",
                                         FIGURE(KV_ROLE_RATE, "flop/s", "median peak", "median of the same")},
};

static const enum kv_column runs[] = {
    KV_COLUMN_RUN_ID,
    KV_COLUMN_CELL,
    KV_COLUMN_SUITE,
    KV_COLUMN_ENGINE,
    KV_COLUMN_PATH,
    KV_COLUMN_MODEL,
    KV_COLUMN_WEIGHTS,
    KV_COLUMN_WEIGHTS_SOURCE,
    KV_COLUMN_ENGINE_VERSION,
    KV_COLUMN_ENGINE_OPTIONS,
    KV_COLUMN_CACHE,
    KV_COLUMN_KV,
    KV_COLUMN_GEMM,
    KV_COLUMN_ISA,
    KV_COLUMN_THREADS,
    KV_COLUMN_CHUNK,
    KV_COLUMN_SPECULATE,
    KV_COLUMN_OVERFLOW,
    KV_COLUMN_BATCH,
    KV_COLUMN_PROMPT_TOKENS,
    KV_COLUMN_NEW_TOKENS,
    KV_COLUMN_PREFIX_TOKENS,
    KV_COLUMN_EDIT_EVERY,
    KV_COLUMN_CONTEXT_TOKENS,
    KV_COLUMN_REPETITION,
    KV_COLUMN_ROUND,
    KV_COLUMN_PLACE,
    KV_COLUMN_STARTED_S,
    KV_COLUMN_STATUS,
    KV_COLUMN_STARTUP_S,
    KV_COLUMN_ENGINE_THREADS,
    KV_COLUMN_SAME_TOKENS,
    KV_COLUMN_COLD_TTFT_MS,
    KV_COLUMN_TTFT_MS,
    KV_COLUMN_TTPT_MS,
    KV_COLUMN_TTPT_P50_MS,
    KV_COLUMN_TTPT_P95_MS,
    KV_COLUMN_TTPT_P99_MS,
    KV_COLUMN_E2E_MS,
    KV_COLUMN_PREFILL_TOK_S,
    KV_COLUMN_DECODE_TOK_S,
    KV_COLUMN_OUTPUT_TOK_S,
    KV_COLUMN_STEP_TOKENS,
    KV_COLUMN_ACCEPTANCE,
    KV_COLUMN_ACCEPTANCE_BY_PLACE,
    KV_COLUMN_DRAFT_MS,
    KV_COLUMN_VERIFY_MS,
    KV_COLUMN_KV_LIVE_BYTES,
    KV_COLUMN_KV_RESERVED_BYTES,
    KV_COLUMN_HELD_SEQUENCES,
    KV_COLUMN_RSS_PEAK_BYTES,
    KV_COLUMN_PREFILL_FLOPS,
    KV_COLUMN_PREFILL_BYTES,
    KV_COLUMN_FLOPS,
    KV_COLUMN_BYTES,
    KV_COLUMN_LIMIT_MS,
    KV_COLUMN_LIMIT_PCT,
    KV_COLUMN_LIMIT_FAULT,
    KV_COLUMN_GATE,
    KV_COLUMN_LOGIT_DIFFERENCE,
    KV_COLUMN_PROBES,
    KV_COLUMN_PROBE_READ_BYTES_PER_S,
    KV_COLUMN_PROBE_FMA_FLOP_PER_S,
    KV_COLUMN_PROBE_CHANGE_PCT,
    KV_COLUMN_STOLEN_PCT,
    KV_COLUMN_PRESSURE_PCT,
    KV_COLUMN_SWITCHES,
    KV_COLUMN_PAGE_FAULTS,
    KV_COLUMN_CLOCK_HZ,
    KV_COLUMN_ERROR,
};
static const enum kv_column tokens[] = {
    KV_COLUMN_RUN_ID,     KV_COLUMN_CELL,       KV_COLUMN_SUITE, KV_COLUMN_PATH,
    KV_COLUMN_BATCH,      KV_COLUMN_REPETITION, KV_COLUMN_TOKEN, KV_COLUMN_CONTEXT_TOKENS,
    KV_COLUMN_LATENCY_NS, KV_COLUMN_FLOPS,      KV_COLUMN_BYTES, KV_COLUMN_LIMIT_NS,
};
static const enum kv_column kernels[] = {
    KV_COLUMN_RUN_ID,
    KV_COLUMN_CELL,
    KV_COLUMN_SUITE,
    KV_COLUMN_KERNEL,
    KV_COLUMN_SHAPE,
    KV_COLUMN_WEIGHTS,
    KV_COLUMN_CACHE,
    KV_COLUMN_KV,
    KV_COLUMN_GEMM,
    KV_COLUMN_ISA,
    KV_COLUMN_THREADS,
    KV_COLUMN_ROWS,
    KV_COLUMN_N,
    KV_COLUMN_K,
    KV_COLUMN_CONTEXT_TOKENS,
    KV_COLUMN_REPETITION,
    KV_COLUMN_ROUND,
    KV_COLUMN_PLACE,
    KV_COLUMN_STARTED_S,
    KV_COLUMN_STATUS,
    KV_COLUMN_SECONDS,
    KV_COLUMN_GFLOPS,
    KV_COLUMN_GBYTES_S,
    KV_COLUMN_FLOPS,
    KV_COLUMN_BYTES,
    KV_COLUMN_LIMIT_PCT,
    KV_COLUMN_LIMIT_FAULT,
    KV_COLUMN_PROBES,
    KV_COLUMN_PROBE_READ_BYTES_PER_S,
    KV_COLUMN_PROBE_FMA_FLOP_PER_S,
    KV_COLUMN_PROBE_CHANGE_PCT,
    KV_COLUMN_STOLEN_PCT,
    KV_COLUMN_PRESSURE_PCT,
    KV_COLUMN_SWITCHES,
    KV_COLUMN_PAGE_FAULTS,
    KV_COLUMN_CLOCK_HZ,
    KV_COLUMN_ERROR,
};
static const enum kv_column parts[] = {
    KV_COLUMN_RUN_ID,     KV_COLUMN_CELL,  KV_COLUMN_SUITE, KV_COLUMN_PATH,  KV_COLUMN_BATCH,
    KV_COLUMN_REPETITION, KV_COLUMN_ROUND, KV_COLUMN_PHASE, KV_COLUMN_PART,  KV_COLUMN_CONTEXT_TOKENS,
    KV_COLUMN_PART_NS,    KV_COLUMN_CALLS, KV_COLUMN_FLOPS, KV_COLUMN_BYTES, KV_COLUMN_LIMIT_PCT,
};
static const enum kv_column limits[] = {
    KV_COLUMN_RUN_ID,           KV_COLUMN_MOMENT,
    KV_COLUMN_THREADS,          KV_COLUMN_ISA,
    KV_COLUMN_READ_BYTES_PER_S, KV_COLUMN_READ_BYTES_PER_S_MEDIAN,
    KV_COLUMN_FMA_FLOP_PER_S,   KV_COLUMN_FMA_FLOP_PER_S_MEDIAN,
};
static const enum kv_column quality[] = {
    KV_COLUMN_RUN_ID,
    KV_COLUMN_CELL,
    KV_COLUMN_SUITE,
    KV_COLUMN_PATH,
    KV_COLUMN_MODEL,
    KV_COLUMN_WEIGHTS,
    KV_COLUMN_WEIGHTS_SOURCE,
    KV_COLUMN_CACHE,
    KV_COLUMN_KV,
    KV_COLUMN_GEMM,
    KV_COLUMN_ISA,
    KV_COLUMN_THREADS,
    KV_COLUMN_CHUNK,
    KV_COLUMN_OVERFLOW,
    KV_COLUMN_CONTEXT_TOKENS,
    KV_COLUMN_REPETITION,
    KV_COLUMN_ROUND,
    KV_COLUMN_PLACE,
    KV_COLUMN_STARTED_S,
    KV_COLUMN_STATUS,
    KV_COLUMN_SCORED_TOKENS,
    KV_COLUMN_PERPLEXITY,
    KV_COLUMN_PERPLEXITY_LOW,
    KV_COLUMN_PERPLEXITY_HIGH,
    KV_COLUMN_PERPLEXITY_RATIO,
    KV_COLUMN_PERPLEXITY_RATIO_LOW,
    KV_COLUMN_PERPLEXITY_RATIO_HIGH,
    KV_COLUMN_DIVERGENCE,
    KV_COLUMN_DIVERGENCE_LOW,
    KV_COLUMN_DIVERGENCE_HIGH,
    KV_COLUMN_DIVERGENCE_P99,
    KV_COLUMN_DIVERGENCE_P99_LOW,
    KV_COLUMN_DIVERGENCE_P99_HIGH,
    KV_COLUMN_DIVERGENCE_LARGEST,
    KV_COLUMN_TOP_AGREEMENT_PCT,
    KV_COLUMN_TOP_AGREEMENT_LOW_PCT,
    KV_COLUMN_TOP_AGREEMENT_HIGH_PCT,
    KV_COLUMN_KV_TOKEN_BYTES,
    KV_COLUMN_KV_LIVE_BYTES,
    KV_COLUMN_KV_RESERVED_BYTES,
    KV_COLUMN_ERROR,
};

#define FILE_ROW(file, list, text)                                                                                     \
    {                                                                                                                  \
        .name = file, .meaning = text, .columns = list, .n_columns = sizeof list / sizeof *list                        \
    }
static const struct kv_file_info files[KV_N_FILES] = {
    [KV_FILE_RUNS] = FILE_ROW("runs.csv", runs, "a row a repetition of a generation"),
    [KV_FILE_TOKENS] = FILE_ROW("tokens.csv", tokens, "a row a token of a repetition"),
    [KV_FILE_KERNELS] = FILE_ROW("kernels.csv", kernels,
                                 "a row a repetition of a matrix product or an attention alone"),
    [KV_FILE_PARTS] = FILE_ROW("parts.csv", parts, "a row a part of a repetition's prefill, or of its mean step"),
    [KV_FILE_LIMITS] = FILE_ROW("limits.csv", limits, "what the machine could do at most, at the run's start and end"),
    [KV_FILE_QUALITY] = FILE_ROW("quality.csv", quality,
                                 "a row an arm and context: how far its predictions are from those of float32"),
};

const struct kv_column_info *kv_column_info(enum kv_column column)
{
    return &columns[column];
}

enum kv_column kv_column_find(const char *name)
{
    int i = 0;
    while (i < KV_N_COLUMNS && strcmp(columns[i].name, name) != 0)
        i++;
    return (enum kv_column)i;
}

const struct kv_file_info *kv_file_info(enum kv_file_kind kind)
{
    return &files[kind];
}

void kv_row_set_text(struct kv_row *row, enum kv_column column, const char *text)
{
    row->texts[column] = text;
}

void kv_row_set_number(struct kv_row *row, enum kv_column column, double value)
{
    row->numbers[column] = value;
    row->known[column] = isfinite(value);
}

const char *kv_row_cell_id(const struct kv_row *row, char id[KV_CELL_ID_SIZE])
{
    size_t n = 0;
    id[0] = '\0';
    for (int i = 0; i < KV_N_COLUMNS && n < KV_CELL_ID_SIZE; i++) {
        const struct kv_column_info *column = &columns[i];
        const bool is_text = column->type == KV_TYPE_TEXT;
        const char *text = row->texts[i];
        if (!column->prefix || (is_text ? !text || !*text : !row->known[i]))
            continue;
        /* what every row from before the axis was */
        if ((i == KV_COLUMN_CHUNK && row->numbers[i] == 0) || (i == KV_COLUMN_ENGINE && strcmp(text, "kvbench") == 0) ||
            (i == KV_COLUMN_SPECULATE && strcmp(text, "none") == 0) ||
            (i == KV_COLUMN_OVERFLOW && strcmp(text, "stop") == 0))
            continue;
        const char *slash = n ? "/" : "";
        n += (size_t)(is_text
                          ? snprintf(id + n, KV_CELL_ID_SIZE - n, "%s%s%s", slash, column->prefix, text)
                          : snprintf(id + n, KV_CELL_ID_SIZE - n, "%s%s%.0f", slash, column->prefix, row->numbers[i]));
    }
    return id;
}

kv_status kv_result_file_append(struct kv_csv_writer **writer, const char *folder, enum kv_file_kind kind,
                                struct kv_error *error)
{
    const char *names[KV_N_COLUMNS];
    char file[4200];
    for (int i = 0; i < files[kind].n_columns; i++)
        names[i] = columns[files[kind].columns[i]].name;
    snprintf(file, sizeof file, "%s/%s", folder, files[kind].name);
    return kv_csv_append(writer, file, names, files[kind].n_columns, error);
}

kv_status kv_row_write(struct kv_csv_writer *writer, enum kv_file_kind kind, const struct kv_row *row,
                       struct kv_error *error)
{
    for (int i = 0; i < files[kind].n_columns; i++) {
        const enum kv_column c = files[kind].columns[i];
        if (columns[c].type == KV_TYPE_TEXT)
            kv_csv_add_text(writer, row->texts[c] && *row->texts[c] ? row->texts[c] : NULL);
        else if (!row->known[c])
            kv_csv_add_unknown(writer);
        else if (columns[c].type == KV_TYPE_COUNT)
            kv_csv_add_integer(writer, (int64_t)row->numbers[c]);
        else
            kv_csv_add_double(writer, row->numbers[c]);
    }
    return kv_csv_end_row(writer, error);
}

/* ---- datapackage.json ---------------------------------------------------------------------------------------- */

static json_t *describe_column(const struct kv_column_info *column)
{
    static const char *const types[] = {
        [KV_TYPE_TEXT] = "string", [KV_TYPE_COUNT] = "integer", [KV_TYPE_NUMBER] = "number"};
    json_t *field = json_pack("{s:s, s:s, s:s}", "name", column->name, "type", types[column->type], "description",
                              column->meaning);
    if (column->label)
        json_object_set_new(field, "title", json_string(column->label));
    if (*column->unit)
        json_object_set_new(field, "unit", json_string(column->unit));
    if (column->type != KV_TYPE_TEXT)
        json_object_set_new(field, "constraints", json_pack("{s:i}", "minimum", 0));
    return field;
}

static json_t *describe_file(const struct kv_file_info *file)
{
    json_t *fields = json_array();
    for (int i = 0; i < file->n_columns; i++)
        json_array_append_new(fields, describe_column(&columns[file->columns[i]]));
    return json_pack("{s:s#, s:s, s:s, s:s, s:s, s:s, s:s, s:{s:o, s:[s]}}", "name", file->name,
                     (int)strcspn(file->name, "."), "path", file->name, "description", file->meaning, "profile",
                     "tabular-data-resource", "format", "csv", "mediatype", "text/csv", "encoding", "utf-8", "schema",
                     "fields", fields, "missingValues", "");
}

kv_status kv_datapackage_write(const char *folder, struct kv_error *error)
{
    char path[4200];
    json_t *resources = json_array();
    for (int i = 0; i < KV_N_FILES; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, files[i].name);
        if (access(path, F_OK) == 0)
            json_array_append_new(resources, describe_file(&files[i]));
    }
    json_t *package = json_pack("{s:s, s:s, s:s, s:o}", "name", "kvbench-run", "title", "A run of kvbench", "profile",
                                "tabular-data-package", "resources", resources);
    char *text = package ? json_dumps(package, JSON_INDENT(2)) : NULL;
    json_decref(package);
    if (!text)
        return kv_fail(error, KV_ERROR_MEMORY, "no memory for %s/datapackage.json: close other programs", folder);
    const size_t n = strlen(text);
    text[n] = '\n'; /* in place of its end */
    snprintf(path, sizeof path, "%s/datapackage.json", folder);
    const kv_status status = kv_file_put(path, text, n + 1, error);
    free(text);
    return status;
}
