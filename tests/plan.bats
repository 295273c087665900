# kvbench plan, and the planner of the page: what is served, fits and limits, on a run whose times follow a formula.

# The cached cells of suites batch and grid of the reference run. Times are 5 + batch / 2 + batch context / 500 ms, probes
# 50 GB/s and 500 GFLOP/s, and what is resident is 100 MB more than weights and cache.
make_run() {
    python3 - "$BATS_TEST_DIRNAME/../data/results/reference" "$1" "$2" <<'PYTHON'
import csv, json, pathlib, sys

reference, out, memory = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), int(sys.argv[3])
out.mkdir()
rows = list(csv.DictReader(open(reference / "runs.csv")))
kept = [r for r in rows if r["path"] == "cached" and r["suite"] in ("batch", "grid") and r["status"] == "ok"]
for row in kept:
    batch, context = int(row["batch"]), int(row["prompt_tokens"]) + int(row["new_tokens"]) / 2
    row["ttpt_ms"] = 5 + batch / 2 + batch * context / 500
    row["rss_peak_bytes"] = 494128128 + int(row["kv_reserved_bytes"]) + 100_000_000
    row["probe_read_bytes_per_s"], row["probe_fma_flop_per_s"] = 50e9, 500e9
with open(out / "runs.csv", "w", newline="") as file:
    writer = csv.DictWriter(file, rows[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows(kept)
context = json.load(open(reference / "context.json"))
context["machine"]["memory"]["total_bytes"] = memory
json.dump(context, open(out / "context.json", "w"))
PYTHON
}

setup_file() {
    make_run "$BATS_FILE_TMPDIR/run" $((8 << 30))
}

setup() {
    load helpers
    of_program
    run=$BATS_FILE_TMPDIR/run
}

# plans RUN OPTION... -- KEY=VALUE...: the row has these values, numbers within a millionth.
plans() {
    local given=()
    while [[ $1 != -- ]]; do
        given+=("$1")
        shift
    done
    ends 0 "$program" plan "${given[@]}" --format json
    python3 -c '
import json, sys
row = json.loads(sys.argv[1])
for pair in sys.argv[2:]:
    key, value = pair.split("=")
    found = row[key]
    same = found == value if isinstance(found, str) else abs(found - float(value)) <= 1e-6 * abs(float(value))
    assert same, f"{key} is {found}, not {value}"' "$out" "${@:2}"
}

@test "four lines say what is served, fits and limits" {
    ends 0 "$program" plan "$run" --ttpt 20ms --context 1024
    counts 1 'goal    20 ms a token at context 1,024: gpt2 on AMD EPYC, cached, weights f32' "$out"
    counts 1 'serves  5 sequences, 282 tokens/s in all, at 17.7 ms a token (interpolated, measured were batches 1 to 16)' "$out"
    counts 1 'fits    batch 105 at context 1,024, context 1,024 (the model'\''s window) at batch 5, in 8.0 GiB: 0.46 of weights, 72 KiB' "$out"
    counts 1 'limit   memory bandwidth: reading 0.872 GB takes 17.4 ms at 50 GB/s' "$out"
    is "$(wc -l <<<"$out")" 4
}

@test "figures are those of the formulas" {
    # 12 layers of 768, 50257 tokens: weights 494128128 B, 73728 B a position; flops as kv_step_work in kvbench.h has them
    local flops='5*(12*(2*(4*768**2+2*768*3072)+4*768*1024)+2*768*50257)/500e9*1e3'
    plans "$run" --ttpt 20 --context 1024 -- batch=5 ttpt_ms=17.74 tok_s=281.848929 source=interpolated \
        "fit_batch=$(python3 -c 'print((2**33 - 494128128 - 10**8) // (1024 * 73728))')" fit_context=1024 \
        "read_ms=$(python3 -c 'print((494128128 + 5 * 1024 * 73728) / 50e9 * 1e3)')" \
        "compute_ms=$(python3 -c "print($flops)")" 'limit=memory bandwidth'
    # a measured point itself, and between contexts and batches at once
    plans "$run" --ttpt 15.192ms --context 1024 -- batch=4 ttpt_ms=15.192 source=measured
    plans "$run" --ttpt 0.02s --context 500 -- batch=10 ttpt_ms=20 source=interpolated
    plans "$run" --ttpt 100ms --context 1024 -- batch=16 'source=the largest measured'
    plans "$run" --ttpt 40ms --context 46 -- batch=32 'limit=arithmetic'
}

@test "a goal that is not met, and what is more than measured, are said" {
    ends 0 "$program" plan "$run" --ttpt 7ms --context 1024
    counts 1 'serves  none: batch 1, the smallest that was measured, takes 7.55 ms a token' "$out"
    ends 0 "$program" plan "$run" --ttpt 100ms --context 1024
    has "$out" 'serves  16 sequences' 'the largest batch measured at this context: more may meet the goal'
    refuses 1 'nothing was measured around context 1025, only from 46 to 1024' "$program" plan "$run" --context 1025
    refuses 1 'only from 46' "$program" plan "$run" --context 45
}

@test "memory can be what limits" {
    make_run small $((900 << 20))
    # 900 MiB less weights and rest: 349590272 B, 4 sequences of 1024 positions
    plans small --ttpt 100ms --context 1024 -- batch=4 fit_batch=4 'limit=memory capacity'
    make_run tiny $((500 << 20))
    ends 0 "$program" plan tiny --ttpt 100ms --context 1024
    counts 1 'serves  none: batch 1, the smallest that was measured, does not fit' "$out"
    counts 1 'limit   memory capacity' "$out"
}

@test "without a context the memory is unknown, and without cached cells nothing is" {
    cp -r "$run" bare
    rm bare/context.json
    ends 0 "$program" plan bare
    counts 1 'fits    unknown' "$out"
    counts 1 'serves  5 sequences' "$out"
    grep -v ,cached, "$project/data/results/reference/runs.csv" >bare/runs.csv
    refuses 1 'no generation of a path with a cache' "$program" plan bare
    refuses 2 "'soon' is not a time" "$program" plan "$run" --ttpt soon
    refuses 2 "'0' is not a time" "$program" plan "$run" --ttpt 0
    refuses 2 'not a whole number' "$program" plan "$run" --context 0
}

@test "what a file holds is no command to the terminal" {
    cp -r "$run" odd
    sed -i $'s/,gpt2,/,\x1b[2Jgpt2,/' odd/runs.csv
    ends 0 "$program" plan odd
    has "$out" '?[2Jgpt2 on'
    lacks "$out" $'\x1b'
}

@test "the page has the table and a planner that says the same" {
    command -v node >/dev/null || skip 'no node, which runs the script of the page'
    ends 0 "$program" report "$run" --out page.html
    node - page.html <<'NODE'
const text = require("fs").readFileSync(process.argv[2], "utf8");
const unescape = s => s.replace(/&quot;/g, '"').replace(/&lt;/g, "<").replace(/&#160;/g, " ").replace(/&amp;/g, "&");
const assert = require("assert");
const script = /<script>([^]*)<\/script>/.exec(text)[1];
const hash = require("crypto").createHash("sha256").update(script).digest("base64");
assert(text.includes(`script-src 'sha256-${hash}'`), "the policy of the page allows its script");
const elements = {arm: {value: 0, add() {}}, batch: {}, context: {}, time: {}, memory: {}, limit: {}};
let show;
const form = {dataset: {plan: unescape(/data-plan="([^"]*)"/.exec(text)[1])}, elements, hidden: true,
              addEventListener(name, f) { if (name === "input") show = f; }};
elements.batch.value = "5";
elements.context.value = "1024";
new Function("document", "Option", script)({getElementById: () => form}, class {});
const says = (batch, context) => {
  elements.batch.value = String(batch);
  elements.context.value = String(context);
  show();
  return [elements.time.value, elements.memory.value, elements.limit.value];
};
assert.strictEqual(form.hidden, false);
assert.deepStrictEqual(says(5, 1024), ["17.7 ms a token, 282 tokens/s in all (interpolated)",
  "0.905 of 8 GiB, 0.352 for the cache (by formula)",
  "memory bandwidth: reading takes 17.4 ms at least, arithmetic 2.85 ms"]);
assert.strictEqual(says(4, 1024)[0], "15.2 ms a token, 263 tokens/s in all (measured)");
assert.strictEqual(says(10, 500)[0], "20 ms a token, 500 tokens/s in all (interpolated)");
assert.strictEqual(says(17, 1024)[0], "not measured there, and not guessed");
assert.strictEqual(says(1, 2000)[0], "not measured there, and not guessed");
assert.strictEqual(says(5000, 1024)[1], "352 GiB, more than the 8 there are, 352 for the cache (by formula)");
assert.strictEqual(says(5000, 1024)[2], "memory capacity: it does not fit");
assert.strictEqual(says(0, 1)[0], "batch and context are whole numbers from 1");
NODE
    has "$(<page.html)" 'What this machine serves' 'kvbench plan'
}
