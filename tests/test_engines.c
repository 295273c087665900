/* Other engines against kvbench, as the end of `kvbench peers` tells it and as its figure is drawn. */
#include "run_folder.h"
#include "unit.h"

#include "results/figures.h"
#include "results/peers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIX(x)                                                                                                         \
    {                                                                                                                  \
        (x), (x)*1.01, (x)*0.99, (x)*1.02, (x)*0.98, (x)                                                               \
    }

/* Of six rounds that all say 3 the interval is 3 to 3. */
static void put_sample(const char *folder)
{
    PUT_RUNS(folder, {.engine = "kvbench", .ttft_ms = SIX(10), .ttpt_ms = SIX(2)},
             {.engine = "torch", .ttft_ms = SIX(5), .ttpt_ms = SIX(6), .same_tokens = 11},
             {.engine = "onnx", .ttft_ms = SIX(10), .ttpt_ms = SIX(2), .same_tokens = 11},
             {.engine = "llama",
              .status = "failed",
              .error = "llama is not installed; kvbench peers --install llama gets it"},
             {.engine = "kvbench", .batch = 8, .ttft_ms = SIX(20), .ttpt_ms = SIX(4)},
             {.engine = "torch", .batch = 8, .ttft_ms = SIX(20), .ttpt_ms = SIX(2), .same_tokens = 11},
             {.engine = "kvbench", .weights = "bf16", .ttft_ms = SIX(8), .ttpt_ms = SIX(1)},
             {.engine = "torch", .weights = "bf16", .ttft_ms = SIX(8), .ttpt_ms = SIX(4), .same_tokens = 3});
}

static char *printed(const char *folder)
{
    struct kv_results *results = load(folder);
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    assert_non_null(stream);
    assert_int_equal(kv_peers_print(results, KV_FORMAT_TEXT, stream, NULL), KV_OK);
    assert_int_equal(fclose(stream), 0);
    kv_results_free(results);
    return text;
}

/* The first line with this in it; NULL when there is none. */
static const char *line_of(const char *text, const char *part, char line[300])
{
    const char *at = strstr(text, part);
    if (!at)
        return NULL;
    while (at > text && at[-1] != '\n')
        at--;
    snprintf(line, 300, "%.*s", (int)strcspn(at, "\n"), at);
    return line;
}

#define FOLDER_TEST(name) TEST_WITH(name, const char *folder, make_folder, remove_folder)

FOLDER_TEST(the_end_of_a_run)
{
    static const struct {
        const char *of, *holds[4];
    } lines[] = {
        {"1  kvbench ", {"f32 ", "10.0 ms", "2.00 ms", "106"}},
        {"1  torch ", {"0.500 (0.500 to 0.500)", "3.00 (3.00 to 3.00)", "106 ", "11 of 11"}},
        {"1  llama ", {"llama is not installed; kvbench peers --install llama gets it"}},
        {"3 of 11", {"bf16", "1.00 (1.00 to 1.00)", "4.00 (4.00 to 4.00)", "2.50"}},
        {"- torch, f32:",
         {"kvbench decodes 3.0 times as fast at batch 1",
          "; torch decodes 2.0 times as fast at batch 8 (95 % interval"}},
        {"- onnx, f32:", {"equally fast within 2 % at batch 1."}},
        {"- torch, bf16:",
         {"kvbench decodes 4.0 times as fast at batch 1",
          "; its tokens differ from those of float32 from token 4 of 11 on."}},
        {"model tiny", {"weights synthetic:1, 2 threads, prompt of 6 tokens, 11 new ones"}},
    };
    put_sample(folder);
    char *text = printed(folder), line[300];
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        if (!line_of(text, lines[i].of, line))
            fail_msg("no \"%s\" in\n%s", lines[i].of, text);
        for (int k = 0; k < 4 && lines[i].holds[k]; k++)
            assert_holds(line, lines[i].holds[k]);
    }
    assert_null(strstr(text, "- llama")); /* nothing was measured of it */
    free(text);
}

FOLDER_TEST(the_fastest_of_kvbench_counts)
{
    PUT_RUNS(folder, {.engine = "kvbench", .gemm = "reference", .ttpt_ms = SIX(40)},
             {.engine = "kvbench", .gemm = "packed", .ttpt_ms = SIX(2)}, {.engine = "torch", .ttpt_ms = SIX(6)});
    char *text = printed(folder);
    assert_holds(text, "kvbench decodes 3.0 times as fast at batch 1");
    free(text);
}

/* What kv_figures_write lists; its tables are in the folder. */
static char *figures_of(const char *folder)
{
    char *list = NULL;
    size_t size;
    FILE *stream = open_memstream(&list, &size);
    assert_non_null(stream);
    assert_int_equal(kv_figures_write(folder, folder, stream, NULL), KV_OK);
    assert_int_equal(fclose(stream), 0);
    return list;
}

FOLDER_TEST(the_figure)
{
    put_sample(folder);
    char *list = figures_of(folder), *table = get_file(folder, "peers/ratios.tsv"),
         *settings = get_file(folder, "peers/settings");
    assert_holds(list, "\npeers\n");
    /* rows: onnx and torch at batch 1, torch at batch 8; precisions f32 and bf16 */
    assert_holds(table, "panel\trow\tweights\tn\tratio\tlow\thigh\n");
    assert_holds(table, "\n1\t2\t1\t6\t0.5\t0.5\t0.5\n");
    assert_holds(table, "\n2\t2\t1\t6\t3\t3\t3\n");
    assert_holds(table, "\n2\t3\t1\t6\t0.5\t0.5\t0.5\n");
    assert_holds(table, "\n2\t2\t2\t6\t4\t4\t4\n");
    assert_holds(settings, "array row[3] = ['onnx', 'torch', 'torch']\narray row_batch[3] = [1, 1, 8]\n");
    assert_holds(settings, "array precision[2] = ['f32', 'bf16']\n");
    assert_holds(settings, "ratio_low = '0.5'\nratio_high = '4'\n");
    free(list);
    free(table);
    free(settings);
}

FOLDER_TEST(no_figure_of_one_engine)
{
    PUT_RUNS(folder, {.engine = "kvbench", .ttpt_ms = SIX(2)}, {.engine = "kvbench", .batch = 2, .ttpt_ms = SIX(2)});
    char *list = figures_of(folder);
    assert_null(strstr(list, "peers"));
    free(list);
}
