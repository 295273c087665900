#include "summary_folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char runs_header[] =
    "run_id,suite,path,model,weights,gemm,isa,threads,batch,prompt_tokens,new_tokens,context_tokens,repetition,status,"
    "cold_ttft_ms,ttft_ms,ttpt_ms,ttpt_p50_ms,ttpt_p95_ms,ttpt_p99_ms,e2e_ms,prefill_tok_s,decode_tok_s,output_tok_s,"
    "kv_live_bytes,kv_reserved_bytes,rss_peak_bytes,flops,bytes,limit_ms,limit_pct,error\n";

/* ---- Files -------------------------------------------------------------------------------------- */

int make_folder(void **state)
{
    char *folder = strdup("/tmp/kvbench-summary-XXXXXX");
    *state = folder;
    return folder && mkdtemp(folder) ? 0 : -1;
}

int remove_folder(void **state)
{
    char *folder = *state, name[512];
    DIR *directory = opendir(folder);
    for (struct dirent *entry; directory && (entry = readdir(directory));) {
        snprintf(name, sizeof name, "%s/%s", folder, entry->d_name);
        if (entry->d_name[0] != '.')
            remove(name);
    }
    if (directory)
        closedir(directory);
    const int result = rmdir(folder);
    free(folder);
    return result;
}

static FILE *open_file(const char *folder, const char *name, const char *mode)
{
    char file[512];
    snprintf(file, sizeof file, "%s/%s", folder, name);
    return fopen(file, mode);
}

void put_file(const char *folder, const char *name, const char *text)
{
    FILE *stream = open_file(folder, name, "w");
    assert_non_null(stream);
    assert_true(fputs(text, stream) >= 0);
    assert_int_equal(fclose(stream), 0);
}

char *get_file(const char *folder, const char *name)
{
    FILE *stream = open_file(folder, name, "r");
    if (!stream)
        return NULL;
    char *text = calloc(1, 1 << 16);
    assert_non_null(text);
    assert_in_range(fread(text, 1, (1 << 16) - 1, stream), 0, (1 << 16) - 2);
    fclose(stream);
    return text;
}

/* ---- runs.csv ----------------------------------------------------------------------------------- */

static const char *text_or(const char *text, const char *otherwise)
{
    return text ? text : otherwise;
}

static int number_or(int number, int otherwise)
{
    return number ? number : otherwise;
}

static void put_keys(FILE *stream, const struct result *r)
{
    const int prompt = number_or(r->prompt_tokens, 6), n_new = number_or(r->new_tokens, 11);
    fprintf(stream, "R1,%s,%s,tiny,synthetic:1,%s,%s,2,%d,%d,%d,%d,", text_or(r->suite, "batch"),
            text_or(r->path, "cached"), text_or(r->gemm, "openblas"), text_or(r->isa, "avx2"), number_or(r->batch, 1),
            prompt, n_new, prompt + n_new - 1);
}

static void put_repetition(FILE *stream, const struct result *r, int repetition)
{
    const int B = number_or(r->batch, 1), P = number_or(r->prompt_tokens, 6), N = number_or(r->new_tokens, 11);
    const double ttpt = r->ttpt_ms[repetition - 1];
    const double ttft = r->ttft_ms[repetition - 1] > 0 ? r->ttft_ms[repetition - 1] : 10;
    const double e2e = ttft + (N - 1) * ttpt;
    put_keys(stream, r);
    fprintf(stream, "%d,ok,20,%.9g,%.9g,%.9g,%.9g,,%.9g,%.9g,%.9g,%.9g,%.0f,%.0f,%d,5e6,6e6,1,%.9g,\n", repetition,
            ttft, ttpt, ttpt, 2 * ttpt, e2e, B * P / ttft * 1e3, B / ttpt * 1e3, B * N / e2e * 1e3, r->live_bytes,
            2 * r->live_bytes, (100 + repetition) << 20, 100 / ttpt);
}

void put_runs(const char *folder, const struct result *results, size_t n)
{
    FILE *stream = open_file(folder, "runs.csv", "w");
    assert_non_null(stream);
    fputs(runs_header, stream);
    for (size_t i = 0; i < n; i++) {
        const struct result *r = &results[i];
        for (int repetition = 1; repetition <= MAX_VALUES && r->ttpt_ms[repetition - 1] > 0; repetition++)
            put_repetition(stream, r, repetition);
        if (!r->status)
            continue;
        put_keys(stream, r);
        fprintf(stream, ",%s,,,,,,,,,,,,,,,,,,%s\n", r->status, text_or(r->error, ""));
    }
    assert_int_equal(fclose(stream), 0);
}

/* ---- Summaries ---------------------------------------------------------------------------------- */

struct kv_summary *load(const char *folder)
{
    struct kv_summary *summary;
    struct kv_error error = {""};
    if (kv_summary_load(&summary, folder, &error) != KV_OK)
        fail_msg("%s", error.message);
    return summary;
}

char *printed(const struct kv_summary *summary)
{
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    assert_non_null(stream);
    kv_summary_print(summary, stream);
    assert_int_equal(fclose(stream), 0);
    return text;
}

void check_holds(const char *text, const char *part, const char *file, int line)
{
    if (strstr(text, part))
        return;
    print_error("\"%s\" is not in:\n%s\n", part, text);
    _fail(file, line);
}
