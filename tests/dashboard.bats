# kvbench dashboard: which files it writes, with what for labels, and what it refuses. The numbers are held against a plain
# GPT-2 in test_dashboard_numbers.c, the picture is in dashboard_picture.bats.

setup() {
    load helpers
    of_program
    speaker='kvbench dashboard: '
}

dashboard() {
    "$program" dashboard "$@"
}

@test "files are named after layer and head" {
    while IFS='|' read -r options file; do
        ends 0 dashboard --model "$tiny" $options
        is "$out" "$file"
        is "$err" ''
        [[ -s $file ]]
    done <<'ROWS'
|kv_dashboard_l1_h0.csv
--heads all --layer 0|kv_dashboard_l0_hall.csv
--layers all|kv_dashboard_lall_h0.csv
--out d.gif|d.csv
ROWS
    holds 4
}

@test "at the window's end there are fewer tokens" {
    ends 0 dashboard --model "$tiny" --layer 0 --tokens 1,2,3 -n 100 -o d.gif
    counts 1 'warning: 62 of 100 new tokens are shown' "$err"
    is "$(tail -n 1 d.csv | cut -d, -f5)" 63
}

# Of synthetic GPT-2, so what is generated does not matter here.
@test "tokens are labelled with their text, and with their id where that is not plain" {
    ends 0 dashboard --model gpt2 --synthetic --prompt $' vibe coding!\n\xc3\xa9' -n 1 --heads all --out d.gif
    has "$(<d.csv)" $'\n0,token,,,0,,,27426,·vibe\n' $'\n0,token,,,2,,,0,!\n' $'\n0,token,,,3,,,198,↵\n' \
        $'\n0,token,,,4,,,2634,2634\n'
}

@test "with no option at all: the model that comes along, byte by byte" {
    ends 0 dashboard
    is "$out" kv_dashboard_l2_h0.csv
    is "$err" ''
    text=$(<kv_dashboard_l2_h0.csv)
    has "$text" $'\n,model,,,,,,,kjv\n'
    is "$(grep -c ^0,token, <<<"$text")" 7
    is "$(sed -n 's/^0,token,.*,//p' <<<"$text" | tr -d '\n')" 'And␣God'
}

@test "a cache in fewer bits has the weights of a float32 cache beside its own, and float32 has nothing" {
    ends 0 dashboard --model "$tiny" --layer 0 -n 3 -o plain.gif
    for kv in f32 f32/f32; do
        ends 0 dashboard --model "$tiny" --layer 0 -n 3 --kv "$kv" -o d.gif
        cmp d.csv plain.csv
    done
    is "$(grep -c -e _f32, -e ,kv, plain.csv)" 0
    for kv in bf16 int8 int4 f32/int8; do
        ends 0 dashboard --model "$tiny" --layer 0 --heads all -n 3 --kv "$kv" -o d.gif
        is "$err" ''
        counts 1 ",kv,,,,,,,$kv" "$(<d.csv)"
        is "$(grep -c ,attention_f32, d.csv)" 66 # of 2 heads and 10, 11 and 12 positions
        is "$(grep ,attention_f32, d.csv | cut -d, -f1,3-5)" "$(grep ,attention, d.csv | cut -d, -f1,3-5)"
    done
}

@test "mistakes leave nothing behind" {
    long=$(printf '1,%.0s' {1..64})9
    while IFS='|' read -r options status part; do
        refuses "$status" "$part" dashboard --model "$tiny" $options
        holds 0
    done <<ROWS
--prompt text --tokens 1,2|2|exclude each other
--layer 0 --prompt text|1|vocab_size
--layer 0 --tokens $long|2|--tokens: 65 tokens are more than the model's window of 64
--layer 2|2|--layer 2 is not in 0..1
--head 2|2|--head 2 is not in 0..1
--heads all --layers all|2|exclude each other
--heads all --head 1|2|exclude each other
--layers all --layer 1|2|exclude each other
--heads some|2|'some' is not one of all
--out picture.png|2|does not end in .gif
--tokens 1,2;3,4|2|2 sequences
--new 0|2|whole number of 1 to
--kv int3|2|'int3' is not one of f32
--kv int8 --path naive|2|unknown option '--path'
--layer 0 --tokens 1,97|1|97 is not in 0..96
--layer 0 --out no-folder/d.gif|1|no-folder/d.csv
--from d.csv|2|--from and --tables go together
--from d.csv --tables .|1|d.csv
ROWS
}
