#include "sample_runs.h"

#include <string.h>
#include <sys/stat.h>

static const char header[] =
    "run_id,suite,path,model,weights,gemm,isa,threads,batch,prompt_tokens,new_tokens,context_tokens,repetition,status,"
    "cold_ttft_ms,ttft_ms,ttpt_ms,ttpt_p50_ms,ttpt_p95_ms,ttpt_p99_ms,e2e_ms,prefill_tok_s,decode_tok_s,output_tok_s,"
    "kv_live_bytes,kv_reserved_bytes,rss_peak_bytes,flops,bytes,limit_ms,limit_pct,error\n";

const double nine[9] = {10.5, 10.1, 10.9, 10.2, 10.8, 10.3, 10.7, 10.4, 10.6};
const double nine_slower[9] = {11.5, 11.1, 11.9, 11.2, 11.8, 11.3, 11.7, 11.4, 11.6};
double probed_bytes_per_s = 1e10;
const char *started_s = "";

static FILE *begin_file(const char *path, bool with_probes)
{
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    if (with_probes)
        assert_true(fputs("started_s,probe_read_bytes_per_s,probe_fma_flop_per_s,", file) >= 0);
    assert_true(fputs(header, file) >= 0);
    return file;
}

FILE *begin_run(const struct cli *cli, const char *name)
{
    char folder[CLI_PATH_SIZE], file[CLI_PATH_SIZE + 16];
    cli_path(cli, name, folder);
    assert_int_equal(mkdir(folder, 0755), 0);
    snprintf(file, sizeof file, "%s/runs.csv", folder);
    return begin_file(file, true);
}

void end_run(FILE *run)
{
    assert_int_equal(fclose(run), 0);
}

void add(FILE *run, const char *path, const char *gemm, int batch, const double *ttpt_ms, size_t n)
{
    for (size_t i = 0; i < n; i++)
        fprintf(
            run, "%s,%.17g,1e11,r1,batch,%s,gpt2,F32,%s,avx2,2,%d,21,50,70,%zu,ok,,%.17g,%.17g,,,,,,%.17g,,,,,,,,,\n",
            started_s, probed_bytes_per_s, path, gemm, batch, i + 1, 10 * ttpt_ms[i], ttpt_ms[i], 1000 / ttpt_ms[i]);
}

void add_without_figures(FILE *run, const char *path, int batch, const char *status)
{
    fprintf(run, ",,,r1,batch,%s,gpt2,F32,openblas,avx2,2,%d,21,50,70,,%s,,,,,,,,,,,,,,,,,,no memory\n", path, batch,
            status);
}

void make_run(const struct cli *cli, const char *name, const char *gemm, const double *ttpt_ms, size_t n)
{
    FILE *run = begin_run(cli, name);
    add(run, "cached", gemm, 1, ttpt_ms, n);
    end_run(run);
}

void put_rows(const struct cli *cli, const char *name, const char *rows)
{
    char path[CLI_PATH_SIZE];
    cli_path(cli, name, path);
    FILE *file = begin_file(path, false);
    assert_true(fputs(rows, file) >= 0);
    end_run(file);
}
