# kvbench train as a person meets it: it learns, it can be stopped at any moment and goes on to the same bits, what it
# writes is a model, and it refuses what cannot be.

setup() {
    load helpers
    of_program
    speaker='kvbench train: '
    # Sentences that a small model learns to predict in a few hundred steps.
    awk 'BEGIN {
        srand(5)
        split("The cat,A dog,My horse,The old bird", who, ",")
        split("sees,hears,follows,does not fear", what, ",")
        for (n = 0; n < 60000; n += length(line) + 1) {
            line = who[1 + int(rand() * 4)] " " what[1 + int(rand() * 4)] " the " \
                substr(who[1 + int(rand() * 4)], 3) "."
            print line
        }
    }' >text
}

teardown() {
    stop_child
}

train() {
    "$program" train "$@"
}

small=(--text text --layers 1 --heads 2 --embd 32 --context 32 --batch 4)

# small OUT OPTION...: a model that takes no time.
small() {
    train "${small[@]}" --out "$@"
}

# last FILE COLUMN: of its last row.
last() {
    tail -n 1 "$1" | cut -d, -f"$2"
}

# that AWK_CONDITION NAME=VALUE...
that() {
    local settings=() i
    for i in "${@:2}"; do
        settings+=(-v "$i")
    done
    awk "${settings[@]}" "BEGIN { exit !($1) }" || complain "not so: $*"
}

# same_rows A B: training.csv without its times.
same_rows() {
    cmp <(cut -d, -f1-6 "$1") <(cut -d, -f1-6 "$2")
}

# ---- Learning --------------------------------------------------------------------------------------------------

@test "it learns, and says so" {
    ends 0 small out --steps 400 --every 100 --lr 0.01
    counts 5 'validation loss' "$err"
    counts 1 'peak memory about' "$err"
    counts 4 left "$err"
    counts 1 'bits a byte' "$out"
    # log 4 + log 4 + log 4 nats a sentence of some thirty bytes are its entropy: 0.14 a byte
    that 'loss > 0.13 && loss < 0.4' loss="$(last out/training.csv 5)"
    ends 0 "$program" generate --model out --prompt 'The cat' -n 30 --temperature 0
    has "$out" ' the '
}

@test "the validation loss is that of the model that was written" {
    ends 0 small out --steps 100 --every 100
    size=$(stat -c %s text)
    tail -c $((size * 5 / 100)) text >held_out
    ends 0 "$program" evaluate --model out --text held_out --csv
    column=$(sed 's/loss_nats.*//' <<<"${out%%$'\n'*}" | tr -cd , | wc -c)
    that '(a - b) ^ 2 < (1e-5 * b) ^ 2' a="$(tail -n 1 <<<"$out" | cut -d, -f$((column + 1)))" b="$(last out/training.csv 5)"
}

@test "BF16 is half as large, and the same training" {
    ends 0 small a --steps 2
    ends 0 small b --steps 2 --dtype BF16
    that 'b > 0.45 * a && b < 0.55 * a' a="$(stat -c %s a/model.safetensors)" b="$(stat -c %s b/model.safetensors)"
    is "$(last a/training.csv 5)" "$(last b/training.csv 5)"
}

@test "fine-tuning" {
    ends 0 small base --steps 200 --every 100 --lr 0.01
    ends 0 train --text text --init base --out tuned --steps 100 --every 50 --lr 0.002
    that 'after < before' before="$(last base/training.csv 5)" after="$(last tuned/training.csv 5)"
    ends 0 train --text text --init base --out same --steps 1 --lr 0 --context 16
    cmp base/config.json same/config.json
    cmp base/model.safetensors same/model.safetensors # rate 0: not a bit moves
}

# ---- Stopping and going on -------------------------------------------------------------------------------------

@test "killed at any moment, it goes on to the same bits" {
    long=(--steps 6000 --every 500 --threads 2)
    started=${EPOCHREALTIME/./}
    ends 0 small whole "${long[@]}"
    # Parts are measured by the whole run, so that a slow build takes no more of them, and grow, so that a slow start
    # does not eat them up.
    whole_us=$((${EPOCHREALTIME/./} - started))
    parts=0 stopped=0 status=1
    start "$program" train "${small[@]}" --out broken "${long[@]}"
    until [[ $status == 0 ]]; do
        part_us=$((whole_us / 20 + RANDOM * (whole_us / 8) / 32768 + parts * whole_us / 100))
        sleep "$((part_us / 1000000)).$(printf %06d $((part_us % 1000000)))"
        signal=$((parts % 2 ? 9 : 2))
        kill -s $signal -- "-$child" 2>/dev/null || true
        status=0
        wait "$child" || status=$?
        heard
        [[ $err != *'stopped after step'* ]] || stopped=$((stopped + 1))
        parts=$((parts + 1))
        [[ $parts -lt 100 ]]
        if [[ -e broken/checkpoint.safetensors ]]; then
            start "$program" train --out broken --resume
        else
            start "$program" train "${small[@]}" --out broken "${long[@]}"
        fi
    done
    finishes 0
    [[ $stopped -gt 0 ]]
    cmp whole/model.safetensors broken/model.safetensors
    cmp whole/config.json broken/config.json
    same_rows whole/training.csv broken/training.csv
}

@test "a signal ends it with the last step" {
    for signal in INT TERM; do
        start "$program" train "${small[@]}" --out $signal --steps 1000000
        soon test -e $signal/checkpoint.safetensors
        sleep 0.3
        kill -s $signal "$child"
        finishes 1
        counts 1 '--resume goes on from here' "$err"
        ends 0 "$program" generate --model $signal -n 4
    done
}

@test "a run that is done goes on with more steps" {
    ends 0 small out --steps 20 --every 10
    ends 0 train --out out --resume
    counts 1 'all 20 steps are done' "$err"
    ends 0 train --out out --resume --steps 40
    is "$(last out/training.csv 1)" 40
    ends 0 train --out out --resume # it is 40 from now on
    counts 1 'all 40 steps are done' "$err"
    ends 0 train --out out --resume --steps 60 --threads 1
    ends 0 train --out out --resume --threads 2 --steps 70
    counts 1 'threads was 1 and is 2 now' "$err"
}

@test "the settings of an early version, a command line, are read" {
    ends 0 small out --steps 20 --every 10 --seed 18446744073709551615
    python3 - out/checkpoint.safetensors <<'EOF'
import json, struct, sys
with open(sys.argv[1], "rb") as file:
    (size,) = struct.unpack("<Q", file.read(8))
    header, data = json.loads(file.read(size)), file.read()
settings = json.loads(header["__metadata__"].pop("settings"))
assert settings["seed"] == "18446744073709551615" and settings["layers"] == 1 and settings["lr"] == 0.002
header["__metadata__"]["arguments"] = json.dumps(
    ["train"] + [word for name, value in settings.items() for word in ("--" + name, str(value))])
text = json.dumps(header).encode()
text += b" " * (-len(text) % 8)
with open(sys.argv[1], "wb") as file:
    file.write(struct.pack("<Q", len(text)) + text + data)
EOF
    cp -r out as_before
    ends 0 train --out out --resume --steps 30
    ends 0 train --out as_before --resume --steps 30
    cmp out/model.safetensors as_before/model.safetensors
    ends 0 train --out out --resume
    counts 1 'all 30 steps are done' "$err"
}

@test "ended after a checkpoint and before its model, it writes the model" {
    ends 0 small out --steps 100 --every 50 --lr 0.01
    mv out/model.safetensors kept
    ends 0 train --out out --resume
    cmp kept out/model.safetensors
}

@test "without its rows it goes on, and says what is lost" {
    ends 0 small out --steps 20 --every 10
    rm out/training.csv
    ends 0 train --out out --resume --steps 30
    counts 1 'training.csv starts again from here' "$err"
    is "$(last out/training.csv 1)" 30
    is "$(last out/training.csv 2)" $((30 * 4 * 32))
}

@test "it goes on from another folder, and without the checkpoint that it began with" {
    ends 0 small base --steps 2
    ends 0 train --text text --init base --out tuned --steps 4
    ends 0 train --text text --init base --out kjv --steps 2 # also a model's name
    ends 0 train --out kjv --resume --steps 3
    has "$out" '--model ./kjv'
    mkdir elsewhere
    mv base elsewhere
    cd elsewhere
    ends 0 train --out ../tuned --resume --steps 6
    is "$(last ../tuned/training.csv 1)" 6
}

@test "what cannot change in the middle of a run" {
    ends 0 small out --steps 2
    while read -r option value; do
        refuses 2 "$option" train --out out --resume "$option" "$value"
    done <<'ROWS'
--validation 9
--context 16
--layers 2
--heads 4
--embd 64
--tokenizer gpt2
--init kjv
ROWS
    ends 0 small out --steps 3 --resume # the same again is no change
}

@test "one run a folder, and what a killed one left goes" {
    start "$program" train "${small[@]}" --out out --steps 1000000
    soon test -e out/model.safetensors
    "$program" train --out out --resume >/dev/null 2>other && false
    has "$(<other)" 'another kvbench is at work in it'
    kill -KILL "$child"
    finishes 137
    echo half >"out/checkpoint.safetensors.kvbench-part-$child"
    ends 0 train --out out --resume --steps 2
    absent "out/checkpoint.safetensors.kvbench-part-$child"
}

# ---- What goes wrong -------------------------------------------------------------------------------------------

@test "divergence keeps the last good files" {
    ends 0 small out --steps 40 --every 20
    ends 1 train --out out --resume --steps 80 --lr 1000
    [[ $err == *diverges* || $err == *'not a number'* ]]
    is "$(last out/training.csv 1)" 40
    ends 0 train --out out --resume --steps 60 --lr 0.001
    that 'loss < 4' loss="$(last out/training.csv 5)"
}

@test "noise is no divergence: steps of a single token" {
    ends 0 train --text text --out out --layers 1 --heads 2 --embd 32 --batch 1 --context 1 --steps 4000 --every 4000 \
        --validation 1 --threads 1
}

@test "what does not fit on the disk is said, and leaves nothing" {
    status=0
    (ulimit -f 60 && train --text text --out out --layers 1 --steps 2) 2>err || status=$?
    is $status 1
    counts 1 'out/checkpoint.safetensors: cannot be written: File too large' "$(<err)"
    absent out/checkpoint.safetensors
    ends 0 train --text text --out out --layers 1 --steps 2
}

# A sanitizer's own memory is beside the model's, so there only the lower bound can hold.
@test "the memory that is stated is what is taken" {
    most=1.15
    ! grep -q '__asan_init\|__tsan_init' "$program" || most=1000
    for more in '--text text --layers 2 --heads 2 --embd 512 --context 8 --batch 1 --steps 2 --threads 2' \
        '--resume --steps 3'; do
        ends 0 train --out out $more
        stated=$(grep -oP 'peak memory about \K[0-9]+' <<<"$err")
        that 'taken > 0.85 * stated && taken < most * stated' stated="$stated" most=$most \
            taken="$(grep -oP 'peak memory \K[0-9]+' <<<"$out")"
    done
}

@test "mistakes leave nothing behind" {
    while IFS='|' read -r options status part; do
        refuses "$status" "$part" train $options
    done <<ROWS
--text text|2|--out is missing
--out out|2|--text is missing
--resume|2|--resume needs --out
--resume --out nothing|1|nothing/checkpoint.safetensors
--text text --out out --heads 3|2|--embd must be a multiple of --heads
--text text --out out --lr -1|2|--lr
--text text --out out --init x --layers 2|2|--init
--text text --out out --init nothing|1|--init nothing: there are no weights
--text missing --out out|1|missing
--text text --out out --embd 1000000 --heads 1 --layers 1000|1|use a smaller
--text text --out out --context 50000|1|give a longer text
ROWS
    refuses 1 "tokenizer 'bytes' has 256 ids" train --text text --out out --init "$project/data/reference/tiny-f32" \
        --tokenizer bytes
    ends 1 train --text text --out no/such/folder
    counts 1 'no/such/folder: cannot be made' "$err"
    holds 1
    ends 0 small out --steps 2
    refuses 1 '--resume goes on with that run' small out --steps 2
    rm out/checkpoint.safetensors
    refuses 1 'out holds model.safetensors already' small out --steps 2
}

@test "another text is noticed" {
    ends 0 small out --steps 2
    printf x | dd of=text bs=1 seek=17 conv=notrunc status=none
    ends 1 train --out out --resume --steps 4
    counts 1 'not the text' "$err"
}
