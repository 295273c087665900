#include "generate_bench.h"

#include <stdlib.h>

int generate_bench_set_up(void **state)
{
    struct bench *bench = calloc(1, sizeof *bench);
    void *cli = NULL, *checkpoint = NULL;
    if (!bench || cli_set_up(&cli) != 0 || checkpoint_set_up(&checkpoint) != 0)
        return -1;
    bench->cli = cli;
    bench->checkpoint = checkpoint;
    bench->cli->settings[0] = "TERM=xterm";
    bench->cli->settings[1] = "COLUMNS";
    bench->cli->settings[2] = "LINES";
    *state = bench;
    return 0;
}

int generate_bench_tear_down(void **state)
{
    struct bench *bench = *state;
    void *cli = bench->cli, *checkpoint = bench->checkpoint;
    screen_free(&bench->screen);
    const int failed = cli_tear_down(&cli) | checkpoint_tear_down(&checkpoint);
    free(bench);
    return failed;
}

const char *byte_model(struct bench *bench)
{
    build_byte_model(bench->checkpoint, 64);
    checkpoint_write(bench->checkpoint);
    return bench->checkpoint->folder;
}
