#!/usr/bin/env bash
# Fuzzes for a while, two targets at a time, and says of each how much was run, how many edges of the code were reached,
# and what was found.
#
#     tests/fuzz/run.sh BUILD SECONDS [TARGET...]     BUILD was configured with -Dfuzz=true; default: all targets
#
# BUILD/fuzz/TARGET keeps the inputs that reached something new, for the next time, what was found (crash-, leak-, oom-,
# timeout-) and the log. Files of safetensors that were kept are held against reader.py. Status 1: something was found.
set -u

if [ $# -lt 2 ] || [ ! -d "$1" ]; then
    echo 'usage: tests/fuzz/run.sh BUILD SECONDS [TARGET...]' >&2
    exit 2
fi
here=$(cd "$(dirname "$0")" && pwd)
build=$(cd "$1" && pwd)
seconds=$2 status=0
shift 2
if [ $# = 0 ]; then
    mapfile -t targets < <(cd "$here/corpus" && printf '%s\n' *)
    set -- "${targets[@]}"
fi

fuzz() {
    local kept=$build/fuzz/$1 status=0 found
    mkdir -p "$kept/corpus" && cd "$kept" || return
    "$build/tests/fuzz/fuzz_$1" -max_total_time="$seconds" -print_final_stats=1 -timeout=30 -rss_limit_mb=2048 \
        corpus "$here/corpus/$1" >log 2>&1 || status=1
    found=$(find . -maxdepth 1 \( -name 'crash-*' -o -name 'leak-*' -o -name 'oom-*' -o -name 'timeout-*' \) | wc -l)
    printf '%-12s %9s executions %6s edges, found %s\n' "$1" \
        "$(sed -n 's/^stat::number_of_executed_units: *//p' log)" \
        "$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' log | tail -n 1)" "$found"
    if [ $status != 0 ]; then
        grep -m 3 -E 'ERROR|runtime error|does not hold' log | sed 's/^/    /'
        echo "    see $kept/log"
    fi
    return $status
}

n=0
for target; do
    [ $((n++)) -lt 2 ] || wait -n || status=1
    fuzz "$target" &
done
while wait -n || { ended=$? && [ "$ended" != 127 ]; }; do
    [ "${ended:-0}" = 0 ] || status=1
    ended=0
done
if [ -d "$build/fuzz/safetensors" ]; then
    "$here/reader.py" "$build/tests/fuzz/replay_safetensors" "$build/fuzz/safetensors/corpus" 0 || status=1
fi
exit $status
