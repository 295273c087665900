# kvbench replay: what the store finds of a trace's prompts, the requests it refuses, and generate --prefix, whose ids are
# those without. That the store and forks change no bit is test_kept.c's.

setup() {
    load helpers
    of_program
    speaker='kvbench replay: '
    chat=$project/data/trace/chat.jsonl
}

replay() {
    "$program" replay --threads 1 "$@"
}

# trace LINE...: the file trace.jsonl.
trace() {
    printf '%s\n' "$@" >trace.jsonl
}

@test "the hit rate is what prompts share, in whole blocks, with those before them" {
    for block in 1 16 32; do
        ends 0 replay --trace "$chat" --cache paged:$block --format json
        is "$err" ''
        python3 - "$chat" $block <<'END' "$out"
import json, sys

file, block, out = sys.argv[1], int(sys.argv[2]), sys.argv[3]
kept, asked, found = [], 0, 0
for line in open(file, encoding="utf-8"):
    prompt = json.loads(line)["prompt"].encode()  # the model's tokens are bytes
    common = 0
    for before in kept:
        n = next((i for i, (a, b) in enumerate(zip(prompt, before)) if a != b), min(len(prompt), len(before)))
        common = max(common, n)
    asked += len(prompt)
    found += min(common, len(prompt) - 1) // block * block
    kept.append(prompt)
without, with_store = map(json.loads, out.splitlines())
assert (without["store"], with_store["store"]) == ("without", "with")
assert without["requests"] == with_store["requests"] == len(kept)
assert without["hit_rate_pct"] == 0 and with_store["evicted_blocks"] == 0
assert abs(with_store["hit_rate_pct"] - 100 * found / asked) < 1e-4, (with_store["hit_rate_pct"], found, asked)
assert abs(with_store["bound"] - 1 / (1 - found / asked)) < 1e-4, with_store["bound"]
END
    done
}

@test "a small store evicts, keeps within its budget and finds less" {
    ends 0 replay --trace "$chat" --format json
    local large=$out
    ends 0 replay --trace "$chat" --store 1 --format json
    python3 - "$large" "$out" <<'END'
import json, sys

large, small = (json.loads(text.splitlines()[1]) for text in sys.argv[1:])
assert small["evicted_blocks"] > 0 and small["kept_bytes"] <= 2**20, small
assert 0 < small["hit_rate_pct"] < large["hit_rate_pct"], (small, large)
END
}

@test "requests that share nothing find nothing, ids are prompts, too, and empty lines are none" {
    trace '{"arrival_s": 0, "prompt": [1, 2, 3], "n": 2}' '' '{"arrival_s": 0, "prompt": [3, 2, 1], "n": 1}'
    ends 0 replay --trace trace.jsonl --cache paged:1 --format csv
    is "$(cut -d , -f 1-3 <<<"$out")" $'store,requests,hit_rate_pct\nwithout,2,0\nwith,2,0'
    trace '{"arrival_s": 0, "prompt": [1, 2, 3], "n": 2}' '{"arrival_s": 1, "prompt": [1, 2, 3], "n": 1}'
    ends 0 replay --trace trace.jsonl --cache paged:1 --format json
    counts 1 '"hit_rate_pct":33.33' "$out" # two of six: of the last token the logits are needed
}

@test "a trace that cannot be replayed" {
    local good='{"arrival_s": 1, "prompt": "a", "n": 1}'
    while IFS='|' read -r line part; do
        trace "$good" "$line"
        refuses 1 "trace.jsonl: line 2: $part" replay --trace trace.jsonl
    done <<'END'
nothing|it is no JSON object
[1]|it is no JSON object: another value
{"prompt": "a", "n": 1}|"arrival_s" is no time after
{"arrival_s": 0.5, "prompt": "a", "n": 1}|"arrival_s" is no time after
{"arrival_s": 2, "prompt": "a", "n": 0}|"n" is not in 1..256
{"arrival_s": 2, "prompt": "a"}|"n" is not in 1..256
{"arrival_s": 2, "n": 1}|it has no "prompt"
{"arrival_s": 2, "prompt": [], "n": 1}|it has no "prompt"
{"arrival_s": 2, "prompt": "", "n": 1}|its prompt is empty
{"arrival_s": 2, "prompt": [1, 256], "n": 1}|id 2 of its prompt is not in 0..255
{"arrival_s": 2, "prompt": [1.5], "n": 1}|id 1 of its prompt is not in 0..255
{"arrival_s": 2, "prompt": [1, 2], "n": 256}|2 tokens and 256 new ones are more
END
    : >trace.jsonl
    refuses 1 'there is no request in it' replay --trace trace.jsonl
    refuses 1 'no-such.jsonl' replay --trace no-such.jsonl
    refuses 2 'trace FILE is needed' replay
    trace "$good"
    refuses 1 'contiguous' replay --trace trace.jsonl --cache contiguous
    refuses 1 'store: 0 bytes are less than a block' replay --trace trace.jsonl --store 0
}

@test "--prefix gives the ids that there are without" {
    local prompt="In the beginning God created" plain
    for cache in contiguous paged:1 paged:16; do
        for sampling in '--temperature 0' '--temperature 1 --seed 3'; do
            read -ra options <<<"$sampling"
            ends 0 "$program" generate --threads 1 --prompt "$prompt" --batch 3 -n 20 --cache $cache --ids "${options[@]}"
            plain=$out
            for prefix in 1 16 27 28; do
                ends 0 "$program" generate --threads 1 --prompt "$prompt" --batch 3 -n 20 --cache $cache --ids \
                    "${options[@]}" --prefix $prefix
                is "$out" "$plain"
            done
        done
    done
    speaker='kvbench generate: '
    refuses 1 '29 is longer than the prompt of 28 tokens' "$program" generate --prompt "$prompt" --prefix 29
}
