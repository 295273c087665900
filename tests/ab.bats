# Which of two is faster: `kvbench ab`, the worker that it drives, what the door builds for it, and `kvbench calibrate`.
# Where a verdict is to be exact, the workers are made up: they answer with the times that they are told to.

setup() {
    load helpers
    of_program
    small=(--model "$tiny" --threads 1 -n 40)
    # With a sanitizer a start takes half a second, and a verdict needs seven.
    enough=6s
    [[ ${KV_LINK_ARGS-} != *-fsanitize=* ]] || enough=30s
}

teardown() {
    stop_child
}

last() {
    printf '%s' "${out##*$'\n'}"
}

# engine FILE MS: a worker of another engine, whose generations take MS milliseconds a step; it knows no steps.
engine() {
    script "$1" '[ "$2" = --help ] && exit 0
        echo "{\"ready\": true, \"engine\": \"made up\", \"steps\": false}"
        while read -r line; do case $line in
            *run*) echo "{\"ttft_ms\": 9, \"ttpt_ms\": '"$2"', \"e2e_ms\": 29, \"step_ms\": ['"$2"', '"$2"'], \"ids\": [1]}" ;;
            *) exit 0 ;; esac; done'
}

# ---- The worker

@test "a worker says when it is ready, answers each request, and ends with quit or with its stdin" {
    speaker='kvbench worker: '
    printf '%s\n' '{"do": "run"}' '{"do": "steps", "n": 3}' '{"do": "steps", "n": 3}' '{"do": "quit"}' '{"do": "run"}' |
        "$program" worker --model "$tiny" --threads 1 -n 5 >lines
    mapfile -t lines <lines
    is "${#lines[@]}" 4
    has "${lines[0]}" '"ready":true,"engine":"kvbench"' '"threads":1' '"new_tokens":5'
    python3 - "${lines[@]:1}" <<'PYTHON'
import json, sys
run, first, second = map(json.loads, sys.argv[1:])
assert len(run["step_ms"]) == 4 and len(run["ids"]) == 5, run
assert abs(run["ttft_ms"] + sum(run["step_ms"]) - run["e2e_ms"]) < 1e-6, run
assert len(first["step_ms"]) == 3 and first["ttft_ms"] > 0, first
# four steps a generation: the second request begins another one
assert len(second["step_ms"]) == 3 and second["ttft_ms"] > 0, second
PYTHON
    ends 0 "$program" worker "${small[@]}"
    counts 1 ready "$out"
}

@test "a bad request is told of, and the next one is served" {
    printf '%s\n' 'run' '[]' '{"do": "fly"}' '{"do": "steps", "n": 0}' '{"do": "run"}' |
        "$program" worker --model "$tiny" --threads 1 -n 3 >lines
    counts 4 '"error":' "$(<lines)"
    counts 1 '"ids":' "$(tail -n 1 lines)"
}

@test "a worker that cannot start says why" {
    speaker='kvbench worker: '
    refuses 2 "the model's window of 64" "$program" worker --model "$tiny" -n 500
    refuses 2 "'none' is not one of" "$program" worker --path none
}

# ---- Verdicts

@test "a slower B is found, with its ratio, interval, exit status and a row a repetition" {
    ends 3 "$program" ab "${small[@]}" --b '--extra 60' --time "$enough" --fail-if slower --csv rows.csv
    [[ $(last) =~ ^'B is slower: 1.'[3-9][0-9]*' x the time of A (1.'[0-9]+' to 1.'[0-9]+', '[0-9]+' starts, 98 %)'$ ]] ||
        complain "$(last)"
    has "$out" $'\nB  this program (kvbench, commit ' ' --extra 60' $'\nttpt_ms ' 'CPUs'
    has "$(<rows.csv)" 'start,round,place,side,started_s,ttpt_ms,ttft_ms,e2e_ms'
    [[ $(wc -l <rows.csv) -gt 14 ]]
    ends 0 "$program" ab "${small[@]}" --a '--extra 60' --b '' --time "$enough" --fail-if slower --quiet
    has "$(last)" 'B is faster: 0.'
    is "$err" ''
}

@test "settings of one build are told apart" {
    "$program" info | grep -q 'avx2 .*not on this machine' && skip 'this machine has no avx2'
    ends 0 "$program" ab --model "$project/data/models/kjv" --threads 1 --prompt 100 --new 4 --metric ttft_ms \
        --a '--isa portable' --b '--isa avx2' --time "$enough"
    has "$(last)" 'B is faster: 0.'
}

@test "the same program is equal within what is asked for" {
    ends 0 "$program" ab "${small[@]}" --b '' --time "$enough" --threshold 50%
    has "$(last)" 'equal within 50 %: '
}

@test "what is not known is undecided, and says what would tell" {
    # Starts so slow that there are never the seven from which a verdict can come.
    engine slow 20
    sed -i '2s/^/sleep 0.4;/' slow
    ends 3 "$program" ab slow slow --time 1s --fail-if undecided
    [[ $(last) =~ ^'undecided: 1.000 so far, but '[1-6]' start'(' is'|'s are')' too few for an interval: at least 7, as --time '[0-9]+'s has'$ ]] \
        || complain "$(last)"
    [[ $out != *inf* ]] || complain "$out"
}

@test "other engines' workers are held against each other" {
    engine one 20
    engine other 18.82
    ends 0 "$program" ab A=./one other --time 3s
    [[ $(last) =~ ^'B is faster: 0.941 x the time of A (0.941 to 0.941, '[0-9]+' starts, 98 %)'$ ]] || complain "$(last)"
    has "$out" $'A  A (made up)\n' $'B  other (made up)\n' 'e2e_ms '
    ends 0 "$program" ab one other --time 3s --metric ttft_ms
    has "$(last)" 'equal within 1 %: 1.000 x the time of A (1.000 to 1.000, '
    for verdict in faster different; do
        ends 3 "$program" ab one other --time 3s --fail-if "$verdict" --quiet
    done
}

@test "a program from before the worker is measured by its bench" {
    for name in old older; do
        script $name 'case $1 in worker) echo unknown >&2; exit 2 ;; esac
            for word; do folder=$word; done
            printf "cell,ttft_ms,ttpt_ms,e2e_ms\nx,5,'"${#name}"',50\nx,5,'"${#name}"',50\n" >"$folder/runs.csv"'
    done
    ends 0 "$program" ab old older --time 3s
    has "$err" 'one of them is from before `kvbench worker`'
    has "$(last)" 'B is slower: 1.667 x the time of A (1.667 to 1.667, '
    has "$out" $'B  older\n'
}

@test "texts that differ are told of once" {
    ends 0 "$program" ab "${small[@]}" --synthetic --b '--seed 3' --time 1s --quiet
    counts 1 'warning: they do not write the same text: new token' "$err"
    ends 0 "$program" ab "${small[@]}" --b '--gemm reference' --time 1s --quiet
    is "$err" ''
}

@test "an interrupt ends it with what is known" {
    start "$program" ab "${small[@]}" --b '--extra 60' --time 60s --csv rows.csv
    soon bash -c "grep -q '^3,' rows.csv.kvbench-part-*"
    kill -INT "$child"
    finishes 0
    has "$err" 'ending with what is known'
    has "$(last)" 'undecided: 1.'
    [[ -z $(pgrep -f "worker --model $tiny") ]]
}

@test "rows go where a link leads, into what is no file as it is, and replace earlier ones when all are there" {
    echo earlier >earlier.csv
    ln -s earlier.csv link.csv
    mkfifo pipe
    cat pipe >piped &
    start "$program" ab "${small[@]}" --b '--extra 60' --time 60s --csv link.csv
    soon bash -c "grep -q '^1,' earlier.csv.kvbench-part-*"
    # a process of another container, to which its number says nothing, sees by the lock that the writer lives
    ! python3 -c 'import fcntl, sys; fcntl.lockf(open(sys.argv[1], "r+"), fcntl.LOCK_EX | fcntl.LOCK_NB)' \
        earlier.csv.kvbench-part-* 2>locked || complain 'the part is not locked'
    has "$(<locked)" BlockingIOError
    kill -KILL "$child"
    wait "$child" || true
    is "$(<earlier.csv)" earlier
    ends 0 "$program" ab "${small[@]}" --b '--gemm reference' --time 1s --quiet --csv link.csv
    [[ -L link.csv && $(wc -l <earlier.csv) -gt 2 ]]
    absent earlier.csv.kvbench-part-*
    ends 0 "$program" ab "${small[@]}" --b '--gemm reference' --time 1s --quiet --csv pipe
    wait
    [[ -p pipe && $(wc -l <piped) -gt 2 ]]
}

# ---- What cannot be compared

@test "what is wrong with A, B or the options is said in one line" {
    speaker='kvbench ab: '
    engine broken 1
    refuses 2 'there is nothing to compare' "$program" ab
    refuses 2 "B 'no/such' is neither a program nor the folder of a build; commits" "$program" ab "$program" no/such
    refuses 2 "'2' is not a share such as 5% or 0.05" "$program" ab a b --threshold 2
    refuses 2 "'soon' is not a time such as 90, 90s, 2m or 1h" "$program" ab a b --time soon
    refuses 2 "'never' is not one of slower, faster, different, undecided" "$program" ab a b --fail-if never
    refuses 2 'one new token has no step after it' "$program" ab --model "$tiny" --b '' -n 1 --quiet
    refuses 1 "B ended with status 2: --path: 'x' is not one of" "$program" ab "${small[@]}" --b '--path x' --quiet
    refuses 1 'A ended with status 0 and said nothing' "$program" ab /bin/true broken --quiet
    refuses 1 "A does not speak a worker's protocol: it said 'worker'" "$program" ab /bin/echo broken --quiet
}

@test "a worker that ends while it is asked is told of with its last words" {
    speaker='kvbench ab: '
    engine whole 1
    script broken '[ "$2" = --help ] && exit 0; echo "{\"ready\": true}"; read -r line; echo out of luck >&2; exit 7'
    refuses 1 'B ended with status 7: out of luck' "$program" ab whole broken --time 2s
}

# ---- The door

@test "commits become builds of their own, which are kept" {
    home="$BATS_TEST_TMPDIR/a project"
    mkdir -p "$home/build/benchmarks"
    cp "$project/kvbench" "$home/kvbench"
    script "$home/build/benchmarks/kvbench" 'printf "<%s>" "$@"; echo "${KVBENCH_MODELS#"$HOME"}"'
    fake git 'case $3 in
        rev-parse) case $6 in main*) echo 1234567890abcdef ;; *) exit 1 ;; esac ;;
        archive) cd "$BATS_TEST_TMPDIR/commit" && tar -cf "${4#--output=}" . ;; esac'
    mkdir "$BATS_TEST_TMPDIR/commit"
    script "$BATS_TEST_TMPDIR/commit/kvbench" 'mkdir -p "$KVBENCH_BUILD_DIR/benchmarks"; echo "built $*" >>"$CALLS"'
    built="$home/build-ab/1234567890abcdef/build/benchmarks/kvbench"
    engine one 1
    door() {
        env -u KVBENCH_MODELS PATH="$bin:$PATH" HOME="$home" KVBENCH_NO_BUILD=1 "$home/kvbench" ab "$@"
    }
    for i in 1 2; do
        ends 0 door --time 9s main ./one -q --b '--kv f32' -n5 --model=main
        is "$out" "<ab><--time><9s><main, commit 1234567890ab=$built><./one><-q><--b><--kv f32><-n5><--model=main>/data/models"
        counts $((2 - i)) 'git -C' "$(grep archive <<<"$calls" || true)"
        has "$calls" 'built --version'
    done
    ends 0 door no-such main
    is "$out" "<ab><no-such><main, commit 1234567890ab=$built>/data/models"
    script "$home/build-ab/1234567890abcdef/source/kvbench" 'echo "no compiler" >&2; exit 1'
    ends 1 door main ./one
    has "$err" 'no compiler' 'kvbench: main could not be built'
}

# ---- The instrument on this machine

@test "a calibration tells false alarms, power, and how far windows differ" {
    ends 0 "$program" calibrate --model "$tiny" --threads 1 -n 40 --time 5s --out here --quiet
    has "$out" '15 s     the same' '120 s  10 % slower' 'Medians of windows' 'Files in here: recording.csv'
    is "$(head -n 1 here/power.csv)" 'time_s,slowdown_pct,n,faster,slower,equal,undecided'
    is "$(wc -l <here/power.csv)" 17
    python3 - here <<'PYTHON'
import csv, sys
rows = list(csv.DictReader(open(sys.argv[1] + "/power.csv")))
assert all(sum(int(r[v]) for v in ("faster", "slower", "equal", "undecided")) == int(r["n"]) == 400 for r in rows)
same = [r for r in rows if r["slowdown_pct"] == "0"]
assert all(int(r["faster"]) + int(r["slower"]) <= 0.05 * 400 for r in same), same
windows = list(csv.DictReader(open(sys.argv[1] + "/calibration.csv")))
assert windows and all(", " in w["machine"] and float(w["log_ratio_q95"]) >= 0 for w in windows), windows
PYTHON
    KVBENCH_PROGRAM=$program ends 0 "$project/plots/render.sh" here
    is "$out" 'here/figures/calibration.png and .svg'
    has "$(<here/figures/calibration.svg)" 'called different' '3 % slower: found' '400 contests a point'
}
