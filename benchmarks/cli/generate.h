/* The parts of `kvbench generate`: what is to be continued, and who writes it. */
#ifndef KV_CLI_GENERATE_H
#define KV_CLI_GENERATE_H

#include "measure/decoder.h"
#include "text/utf8.h"

struct generate_job {
    const char *command;
    const struct kv_model *model;
    struct kv_pool *pool;
    const struct kv_tokenizer *tokenizer; /* may be NULL when as_ids */
    bool as_ids;                          /* on one line when all is done, not text as it is made */
    struct kv_decoder_options options;
};

/* The policies at the window's end, by enum kv_overflow; NULL past the last. */
const struct kv_choice *generate_overflow(int index);

/* Continues the prompt on the path of the options, or on both; all is written before they return. Exit status. */
int generate_on_path(const struct generate_job *job);
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

/* Tokens a second with as many digits as mean something; "-" for NaN. Returns text. */
enum { RATE_TEXT_SIZE = 32 };
const char *generate_rate_text(double tokens_per_second, char *text);

/* ---- Both paths side by side ----------------------------------------------------------------------------- */

/* Two columns that are drawn over and over, below what the terminal shows at the start. */
struct race_screen {
    int width, height; /* of the terminal when it was drawn last */
    int n_lines;       /* drawn; the cursor is in the last one */
    int64_t drawn_ns;  /* when */
};

/* Whether stdout is a terminal that can do it. */
bool race_screen_is_possible(void);

/* Draws both sides as they are, unless that was done a moment ago; `at_once`: even then. */
void race_screen_draw(struct race_screen *screen, const struct generate_job *job,
                      const struct kv_decoder *const sides[2], bool at_once);

#endif
