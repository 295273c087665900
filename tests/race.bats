# kvbench race: what it records of a text on both paths, what it refuses, and the picture that plots/dashboard.sh draws.

setup() {
    load helpers
    of_program
    speaker='kvbench race: '
}

race() {
    "$program" race --threads 1 "$@"
}

@test "what each path computes for every word, and its time, which only grows" {
    ends 0 race -n 4 --prompt "The voice of" --out r.gif
    is "$out" r.csv
    is "$err" ''
    python3 - r.csv <<'END'
import csv, sys

rows = list(csv.DictReader(open(sys.argv[1])))
assert [r["word"] for r in rows[:3]] == ["The", "voice", "of"] and len(rows) == 7
assert [int(r["turn"]) for r in rows] == [1, 1, 1, 2, 3, 4, 5]
n_prompt = sum(int(r["positions"]) for r in rows[:3])
assert n_prompt == len("The voice of")
window, naive, times = n_prompt, n_prompt, {"naive_ms": 0, "cached_ms": 0}
for r in rows:
    if int(r["turn"]) > 1:
        for _ in range(int(r["positions"])):
            window += 1
            naive += window
    assert (int(r["naive_rows"]), int(r["cached_rows"])) == (naive, window), r
    for name in times:
        assert float(r[name]) > times[name] or r["turn"] == "1", r
        times[name] = float(r[name])
assert times["naive_ms"] > times["cached_ms"]
assert {r["unit"] for r in rows} == {"letter"} and {r["runs"] for r in rows} == {"15"}
assert {int(r["kv_bytes"]) for r in rows} == {window * 5120}
END
}

@test "GPT-2's tokens are words; a text that the window ends is shorter" {
    ends 0 race --model gpt2 --synthetic --isa avx2 --prompt "And the LORD" -n 1 --out r.gif
    is "$(cut -d , -f 2,3,11 r.csv | head -n 4)" $'word,positions,unit\nAnd,1,token\nthe,1,token\nLORD,1,token'
    ends 0 race --prompt "$(printf 'word%.0s' {1..63})" -n 9 --out r.gif
    is "$(awk -F , 'NR > 1 { n += $3 } END { print n }' r.csv)" 256
}

@test "mistakes leave nothing behind" {
    while IFS='|' read -r options status part; do
        eval "refuses $status '$part' race $options"
        is "$(ls -A)" ''
    done <<'END'
--out picture.png|2|does not end in .gif
--prompt ""|2|the text is empty
--prompt "a b c d e f" -n 11|2|more than the 16 that the picture has room for
--prompt "$(printf "%0257d" 0)"|2|257 tokens are more than
--out no/such/r.gif|1|no/such
END
}

@test "the picture: three frames a turn and a pause, under 500 KB, drawn again the same" {
    printf '%s\n' 'turn,word,positions,naive_rows,cached_rows,naive_ms,cached_ms,model,weights,threads,unit,runs,kv_bytes' \
        '1,"It'\''s,",4,9,9,0.2,0.2,a/model,BF16,1,letter,15,61440' '1,{/:Bold x}_2^3,5,9,9,0.2,0.2,a/model,BF16,1,letter,15,61440' \
        '2,end.,5,60,14,28.5,8.1,a/model,BF16,1,letter,15,61440' >r.csv
    export KVBENCH_PROGRAM=$program
    ends 0 "$project/plots/dashboard.sh" r.csv r.gif
    is "$out" r.gif
    is "$err" ''
    [[ $(wc -c <r.gif) -lt 500000 ]]
    # A frame begins with its graphic control extension.
    is "$(LC_ALL=C grep -aobP '\x21\xf9\x04' r.gif | wc -l)" 15
    mv r.gif first.gif
    ends 0 "$project/plots/dashboard.sh" r.csv r.gif
    cmp r.gif first.gif
    # The largest record there can be.
    ends 0 race -n 13 --out r.gif
    ends 0 "$project/plots/dashboard.sh" r.csv r.gif
    [[ $(wc -c <r.gif) -lt 500000 ]]
}
