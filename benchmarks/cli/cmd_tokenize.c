#include "cli/cli.h"

#include "base/error.h"
#include "base/file.h"
#include "base/number.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct settings {
    const char *tokenizer;
    const char *model;
    bool decode;
    bool special;
};

/* All of stdin, ended by a zero. */
struct input {
    char *bytes;
    size_t n_bytes;
};

static kv_status no_memory(struct kv_error *error)
{
    return kv_fail(error, KV_ERROR_MEMORY, "no memory for what stdin holds; give less at once");
}

/* Ids with a comma or white space between them: ids [n_bytes], of which *n_ids are written. */
static kv_status parse_ids(const struct input *input, int32_t *ids, size_t *n_ids, struct kv_error *error)
{
    static const char white[] = " \t\r\n";
    const char *at = input->bytes + strspn(input->bytes, white), *end = input->bytes + input->n_bytes;
    bool more = false; /* after a comma */
    for (*n_ids = 0; at < end || more; ++*n_ids) {
        uint64_t id;
        const char *start = at;
        if (!kv_number_whole(&at, 0, INT32_MAX, &id) || (*at && *at != ',' && !strchr(white, *at)))
            return kv_fail(error, KV_ERROR_ARGUMENT, "stdin: no id at byte %zu; give ids such as 15496,11,995",
                           (size_t)(start - input->bytes));
        ids[*n_ids] = (int32_t)id;
        at += strspn(at, white);
        more = *at == ',';
        at += more ? 1 + strspn(at + 1, white) : 0;
    }
    return KV_OK;
}

static kv_status print_text(const struct kv_tokenizer *tokenizer, const struct input *input, struct kv_error *error)
{
    char *text = NULL;
    size_t n_ids, n_bytes;
    int32_t *ids = calloc(input->n_bytes + 1, sizeof *ids);
    if (!ids)
        return no_memory(error);
    kv_status status = parse_ids(input, ids, &n_ids, error);
    if (!status)
        status = kv_tokenizer_decode(tokenizer, ids, n_ids, &text, &n_bytes, error);
    if (!status)
        fwrite(text, 1, n_bytes, stdout);
    free(text);
    free(ids);
    return status;
}

static kv_status print_ids(const struct kv_tokenizer *tokenizer, const struct input *input, bool special,
                           struct kv_error *error)
{
    int32_t *ids;
    size_t n_ids;
    const kv_status status = kv_tokenizer_encode(tokenizer, input->bytes, input->n_bytes, special, &ids, &n_ids, error);
    if (status)
        return status;
    for (size_t i = 0; i < n_ids; i++)
        printf("%s%d", i ? "," : "", (int)ids[i]);
    putchar('\n');
    free(ids);
    return KV_OK;
}

static int run(const char *command, const struct settings *s)
{
    struct kv_error error = {""};
    struct kv_tokenizer *tokenizer = NULL;
    struct input input = {NULL, 0};
    kv_status status = text_tokenizer(s->tokenizer, s->model, &tokenizer, &error);
    if (!status)
        status = kv_stream_read(stdin, "stdin", &input.bytes, &input.n_bytes, &error);
    if (!status)
        status = s->decode ? print_text(tokenizer, &input, &error) : print_ids(tokenizer, &input, s->special, &error);
    free(input.bytes);
    kv_tokenizer_free(tokenizer);
    if (!status)
        return CLI_OK;
    return cli_fail(command, status == KV_ERROR_ARGUMENT ? CLI_USAGE : CLI_FAILED, "%s", error.message);
}

int command_tokenize(int argc, char **argv)
{
    struct settings s = {0};
    const struct option_row rows[] = {
        {.name = "decode", .letter = 'd', .help = "read ids, write the text that they stand for", .flag = &s.decode},
        {.name = "special", .help = "<|endoftext|> in the text is the one id 50256", .flag = &s.special},
        {.name = "tokenizer",
         .argument = "NAME",
         .help = "tokenizer (default: the model's):",
         .chosen = &s.tokenizer,
         .choice = kv_tokenizer_choice},
        {.name = "model",
         .letter = 'm',
         .argument = "MODEL",
         .help = "a model's name, or a checkpoint's folder (default gpt2)",
         .text = &s.model},
    };
    const struct option_table table = {
        .command = argv[0],
        .usage = "[OPTIONS]",
        .summary =
            "Reads text on stdin and writes its token ids, comma-separated; with --decode the other way round.\n"
            "KVBENCH_DATA names the folder that holds gpt2/vocab.bpe (default: the data folder of the source tree).",
        .rows = rows,
        .n_rows = sizeof rows / sizeof rows[0],
    };
    int status;
    if (!options_parse(&table, argc, argv, &status))
        return status;
    if (s.decode && s.special)
        return cli_fail(argv[0], CLI_USAGE, "--special is of text, and --decode reads ids; choose one");
    return run(argv[0], &s);
}
