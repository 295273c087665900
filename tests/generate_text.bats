# kvbench generate with text, of the small model that comes along: the same on every path, its options and its ends, both
# paths at once into a file, and being interrupted.

setup() {
    load helpers
    of_program
}

teardown() {
    stop_child
}

# One thread: the model is too small for more to do it good.
generate() {
    "$program" generate --threads 1 "$@"
}

# text OPTION...: all bytes, newlines at the end among them, into $text.
text() {
    ends 0 generate "$@"
    text=$(cat "$BATS_TEST_TMPDIR/out" && echo .)
}

# ---- The same text ---------------------------------------------------------------------------------------------

@test "the text is that of the ids, which are bytes, on every path and past the window's end" {
    for path in cached naive; do
        for temperature in 0 1.3; do
            draw=(--prompt Hello --path $path --temperature $temperature -n 300)
            ends 0 generate "${draw[@]}" --ids --overflow shift --top-k 40
            ids=$out
            ends 0 generate "${draw[@]}"
            counts 1 ', 300 new tokens' "$err"
            counts 1 '--overflow shift' "$err"
            [[ $out == Hello* ]]
            "$program" tokenize --decode --tokenizer bytes <<<"$ids" >ids.txt
            head -c 305 "$BATS_TEST_TMPDIR/out" | cmp - ids.txt
        done
    done
}

@test "a seed draws the same with any path, threads and chunk" {
    text --top-k 0
    expected=$text
    [[ $text == 'In the beginning'* ]]
    for path in cached naive; do
        for threads in 1 2 3; do
            text --top-k 0 --seed 42 --threads $threads --path $path --chunk 3
            is "$text" "$expected"
        done
    done
    text --top-k 0 --seed 43
    [[ $text != "$expected" ]]
}

@test "with no option at all" {
    ends 0 "$program" generate
    expected=$out
    [[ $out == 'In the beginning'* ]]
    size=$(stat -c %s "$BATS_TEST_TMPDIR/out")
    [[ $size == 216 || $size == 217 ]] # and a newline, unless it ends with one
    ends 0 "$program" generate --path naive --threads 2
    is "$out" "$expected"
}

@test "what leaves one token to draw from is greedy, whatever the temperature" {
    text --temperature 0 --seed 9
    expected=$text
    for choice in top-k=1 top-p=1e-9 temperature=1e-9; do
        text --$choice
        is "$text" "$expected"
    done
}

@test "ids are greedy unless a temperature is given" {
    draw=(--model "$tiny" --tokens 5,6,7)
    ends 0 generate "${draw[@]}"
    greedy=$out
    ends 0 generate "${draw[@]}" --temperature 0 --seed 9 -n 50
    is "$out" "$greedy"
    ends 0 generate "${draw[@]}" --temperature 1 --path naive
    drawn=$out
    [[ $drawn != "$greedy" ]]
    ends 0 generate "${draw[@]}" --temperature 1 --threads 2
    is "$out" "$drawn"
}

@test "a batch is from one prompt, each with draws of its own, the first as alone" {
    ends 0 generate --prompt Z -n 30 --ids --temperature 1
    single=$out
    ends 0 generate --prompt Z -n 30 --batch 3 --ids --temperature 1
    IFS=';' read -r first second third <<<"$out"
    is "$first" "$single"
    [[ $second != "$first" && $third != "$second" && $second == 90,* && $third == 90,* ]]
    ends 0 generate --prompt Z -n 30 --batch 3 --top-k 0
    counts 1 '3 x 30 new tokens' "$err"
    is "$out" "$(
        for row in "$first" "--- 2 of 3 ---" "$second" "--- 3 of 3 ---" "$third"; do
            [[ $row == -* ]] && echo "$row" && continue
            "$program" tokenize --decode --tokenizer bytes <<<"$row" | sed -z 's/\n*$/\n/'
        done
    )"
}

# ---- Prompts and the window's end ------------------------------------------------------------------------------

@test "prompts are printed as they are, and end with a newline" {
    for prompt in a $'a\n' $'a\n\n' $'\xff\xe2\x82'; do
        ends 0 generate --prompt "$prompt" -n 0
        is "$err" ''
        expected=$prompt
        [[ $prompt == *$'\n' ]] || expected+=$'\n'
        cmp "$BATS_TEST_TMPDIR/out" <(printf %s "$expected")
    done
    ends 0 generate -n 0
    is "$out" 'In the beginning'
    ends 0 generate -n 0 --ids
    is "$out" 73,110,32,116,104,101,32,98,101,103,105,110,110,105,110,103
    ends 0 generate --model gpt2 --synthetic -n 0
    is "$out" ' I am vibe coding to learn kv cache. To do that I am benchmarking kv cache.'
    ends 0 generate --model gpt2 --synthetic -n 0 --ids
    [[ $out == 314,716,27426,* ]]
}

@test "the window's end" {
    long=$(printf 'b%.0s' {1..300})
    ends 0 generate --prompt Z --overflow stop -n 300 --ids
    is "$(tr , '\n' <<<"$out" | wc -l)" 257
    counts 1 "stopped after 256 of 300 new tokens at the window's end" "$err"
    text --prompt "$long" -n 20
    [[ $text == "$long"* ]]
    refuses 1 '--prompt: 300 tokens, n_positions is 256' generate --prompt "$long" -n 20 --overflow stop
}

# ---- Both paths at once ----------------------------------------------------------------------------------------

# compared N: stderr ends with a row a path, of N tokens, and how they compare.
compared() {
    local rows
    rows=$(sed -n '/^path       tokens   TTFT, ms   TTPT, ms   tokens\/s  cache, MiB$/,$p' <<<"$err")
    is "$(wc -l <<<"$rows")" 4
    awk -v n="$1" 'NR == 2 { good = $1 == "naive" && $2 == n && $3 >= 0 && $4 >= 0 && $5 > 0 && $6 == 0 }
        NR == 3 { good = good && $1 == "cached" && $2 == n && $3 >= 0 && $4 >= 0 && $5 > 0 && $6 > 0 }
        NR == 4 { good = good && /^cached is [0-9.]+ times as fast$/ }
        END { exit !good }' <<<"$rows" || complain "$rows"
}

@test "both paths write their one text once, and are compared" {
    text --seed 5 -n 300
    expected=$text
    text --seed 5 -n 300 --path both
    is "$text" "$expected"
    compared 300
    counts 1 '--overflow shift' "$err"
    lacks "$err" differ
    ends 0 generate --tokens 1,2,3 -n 30
    expected=$out
    ends 0 generate --tokens 1,2,3 -n 30 --path both
    is "$out" "$expected"
    compared 30
}

@test "with no step to compare there is nothing to say about speed" {
    for n in 0 1; do
        ends 0 generate --prompt Z --path both -n $n --ids
        counts 2 ' - ' "$err"
        lacks "$err" 'times as fast' nan
    done
}

# ---- Interrupted -----------------------------------------------------------------------------------------------

@test "about every second a line says what each path has done of the same time; interrupted, what there is stays" {
    start "$program" generate --threads 1 --path both -n 100000000 --overflow recompute
    soon grep -q cached "$BATS_TEST_TMPDIR/err"
    kill -INT "$child"
    finishes 130
    [[ $(tail -c 1 "$BATS_TEST_TMPDIR/out") == '' ]]
    [[ $err =~ ^naive\ ([0-9]+)\ tokens,\ [0-9.]+\ tokens/s\ \|\ cached\ ([0-9]+)\ tokens ]]
    [[ ${BASH_REMATCH[1]} -gt 0 && ${BASH_REMATCH[2]} -gt ${BASH_REMATCH[1]} ]]
    has "$err" $'\npath '
    lacks "$err" 'times as fast'
    rm "$BATS_TEST_TMPDIR/out" # or what is there already would be taken for the next run's
    start "$program" generate --threads 1 -n 100000000 --prompt Z
    soon test -s "$BATS_TEST_TMPDIR/out"
    kill -INT "$child"
    finishes 130
    [[ $out == Z* && $(tail -c 1 "$BATS_TEST_TMPDIR/out") == '' ]]
    counts 1 TTFT "$err"
}

@test "a reader that goes away, or a full disk, ends the run at once" {
    status=0
    generate -n 100000000 >/dev/full 2>err || status=$?
    is $status 1
    counts 1 ': stdout cannot be written: No space left on device' "$(<err)"
    set +o pipefail
    generate -n 100000000 2>err | head -c 1 >first || true
    is "${PIPESTATUS[0]}" 141
}

# ---- Mistakes --------------------------------------------------------------------------------------------------

@test "mistakes" {
    while IFS='|' read -r options part; do
        refuses 2 "$part" generate $options
    done <<'ROWS'
--prompt a --tokens 1|--prompt and --tokens exclude each other
--tokens 1;2 --batch 2|leave out --batch
--path both --batch 2|--path both shows one sequence, not 2
--path both --tokens 1;2;3|--path both shows one sequence, not 3
--top-p 0|--top-p: 0 is not above 0
--top-p 1e-50|--top-p: 1e-50 is not above 0
--top-p 1.01|--top-p: 1.01 is not above 0 and at most 1
--top-p -1|--top-p: '-1'
--top-k -1|--top-k: '-1'
--temperature -0.1|--temperature: '-0.1'
--temperature nan|--temperature: 'nan'
--temperature hot|--temperature: 'hot'
--batch 0|--batch: '0'
--stop-at-eot|--stop-at-eot: the model's tokenizer, 'bytes', has no <|endoftext|>
ROWS
    refuses 2 '--prompt: the text is empty' generate --prompt ''
    refuses 1 'no tokenizer has vocab_size 97' generate --model "$tiny" --prompt a
    refuses 2 '--tokens is needed: ' generate --model "$tiny"
    ends 1 generate --model "$tiny" --tokens 1 --batch 2147483647
    is "$out" ''
    export KVBENCH_DATA=/nowhere
    ends 1 generate --model gpt2 --synthetic
    has "$err" /nowhere/gpt2/vocab.bpe
    ends 0 generate --model gpt2 --synthetic --tokens 1 -n 1
}
