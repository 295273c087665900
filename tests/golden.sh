#!/usr/bin/env bash
# Golden files: what the program and its door say and write, held against tests/golden/.
#
#     tests/golden.sh PROGRAM_OR_DOOR             shows what differs (diff -u), and exits 1 with the names of the files
#     tests/golden.sh PROGRAM_OR_DOOR --update    replaces tests/golden/ by what was produced now; then read `git diff`
#
# PROGRAM_OR_DOOR is build/benchmarks/kvbench or ./kvbench. The program is asked in both cases, the door for its own
# lines only: it would draw figures. Nothing is built.
#
# The files are the same on every x86-64 machine and in every build type: one thread, --isa portable, a fixed locale.
# What a clock, a machine or a date decides is left out: in CSV files golden.py writes ~ for the values of columns that
# it knows by name, in tables every number becomes #, findings of fresh times are dropped. Numbers of files whose names
# begin with near- may differ from the committed ones by 1e-4 or the last digit, more than OpenBLAS and libm differ.
# Where command lines are shown, `$` is the line, `!` stderr, `=` the exit status. The program runs in a temporary folder
# with links to data and README.md, so that nothing is written here.
set -euo pipefail

usage() {
    echo "usage: tests/golden.sh PROGRAM_OR_DOOR [--update]" >&2
    exit 2
}
if [ $# -lt 1 ] || [ $# -gt 2 ] || [ "${2:---update}" != --update ] || [ ! -x "$1" ]; then
    usage
fi

root=$(cd "$(dirname "$0")/.." && pwd -P)
golden=$root/tests/golden
given=$(readlink -f "$1")
if [ "$(head -c 2 "$given")" = '#!' ]; then
    door=$given
    build=${KVBENCH_BUILD_DIR:-$(dirname "$given")/build}
    program=$(readlink -f "$build")/benchmarks/kvbench
else
    door=$root/kvbench
    program=$given
fi
build=$(dirname "$(dirname "$program")")
python=$(python3 -c 'import sys; print(sys.executable)') # itself, where python3 is a script that looks for it

# The environment of every command: nothing of the caller's that the program, OpenBLAS or libc listens to.
for variable in $(compgen -e); do
    case $variable in KVBENCH_* | OPENBLAS_* | GOTO_* | OMP_* | LC_* | LANG* | TERM | NO_COLOR) unset "$variable" ;; esac
done
export LC_ALL=C.UTF-8 TZ=UTC COLUMNS=100 TERM=dumb
work=$(readlink -f "$(mktemp -d)")
trap 'rm -rf "$work"' EXIT
export KVBENCH_BUILD_DIR=$build KVBENCH_NO_BUILD=1 KVBENCH_RESULTS=$work/results KVBENCH_DATA=$root/data
export KVBENCH_ISA=portable # for train, which has no --isa
mkdir "$work/made" "$work/here"
cd "$work/here"
ln -s "$root/data" "$root/README.md" .

# ---- How lines are run and written -----------------------------------------------------------------------

py() {
    "$python" "$root/tests/golden.py" "$@" || echo "golden.py $* failed"
}

# Paths of this machine out; of the program's name only the last part is in its messages.
mask_paths() {
    sed -e "s|$work/here|HERE|g; s|$work|WORK|g; s|$root|ROOT|g; s|$build|BUILD|g"
}

mask_numbers() {
    sed -E '/^[$=]/!{s/(^|[ (])-?[0-9][0-9.,e+-]*/\1#/g; s/ +/ /g}'
}

# Runs the program $2, called $1, and writes its line, its stdout, its stderr and its status. $input is its stdin.
run() {
    local status=0 word
    printf '$ %s' "$1"
    for word in "${@:3}"; do
        case $word in *[!a-zA-Z0-9_./=,:*+%-]* | '') printf ' %s' "${word@Q}" ;; *) printf ' %s' "$word" ;; esac
    done
    echo
    "$2" "${@:3}" <"${input:-/dev/null}" 2>"$work/err" | mask_paths || status=${PIPESTATUS[0]}
    # what is said where OpenBLAS mistakes a new CPU for an old one belongs to the machine
    mask_paths <"$work/err" | sed '/^kvbench: OpenBLAS took this CPU for /d; s/^/! /'
    echo "= $status"
}

kv() {
    run kvbench "$program" "$@"
}

at_the_door() {
    run ./kvbench "$door" "$@"
}

# The same of a command whose stderr is times and progress; its stdout and its status are what counts.
kv_out() {
    kv "$@" | sed '/^! /d'
}

pinned=(--threads 1 --isa portable)
exact=("${pinned[@]}" --gemm reference)

# ---- The files -------------------------------------------------------------------------------------------

helps() {
    local command
    at_the_door --help >"$work/made/help-door.txt"
    at_the_door plots --help >"$work/made/help-plots.txt"
    kv --help >"$work/made/help-program.txt"
    for command in ab bench calibrate compare dashboard evaluate export generate history info limits logits pack peers plan race report tables tokenize train worker; do
        kv "$command" --help >"$work/made/help-$command.txt"
    done
}

# Greedy ids as text; logits only as equal to the reference, as rounded digits would differ where they are on an edge.
reference_cases() {
    local case path way tokens files
    for case in tiny-f32 odd-f16 gelu-erf-bf16; do
        tokens=$("$python" -c 'import json, sys
print(";".join(",".join(map(str, row)) for row in json.load(open(sys.argv[1]))["tokens"]))' "data/reference/$case/expected.json")
        files=()
        for path in naive cached; do
            for way in reference packed openblas; do
                kv logits "${pinned[@]}" --model "data/reference/$case" --tokens "$tokens" --path $path --gemm $way \
                    --out logits-$path-$way
                files+=("logits-$path-$way")
            done
            for way in recompute stop; do
                kv generate "${exact[@]}" --model "data/reference/$case" --tokens "$tokens" --path $path -n 60 --ids \
                    --overflow $way | sed '/^! .*TTFT/d'
            done
        done
        echo "these logits and the reference's:"
        "$python" "$root/tests/check_logits.py" 1e-4 "data/reference/$case/logits.safetensors" "${files[@]}" 2>&1 || true
        py tensors logits-cached-packed
    done
}

texts() {
    local path
    for path in naive cached; do
        kv_out generate "${pinned[@]}" --path $path -n 60 --seed 7
        kv_out generate "${exact[@]}" --path $path -n 16 --seed 7 --chunk 3 --prompt "And the LORD said"
        kv_out generate "${pinned[@]}" --path $path -n 40 -b 2 --temperature 0.8 --top-k 0 --top-p 0.9
        kv_out generate "${pinned[@]}" --path $path -n 20 --temperature 0 --ids
    done
    kv_out generate "${pinned[@]}" --path cached -n 260 --temperature 0 --overflow stop
    kv_out generate "${pinned[@]}" --path cached -n 300 --overflow shift
    kv_out generate "${pinned[@]}" --path cached -n 250 --overflow recompute --seed 3
    kv_out generate "${pinned[@]}" --path both -n 40 --seed 7
    printf 'In the beginning\nAnd God said\nAmen.' >prompts
    kv_out generate "${pinned[@]}" --prompts prompts -n 30 --seed 7
    kv_out generate "${pinned[@]}" --prompts prompts -n 8 --ids
    kv_out generate "${pinned[@]}" --race '' '--kv int4' '--seed 8' -n 40 --seed 7
    # the figures on stderr, by their words
    kv generate "${pinned[@]}" -n 8 | sed -n '/^! /p' | mask_numbers
    kv generate "${pinned[@]}" -n 8 --path both | sed -n '/^! \(path\|naive \+[0-9]\|cached \+[0-9]\)/p' | mask_numbers
    kv generate "${pinned[@]}" -n 8 --race '' '--kv int4' | sed -n '/^! \(arm\|[AB] \)/p' | mask_numbers
}

tokens() {
    printf 'Hello, w\303\266rld! <|endoftext|> 12345   x\r\n\n\t\360\237\230\200 it'\''s' >text
    printf '15496,11,266,30570,335,0,50256' >ids
    input=text
    kv tokenize
    kv tokenize --special
    kv tokenize --tokenizer bytes
    kv tokenize --model kjv
    input=ids
    kv tokenize --decode
    kv tokenize --decode --tokenizer bytes
}

evaluations() {
    head -c 400 data/models/kjv/validation.txt >text
    local path
    for path in naive cached; do
        kv evaluate "${exact[@]}" --text text --path "$path" | sed -E 's/^(speed +)[0-9]+/\1#/'
    done
    kv evaluate "${pinned[@]}" --text text --context 64 --batch 2 --chunk 1 | sed -E 's/^(speed +)[0-9]+/\1#/'
    "$program" evaluate "${pinned[@]}" --text text --csv --context 100 --path naive >evaluation.csv
    py rows evaluation.csv
}

# What a run of training leaves: training.csv, the model's and the checkpoint's tensors, config.json, and its words.
train() {
    kv train --text text --threads 1 "$@" |
        sed -E 's/[0-9]+ tokens\/s/# tokens\/s/; s/[0-9]+:[0-9]+ (left|of)/#:# \1/; s/[0-9]+ MiB/# MiB/'
}

training() {
    head -c 8000 data/models/kjv/validation.txt >text
    train --out small --layers 2 --heads 2 --embd 16 --context 32 --batch 4 --steps 20 --every 5
    py rows small/training.csv
    py tensors small/model.safetensors
    py tensors small/checkpoint.safetensors
    cat small/config.json
    train --out small --resume --layers 1
    train --out small --resume --steps 30
    py rows small/training.csv
    train --out tuned --init kjv --steps 2 --batch 1 --every 1 --dtype BF16
    py rows tuned/training.csv
    py tensors tuned/model.safetensors
}

dashboards() {
    kv dashboard "${exact[@]}" -n 2 --prompt "In the" --out one.gif
    cat one.csv
    kv dashboard "${exact[@]}" -n 1 --prompt "In the" --layers all --out layers.gif
    cat layers.csv
    kv dashboard "${exact[@]}" -n 1 --model data/reference/tiny-f32 --tokens 1,2,3 --heads all --out heads.gif
    cat heads.csv
    kv race "${exact[@]}" -n 3 --out race.gif
    cut -d , -f 1-5,8-11,13 race.csv
}

# A small run of every suite: its rows without times, its tables without numbers, known or not (whether a share of the
# limit is known depends on the machine). The seed is that of the order.
fresh_run() {
    local file
    # of shares of the limit a clock decides how many there are
    kv bench "${pinned[@]}" --quick --reps 1 --seed 1 --time 0 --verbose --model data/reference/tiny-f32 --out fresh |
        sed '/^! /d; /^Findings/,/^$/d; /^The instrument/d; s/^The machine was .*/The machine was ~/' | mask_numbers |
        sed -E 's/ (-|#) \(# of #\)/ #/; / portable # (GFLOPS|GB.s) /s/# -( |$)/# # %\1/g' |
        sed -E '/^[$=]/!{s/ # %/ #/g; s/ -( |$)/ #\1/g; s/ -( |$)/ #\1/g}' >"$work/made/bench-tables.txt"
    for file in runs tokens summary kernels limits; do
        py rows fresh/$file.csv >"$work/made/bench-$file.csv"
    done
    py keys fresh/context.json >"$work/made/bench-context.txt"
    kv bench "${pinned[@]}" --quick --reps 2 --seed 1 --time 0 --suite batch --batch 1,3 --prompt 5-9+4 -n 4 --path cached \
        --model data/reference/odd-f16 --out swept --quiet --verbose | sed -n '1p; $p' >"$work/made/bench-swept.txt"
    py rows swept/runs.csv >>"$work/made/bench-swept.txt"
}

# Plans: the last number of a line and of the plan is a prediction.
plans() {
    local tiny=(--model data/reference/tiny-f32)
    {
        kv bench --dry-run --time 0 "${pinned[@]}" "${tiny[@]}" --suite batch,depth --batch 1-8*2 --prompt 4-10+3 -n 5 -r 7
        kv bench --dry-run --time 0 "${pinned[@]}" --synthetic --cell-budget 1e9
        kv bench --dry-run "${pinned[@]}" --synthetic --full --suite depth,memory
    } | sed -E '/^[$=]/!{s/ +[0-9.]+$/ #/; s/about [0-9.]+ [a-z]+/about #/}'
    kv bench --benchmark_list_tests "${pinned[@]}" "${tiny[@]}" --quick
}

# The committed run, as the program tells it: tables, findings, warnings and summary.csv made again from runs.csv.
committed_run() {
    mkdir committed
    cp "$root"/data/results/reference/*.{csv,json} committed/
    cp -r committed again
    chmod -R u+w again
    cp -r again earlier
    py of-one-thread again fresh/runs.csv
    py otherwise earlier
    rm again/summary.csv
    kv bench --resume again | sed -E 's/ and [0-9]+ warnings?//; /^! /d' >"$work/made/reference-brief.txt"
    rm again/summary.csv
    kv bench --resume again --verbose | sed -E '/^! /{/varies by|vary by|Tukey|repetitions/!d}' >"$work/made/reference-bench.txt"
    cp again/summary.csv "$work/made/reference-summary.csv" || true
    kv report committed --out page.html >"$work/made/reference-report.txt"
    py page page.html | tee words >>"$work/made/reference-report.txt"
    kv report committed --out page.html --against earlier >"$work/made/reference-against.txt"
    py page page.html | diff words - >>"$work/made/reference-against.txt" || true
    # the tables of the READMEs, into markers with nothing between them
    local readme
    mkdir -p readme/{plots,core,benchmarks,data/results}
    cp "$root/plots/readme_table.py" readme/plots/
    ln -s "$root/data/results/reference" readme/data/results/reference
    ln -s "$root/tests" readme/tests
    for readme in README.md core/README.md benchmarks/README.md; do
        grep -E '^<!-- (from|end of) ' "$root/$readme" >"readme/$readme"
    done
    KVBENCH_PROGRAM=$program "$python" readme/plots/readme_table.py || true
    cat readme/{,core/,benchmarks/}README.md >"$work/made/reference-readme.txt"
}

comparisons() {
    kv compare committed --by path
    kv compare committed --by path --base cached --metric e2e_ms,output_tok_s --noise 10% --alpha 0.01 --fail-above 5%
    kv compare committed committed --metric ttpt_ms
    kv compare earlier/runs.csv committed --metric ttft_ms,decode_tok_s --csv compared.csv
    cat compared.csv
}

# Lines that cannot be done, of every command, and what is said of them. A name that is no path stays as it is.
bad_lines() {
    local line words
    while read -r line; do
        eval "words=($line)"
        kv "${words[@]}"
    done <<'LINES'
frobnicate
--frobnicate
ab
ab no/such/build README.md
ab --a '' --threshold 2
ab --a '' --time soon
ab --a '' --metric nothing
ab a b c
bench --frobnicate
bench more
bench --suite nothing
bench --path nothing
bench --batch 0
bench --prompt 1-8*1
bench --reps 0
bench --new -1
bench --threads 0
bench --gemm none
bench --isa sse9
bench --model no/such/model
bench --model data/reference --dry-run
bench --resume no/such/run
bench --out /proc/no/such --suite limits --model data/reference/tiny-f32
bench --min-time x
bench --time 5d
bench --precision x
bench --quick --full
bench '--benchmark_filter=[' --model data/reference/tiny-f32
calibrate --time 0
calibrate more
compare
compare no/such/run no/such/run
compare data/results/reference
compare data/results/reference --by nothing
compare data/results/reference --by suite
compare data/results/reference --by path --base nothing
compare data/results/reference data/results/reference --metric nothing
compare data/results/reference data/results/reference --alpha 2
compare data/results/reference data/results/reference --ignore nothing
compare data/results/reference data/results/reference --csv /no/such/folder/file
dashboard --layer 9
dashboard --head 9
dashboard --layers all --heads all
dashboard --new 0
dashboard --out picture.png
race --out picture.png
race --new 20
race --prompt "a b c d e f" --new 11
evaluate
evaluate --text no/such/file
evaluate --text README.md --path nothing
evaluate --text README.md --context 100000
evaluate --text README.md --chunk 0
generate --top-k -1
generate --top-p 2
generate --temperature x
generate --path nothing
generate --overflow nothing
generate --tokens 1,2,9999 --model data/reference/tiny-f32
generate --tokens 1,2 --prompt text
generate --prompts no/such/file
generate --prompts README.md
generate --race ''
generate --race '' '--kv int9'
generate --tokens '1,2;3' --model data/reference/tiny-f32
generate --model data/reference/tiny-f32 --prompt text
generate --new
logits
logits --tokens 1,2
logits --tokens 1,2 --model data/reference/tiny-f32 --out no/such/folder/file
logits --tokens 1,500 --model data/reference/tiny-f32 --out file
logits --tokens 1 --model README.md --out file
tokenize --tokenizer nothing
tokenize --decode --model data/reference/tiny-f32
tokenize more
train
train --text README.md
train --text no/such/file --out folder
train --text README.md --out /proc/no/such/folder
train --text README.md --out folder --heads 3
train --text README.md --out folder --dtype F64
train --text README.md --out folder --validation 100
train --text README.md --out folder --init no/such/model
train --text README.md --out no/such/run --resume
worker --batch 0
worker --model data/reference/tiny-f32 --prompt 65
report no/such/run
report data/results/reference --against no/such/run
report data/results/reference --out /no/such/folder/page.html
report a b
info more
limits --threads 0
limits --isa none
LINES
    at_the_door setup more
    at_the_door build more
    at_the_door plots no/such/run
    at_the_door plots --frobnicate
    at_the_door report no/such/run
    at_the_door frobnicate
    at_the_door help frobnicate
    at_the_door tokenize --tokenizer nothing
}

# Of info only what every machine has; of limits the head of its table.
machine() {
    kv info | sed -nE '/^(\$|=|paths|gemm|isa|models| )/p' | sed -E 's/^( {13}(avx(2|512)|amx)) .*/\1 .../'
    kv limits "${pinned[@]}" | mask_numbers
}

helps
reference_cases >"$work/made/reference-cases.txt"
texts >"$work/made/generate.txt"
tokens >"$work/made/tokenize.txt"
input=
evaluations >"$work/made/near-evaluate.txt"
training >"$work/made/near-train.txt"
dashboards >"$work/made/near-dashboard.txt"
plans >"$work/made/bench-plans.txt"
fresh_run
committed_run
comparisons >"$work/made/reference-compare.txt"
bad_lines >"$work/made/errors.txt"
machine >"$work/made/info-and-limits.txt"

# ---- Held against the committed files ---------------------------------------------------------------------

cd "$work/made"
for file in near-*; do
    [ ! -e "$golden/$file" ] || py settle "$file" "$golden/$file"
done
if [ "${2:-}" = --update ]; then
    rm -rf "$golden"
    cp -r "$work/made" "$golden"
    echo "golden: $(find "$golden" -type f | wc -l) files written to tests/golden"
    exit
fi
differing=
for file in $( (ls "$golden" && ls) | sort -u); do
    diff -u --label "tests/golden/$file" --label "now/$file" -N "$golden/$file" "$file" || differing="$differing $file"
done
[ -z "$differing" ] && exit
echo "golden: different:$differing" >&2
exit 1
