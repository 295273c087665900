# The noise program that other tests run beside the instrument (noise.c).

setup() {
    load helpers
    sandbox
    noise=${KV_NOISE:-$project/build/tests/noise}
}

# phases SEED: what begins within 1.5 s, without the moment of the start.
phases() {
    ends 0 "$noise" --seed "$1" --seconds 1.5 --threads 1 --log log
    is "$(head -n 1 log)" started_s,after_s,kind,seconds,work,threads,share,turn_ms
    (($(wc -l <log) >= 3)) || complain "too few lines: $(<log)"
    sed 1d log | cut -d , -f 2-
}

@test "a seed gives its phases, and another one others" {
    first=$(phases 5)
    is "$(phases 5)" "$first"
    [[ $(phases 6) != "$first" ]]
}

@test "the phases are as long as the log says" {
    phases 5 >/dev/null
    awk -F , 'NR > 2 && $3 == "phase" { if (before && ($2 - before - lasts) ^ 2 > 1e-5) exit 1; before = $2; lasts = $4 }' log
    is "$(awk -F , '$3 == "phase" && ($4 < 0.2 || $4 > 20)' log)" ''
}

# After a quarter of a second this seed multiplies on every thread, for 19 s.
@test "it takes CPU time" {
    TIMEFORMAT='%U'
    used=$({ time "$noise" --seed 3 --seconds 3 --threads 4 --log log; } 2>&1)
    has "$(<log)" products,4,0.8
    awk "BEGIN { exit !($used > 0.3) }" || complain "only $used s"
}

@test "what it does not understand is refused with its usage" {
    for arguments in --threads=0 --seconds=-1 --seed=x --loud word; do
        ends 2 "$noise" $arguments
        has "$err" 'usage: noise'
    done
    ends 1 "$noise" --log nowhere/log
    has "$err" nowhere/log
}
