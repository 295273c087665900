# A run that is killed at any moment leaves whole rows, and --resume finishes it: the same rows, none twice.

# The run that was never interrupted.
setup_file() {
    settings
    export whole=$BATS_FILE_TMPDIR/whole
    "$program" "${bench[@]}" --out "$whole" || true # same_rows tells whether it has its rows
}

# Cells of which one is longer than the window: a failed row is a finished one, too, and the status is 1.
settings() {
    load helpers
    bench=(bench --quiet --threads 1 --model "$project/data/reference/tiny-f32" --suite 'batch,depth' --batch '1,3')
    bench+=(--prompt '1,21,60' --new 7 --reps 300 --seed 7)
}

setup() {
    settings
    of_program
    RANDOM=20190214
}

teardown() {
    stop_child
}

# lives ARGUMENT...: starts the program and kills it after 0.3 to 2.2 s, of which it measures the limits for half a
# second; fails when it ended before that.
lives() {
    local status=0 ms=$((300 + RANDOM % 1900))
    start "$program" "$@"
    sleep "$((ms / 1000)).$(printf %03d $((ms % 1000)))"
    kill -KILL "$child"
    wait "$child" 2>/dev/null || status=$?
    [[ $status == 137 ]]
}

same_rows() {
    python3 "$project/tests/check_resume.py" "$whole" "$1" 4000 30000
}

@test "killed again and again at random moments" {
    local wanted=20
    [[ -z ${KV_LINK_ARGS-} ]] || wanted=6 # sanitizers look at the same code each time
    for ((kills = 0, run = 0; kills < wanted; run++)); do
        # Seven parts at most, then it is left to finish.
        arguments=("${bench[@]}" --out "run$run")
        for ((part = 0; part < 7 && kills < wanted; part++)); do
            lives "${arguments[@]}" || break
            kills=$((kills + 1))
            arguments=(bench --quiet --resume "run$run")
        done
        ends 1 "$program" bench --quiet --resume "run$run"
        same_rows "run$run"
    done
}

@test "an interrupted run says how it goes on" {
    start "$program" "${bench[@]}" --out run
    sleep 1.5
    kill -INT "$child"
    finishes 1
    has "$err" '--resume run'
    ends 1 "$program" bench --quiet --resume run
    same_rows run
    # looked at once more, it stays what it was, with the machine and the time that it was measured in
    cp -r run before
    ends 1 "$program" bench --quiet --resume run --verbose
    diff -r before run
}

@test "what cannot be resumed" {
    refuses 1 'nowhere holds no run to resume' "$program" bench --resume nowhere
    refuses 2 --resume "$program" bench --resume run --out other
    ends 0 "$program" bench --quiet --model "$tiny" --suite batch --batch 1 --new 2 --out run
    # another plan than the rows are of
    ends 1 "$program" bench --quiet --resume run --batch 2
    has "$err" 'no cell of this run'
}
