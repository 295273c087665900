# Other engines in the rounds: `kvbench peers` and `kvbench export`. The peers here are made up, on the adapters' own
# protocol module; the real ones are tried where they are installed.

setup() {
    load helpers
    of_program
    export KVBENCH_ADAPTERS=$BATS_TEST_TMPDIR/adapters KVBENCH_PEERS=$BATS_TEST_TMPDIR/peers KV_PROGRAM=$program
    mkdir -p "$KVBENCH_ADAPTERS"
    cp "$project/benchmarks/peers/adapter.py" "$KVBENCH_ADAPTERS"
    small=(--model "$tiny" --with torch --batch '1,2' --prompt 5 --new 4 --reps 1 --threads 1 --quiet)
    speaker='kvbench bench: '
}

# peer BODY: the peer torch is fake_peer.py, whose `generate` also does this.
peer() {
    cp "$project/tests/fake_peer.py" "$KVBENCH_ADAPTERS/torch.py"
    export KV_FAKE_PEER=$1
}

column() { # FILE NAME: its values in the peer's rows
    python3 -c 'import csv, sys; print(" ".join(r[sys.argv[2]] for r in csv.DictReader(open(sys.argv[1])) if r["engine"] == "torch"))' "$@"
}

@test "a peer takes its turns, is held to kvbench's tokens, and is compared" {
    peer ''
    ends 0 "$program" peers "${small[@]}" --reps 6 --out run
    is "$(column run/runs.csv same_tokens | tr ' ' '\n' | sort -u)" 4
    is "$(column run/runs.csv engine_version | tr ' ' '\n' | sort -u)" 1.2.3
    has "$(column run/runs.csv status)" 'ok ok ok ok ok ok ok ok ok ok ok ok'
    has "$out" 'peak MiB' 'torch, f32: ' 'Files: run' 'compare run --by engine'
    lacks "$out" 'Suite batch' # the long tables are bench's
    python3 - <<'PYTHON'
import csv
rows = [r for r in csv.DictReader(open("run/runs.csv")) if r["engine"] == "torch"]
assert all(2 <= float(r["ttpt_ms"]) < 200 and float(r["rss_peak_bytes"]) > 1e6 and float(r["startup_s"]) > 0 for r in rows)
PYTHON
    ends 0 "$program" compare run --by engine
    has "$out" 'torch is'
    ends 0 "$program" peers "${small[@]}" --out data --format json
    is "$(python3 -c 'import json, sys
for line in sys.argv[1].splitlines():
    row = json.loads(line); print(row["engine"], row["batch"], sep=",")' "$out")" $'kvbench,1\ntorch,1\nkvbench,2\ntorch,2'
    has "$err" 'Files in data'
}

@test "a peer without a time a token has a mean and no percentiles" {
    peer 'watch.ms = [watch.ms[0], sum(watch.ms[1:])]'
    ends 0 "$program" peers "${small[@]}" --out run
    is "$(column run/runs.csv ttpt_p50_ms)" ' '
    lacks "$(column run/runs.csv ttpt_ms)" 'nan'
    is "$(grep -c ',torch,' run/tokens.csv)" 0
}

# fails BODY REASON: the peer's cells fail so, kvbench's own are measured.
fails() {
    peer "$1"
    rm -rf run
    ends 1 "$program" peers "${small[@]}" --out run
    has "$(column run/runs.csv status)" failed
    lacks "$(column run/runs.csv status)" ok
    has "$(column run/runs.csv error)" "$2"
    grep -q ',kvbench,.*,ok,' run/runs.csv
}

@test "a peer that is wrong in any way fails alone, in one line" {
    fails 'ids[2] += 1' 'equality gate: new token 3 is'
    fails 'ids.pop()' 'answered with 3 new tokens, not 4'
    fails 'watch.ms[1] = 0' 'a step that took no time'
    fails 'watch.ms[1] = 1e300' 'or one that nothing takes'
    fails 'ids[2] = -5' 'a new token that is no id'
    fails 'watch.ms[1] = float("nan")' 'ValueError'
    fails 'raise RuntimeError("out\nof luck")' 'torch: RuntimeError: out of luck'
    fails 'print("garbage", file=adapter.replies, flush=True)' "does not speak a worker's protocol: it said 'garbage'"
    fails 'sys.exit("it gave up")' 'torch ended with status 1: it gave up'
    fails 'os.kill(os.getpid(), 9)' 'torch was ended by signal 9'
    export KVBENCH_PEER_SECONDS=2
    fails 'time.sleep(30)' 'torch did not answer within 2 s'
    fails 'print("{", end="", file=adapter.replies, flush=True); time.sleep(30)' 'torch did not answer within 2 s'
    export KVBENCH_PEER_SECONDS=soon
    fails '' "KVBENCH_PEER_SECONDS is 'soon', which is not a number"
}

@test "a peer that cannot start, or starts too slowly, fails alone" {
    echo 'raise SystemExit("no such library")' >"$KVBENCH_ADAPTERS/torch.py"
    ends 1 "$program" peers "${small[@]}" --out run
    has "$(column run/runs.csv error)" 'torch ended with status 1: no such library'
    echo 'import time; time.sleep(30)' >"$KVBENCH_ADAPTERS/torch.py"
    KVBENCH_PEER_SECONDS=1 ends 1 "$program" peers "${small[@]}" --out again
    has "$(column again/runs.csv error)" 'torch did not answer within 1 s'
}

@test "peers that are not installed say how to get them, and nothing is downloaded" {
    unset KVBENCH_ADAPTERS
    ends 0 "$program" peers --list
    has "$out" 'torch          no' 'kvbench peers --install NAME'
    speaker='kvbench peers: '
    refuses 2 'no peer is installed' "$program" peers
    ends 1 "$program" peers "${small[@]}" --out run
    has "$(column run/runs.csv error)" 'torch is not installed; kvbench peers --install torch gets it'
}

@test "export: the same model as a Hugging Face folder, and as GGUF" {
    ends 0 "$program" export hf --model "$tiny"
    ends 0 "$program" export gguf --to gguf --model "$tiny"
    ends 0 "$program" export kjv --model kjv
    python3 - "$tiny" <<'PYTHON'
import json, struct, sys

def safetensors(file):
    raw = open(file, "rb").read()
    (n,) = struct.unpack("<Q", raw[:8])
    header = json.loads(raw[8 : 8 + n])
    header.pop("__metadata__", None)
    return {k: (v["shape"], raw[8 + n + v["data_offsets"][0] : 8 + n + v["data_offsets"][1]]) for k, v in header.items()}

ours = safetensors("hf/model.safetensors")
theirs = {k.removeprefix("transformer."): v for k, v in safetensors(sys.argv[1] + "/model.safetensors").items()}
assert all(theirs[name] == tensor for name, tensor in ours.items()), "the values change"
vocabulary = json.load(open("kjv/vocab.json"))
assert vocabulary["a"] == 97 and vocabulary["\u0120"] == 32 and sorted(vocabulary.values()) == list(range(len(vocabulary)))
assert open("kjv/merges.txt").read().startswith("#version")

raw = open("gguf/model.gguf", "rb").read()
at = 0
def take(form):
    global at
    values = struct.unpack_from("<" + form, raw, at)
    at += struct.calcsize("<" + form)
    return values[0]
def text():
    global at
    n = take("Q")
    at += n
    return raw[at - n : at].decode()
assert raw[:4] == b"GGUF"
at = 4
assert take("I") == 3
n_tensors, n_fields, fields = take("Q"), take("Q"), {}
for _ in range(n_fields):
    key, kind = text(), take("I")
    fields[key] = text() if kind == 8 else take({4: "I", 6: "f"}[kind])
assert fields["general.architecture"] == "gpt2" and fields["tokenizer.ggml.model"] == "no_vocab", fields
tensors = {}
for _ in range(n_tensors):
    name, dims = text(), take("I")
    shape = [take("Q") for _ in range(dims)]
    assert take("I") == 0
    tensors[name] = shape, take("Q")
base = (at + 31) // 32 * 32
assert len(tensors) == len(ours)
# a linear map is stored [out][in], an embedding as it is
shape, (offset) = tensors["blk.0.attn_qkv.weight"]
(k, n), data = ours["h.0.attn.c_attn.weight"]
assert shape == [k, n]
mine = struct.unpack(f"<{k * n}f", data)
read = struct.unpack_from(f"<{k * n}f", raw, base + offset)
assert all(read[o * k + i] == mine[i * n + o] for i in range(k) for o in range(n))
shape, offset = tensors["token_embd.weight"]
(rows, columns), data = ours["wte.weight"]
assert shape == [columns, rows] and raw[base + offset : base + offset + len(data)] == data
PYTHON
}

@test "the real peers, where they are installed, give kvbench's tokens" {
    unset KVBENCH_ADAPTERS
    export KVBENCH_PEERS=${KV_REAL_PEERS:-$project/build-peers}
    "$program" peers --list | grep -q ' yes ' || skip "no peer is installed; kvbench peers --install NAME"
    ends 0 "$program" peers --model kjv --batch 1,2 --new 8 --reps 1 --out run --quiet
    has "$(column run/runs.csv status)" ok
}
