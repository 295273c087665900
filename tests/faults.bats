# What goes wrong around the program: two at once, processes that were killed, damaged results, full disks. Nothing that
# was there is lost, and one line says what is the matter.

setup() {
    load helpers
    of_program
    export KVBENCH_ISA=portable KVBENCH_PROGRAM=$program
}

teardown() {
    stop_child
}

small_run() {
    "$program" bench --quiet --model "$tiny" --suite batch --batch 1 --new 3 --reps 2 --threads 1 --out "$@"
}

small_training() {
    head -c 8000 "$project/data/models/kjv/validation.txt" >text
    "$program" train --text text --layers 1 --heads 1 --embd 16 --context 32 --batch 2 --steps 10 --every 5 --out "$1"
}

# A number that no process has.
dead_process() {
    sh -c 'echo $$'
}

@test "what a killed process left goes with the next file in that folder, and nothing else does" {
    dead=$(dead_process)
    logits=("$program" logits --model "$tiny" --tokens '1,2')
    touch "a.kvbench-part-$dead" "my.part-$dead" "b.kvbench-part-$$" b.kvbench-part- "b.kvbench-part-${dead}x"
    : >"locked.kvbench-part-$dead"
    # as a process of another container has it
    start python3 -c 'import fcntl, sys, time
file = open(sys.argv[1], "w")
fcntl.lockf(file, fcntl.LOCK_EX)
open("held", "w")
time.sleep(60)' "locked.kvbench-part-$dead"
    soon test -e held
    ends 0 "${logits[@]}" -o file
    absent "a.kvbench-part-$dead"
    holds 7
    stop_child
    wait "$child" || true
    ends 0 "${logits[@]}" -o file
    holds 6
}

@test "the folders that a killed plots or dashboard left go" {
    dead=$(dead_process)
    small_training run
    mkdir "run/.figures.$dead" "run/.figures.$$" run/.figures.mine
    ends 0 "$project/plots/render.sh" run
    absent "run/.figures.$dead"
    [[ -d run/.figures.$$ && -d run/.figures.mine ]]
    mkdir ".dashboard.$dead"
    ends 0 "$program" dashboard --model "$tiny" --tokens 1,2 -n 1 --out picture.gif
    ends 0 "$project/plots/dashboard.sh" picture.csv picture.gif
    absent ".dashboard.$dead"
}

@test "a reader that goes away leaves no folder behind" {
    small_training run
    mkdir -p bin
    for signal in PIPE TERM INT HUP; do
        # gnuplot is where the signal finds the script
        script bin/gnuplot "kill -$signal \$PPID; sleep 0.1; exit 1"
        PATH=$PWD/bin:$PATH ends 1 env "--default-signal=$signal" "$project/plots/render.sh" run
        is "$(find run -name '.figures*')" ''
    done
}

@test "two at once in one folder: the second is told, and changes nothing" {
    start "$program" bench --quiet --model "$tiny" --suite batch --reps 10000 --time 60 --threads 1 --out run
    soon test -s run/context.json
    before=$(<run/context.json)
    speaker='kvbench bench: '
    refuses 1 'run: another kvbench is at work in it; wait until it ends' small_run run
    refuses 1 'run: another kvbench is at work in it' "$program" bench --quiet --resume run
    is "$(<run/context.json)" "$before"
    kill -KILL "$child"
    finishes 137
}

@test "two runs of one second have folders of their own" {
    export KVBENCH_RESULTS=$box/results
    bench=("$program" bench --quiet --model "$tiny" --suite batch --batch 1 --new 2 --reps 1 --threads 1)
    "${bench[@]}" >first 2>&1 &
    "${bench[@]}" >second 2>&1 &
    ends 0 "${bench[@]}"
    wait
    rows=("$KVBENCH_RESULTS"/2*/runs.csv)
    is "${#rows[@]}" 3
}

# A change of runs.csv or training.csv by awk, and what all readers say of it. Columns by their names.
@test "numbers that nothing can be are named with row and column, by all readers" {
    small_run run >/dev/null 2>&1
    chmod -R u+w run
    n=0
    while IFS='|' read -r column value said; do
        rm -rf spoilt page.html tables
        cp -r run spoilt
        awk -F, -v OFS=, -v name="$column" -v value="$value" 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == name) at = i }
            NR == 3 { $at = value } { print }' run/runs.csv >spoilt/runs.csv
        mkdir tables
        part="spoilt/runs.csv line 3 has \"$value\" "
        for reader in 'compare spoilt --by path' 'report spoilt --out page.html' 'tables spoilt tables' \
            'bench --resume spoilt --quiet'; do
            speaker="kvbench ${reader%% *}: "
            status=1
            [[ $reader != compare* ]] || status=2
            refuses $status "$part" "$program" $reader
            has "$err" "column \"$column\"" "$said"
        done
        speaker='plots: '
        refuses 1 "$part" "$project/plots/render.sh" spoilt
        has "$err" "column \"$column\"" "$said"
        absent page.html
        n=$((n + 1))
    done <<'END'
ttft_ms|1e308|nothing measured can be
ttft_ms|1e999|needs a number
ttft_ms|-5|is never negative
ttft_ms|0x10|needs a number
ttft_ms| 5|needs a number
batch|1e300|nothing measured can be
batch|1.5|is a whole number
batch|0|counts from 1
e2e_ms|-1|is never negative
decode_tok_s|0|is above 0
kv_live_bytes|1e29|is a whole number
status|fine|is ok, failed, skipped or stalled
repetition||a row that is ok has
round|-1|is never negative
END
    is $n 14
}

@test "a repetition that is there twice is no second sample" {
    small_run run >/dev/null 2>&1
    last=$(tail -n 1 run/runs.csv)
    echo "$last" >>run/runs.csv
    before=$(<run/runs.csv)
    for reader in 'compare run --by path' 'bench --resume run --quiet'; do
        speaker="kvbench ${reader%% *}: "
        status=1
        [[ $reader != compare* ]] || status=2
        refuses $status 'run/runs.csv line 6 repeats repetition 2 of batch/' "$program" $reader
    done
    is "$(<run/runs.csv)" "$before"
}

# The second row's first field or fields become these.
@test "steps of a training that are none are refused, and not drawn" {
    small_training run >/dev/null 2>&1
    n=0
    while IFS='|' read -r change said; do
        rm -rf spoilt
        cp -r run spoilt
        sed -i "3$change" spoilt/training.csv
        speaker='plots: '
        [[ $said == *'not after'* ]] || refuses 1 "$said" "$project/plots/render.sh" spoilt
        ends 0 "$program" train --out spoilt --resume --steps 15
        counts 1 "warning: spoilt/training.csv line 3 has $said" "$err"
        ! grep -E '^(-|,)' spoilt/training.csv
        n=$((n + 1))
    done <<'END'
s/^[0-9]*,/,/|"" in column "step", which every row has
s/^[0-9]*,/1e300,/|"1e300" in column "step", which nothing measured can be
s/^[0-9]*,/1e20,/|"1e20" in column "step", which is a whole number
s/^[0-9]*,/2.5,/|"2.5" in column "step", which is a whole number
s/^[0-9]*,[0-9]*,/5,,/|"" in column "tokens", which every row has
s/^[0-9]*,[0-9]*,/5,-3,/|"-3" in column "tokens", which is never negative
s/^[0-9]*,/0,/|a step that is not after the one before
END
    is $n 7
}

@test "a plan says what cannot fit, and leaves it out of its time" {
    bench=("$program" bench --dry-run --suite batch --batch 1 --model "$tiny" --threads 1)
    ends 0 "${bench[@]}" --prompt 20,2000 --new 3
    counts 2 ' cannot fit' "$(grep '2000      3' <<<"$out")"
    counts 1 '2 cells cannot fit and will fail: a prompt of 2000 and 3 new tokens take 2002 positions' "$out"
    counts 1 '2 cells, about 0.0 minutes' "$out"
    ends 0 "${bench[@]}" --new 536870911
    counts 1 'new tokens take 536870931 positions, the model has 64: use fewer' "$out"
    counts 1 '0 cells, about 0.0 minutes' "$out"
}

# on_disk KIB COMMAND...: on a disk of that size, where the committed run fills ./disk/run.
on_disk() {
    # shellcheck disable=SC2016 # of the inner shell
    unshare -m sh -c 'size=$1 from=$2; shift 2; mkdir -p disk && mount -t tmpfs -o size="${size}k" disk disk &&
        cp -r "$from" disk/run && chmod -R u+w disk/run && rm -rf disk/run/figures && "$@" && exit
        status=$?; ls -A disk/run | grep figures; exit $status' sh "$1" "$project/data/results/reference" "${@:2}"
}

@test "plots on a full disk names the disk" {
    unshare -m true 2>/dev/null || skip 'mounts are not allowed here'
    speaker='plots: '
    used=$(du -sk --apparent-size --exclude=figures "$project/data/results/reference" | cut -f 1)
    for free in 40 80 120 240 500; do
        ends 1 on_disk $((used + free)) "$project/plots/render.sh" disk/run
        [[ $err == 'plots: '* && $err != *$'\n'* ]] || complain "not one line: $err"
        [[ $err == *'No space left on device'* || $err == *'free space' ]] || complain "$err"
        lacks "$out" .figures.
    done
}

@test "a clock that stands still is told of, and one that jumps does no harm" {
    [[ -n ${KV_FAULT_CLOCK-} ]] || skip 'run by meson test'
    broken=(env "LD_PRELOAD=$KV_FAULT_CLOCK" "ASAN_OPTIONS=${ASAN_OPTIONS-}:verify_asan_link_order=0")
    head -c 600 "$project/data/models/kjv/validation.txt" >text
    for line in "bench --model $tiny --out run" "generate --model $tiny --tokens 1,2" limits \
        'train --text text --out trained'; do
        refuses 1 'the clock of this machine stands still' timeout 20 "${broken[@]}" KV_CLOCK=still "$program" $line
    done
    holds 1
    ends 0 timeout 60 "${broken[@]}" KV_CLOCK=jumps "$program" bench --quiet --model "$tiny" --suite batch --batch 1 \
        --new 3 --reps 2 --threads 1 --out run
    ends 0 "$program" compare run --by path
}
