# What the tests of scripts and of the whole program share: a folder to work in, commands that are faked, and what is
# said of a command's exit status, stdout and stderr. `bats tests/door.bats` runs one file by hand.

project=$(cd "$BATS_TEST_DIRNAME/.." && pwd)
program=${KV_PROGRAM:-$project/build/benchmarks/kvbench}

# Nothing of the person's own settings reaches what is tested.
for variable in "${!KVBENCH_@}" "${!BENCHMARK_@}"; do
    unset "$variable"
done

# sandbox: the test goes on in an empty folder $box; commands of $bin are found first where PATH says so, and those that
# are faked note their calls in the file $CALLS.
sandbox() {
    box="$BATS_TEST_TMPDIR/a box" bin=$BATS_TEST_TMPDIR/bin
    export CALLS=$BATS_TEST_TMPDIR/calls
    mkdir -p "$box" "$bin"
    : >"$CALLS"
    cd "$box" || return
}

# link_tools COMMAND...: $bin has these commands of the machine.
link_tools() {
    local tool
    for tool; do
        ln -s "$(command -v "$tool")" "$bin/$tool"
    done
}

# fake COMMAND [BODY]: $bin has a command that notes its name and arguments, then goes on with BODY in sh.
fake() {
    script "$bin/$1" "echo \"$1 \$*\" >>\"\$CALLS\"; ${2-}"
}

# script FILE BODY: an executable file of sh.
script() {
    printf '#!/bin/sh\n%s\n' "$2" >"$1"
    chmod +x "$1"
}

# ends STATUS COMMAND...: runs it without stdin; sets out, err and calls, without newlines at their ends, to what it
# wrote and which fakes it called. Fails unless it ends with that status.
ends() {
    local expected=$1 status=0
    shift
    [[ ! -e ${CALLS-} ]] || : >"$CALLS"
    "$@" >"$BATS_TEST_TMPDIR/out" 2>"$BATS_TEST_TMPDIR/err" </dev/null || status=$?
    heard
    [[ $status == "$expected" ]] || complain "exit status $status instead of $expected: $*" "stderr: $err" "stdout: $out"
}

heard() {
    out=$(<"$BATS_TEST_TMPDIR/out") err=$(<"$BATS_TEST_TMPDIR/err") calls=
    [[ ! -e ${CALLS-} ]] || calls=$(<"$CALLS")
}

# tells STATUS PART COMMAND...: it ends so, with one line on stderr, which has PART in it and begins with $speaker.
tells() {
    local part=$2
    ends "$1" "${@:3}"
    [[ $err == "${speaker:?}"* && $err != *$'\n'* ]] || complain "not one line of '$speaker': $err"
    has "$err" "$part"
}

# The same, and nothing on stdout.
refuses() {
    tells "$@"
    is "$out" ''
}

# start COMMAND...: in the background, its output where `heard` reads it, in a process group of its own as a shell
# starts what a person may interrupt; its process is $child, which `stop_child` ends when a test failed.
start() {
    setsid env --default-signal=INT,QUIT "$@" >"$BATS_TEST_TMPDIR/out" 2>"$BATS_TEST_TMPDIR/err" </dev/null 3>&- &
    child=$!
}

stop_child() {
    [[ -z ${child-} ]] || kill -KILL -- "-$child" 2>/dev/null || true
}

# finishes STATUS: waits for $child.
finishes() {
    local status=0
    wait "$child" || status=$?
    heard
    [[ $status == "$1" ]] || complain "exit status $status instead of $1" "stderr: $err"
}

# soon COMMAND...: waits, ten seconds at most, until it succeeds.
soon() {
    local i
    for ((i = 0; i < 1000; i++)); do
        ! "$@" || return 0
        sleep 0.01
    done
    complain "has not come: $*"
}

complain() {
    printf '%s\n' "$@" >&2
    return 1
}

is() {
    [[ $1 == "$2" ]] || complain "wanted: $2" "found:  $1"
}

# has TEXT PART...: every PART is in it.
has() {
    local part
    for part in "${@:2}"; do
        [[ $1 == *"$part"* ]] || complain "lacks: $part" "text: ${1:0:2000}" || return
    done
}

# lacks TEXT PART...: none is.
lacks() {
    local part
    for part in "${@:2}"; do
        [[ $1 != *"$part"* ]] || complain "has: $part" "text: ${1:0:2000}" || return
    done
}

# absent FILE...: none is there.
absent() {
    local file
    for file; do
        [[ ! -e $file ]] || complain "is there: $file" || return
    done
}

# counts N PART TEXT: N lines of TEXT have PART in them.
counts() {
    local n
    n=$(grep -c -F -e "$2" <<<"$3") || true
    [[ $n == "$1" ]] || complain "$n lines instead of $1 have: $2" "text: $3"
}

# holds N: the folder $box has N entries.
holds() {
    local entries=("$box"/* "$box"/.[!.]*) entry n=0
    for entry in "${entries[@]}"; do
        [[ ! -e $entry && ! -L $entry ]] || n=$((n + 1))
    done
    [[ $n == "$1" ]] || complain "$n entries instead of $1: $(ls -A "$box")"
}

# of_program: the sandbox is for the program, which sees no checkpoint that a person has fetched, and does not start over
# where OpenBLAS mistakes this CPU.
of_program() {
    local better
    sandbox
    speaker=kvbench
    tiny=$project/data/reference/tiny-f32
    export KVBENCH_MODELS=$BATS_TEST_TMPDIR/models
    better=$("$program" info 2>&1 >/dev/null | sed -n 's/.*started over with OPENBLAS_CORETYPE=\([^ ]*\) .*/\1/p')
    [[ -z $better ]] || export OPENBLAS_CORETYPE=${OPENBLAS_CORETYPE-$better}
}
