#include "report_folder.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "support.h"

#include "summary_folder.h"

const char *const figure_names[] = {
    "benchmark_results", "token_latency", "time_vs_cache",        "speedup_grid", "depth", "memory",
    "roofline",          "kernels",       "latency_distribution", NULL,
};

/* ---- CSV ------------------------------------------------------------------------------------------ */

static void put_tokens(const char *folder)
{
    static const char *const paths[] = {"naive", "cached"};
    char text[1 << 13];
    size_t at = (size_t)snprintf(text, sizeof text,
                                 "run_id,suite,path,batch,repetition,token,context_tokens,latency_ns\n");
    for (int repetition = 1; repetition <= 3; repetition++)
        for (int path = 0; path < 2; path++)
            for (int token = 1; token <= 11; token++)
                at += (size_t)snprintf(text + at, sizeof text - at, "R1,trace,%s,1,%d,%d,%d,%d\n", paths[path],
                                       repetition, token, token + 5,
                                       path ? 1000000 + 1000 * repetition : 500000 * (token + 5) + repetition);
    put_file(folder, "tokens.csv", text);
}

static const char kernels[] =
    "run_id,kernel,shape,gemm,isa,threads,rows,n,k,context_tokens,repetition,status,seconds,gflops,gbytes_s,limit_pct,"
    "error\n"
    "R1,matmul,c_attn,openblas,avx2,2,1,96,32,,1,ok,1e-5,2.5,5.25,50,\n"
    "R1,matmul,c_attn,openblas,avx2,2,1,96,32,,2,ok,1e-5,3.5,6.25,60,\n"
    "R1,matmul,c_attn,openblas,avx2,2,64,96,32,,1,ok,1e-5,80,1.5,40,\n"
    "R1,matmul,lm_head,openblas,avx2,2,64,96,32,,,failed,,,,,no memory for the ring\n"
    "R1,attention,decode,,avx2,2,1,,,64,1,ok,1e-5,4,20,80,\n"
    "R1,attention,decode,,avx2,2,1,,,512,1,ok,1e-5,5,25,90,\n";

static const char limits[] = "run_id,moment,threads,isa,read_bytes_per_s,read_bytes_per_s_median,fma_flop_per_s,"
                             "fma_flop_per_s_median\n"
                             "R1,start,2,avx2,2.5e10,2.4e10,1.5e11,1.4e11\n"
                             "R1,end,2,avx2,2.6e10,2.4e10,1.6e11,1.4e11\n";

static const char context[] =
    "{\"format_version\": 1, \"machine\": {\"hostname\": \"host-1\", \"hypervisor\": false, \"os\": \"An OS\", "
    "\"kernel\": \"6.1\", \"cpu\": {\"name\": \"A CPU\", \"vendor\": \"Maker\", \"family\": 6, \"model\": 85, "
    "\"stepping\": 7, \"features\": [\"avx2\", \"fma\"], \"cpus_online\": 4, \"cores_online\": 2, \"sockets\": 1, "
    "\"l2\": {\"bytes\": 1048576, \"instances\": 2}, \"governor\": \"powersave\", \"turbo\": true}, "
    "\"memory\": {\"total_bytes\": 8589934592}}, \"build\": {\"version\": \"0.1.0\", \"commit\": \"0123abc\", "
    "\"dirty\": true, \"compiler\": \"gcc 12\", \"flags\": \"-O3\"}, \"libraries\": {\"openblas_core\": \"Haswell\"}, "
    "\"run\": {\"command\": [\"bench\", \"--out\", \"a b\"], \"start\": \"2024-05-01T12:00:00+02:00\", "
    "\"end\": \"2024-05-01T12:09:00+02:00\", \"model\": \"tiny\", \"weights\": \"synthetic:1\", \"threads\": 2, "
    "\"load_at_start\": [0.5, 0.25, 0.1], \"steal_percent\": 0.5}, \"warnings\": [{\"severity\": \"info\", "
    "\"text\": \"turbo is on: run `echo 1`\"}]}\n";

void put_whole_run(const char *folder)
{
    PUT_RUNS(folder, {.path = "naive", .ttpt_ms = {3.9, 4, 4.1}}, {.ttpt_ms = {0.9, 1, 1.1}, .live_bytes = 8192},
             {.path = "naive", .batch = 8, .ttpt_ms = {4, 4, 4}},
             {.batch = 8, .ttpt_ms = {0.9, 1, 1.1}, .live_bytes = 65536},
             {.batch = 32, .status = "failed", .error = "no memory"},
             {.suite = "trace", .path = "naive", .ttpt_ms = {3.9, 4, 4.1}},
             {.suite = "trace", .ttpt_ms = {1, 1, 1}, .live_bytes = 8192},
             {.suite = "grid", .path = "naive", .prompt_tokens = 63, .new_tokens = 2, .ttpt_ms = {4, 4, 4}},
             {.suite = "grid", .prompt_tokens = 63, .new_tokens = 2, .ttpt_ms = {1, 1, 1}, .live_bytes = 32768},
             {.suite = "depth", .path = "naive", .new_tokens = 3, .ttpt_ms = {4, 4, 4}},
             {.suite = "depth", .new_tokens = 3, .ttpt_ms = {1, 1, 1}, .live_bytes = 4096},
             {.suite = "depth", .path = "naive", .prompt_tokens = 62, .new_tokens = 3, .ttpt_ms = {8, 8, 8}},
             {.suite = "depth", .prompt_tokens = 62, .new_tokens = 3, .ttpt_ms = {1.1, 1.1, 1.1}, .live_bytes = 32768},
             {.suite = "memory", .path = "naive", .prompt_tokens = 64, .new_tokens = 1, .ttpt_ms = {4}},
             {.suite = "memory", .prompt_tokens = 64, .new_tokens = 1, .ttpt_ms = {1}, .live_bytes = 32768});
    put_tokens(folder);
    put_file(folder, "kernels.csv", kernels);
    put_file(folder, "limits.csv", limits);
    put_file(folder, "context.json", context);
}

/* ---- Pictures ------------------------------------------------------------------------------------- */

/* What gnuplot writes: prolog, namespaces, a title, symbols that are used, a clip path, spaces around an =. */
static const char drawing[] =
    "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<!DOCTYPE svg PUBLIC \"-//W3C//DTD SVG 1.1//EN\" \"svg11.dtd\">\n"
    "<svg width=\"200\" height=\"100\" viewBox=\"0 0 200 100\" xmlns=\"http://www.w3.org/2000/svg\" "
    "xmlns:xlink=\"http://www.w3.org/1999/xlink\">\n<title>a title</title><!-- a comment -->\n"
    "<defs><circle id='dot' r='2'/><use xlink:href='#dot' id='dot2' fill = 'red'/>"
    "<clipPath id=\"clip\"><rect width=\"99\" height=\"99\"/></clipPath></defs>\n"
    "<g clip-path=\"url(#clip)\"><use xlink:href='#dot2' x='9' y='9'/><text>a &lt; b</text></g></svg>\n";

void put_figures(const char *folder)
{
    char figures[600], name[64];
    snprintf(figures, sizeof figures, "%s/figures", folder);
    assert_int_equal(mkdir(figures, 0755), 0);
    for (int i = 0; figure_names[i]; i++) {
        snprintf(name, sizeof name, "%s.svg", figure_names[i]);
        put_file(figures, name, drawing);
    }
}

void put_animation(const char *folder)
{
    static const unsigned char pixel[] = {
        'G', 'I', 'F', '8', '9', 'a', 1, 0, 1, 0, 0x80, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0x21, 0xf9, 4,
        1,   0,   0,   0,   0,   ',', 0, 0, 0, 0, 1,    0, 1, 0, 0, 2, 2,    0x44, 1,    0,    ';',
    };
    char file[600];
    snprintf(file, sizeof file, "%s/kv_dashboard_l5_h0.gif", folder);
    FILE *stream = fopen(file, "wbe");
    assert_non_null(stream);
    assert_int_equal(fwrite(pixel, 1, sizeof pixel, stream), sizeof pixel);
    assert_int_equal(fclose(stream), 0);
}
