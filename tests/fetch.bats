# data/fetch_gpt2.sh against a hub on the loopback interface (hub_server.py) that misbehaves in one way at a time.

setup_file() {
    command -v curl >/dev/null || skip 'curl is not installed'
    mkdir -p "$BATS_FILE_TMPDIR/gpt2"
    echo '{"n_layer": 12}' >"$BATS_FILE_TMPDIR/gpt2/config.json"
    weights 1 >"$BATS_FILE_TMPDIR/gpt2/model.safetensors"
}

# weights SEED: 100,000 bytes without a pattern.
weights() {
    python3 -c "import random, sys; sys.stdout.buffer.write(random.Random($1).randbytes(100000))"
}

setup() {
    load helpers
    sandbox
    speaker='fetch_gpt2.sh: ' hub=http://127.0.0.1:9 models=$box/models scratch=$BATS_TEST_TMPDIR/scratch
    files=$BATS_TEST_TMPDIR/hub log=$BATS_TEST_TMPDIR/log
    final=$models/gpt2/model.safetensors
    part=$final.part
    mkdir "$scratch"
    cp -r "$BATS_FILE_TMPDIR" "$files"
}

teardown() {
    stop_child
    stop_server
    rmdir "$scratch"
}

# serve [MODE]: a new server in place of the one before, with no requests yet.
serve() {
    stop_server
    rm -f "$log" "$BATS_TEST_TMPDIR/port"
    coproc server { exec python3 "$project/tests/hub_server.py" "$files" "$log" "${1-none}" 3>&-; }
    read -r port <&"${server[0]}"
    hub=http://127.0.0.1:$port
}

# It ends with its stdin.
stop_server() {
    [[ -n ${server_PID-} ]] || return 0
    local pid=$server_PID to=${server[1]}
    exec {to}>&-
    wait "$pid" || true
    unset server_PID
}

fetch() {
    KVBENCH_HUB=$hub KVBENCH_MODELS=$models TMPDIR=$scratch no_proxy=127.0.0.1 "$project/data/fetch_gpt2.sh" "$@"
}

# fetches: both files are there, are the server's, and nothing is left beside them.
fetches() {
    ends 0 fetch gpt2
    is "$err" ''
    cmp "$models/gpt2/config.json" "$files/gpt2/config.json"
    cmp "$final" "$files/gpt2/model.safetensors"
    absent "$part" "$part.checksum"
}

# fails PART: one line, and nothing of the weights stays, neither whole nor partly.
fails() {
    tells 1 "$1" fetch gpt2
    absent "$final" "$part" "$part.checksum"
}

# asked N TEXT: N requests since the server started have TEXT in their line.
asked() {
    counts "$1" "$2" "$(cat "$log")"
}

# ---- Fetches that succeed

@test "a whole model is fetched and verified, and not a second time" {
    serve
    fetches
    has "$out" 'gpt2/config.json: fetched, git-sha1 verified' 'gpt2/model.safetensors: fetched, sha256 verified'
    stop_server
    fetches
    has "$out" 'gpt2/config.json: already there' 'gpt2/model.safetensors: already there'
}

@test "a file that was copied there is adopted" {
    mkdir -p "$models/gpt2"
    cp "$files/gpt2/model.safetensors" "$final"
    serve
    fetches
    has "$out" 'gpt2/model.safetensors: already there'
    asked 0 'GET /blob/'
}

@test "a cut connection is taken up again at once" {
    serve cut
    fetches
    asked 1 'GET /blob/gpt2/model.safetensors -'
    asked 1 'GET /blob/gpt2/model.safetensors bytes=50000-'
}

fetch_half() {
    serve stuck
    tells 1 '(after 50000 of 100000 bytes); run the same command again' fetch gpt2
    absent "$final"
    is "$(wc -c <"$part")" 50000
}

@test "a later call goes on where one ended" {
    fetch_half
    serve
    fetches
    asked 1 'GET /blob/gpt2/model.safetensors bytes=50000-'
    asked 1 'GET /blob/'
}

@test "it starts over when the server ignores ranges" {
    fetch_half
    serve no-range
    fetches
    asked 1 'GET /blob/gpt2/model.safetensors -'
}

@test "it starts over when the file has changed" {
    fetch_half
    weights 2 >"$files/gpt2/model.safetensors"
    serve
    fetches
    asked 0 'GET /blob/gpt2/model.safetensors bytes='
}

start_stalling() {
    serve stall
    export KVBENCH_HUB=$hub KVBENCH_MODELS=$models TMPDIR=$scratch no_proxy=127.0.0.1
    start "$project/data/fetch_gpt2.sh" gpt2
    soon test -s "$part"
}

@test "it goes on after Ctrl-C, which all of its processes get, and after a termination" {
    for signal in INT TERM; do
        rm -rf "$models"
        start_stalling
        [[ $signal == INT ]] && kill -INT -- "-$child" || kill -TERM "$child"
        finishes $((128 + $(kill -l "$signal")))
        has "$err" 'interrupted; run the same command again'
        absent "$final"
        fetches
        asked 1 'GET /blob/gpt2/model.safetensors bytes='
    done
}

# ---- Fetches that fail

@test "a second fetch at the same time is refused" {
    start_stalling
    first=$child
    refuses 1 'gpt2 is being fetched by another process; wait for it' fetch gpt2
    child=$first
    kill -INT -- "-$child"
    finishes 130
}

# What the server does, and what is said.
@test "what is not as declared is refused, and nothing of it stays" {
    while IFS='|' read -r mode part_of_message downloads; do
        rm -rf "$models"
        serve "$mode"
        fails "$part_of_message"
        [[ -z $downloads ]] || asked "$downloads" 'GET /blob/'
    done <<'END'
wrong|gpt2/model.safetensors: the checksum is not the one that http://127.0.0.1
wrong-blob|gpt2/config.json: the checksum is not the one that http://127.0.0.1|0
short|gpt2/model.safetensors: the checksum is not the one that http://127.0.0.1
no-checksum|declares no checksum, so nothing was fetched|0
huge|gpt2/model.safetensors: needs 953674316 MiB|0
error|HTTP 500|0
END
    absent "$models/gpt2"
    serve
    fetches
}

@test "a wrong git blob id leaves no config" {
    serve wrong-blob
    fails 'gpt2/config.json: the checksum'
    absent "$models/gpt2/config.json" "$models/gpt2/config.json.part"
}

@test "a missing file is told; the others stay" {
    rm "$files/gpt2/model.safetensors"
    serve
    fails 'gpt2/model.safetensors: HTTP 404'
    cmp "$models/gpt2/config.json" "$files/gpt2/config.json"
}

@test "no network, and no folder" {
    serve
    stop_server
    fails 'check the network and KVBENCH_HUB'
    rmdir models
    : >models
    fails 'set KVBENCH_MODELS'
}

@test "a file that differs is never overwritten" {
    serve
    fetches
    weights 9 >"$final"
    ends 1 fetch gpt2
    has "$err" 'model.safetensors is not what was fetched; delete it'
    rm "$models/gpt2/SHA256SUMS"
    ends 1 fetch gpt2
    has "$err" 'model.safetensors is not the file of http://127.0.0.1'
    weights 9 | cmp - "$final"
}

@test "usage; all names are looked at before anything is fetched" {
    ends 0 fetch --help
    has "$out" 'Usage: data/fetch_gpt2.sh'
    is "$err" ''
    refuses 2 'no model was named' fetch
    refuses 2 'unknown option --fast' fetch --fast
    refuses 2 "unknown model 'gpt3'" fetch gpt2 gpt3
    absent "$models"
}
