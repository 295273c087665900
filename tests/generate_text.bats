# `kvbench generate` with text: the same on every path; batches, prompts, ends and mistakes. How it is written as it is
# made, and what a terminal shows, is in test_generate_terminal.c.

eot='<|endoftext|>'

setup() {
    load helpers
    of_program
}

# model NAME VOCAB_SIZE N_POSITIONS [ID:LOGIT...]: make_model.py's, in the folder NAME beside the sandbox.
model() {
    model=$BATS_TEST_TMPDIR/$1
    python3 "$project/tests/make_model.py" "$model" "${@:2}"
}

on_bytes() {
    model bytes 256 64
}

# a, b, c, d and blanks, so that whole texts can be told apart by what stands between them.
of_letters() {
    model letters 256 64 97:0 98:0 99:0 100:0 32:0
}

# Mostly "a", and about every tenth token the end of the text.
that_ends() {
    model ends 50257 64 64:0 50256:-2.2
}

# generate OPTION...: one thread, because the models are too small for more to do them good.
generate() {
    "$program" generate --threads 1 --model "$model" "$@"
}

# keep NAME: the text of the last run.
keep() {
    cp "$BATS_TEST_TMPDIR/out" "$BATS_TEST_TMPDIR/$1"
}

same_as() {
    cmp "$BATS_TEST_TMPDIR/out" "$BATS_TEST_TMPDIR/$1"
}

# ---- The same text

@test "a text is its ids: greedy and drawn, on both paths, past the window's end" {
    on_bytes
    for path in naive cached; do
        for temperature in 0 1.3; do
            options=(--prompt Hello --path "$path" --temperature "$temperature")
            ends 0 generate "${options[@]}" --ids -n 200 --overflow shift --top-k 40
            "$program" tokenize --decode --tokenizer bytes <"$BATS_TEST_TMPDIR/out" >"$BATS_TEST_TMPDIR/text"
            [[ $(tail -c 1 "$BATS_TEST_TMPDIR/text" | od -An -tx1) == ' 0a' ]] || echo >>"$BATS_TEST_TMPDIR/text"
            ends 0 generate "${options[@]}"
            same_as text
            [[ $(head -c 5 "$BATS_TEST_TMPDIR/out") == Hello ]]
            counts 1 ', 200 new tokens' "$err"
            counts 1 '--overflow shift' "$err"
        done
    done
}

@test "a seed's text is the same on every path, with any threads and chunks" {
    on_bytes
    ends 0 generate --top-k 0
    keep text
    [[ $(head -c 16 "$BATS_TEST_TMPDIR/out") == 'In the beginning' ]]
    for threads in 1 2 3; do
        for path in naive cached; do
            ends 0 generate --top-k 0 --seed 42 --threads $threads --path $path --chunk 3
            same_as text
        done
    done
    ends 0 generate --top-k 0 --seed 43
    ! cmp -s -n 40 "$BATS_TEST_TMPDIR/out" "$BATS_TEST_TMPDIR/text" || complain 'seeds 42 and 43 are alike'
}

@test "what leaves one token to draw from is greedy" {
    on_bytes
    ends 0 generate --temperature 0 --seed 9
    keep text
    for option in --top-k=1 --top-p=1e-9 --temperature=1e-9; do
        ends 0 generate $option
        same_as text
    done
}

@test "ids are greedy unless a temperature is given" {
    model=$tiny
    ends 0 generate --tokens 5,6,7
    greedy=$out
    ends 0 generate --tokens 5,6,7 --temperature 0 --seed 9 -n 50
    is "$out" "$greedy"
    ends 0 generate --tokens 5,6,7 --temperature 1 --path naive
    drawn=$out
    [[ $drawn != "$greedy" ]]
    ends 0 generate --tokens 5,6,7 --temperature 1 --threads 2
    is "$out" "$drawn"
}

@test "with no option at all it is the model that comes along" {
    ends 0 "$program" generate
    keep text
    [[ $out == 'In the beginning'* ]]
    [[ $(wc -c <"$BATS_TEST_TMPDIR/text") == 21[67] ]] # and a newline, unless it ends with one
    ends 0 "$program" generate --path naive --threads 3 --seed 42
    same_as text
}

@test "a name is the model's, whatever folders there are" {
    mkdir kjv
    ends 0 "$program" generate -n 5
    refuses 1 ./kjv/config.json "$program" generate -n 5 --model ./kjv
    ends 0 "$program" generate -n 5 --model "$tiny" --tokens 1 --synthetic
    counts 1 'synthetic weights, seed 42' "$err"
}

# ---- Batches and the end of a text

@test "a batch: the first text is that of one alone, the others differ" {
    of_letters
    ends 0 generate --prompt Z -n 30
    single=$out
    ends 0 generate --prompt Z -n 30 --batch 3
    mapfile -t lines <<<"$out"
    is "${#lines[@]} ${lines[1]} ${lines[3]}" '5 --- 2 of 3 --- --- 3 of 3 ---'
    is "${lines[0]}" "$single"
    is "${#lines[0]} ${#lines[2]} ${#lines[4]}" '31 31 31'
    [[ ${lines[2]} != "${lines[0]}" && ${lines[4]} != "${lines[2]}" ]]
    counts 1 '3 x 30 new tokens' "$err"
    ends 0 generate --prompt Z -n 30 --batch 3 --ids --temperature 1
    is "$("$program" tokenize --decode --tokenizer bytes <<<"${out//;/,}")" "${lines[0]}${lines[2]}${lines[4]}"
    counts 1 ';' "$out"
}

@test "a text ends at $eot where that is asked for" {
    that_ends
    ends 0 generate --prompt b
    has "$out" "$eot"
    text=${out%%"$eot"*}
    ends 0 generate --prompt b --stop-at-eot
    is "$out" "$text"
    has "$err" ", ${#text} new token"
    counts 1 '(to <|endoftext|>), TTFT' "$err"
}

@test "every text of a batch has its own end, in text and in ids" {
    that_ends
    ends 0 generate --prompt b --stop-at-eot --batch 4
    lacks "$out" endoftext
    mapfile -t texts < <(grep -v '^---' <<<"$out")
    is "${#texts[@]} $(tr -d 'a\n' <<<"${texts[*]}")" '4 b b b b'
    [[ $(printf '%s\n' "${texts[@]}" | sort -u | wc -l) -gt 1 ]]
    longest=$(printf '%s\n' "${texts[@]}" | awk 'length > n { n = length } END { print n }')
    counts 1 "4 x $longest new tokens (to <|endoftext|>)" "$err"
    ends 0 generate --tokens 65 --stop-at-eot --batch 4 --temperature 1 --top-k 40 -n 200 --overflow shift
    ids=${texts[*]//a/,64}
    ids=${ids// /;}
    is "$out" "${ids//b/65}"
}

# ---- Prompts and the window

@test "a prompt stands before its text, and a newline behind" {
    of_letters
    while read -r prompt expected; do
        prompt=$(printf '%b.' "$prompt") expected=$(printf '%b.' "$expected")
        ends 0 generate --prompt "${prompt%.}" -n 0
        printf %s "${expected%.}" | cmp - "$BATS_TEST_TMPDIR/out"
        is "$err" ''
    done <<'END'
a a\n
a\n a\n
a\n\n a\n\n
\xff\xe2\x82 \xff\xe2\x82\n
END
    ends 0 generate -n 0
    is "$out" 'In the beginning'
    ends 0 generate -n 0 --ids
    is "$out" 73,110,32,116,104,101,32,98,101,103,105,110,110,105,110,103
    that_ends
    ends 0 generate -n 0
    is "$out" ' I am vibe coding to learn kv cache. To do that I am benchmarking kv cache.'
    ends 0 generate -n 0 --ids
    [[ $out == 314,716,27426,* ]]
}

@test "at the window's end" {
    of_letters
    prompt=$(printf 'b%.0s' {1..100})
    ends 0 generate --prompt Z --overflow stop
    is "$(wc -c <"$BATS_TEST_TMPDIR/out")" $((64 + 1 + 1))
    counts 1 "stopped after 64 of 200 new tokens at the window's end" "$err"
    ends 0 generate --prompt "$prompt" -n 20
    [[ $out == "$prompt"* && $(wc -c <"$BATS_TEST_TMPDIR/out") == $((100 + 20 + 1)) ]]
    refuses 1 '--prompt: 100 tokens, n_positions is 64' generate --prompt "$prompt" -n 20 --overflow stop
}

@test "an id beyond the tokenizer's has no text, and takes none from the others" {
    model beyond 50304 64 64:0 50300:0 tokenizer=gpt2
    ends 0 generate --prompt b -n 40
    [[ $out =~ ^ba{5,35}$ ]]
}

# ---- Prompts of a file

# alone LINE ROW: the ids of that prompt as row ROW, from 0, of a batch of it, which has the draws of ROW.
alone() {
    generate --prompt "$1" --batch $(($2 + 1)) --ids "${options[@]}" 2>/dev/null | tr ';' '\n' | tail -n 1
}

# piped FILE OPTION...: its prompts from stdin.
piped() {
    generate --prompts - "${@:2}" <"$1"
}

@test "a prompt a line: each has the ids that it has alone, greedy and drawn, on both paths, in any chunks" {
    on_bytes
    lines=(Hello a 'In the beginning was the Word, and the Word was' 'x y' a)
    printf '%s\n' "${lines[@]}" >prompts
    for extra in '--temperature 0' '--temperature 1.3 --seed 7' '--temperature 1 --path naive --overflow shift' \
        '--temperature 1 --chunk 3 --overflow recompute' '--temperature 1 --cache contiguous --kv int8'; do
        read -ra options <<<"-n 40 $extra"
        expected=
        for row in "${!lines[@]}"; do
            expected+=";$(alone "${lines[row]}" "$row")"
        done
        ends 0 generate --prompts prompts --ids "${options[@]}"
        is "$out" "${expected#;}"
        ends 0 piped prompts --ids "${options[@]}"
        is "$out" "${expected#;}"
    done
    ends 0 generate --prompts prompts --ids -n 40 --overflow stop
    counts 1 "1 of 5 sequences stopped before 40 new tokens at the window's end (n_positions 64)" "$err"
    counts 1 'a step of 4-5 sequences ' "$err"
}

@test "the texts of prompts stand behind their numbers, whatever ends the lines" {
    of_letters
    printf 'Z\r\nYY' >prompts
    ends 0 generate --prompts prompts -n 30
    mapfile -t lines <<<"$out"
    is "${#lines[@]} ${lines[1]}" '3 --- 2 of 2 ---'
    is "${#lines[0]} ${lines[0]:0:1} ${#lines[2]} ${lines[2]:0:2}" '31 Z 32 YY'
    ends 0 generate --prompt Z -n 30
    is "$out" "${lines[0]}"
}

@test "who has ended leaves the batch, and the figures say what a step then takes" {
    that_ends
    yes b | head -n 9 >prompts
    ends 0 generate --prompts prompts --stop-at-eot --seed 3
    is "$(grep -c '^b' <<<"$out")" 9
    lacks "$out" endoftext
    [[ $err =~ a\ step\ of\ 8(-9)?\ sequences\ [0-9.]+\ ms\ \([0-9]+\),\ of\ 4-7\ .*,\ of\ 1\ sequence\ [0-9.]+\ ms\ \([0-9]+\)$ ]]
}

@test "prompts that are none" {
    of_letters
    : >empty
    printf 'a\n\nb\n' >gap
    printf '\n' >blank
    printf 'a\nb\0c\n' >binary
    printf 'a\n%s\n' "$(printf 'b%.0s' {1..65})" >long
    printf 'a\n' >good
    refuses 2 'empty is empty; give a prompt a line' generate --prompts empty
    refuses 2 'stdin is empty; give a prompt a line' piped empty
    refuses 2 'line 2 of gap is empty; give at least one character, or leave it out' generate --prompts gap
    refuses 2 'line 1 of blank is empty' generate --prompts blank
    refuses 2 'line 2 of binary has a zero byte in it; give plain text' generate --prompts binary
    refuses 1 'line 2 of long: 65 tokens, n_positions is 64' generate --prompts long --overflow stop
    refuses 1 'nothing: No such file or directory' generate --prompts nothing
    refuses 1 'Is a directory' generate --prompts .
    refuses 2 '--prompts and --prompt exclude each other' generate --prompts good --prompt a
    refuses 2 '--prompts and --tokens exclude each other' generate --prompts good --tokens 1
    refuses 2 '--prompts and - exclude each other' generate --prompts good -
    refuses 2 'leave out --batch' generate --prompts good --batch 2
    ends 0 generate --prompts long -n 5
    model=$tiny
    refuses 1 'no tokenizer has vocab_size 97' generate --prompts "$PWD/good"
}

# ---- Both paths in turns

# table TOKENS: the figures of both paths, and how they compare; naive keeps no cache.
table() {
    awk -v n="$1" '/^path  *tokens  *TTFT, ms  *TTPT \(TPOT\), ms  *tokens\/s  *cache, MiB$/ { head = NR }
        head && NR == head + 1 { naive = $1 == "naive" && $2 == n && $3 >= 0 && $4 >= 0 && $5 > 0 && $6 < 0.001 }
        head && NR == head + 2 { cached = $1 == "cached" && $2 == n && $3 >= 0 && $4 >= 0 && $5 > 0 && $6 > 0 }
        head && NR == head + 3 { faster = /^cached is [0-9.]+ times as fast/ && $3 > 0 }
        END { exit !(naive && cached && faster) }' <<<"$err" || complain "no table of $1 tokens: $err"
}

@test "both paths write the text of either alone, once, past the window's end" {
    on_bytes
    ends 0 generate --seed 5
    keep text
    ends 0 generate --seed 5 --path both
    same_as text
    table 200
    counts 1 '--overflow shift' "$err"
    lacks "$err" differ
    ends 0 generate --tokens 1,2,3 -n 30
    ids=$out
    ends 0 generate --tokens 1,2,3 -n 30 --path both
    is "$out" "$ids"
    table 30
}

@test "with no step to compare nothing is said about speed" {
    of_letters
    for n in 0 1; do
        ends 0 generate --prompt Z --path both -n $n
        is "${#out}" $((1 + n))
        counts 2 ' - ' "$err"
        lacks "$err" 'times as fast' nan
    done
}

# ---- Arms in turns

@test "a race: each arm writes its own text, and where they part is said" {
    on_bytes
    ends 0 generate --seed 5 -n 60
    keep text
    ends 0 generate --seed 5 -n 60 --race '' '--path naive' '--seed 6 --top-k 0'
    mapfile -t marks < <(grep -a -n -o '^--- .* ---$' "$BATS_TEST_TMPDIR/out")
    is "${#marks[@]} ${marks[0]#*:} ${marks[1]#*:}" '2 --- B --path naive --- --- C --seed 6 --top-k 0 ---'
    head -c "$(stat -c %s "$BATS_TEST_TMPDIR/text")" "$BATS_TEST_TMPDIR/out" | cmp - "$BATS_TEST_TMPDIR/text"
    counts 1 'B writes what A writes' "$err"
    counts 1 'C differs from A from new token 1 on (A ' "$err"
    is "$(awk '/^arm  / { head = NR } head && NR > head && NR < head + 4 { printf "%s ", $1 }' <<<"$err")" 'A B C '
    counts 1 ' times as fast as A' "$(grep '^B is' <<<"$err")"
}

@test "the ids of a race are those of each arm alone" {
    model=$tiny
    read -ra options <<<"--tokens 5,6,7 -n 12"
    ends 0 generate "${options[@]}" --kv int4
    fewer=$out
    ends 0 generate "${options[@]}" --weights bf16 --temperature 1 --seed 3
    drawn=$out
    ends 0 generate "${options[@]}" --race '--kv int4' '--weights bf16 --temperature=1 --seed 3'
    is "$out" "$fewer"$'\n'"$drawn"
}

# ---- Mistakes

@test "mistakes" {
    of_letters
    n=0
    while IFS='|' read -r options part; do
        eval "options=($options)"
        refuses 2 "$part" generate "${options[@]}"
        n=$((n + 1))
    done <<'END'
--prompt a --tokens 1|--prompt and --tokens exclude each other
--prompt ''|--prompt: the text is empty
--tokens '1;2' --batch 2|leave out --batch
--path both --batch 2|--path both shows one sequence, not 2
--path both --tokens '1;2;3'|--path both shows one sequence, not 3
--race '--kv int8' '' --batch 2|--race shows one sequence, not 2
--race '' '' --path both|--race and --path both exclude each other
--race ''|a value is missing after ''
--race|a value is missing after '--race'
--race '' '--kv int9'|--kv: 'int9' is not one of
--race '' '--nothing'|unknown option '--nothing'
--race '' '--kv'|a value is missing after '--kv'
--race '' '--path both'|an arm has one path
--race '' '--threads 2'|the threads of all
--race '' 'naive'|unexpected argument 'naive'
--race '' '' '--kv int8' '--kv int4'|unknown option '--kv int4'
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
END
    is $n 26
}

@test "a model without a tokenizer continues ids alone, and too large a batch has no memory" {
    model=$tiny
    refuses 1 'no tokenizer has vocab_size 97' generate --prompt a
    refuses 2 '--tokens is needed: ' generate
    ends 1 generate --tokens 1 --batch 2147483647
    is "$out" ''
    that_ends
    export KVBENCH_DATA=/nowhere
    refuses 1 /nowhere/gpt2/vocab.bpe generate
    ends 0 generate --tokens 1 -n 1
}

@test "the prompt comes from stdin, too, and a text that stands alone is told of" {
    model=kjv
    ends 0 generate --prompt 'And the LORD' -n 5
    expected=$out
    for dash in - '--prompt -'; do
        is "$(printf 'And the LORD\n' | generate $dash -n 5 2>/dev/null)" "$expected"
    done
    refuses 2 "--prompt 'And the LORD'" generate 'And the LORD'
    refuses 2 'exclude each other' generate - --prompt text
    refuses 2 'the text on stdin is empty' generate -
}
