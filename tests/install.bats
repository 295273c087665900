# meson install: what goes where, that it works without the source tree, the manual and the completions that are made of
# the tables of options, and the library.

setup_file() {
    local build=${KV_BUILD:-$BATS_TEST_DIRNAME/../build}
    meson install -C "$build" --no-rebuild --quiet --destdir "$BATS_FILE_TMPDIR/moved" >&2
}

setup() {
    load helpers
    sandbox
    speaker=kvbench
    prefix=$(dirname "$(dirname "$(find "$BATS_FILE_TMPDIR/moved" -path '*/bin/kvbench')")")
    export HOME=$box
}

# alone COMMAND...: where the source tree cannot be seen, if this system lets a process have such a view.
alone() {
    if unshare -m true 2>/dev/null; then
        unshare -m sh -c 'mount -t tmpfs none "$0" && exec "$@"' "$project" "$@"
    elif unshare -rm true 2>/dev/null; then
        unshare -rm sh -c 'mount -t tmpfs none "$0" && exec "$@"' "$project" "$@"
    else
        "$@"
    fi
}

@test "the installed program works alone, and its results go below the current folder" {
    ends 0 alone "$prefix/bin/kvbench" generate --prompt 'And the LORD' -n 8 --seed 1
    has "$out" 'And the LORD'
    ends 0 alone "$prefix/bin/kvbench" generate --model gpt2 --synthetic --tokens 1,2 -n 1
    ends 0 alone "$prefix/bin/kvbench" bench --model kjv --suite batch --batch 1 --new 4 --reps 2 --quiet
    [[ -s results/latest/runs.csv && -s results/latest/figures/benchmark_results.svg ]]
    ends 0 alone "$prefix/bin/kvbench" report
    has "$out" 'results/latest/report.html: 2 figures'
    ends 0 alone "$prefix/bin/kvbench" pack --out x.kvbench
    ends 0 alone "$prefix/bin/kvbench" plots x.kvbench
    [[ -s x-figures/benchmark_results.png ]]
}

@test "adapters of other engines are installed, and found" {
    is "$(cd "$prefix/share/kvbench/peers" && echo ./*.py ./*.txt)" \
        "$(cd "$project/benchmarks/peers" && echo ./*.py ./*.txt)"
    # a Python that says what it was to run
    export KVBENCH_PEERS=$box/peers
    mkdir -p peers/torch/bin
    printf '#!/bin/sh\necho "asked for $*" >&2\nexit 1\n' >peers/torch/bin/python3
    chmod +x peers/torch/bin/python3
    touch peers/torch/kvbench-installed
    local run=("$prefix/bin/kvbench" peers --model kjv --with torch --batch 1 --prompt 5 --new 4 --reps 1 --quiet --out run)
    ends 1 alone "${run[@]}"
    has "$(<run/runs.csv)" "$prefix/share/kvbench/peers/torch.py"
}

@test "what is for the source tree is refused, and help lists what is there" {
    refuses 1 'this kvbench is installed' alone "$prefix/bin/kvbench" test
    ends 0 alone "$prefix/bin/kvbench" --help
    has "$out" '  bench ' '  plots '
    lacks "$out" 'setup'
}

@test "every command has its manual page, with every option" {
    local command option
    while read -r command; do
        [[ -s $prefix/share/man/man1/kvbench-$command.1 ]] || complain "no page of $command"
        has "$(<"$prefix/share/man/man1/kvbench.1")" "kvbench\\-$command"
        while read -r option; do
            has "$(<"$prefix/share/man/man1/kvbench-$command.1")" "\\-\\-${option//-/\\-}\\fR"
        done < <("$program" "$command" --help | sed -n 's/^  .\{4\}--\([a-z-]*\).*/\1/p')
    done < <("$program" --help | sed -n 's/^  \([a-z]*\)  *[a-z].*/\1/p')
    has "$(<"$prefix/share/man/man1/kvbench-plots.1")" '.SH SYNOPSIS'
}

# complete WORD...: what bash offers for the last of them, in $offered.
complete_words() {
    COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
    _kvbench
    offered=" ${COMPREPLY[*]} "
}

@test "completions know commands, options and choices" {
    local shell=$prefix/share/bash-completion/completions/kvbench
    # shellcheck source=/dev/null
    source "$shell"
    complete_words kvbench repo
    is "$offered" ' report '
    complete_words kvbench compare --f
    is "$offered" ' --fail-above --format '
    complete_words kvbench columns --format ''
    has "$offered" ' json ' ' csv '
    complete_words kvbench report runs
    is "$offered" '  ' # and so a file's name
    bash -n "$shell"
    has "$(<"$prefix/share/zsh/site-functions/_kvbench")" '#compdef kvbench' \
        "--format[of what is printed (default text) ]:FORMAT:(text markdown csv json)"
    has "$(<"$prefix/share/fish/vendor_completions.d/kvbench.fish")" \
        "'__fish_seen_subcommand_from columns' -l format -r -f -a 'text markdown csv json'"
}

@test "help as JSON is asked for by that name alone" {
    ends 0 "$program" columns --help=json
    is "$(python3 -c 'import json, sys; print([o["name"] for o in json.load(sys.stdin)["options"]])' <<<"$out")" "['format']"
    refuses 2 "not 'yaml'" "$program" columns --help=yaml
}

@test "the example links the installed library" {
    local flags
    PKG_CONFIG_PATH=$(dirname "$(find "$prefix" -name kvbench-core.pc)")
    export PKG_CONFIG_PATH
    read -ra flags < <(pkg-config --define-variable=prefix="$prefix" --cflags --libs kvbench-core)
    "${CC:-cc}" -std=c17 -Wall -Wextra -Werror ${KV_LINK_ARGS-} "$project/core/example/generate.c" "${flags[@]}" -o generate
    ends 0 alone ./generate
    local lines
    mapfile -t lines <<<"$out"
    is "${#lines[@]}" 2
    is "$(wc -w <<<"${lines[0]}")" 8
    is "${lines[0]}" "${lines[1]}"
    printf '#include <kvbench.h>\nint main(void) { return kv_default_threads() < 1; }\n' >one.cc
    "${CXX:-c++}" -Wall -Werror ${KV_LINK_ARGS-} one.cc "${flags[@]}" -o one
    ends 0 ./one
}
