# The door ./kvbench: what it installs, builds, passes on and draws, seen through fakes of every tool. PATH holds
# nothing but these and a few basic commands; the user is not root, and there is neither apt-get nor sudo.

setup() {
    load helpers
    sandbox
    speaker='kvbench: '
    home="$BATS_TEST_TMPDIR/a project" settings=()
    mkdir -p "$home/plots" "$home/subprojects" "$home/build/benchmarks"
    cp "$project/kvbench" "$home/kvbench"
    link_tools sh env dirname readlink tr paste grep cat rm mkdir cksum flock sleep
    fake id 'echo 1000'
    for tool in gcc g++ curl bats gnuplot; do
        fake "$tool"
    done
    fake pkg-config '[ "$2" != "${NO_MODULE:-}" ]'
    fake meson 'case $1 in --version) echo "${MESON_VERSION:-1.0.1}" ;; setup) echo ninja >"$3/build.ninja" ;;
        test) exit "${TEST_STATUS:-0}" ;; esac'
    fake ninja 'printf "[1/1] compiling\nunused variable x\n"; exit "${NINJA_STATUS:-0}"'
    script "$home/plots/render.sh" 'echo "render $*" >>"$CALLS"; exit "${RENDER_STATUS:-0}"'
    fake_program 'echo "in $PWD"; exit "${PROGRAM_STATUS:-0}"'
}

fake_program() {
    script "$home/build/benchmarks/kvbench" "echo \"program \$*\" >>\"\$CALLS\"; $1"
}

teardown() {
    stop_child
}

# door ARGUMENT...: with $settings and nothing else in its environment.
door() {
    # shellcheck disable=SC2153 # sandbox sets it
    env -i PATH="$bin" CALLS="$CALLS" "${settings[@]}" "$home/kvbench" "$@"
}

no_build() {
    settings+=(KVBENCH_NO_BUILD=1)
}

@test "the program hears what to type for it, its tests do not" {
    fake_program 'echo "type $KVBENCH_CALLED"'
    fake meson 'case $1 in --version) echo 1.0.1 ;; setup) echo ninja >"$3/build.ninja" ;;
        test) echo "tests type ${KVBENCH_CALLED-nothing}" ;; esac'
    ends 0 door test
    has "$out" 'tests type nothing'
    no_build
    ends 0 door info
    is "$out" "type $home/kvbench"
}

# ---- Help and usage

@test "help lists every command of the program and the door, and needs no build" {
    rm "$home/build/benchmarks/kvbench"
    for request in '' help --help -h 'setup --help' 'build --help'; do
        ends 0 door $request
        is "$err$calls" ''
        has "$out" 'Usage: ./kvbench COMMAND' $'\n  setup ' $'\n  test ' $'\n  plots '
    done
    "$program" --help | sed -n 's/^  \([a-z]*\) .*/\1/p' >"$BATS_TEST_TMPDIR/commands"
    [[ $(wc -l <"$BATS_TEST_TMPDIR/commands") -ge 17 ]]
    while read -r command; do
        has "$out" $'\n  '"$command "
    done <"$BATS_TEST_TMPDIR/commands"
    for request in 'test -h' 'test --help'; do
        ends 0 door $request
        is "$err$calls" ''
        has "$out" 'Usage: ./kvbench test'
    done
}

@test "help of a command is the program's" {
    ends 0 door help bench
    has "$calls" 'program bench --help'
    lacks "$calls" render
}

@test "setup and build take no arguments" {
    refuses 2 "'now'" door setup now
    refuses 2 "'now'" door build now
    is "$calls" ''
}

# ---- Packages

@test "other systems are told what is missing" {
    rm "$bin/gnuplot"
    settings=(NO_MODULE=cmocka)
    refuses 1 'gnuplot-nox fonts-dejavu-core libcmocka-dev' door info
    lacks "$err" libjansson-dev
    lacks "$calls" program
}

@test "what only the tests need is asked for too" {
    rm "$bin/bats"
    settings=(NO_MODULE=vterm)
    refuses 1 'libvterm-dev bats' door info
}

@test "apt-get is called through sudo, quietly" {
    rm "$bin/gnuplot"
    fake sudo 'exec "$@"'
    fake apt-get 'echo noise; echo "frontend $DEBIAN_FRONTEND" >>"$CALLS"
        case $* in *install*) exec /bin/ln -s /bin/sh "${CALLS%/*}/bin/gnuplot" ;; esac'
    ends 0 door info
    has "$calls" $'sudo env DEBIAN_FRONTEND=noninteractive apt-get update\n' $'frontend noninteractive\n'
    [[ $calls == *'install -y --no-install-recommends gnuplot-nox fonts-dejavu-core'$'\n'*'program info' ]]
    has "$err" 'kvbench: installing gnuplot-nox fonts-dejavu-core (sudo apt-get)'
    lacks "$err" noise
    [[ $out == 'in '* ]]
}

# answers TEXT COMMAND...: with a terminal, on which a person types that; $out is what it shows.
answers() {
    out=$(python3 - "$@" <<'END'
import os, pty, sys

answer, command = sys.argv[1], sys.argv[2:]
child, terminal = pty.fork()
if child == 0:
    os.execvp(command[0], command)
shown = b""
try:
    while part := os.read(terminal, 4096):
        shown += part
        if shown.endswith(b"] "):
            os.write(terminal, answer.encode() + b"\n")
except OSError:
    pass
print(shown.decode().replace("\r", ""))
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
END
    )
}

@test "on a terminal a person is asked before anything is installed" {
    fake sudo 'exec "$@"'
    fake apt-get 'case $* in *install*) exec /bin/ln -s /bin/sh "${CALLS%/*}/bin/gnuplot" ;; esac'
    door=(env -i "PATH=$bin" "CALLS=$CALLS" "$home/kvbench")
    for word in '' y n CI --yes; do
        rm -f "$bin/gnuplot"
        : >"$CALLS"
        status=0
        case $word in
        CI) answers n env -i "PATH=$bin" "CALLS=$CALLS" CI=true "$home/kvbench" info || status=$? ;;
        --yes) answers n "${door[@]}" --yes info || status=$? ;;
        *) answers "$word" "${door[@]}" info || status=$? ;;
        esac
        asked=$(grep -c 'Install with sudo apt-get?' <<<"$out") || true
        if [[ $word == n ]]; then
            is "$status $asked" '1 1'
            has "$out" 'missing here: gnuplot-nox fonts-dejavu-core' 'by hand: sudo apt-get update'
            lacks "$(<"$CALLS")" apt-get
        else
            is "$status" 0
            [[ $word == CI || $word == --yes ]] && is "$asked" 0 || is "$asked" 1
            has "$(<"$CALLS")" 'install -y --no-install-recommends gnuplot-nox'
        fi
        calls=$(grep '^sudo ' "$CALLS") || calls=
        is "$(grep -vc '^sudo env DEBIAN_FRONTEND=noninteractive apt-get ' <<<"${calls:-sudo env DEBIAN_FRONTEND=noninteractive apt-get }")" 0
    done
}

@test "root needs no sudo, and what apt-get said is shown when it fails" {
    settings=(NO_MODULE=jansson)
    fake id 'echo 0'
    fake sudo 'exec "$@"'
    fake apt-get 'echo Unable to fetch; exit 100'
    ends 1 door info
    has "$calls" 'apt-get -o DPkg::Lock::Timeout=600 install -y --no-install-recommends libjansson-dev'
    lacks "$calls" sudo program
    [[ $err == *$'Unable to fetch\n''kvbench: apt-get failed'*'by hand: apt-get update && apt-get install -y'* ]]
}

@test "packages that do not help are named" {
    settings=(NO_MODULE=jansson)
    fake id 'echo 0'
    fake apt-get
    ends 1 door info
    has "$err" 'kvbench: still missing or too old after the installation: libjansson-dev'
    lacks "$calls" program
}

@test "without sudo the command to run is told" {
    settings=(NO_MODULE=openblas)
    fake apt-get
    refuses 1 'apt-get update && apt-get install -y --no-install-recommends libopenblas-dev' door info
    lacks "$calls" apt-get
}

@test "Google Benchmark alone may come from its wrap" {
    settings=(NO_MODULE=benchmark)
    refuses 1 libbenchmark-dev door info
    : >"$home/subprojects/google-benchmark.wrap"
    ends 0 door info
}

@test "an old meson is refused" {
    settings=(MESON_VERSION=0.61.2)
    refuses 1 meson door info
}

# ---- Build

@test "the build is configured once, and quiet" {
    mkdir "$home/build/meson-private"
    ends 0 door info
    has "$calls" 'meson setup --buildtype=release ' '/build benchmarks/kvbench'
    absent "$home/build/meson-private"
    ends 0 door info
    lacks "$calls" meson
    has "$calls" 'ninja '
    is "$err" ''
}

@test "a failed build is shown without its progress" {
    settings=(NINJA_STATUS=1)
    ends 1 door info
    [[ $err == *$'unused variable x\n''kvbench: the build in '* ]]
    lacks "$err" '[1/1] compiling'
    lacks "$calls" program
}

@test "doors build one at a time" {
    exec 8>"$home/build/door.lock"
    flock 8
    start env -i PATH="$bin" CALLS="$CALLS" "$home/kvbench" info 8>&-
    soon grep -q 'kvbench: waiting for another kvbench' "$BATS_TEST_TMPDIR/err"
    heard
    lacks "$calls" 'meson setup' ninja
    exec 8>&-
    finishes 0
    has "$calls" 'ninja ' 'program info'
}

@test "the tests are meson's" {
    ends 0 door test --suite unit
    has "$calls" '/build all' 'meson test -C ' ' --suite unit'
    settings=(TEST_STATUS=3)
    refuses 1 'meson test failed' door test
}

# ---- The program

@test "arguments, folder and status are passed on" {
    for status in 0 1 2 77; do
        settings=(KVBENCH_NO_BUILD=1 "PROGRAM_STATUS=$status")
        ends "$status" door generate --tokens '1, 2'
        is "$calls" 'program generate --tokens 1, 2'
        is "$out" "in $box"
        is "$err" ''
    done
}

@test "the build folder can be elsewhere" {
    settings=(KVBENCH_NO_BUILD=1 'KVBENCH_BUILD_DIR=../a project/build')
    ends 0 door info
    settings=(KVBENCH_NO_BUILD=1 KVBENCH_BUILD_DIR=nowhere)
    refuses 1 'nowhere/benchmarks/kvbench is not built' door info
}

# ---- Bench, report and their figures

@test "bench draws the figures of its run, writes its page and says where that is" {
    no_build
    ends 0 door bench --quick
    is "$calls" $'program bench --quick\n'"render $home/results/latest"$'\n'"program report $home/results/latest"
    is "$err" "Page: $home/results/latest/report.html"
    ends 0 door bench --out one --quick
    is "$calls" $'program bench --out one --quick\nrender one\nprogram report one'
    ends 0 door bench --out='two words'
    is "$calls" $'program bench --out=two words\nrender two words\nprogram report two words'
    settings+=(KVBENCH_RESULTS=elsewhere)
    ends 0 door bench
    is "$calls" $'program bench\nrender elsewhere/latest\nprogram report elsewhere/latest'
}

@test "a bench that measures nothing draws nothing" {
    no_build
    for option in --help -h --dry-run --benchmark_list_tests --benchmark_list_tests=true; do
        ends 0 door bench --quick "$option"
        lacks "$calls" render
    done
    settings+=(PROGRAM_STATUS=2)
    ends 2 door bench --bad
    lacks "$calls" render
}

@test "a failed bench draws its own rows only" {
    no_build
    fake_program '[ -z "${ROWS:-}" ] || echo "$ROWS" >"$3/runs.csv"; exit 1'
    mkdir run
    ends 1 door bench --out run
    lacks "$calls" render
    echo 'rows of an earlier run' >run/runs.csv
    ends 1 door bench --out run
    lacks "$calls" render
    settings+=('ROWS=new rows')
    ends 1 door bench --out run
    has "$calls" 'render run'
}

@test "figures that fail fail the bench" {
    no_build
    settings+=(RENDER_STATUS=2)
    ends 1 door bench --out run
    is "$err" 'kvbench: the figures of run are not complete; once that is put right, run: ./kvbench plots run'
    ends 2 door plots run
    is "$calls" 'render run'
}

@test "a report draws the figures again first, and is made without them all the same" {
    no_build
    mkdir run
    ends 0 door report run
    is "$calls" 'program report run'
    : >run/runs.csv
    ends 0 door report run --out page.html --against other
    is "$calls" $'render run\nprogram report run --out page.html --against other'
    settings+=(RENDER_STATUS=1)
    ends 0 door report --against other run
    has "$err" 'kvbench: the figures of run are not complete'
    has "$calls" 'program report'
    : >run.kvbench
    ends 0 door report run.kvbench
    is "$calls" $'render run.kvbench\nprogram report run.kvbench'
    ends 0 door report --help
    is "$calls" 'program report --help'
}

@test "a dashboard is recorded, then drawn under the name that the program gave" {
    no_build
    fake_program 'echo some/kv.csv; exit "${PROGRAM_STATUS:-0}"'
    script "$home/plots/dashboard.sh" 'echo "draw $*" >>"$CALLS"'
    ends 0 door dashboard --layer 1
    is "$calls" $'program dashboard --layer 1\ndraw -- some/kv.csv some/kv.gif'
    settings+=(PROGRAM_STATUS=2)
    ends 2 door dashboard
    is "$calls" 'program dashboard'
}

@test "plots are drawn with a program that is up to date" {
    ends 0 door plots run
    has "$calls" 'benchmarks/kvbench' 'render run'
    rm "$bin/gnuplot"
    refuses 1 gnuplot-nox door plots run
    ends 0 door plots --help
    is "$calls" 'render --help'
}
