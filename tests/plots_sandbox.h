/* Run folders for the tests of plots/render.sh, and what must be true of what it writes. KV_PLOTS_SCRIPT is its path.
 */
#ifndef PLOTS_SANDBOX_H
#define PLOTS_SANDBOX_H

/* The header of runs.csv, with its line end. */
#define RUNS_HEADER                                                                                                    \
    "run_id,suite,path,model,weights,gemm,isa,threads,batch,prompt_tokens,new_tokens,context_tokens,repetition,"       \
    "status,cold_ttft_ms,ttft_ms,ttpt_ms,ttpt_p50_ms,ttpt_p95_ms,ttpt_p99_ms,e2e_ms,prefill_tok_s,decode_tok_s,"       \
    "output_tok_s,kv_live_bytes,kv_reserved_bytes,rss_peak_bytes,flops,bytes,limit_ms,limit_pct,error\n"

enum { PATH_BYTES = 512 };

struct run {
    char folder[64];
    char csv[PATH_BYTES]; /* its runs.csv */
    int status;           /* exit status of the last render() */
    char output[8192];    /* its stdout */
    char message[8192];   /* its stderr */
};

/* An empty folder as a `struct run`, for cmocka_unit_test_setup_teardown. */
int create_run(void **state);
int remove_run(void **state);

/* Adds text to a file, which is created when it is not there. */
void append(const char *file, const char *text);
void append_to_run(const struct run *run, const char *name, const char *text);

/* The whole file with a 0 after it, to be freed. */
char *read_file(const char *file, size_t *n_bytes);

/* Runs the script with up to two arguments (NULL: none); what it prints goes to files in the run folder. */
void render(struct run *run, const char *first, const char *second);

void assert_contains(const char *text, const char *part);

/* One line on stderr that holds `part`, nothing on stdout, no figures. */
void assert_error(const struct run *run, int status, const char *part);

/* The last render() made that figure: both pictures are whole, the PNG as wide as it must be. The SVG, to be freed. */
char *assert_figure(const struct run *run, const char *name);

/* The last render() said on one line that it skipped that figure, with `reason`, and left no picture of it. */
void assert_skipped(const struct run *run, const char *name, const char *reason);

#endif
