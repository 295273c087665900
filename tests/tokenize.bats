# `kvbench tokenize`: what it reads, writes and refuses, and which tokenizer a model uses.

setup() {
    load helpers
    of_program
}

# tokenize FORMAT OPTION...: of what printf makes of FORMAT.
tokenize() {
    printf -- "$1" | "$program" tokenize "${@:2}"
}

# What printf makes of the first, the options, and what printf makes of the last comes out.
@test "text to ids and back" {
    n=0
    while IFS='~' read -r format options expected; do
        ends 0 tokenize "$format" $options
        printf -- "$expected" | cmp - "$BATS_TEST_TMPDIR/out"
        is "$err" ''
        n=$((n + 1))
    done <<'END'
Hello, world!~~15496,11,995,0\n
~~\n
hello\n~--model gpt2-xl~31373,198\n
hi\377~--tokenizer bytes~104,105,255\n
<|endoftext|>~~27,91,437,1659,5239,91,29\n
<|endoftext|>~--special~50256\n
15496,11,995,0\n~--decode~Hello, world!
 15496 11,\n995\t0~--decode~Hello, world!
104,105,10~--decode --tokenizer bytes~hi\n
\n~--decode~
END
    is $n 10
}

@test "what is refused" {
    while IFS='~' read -r format options part; do
        refuses 2 "$part" tokenize "$format" $options
    done <<'END'
12,x~--decode~byte 3
1,,2~--decode~byte 2
1 , ,2~--decode~byte 4
,1~--decode~byte 0
1,~--decode~byte 2
1 +2~--decode~byte 2
0x1~--decode~byte 0
-1~--decode~byte 0
99999999999~--decode~byte 0
1\0002~--decode~byte 1
50257~--decode~50257
a~--tokenizer words~words
a~--model no-such-model~no-such-model
END
    KVBENCH_DATA=/nowhere refuses 1 /nowhere/gpt2/vocab.bpe tokenize a
}

# The vocabulary, more of config.json, and the ids of "hi" or what is said.
@test "a folder's tokenizer is that of its config.json" {
    while IFS='~' read -r vocab_size more expected; do
        echo "{\"n_layer\":1,\"n_head\":1,\"n_embd\":8,\"n_positions\":8,\"vocab_size\":$vocab_size$more}" >config.json
        if [[ $expected == [0-9]*,* || $expected == 5303 ]]; then
            ends 0 tokenize hi --model .
            is "$out" "$expected"
        else
            refuses 1 "config.json: " tokenize hi --model .
            has "$err" "$expected"
        fi
    done <<'END'
50257~~5303
256~~104,105
50304~,"kvbench_tokenizer":"gpt2"~5303
50257~,"kvbench_tokenizer":"bytes"~104,105
257~~vocab_size 257
256~,"kvbench_tokenizer":"gpt2"~50257
256~,"kvbench_tokenizer":"words"~kvbench_tokenizer
256~,"kvbench_tokenizer":1~kvbench_tokenizer
END
    rm config.json
    refuses 1 config.json tokenize hi --model .
}
