/* What the two parts of `kvbench generate` share: what is to be continued, and how it is written. */
#ifndef KV_CLI_GENERATE_H
#define KV_CLI_GENERATE_H

#include "cli/cli.h"
#include "measure/decoder.h"
#include "text/terminal.h"

struct generate_job {
    const char *command;
    const struct kv_model *model;
    struct kv_pool *pool;
    const struct kv_tokenizer *tokenizer; /* may be NULL when as_ids */
    bool as_ids;                          /* on one line when all is done, not text as it is made */
    struct kv_decoder_options options;
};

/* Continues the prompt on both paths; all is written before it returns. Exit status. */
int generate_on_both(const struct generate_job *job);

/* ---- Text on stdout -------------------------------------------------------------------------------------- */

/* Whole characters, in the order of their tokens; all zero but `tokenizer` is a start. */
struct text_stream {
    const struct kv_tokenizer *tokenizer;
    struct kv_utf8_holder holder;
    char last; /* byte that was written */
};

/* Writes what the tokens complete, and flushes. An id that the tokenizer does not have stands for no text. */
void text_stream_put(struct text_stream *stream, const int32_t *tokens, int n_tokens);
/* Writes what is left, and a newline unless the text ended with one. */
void text_stream_end(struct text_stream *stream);

/* "1,2,3;4,5,6" on one line: prompt and new tokens of every sequence. */
void generate_print_ids(const struct kv_decoder *decoder);

/* ---- Figures on stderr ----------------------------------------------------------------------------------- */

/* What happened at the window's end, in one line; nothing when it was not reached. */
void generate_warn_of_window(const struct generate_job *job, const struct kv_decoder *decoder);

/* ", 2.31 tokens a step (71 % of drafts stayed)" of a decoder that speculates; nothing before its first such step. */
void generate_tell_speculation(const struct kv_decoder *decoder);

/* Tokens a second with as many digits as mean something; "-" for NaN. Returns text. */
enum { RATE_TEXT_SIZE = 32 };
const char *generate_rate_text(double tokens_per_second, char *text);

#endif
