# generate with token ids, and logits, against the reference cases, at the window's end, and where they must refuse. That
# every product, level, chunk and number of threads gives these ids is test_reference.c's, that rows are what they are
# alone, and windows that shift alike on both paths, test_property.c's.

setup() {
    load helpers
    of_program
}

# of_case CASE: its folder $model, prompt and what follows from it greedily, $n new ids, as the command line has them.
of_case() {
    model=$project/data/reference/$1
    prompt=$(ids tokens) greedy=$(ids greedy)
    n=$(($(count_ids "$greedy") / $(rows "$greedy") - $(count_ids "$prompt") / $(rows "$prompt")))
}

# ids tokens|greedy [N]: of all rows, or the first N of each: "1,2;3,4".
ids() {
    python3 -c 'import json, sys
cut = int(sys.argv[3]) if len(sys.argv) > 3 else None
rows = json.load(open(sys.argv[1] + "/expected.json"))[sys.argv[2]]
print(";".join(",".join(map(str, row[:cut])) for row in rows))' "$model" "$@"
}

rows() {
    tr ';' '\n' <<<"$1" | wc -l
}

count_ids() {
    tr ';,' '\n' <<<"$1" | wc -l
}

# continues EXPECTED OPTION...: the case's prompt, on both paths.
continues() {
    local path
    for path in naive cached; do
        ends 0 "$program" generate --model "$model" --tokens "$prompt" --path $path "${@:2}"
        is "$out" "$1"
    done
}

@test "the ids of every reference case" {
    for case in tiny-f32 odd-f16 gelu-erf-bf16; do
        of_case $case
        continues "$greedy" -n "$n" --overflow recompute --ids
    done
}

# Its last position still selects a token, so a sequence ends with n_positions + 1 ids.
@test "a sequence stops at the window's end, which is said" {
    of_case odd-f16
    expected=$(ids greedy 49)
    continues "$expected" -n "$n"
    counts 1 warning "$err"
    counts 1 '(n_positions 48)' "$err"
    continues "$expected" -n $((49 - 17))
    counts 0 warning "$err"
}

@test "past the window's end is said once" {
    of_case odd-f16
    for policy in recompute shift; do
        ends 0 "$program" generate --model "$model" --tokens "$prompt" -n "$n" --overflow $policy
        counts 1 warning "$err"
        counts 1 $policy "$err"
    done
}

@test "a prompt longer than the window" {
    of_case odd-f16
    prompt=$(ids greedy 49)
    for path in naive cached; do
        refuses 1 '49 tokens, n_positions is 48' "$program" generate --model "$model" --tokens "$prompt" --path $path
    done
    continues "$greedy" -n 28 --overflow recompute
}

@test "no new tokens" {
    of_case tiny-f32
    continues "$prompt" -n 0
    prompt='1;2;3'
    continues '1;2;3' -n 0
}

@test "ids that the model does not have" {
    of_case tiny-f32
    refuses 1 '97 is not in 0..96' "$program" generate --model "$model" --tokens 1,97,2 -n 1
    refuses 1 '2147483647 is not in 0..96' "$program" generate --model "$model" --tokens '1,2;3,2147483647' -n 1
    refuses 2 '--tokens is needed' "$program" generate --model "$model"
}

# ---- logits

@test "the logits of every reference case, in any chunks" {
    for case in tiny-f32 odd-f16 gelu-erf-bf16; do
        of_case $case
        for path in naive cached; do
            for chunk in 1000 1 2 7; do
                ends 0 "$program" logits --model "$model" --tokens "$prompt" --path $path --chunk $chunk -o $path-$chunk
                is "$out" ''
            done
            ends 0 "$program" logits --model "$model" --tokens "$prompt" --path $path --out $path
        done
        holds 10
        python3 "$project/tests/check_logits.py" 1e-4 "$model/logits.safetensors" ./*
    done
}

@test "logits that cannot be written leave nothing" {
    echo a file >file
    mkdir folder
    for name in no-folder/logits file/logits folder; do
        refuses 1 $name "$program" logits --model "$tiny" --tokens 1,2 --out $name
        holds 2
    done
}

@test "what was there before stays until there is something whole in its place" {
    of_case odd-f16
    echo before >logits.safetensors
    refuses 1 '131 is not in 0..130' "$program" logits --model "$model" --tokens 1,131 --out logits.safetensors
    refuses 1 'n_positions is 48' "$program" logits --model "$model" --tokens "$(ids greedy 49)" --out logits.safetensors
    is "$(<logits.safetensors)" before
    holds 1
}

@test "speculation: the same ids, whatever drafts, on both paths and for every sequence" {
    local speculate
    for speculate in lookup:1 lookup:63 draft:kjv-draft:4 draft:kjv:3; do
        for options in '-n 60' '-n 30 --batch 3' '-n 260 --overflow shift' '-n 60 --path naive' '-n 60 --kv int4'; do
            # shellcheck disable=SC2086 # options are words
            ends 0 "$program" generate --prompt 'And the LORD said' --ids --temperature 0 $options
            expected=$out
            # shellcheck disable=SC2086
            ends 0 "$program" generate --prompt 'And the LORD said' --ids --temperature 0 $options --speculate $speculate
            is "$out" "$expected"
            [[ $err == *' tokens a step'* ]]
        done
    done
}

@test "speculation: what cannot draft is refused in one line" {
    ends 2 "$program" generate --speculate lookup:0
    [[ $err == *'0 tokens a step are not in 1..63'* ]]
    ends 2 "$program" generate --speculate draft:kjv:64
    [[ $err == *'64 tokens a step are not in 1..63'* ]]
    ends 2 "$program" generate --speculate guess:4
    [[ $err == *"'guess:4' is not known; use none, lookup:K or draft:MODEL:K"* ]]
    ends 2 "$program" generate --speculate draft:4
    [[ $err == *'use draft:MODEL:K'* ]]
    ends 1 "$program" generate --speculate draft:nowhere:4
    [[ $err == *"model 'nowhere' is neither a folder nor one of"* ]]
    ends 1 "$program" generate --speculate draft:gpt2:4
    [[ $err == *"has another vocabulary, gpt2 where the model has bytes"* ]]
    [ "$(wc -l <<<"$err")" = 1 ]
}
