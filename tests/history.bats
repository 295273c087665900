# kvbench history on made runs: which steps it finds, which it must not, and what it does with broken records.

# make_runs FOLDER SPECIFICATION: a run for each word, COMMIT:FACTOR of the times of batch 1, in order of time; -N after
# the commit is a dirty tree, @NAME a machine of that name. Rounds scatter by 1 %, runs by what FACTOR says alone.
make_runs() {
    python3 - "$BATS_TEST_DIRNAME/../data/results/reference" "$@" <<'PYTHON'
import csv, json, pathlib, sys

reference, out = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
rows = list(csv.DictReader(open(reference / "runs.csv")))
kept = [r for r in rows if r["path"] == "cached" and r["suite"] == "batch" and r["batch"] in "12" and r["status"] == "ok"]
for i, word in enumerate(sys.argv[3:]):
    name, factor = word.split(":")
    name, _, machine = name.partition("@")
    folder = out / f"run{i:02}"
    folder.mkdir(parents=True)
    made = []
    for row in kept:
        row = dict(row, run_id=f"2026-01-{i + 1:02}T000000-h", started_s=1767225600 + 86400 * i + int(row["round"]))
        slow = float(factor) if row["batch"] == "1" else 1
        row["ttpt_ms"] = 10 * slow * (1 + 0.01 * (int(row["round"]) % 3 - 1))
        row["ttft_ms"] = 10
        row["probe_read_bytes_per_s"], row["probe_fma_flop_per_s"], row["pressure_pct"] = 50e9, 500e9, 0
        made.append(row)
    with open(folder / "runs.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(made)
    context = json.load(open(reference / "context.json"))
    context["build"] |= {"commit": name.split("-")[0], "dirty": "-" in name}
    context["machine"]["cpu"]["name"] = machine or "A CPU"
    json.dump(context, open(folder / "context.json", "w"))
PYTHON
}

setup() {
    load helpers
    of_program
    export KV_SHOWN=$program
}

@test "a step is found between its commits, and nothing else" {
    make_runs runs a:1 b:1.01 c:0.99 d:1 e:1.3 f:1.31 g:1.29
    ends 0 "$program" history runs
    has "$out" '7 runs of 1 machine, 4 lines' 'slower: 1.300 x the time, ttpt_ms of batch/cached/' \
        '/b1/p21/n50/x70, between d and e'
    counts 1 'x the time, ' "$out"
    [[ -s runs/history.html ]]
    lacks "$(<runs/history.html)" 'http:' 'https:' '<script'
    is "$(wc -l <runs/history.csv)" $((1 + 4 * 7))
    is "$(python3 -c 'import csv
print([r["piece"] for r in csv.DictReader(open("runs/history.csv")) if "/b1/" in r["cell"] and r["metric"] == "ttpt_ms"])')" \
        "['0', '0', '0', '0', '1', '1', '1']"
    # one configuration a line but for the metric, and the commit of a clean tree as the program
    is "$(python3 -c 'import csv
rows = list(csv.DictReader(open("runs/history.csv")))
print(len({r["configuration"] for r in rows}), len({(r["configuration"], r["cell"], r["model"], r["weights_source"]) for r in rows}),
      len({r["cell"] for r in rows}), {len(r["configuration"]) for r in rows}, *sorted({r["program"] for r in rows}))')" \
        '2 2 2 {16} a b c d e f g'
    ends 3 "$program" history runs --fail-on regression
    has "$err" '1 line is slower since its last change'
    ends 0 "$program" history runs --format json
    python3 -c 'import json, sys; row = json.loads(sys.argv[1])
assert row["commits"] == "d..e" and row["verdict"] == "slower" and row["is_last"] == "yes" and abs(row["ratio"] - 1.3) < 1e-9' \
        "$out"
}

@test "what came back is told of, and does not fail" {
    make_runs runs a:1 b:1 c:1.5 d:1.5 e:1 f:1
    ends 0 "$program" history runs --fail-on regression
    has "$out" 'slower: 1.500' '(changed again since)' 'faster: 0.667'
}

@test "noise, the same program and a shift within the floor are no steps" {
    make_runs noise a:1 b:1.03 c:0.98 d:1.02 e:0.99 f:1.03
    ends 0 "$program" history noise --fail-on regression
    has "$out" 'No change: '
    make_runs same a:1 a:1 a:1 a:1.5 a:1.5 a:1.5
    ends 0 "$program" history same --fail-on regression
    has "$out" 'No change: '
    # of dirty trees nobody knows whether they are the same program
    make_runs dirty a-1:1 a-1:1 a-1:1 a-1:1.5 a-1:1.5 a-1:1.5
    ends 3 "$program" history dirty --fail-on regression
    # until the hash of the program says so
    sed -i 's/"dirty": true/"dirty": true, "program": "0123456789abcdef"/' dirty/*/context.json
    ends 0 "$program" history dirty --fail-on regression
    is "$(python3 -c 'import csv; print({r["program"] for r in csv.DictReader(open("dirty/history.csv"))})')" \
        "{'0123456789abcdef'}"
}

@test "a single run that is far off is a step, one that is a little off is none" {
    make_runs far a:1 b:1 c:1 d:1.4
    ends 3 "$program" history far --fail-on regression
    make_runs near a:1 b:1 c:1 d:1.08
    ends 0 "$program" history near --fail-on regression
}

@test "lines do not join across machines" {
    make_runs single a@one:1 b@two:2
    ends 0 "$program" history single
    has "$out" '2 runs of 2 machines, 8 lines; no line has two runs yet'
    make_runs runs a@one:1 b@two:2 c@one:1 d@two:2
    ends 0 "$program" history runs --fail-on regression
    has "$out" '4 runs of 2 machines, 8 lines' 'No change: '
    make_runs first a:1
    ends 0 "$program" history first
    has "$out" '1 run of 1 machine' 'no line has two runs yet'
}

@test "lines do not join across models and weights, whose configuration is another" {
    make_runs runs a:1 b:2 c:3
    sed -i 's/,gpt2,/,gpt2-medium,/' runs/run01/runs.csv
    sed -i 's/,synthetic:42,/,synthetic:43,/' runs/run02/runs.csv
    ends 0 "$program" history runs
    has "$out" '3 runs of 1 machine, 12 lines; no line has two runs yet'
    is "$(python3 -c 'import csv
print(*(len({r[k] for r in csv.DictReader(open("runs/history.csv"))}) for k in ("cell", "configuration")))')" '2 6'
}

@test "what differs beside a step is named" {
    make_runs runs a:1 b:1 c:1.5 d:1.5
    sed -i 's/"kernel": "[^"]*"/"kernel": "9"/' runs/run02/context.json runs/run03/context.json
    ends 0 "$program" history runs --format json
    has "$out" '"differences":"machine.kernel ' ' -> 9"'
    ends 0 "$program" history runs
    has "$out" '        beside the program differs: machine.kernel ' ' -> 9'
    has "$(<runs/history.html)" 'machine.kernel ' ' -&gt; 9'
}

@test "what the machine did while the program stayed is not told of the next program" {
    make_runs runs a:1 a:1 a:1 a:2 a:2 a:2 b:3 b:3 b:3
    ends 0 "$program" history runs
    has "$out" 'slower: 1.500 x the time' 'between a and b'
    counts 1 'x the time, ' "$out"
}

@test "share of the limit, memory and quality lie on the same time line" {
    make_runs runs a:1 b:1 c:1 d:1
    python3 - <<'PYTHON'
import csv, json, subprocess
import os
columns = [c["name"] for c in csv.DictReader(subprocess.run([os.environ["KV_SHOWN"], "columns", "--format", "csv"],
           capture_output=True, text=True, check=True).stdout.splitlines()) if "quality" in c["files"]]
for i in range(4):
    rows = list(csv.DictReader(open(f"runs/run{i:02}/runs.csv")))
    with open(f"runs/run{i:02}/runs.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(dict(row, limit_pct=60 + i, kv_live_bytes=1 << 20 + i, rss_peak_bytes=3 << 20) for row in rows)
    if i:
        first = rows[0]
        row = {k: first[k] for k in ("run_id", "path", "weights", "cache", "kv", "gemm", "isa", "threads", "model",
                                     "weights_source")}
        row |= {"cell": "quality/x64", "suite": "quality", "context_tokens": 64, "repetition": 1, "round": 1, "place": 1,
                "status": "ok", "started_s": first["started_s"], "scored_tokens": 100, "chunk": 0,
                "perplexity": 20 + i, "divergence": i / 1000}
        with open(f"runs/run{i:02}/quality.csv", "w", newline="") as file:
            writer = csv.DictWriter(file, columns, lineterminator="\n")
            writer.writeheader()
            writer.writerow(row)
PYTHON
    ends 0 "$program" history runs
    is "$err" ''
    is "$(python3 -c 'import csv
for r in csv.DictReader(open("runs/history.csv")):
    if "/b1/" in r["cell"] and r["metric"] == "ttpt_ms":
        print(*(float(r[k]) if r[k] else "-" for k in ("limit_pct", "kv_live_bytes", "rss_peak_bytes", "perplexity",
              "divergence")), sep=" ", end=";")')" \
        "60.0 1048576.0 3145728.0 - -;61.0 2097152.0 3145728.0 21.0 0.001;62.0 4194304.0 3145728.0 22.0 0.002;63.0 8388608.0 3145728.0 23.0 0.003;"
    has "$(<runs/history.html)" 'of the limit: 60.0 to 63.0&#160;%' 'KV live: 1.00 to 8.00 MiB' 'RSS: 3.00 MiB' \
        'perplexity: 21.0 to 23.0' 'divergence: 0.00100 to 0.00300 nats'
}

@test "of many steps the five worst and the five best are told" {
    make_runs runs a:1 a:1 b:1.2 b:1.2 c:1.5 c:1.5 d:2 d:2 e:2.8 e:2.8 f:4 f:4 g:5.8 g:5.8 h:8.5 h:8.5 i:1 i:1
    ends 0 "$program" history runs
    has "$out" '.. 2 more changes on the page' 'faster: 0.118 x the time' 'between h and i'
    counts 5 'slower: ' "$out"
    has "$(<runs/history.html)" 'Slower' 'Faster, the best last' 'All others'
}

@test "runs, packs and folders of them may be named" {
    make_runs one a:1 b:1
    make_runs two c:1.5 d:1.5
    sed -i 's/2026-01-/2026-02-/' two/*/runs.csv
    python3 - <<'PYTHON'
import csv
for i in range(2):
    file = f"two/run{i:02}/runs.csv"
    rows = [dict(r, started_s=float(r["started_s"]) + 86400 * 30) for r in csv.DictReader(open(file))]
    with open(file, "w", newline="") as out:
        writer = csv.DictWriter(out, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
PYTHON
    ends 0 "$program" history one two
    has "$out" '4 runs of 1 machine' 'between b and c' 'Files: one/history.html, one/history.csv'
    "$program" pack two/run00 --out c.kvbench
    ends 0 "$program" history c.kvbench one/run00 one/run01
    has "$out" '3 runs of 1 machine' 'Files: ./history.html'
    refuses 1 'No such file' "$program" history one nowhere
}

@test "a broken record is skipped, and said so; packs are runs, and the same run counts once" {
    make_runs runs a:1 b:1 c:1
    "$program" pack runs/run01 --out runs/again.kvbench
    "$program" pack runs/run02 --out runs/third.kvbench
    rm -r runs/run02
    head -c 1000 runs/third.kvbench >runs/broken.kvbench
    cp -r runs/run00 runs/torn
    truncate -s -5 runs/torn/runs.csv
    cp -r runs/run00 runs/odd
    echo '{' >runs/odd/context.json
    ln -s run00 runs/latest
    ends 0 "$program" history runs
    has "$out" '3 runs of 1 machine'
    is "$(wc -l <<<"$err")" 3
    counts 3 'kvbench history: skipped runs/' "$err"
    mkdir empty
    refuses 1 'empty holds no run that can be read' "$program" history empty
    refuses 1 'No such file' "$program" history nowhere
    refuses 2 "is not one of regression" "$program" history runs --fail-on anything
}
