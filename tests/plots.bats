# plots/render.sh as a person sees it: which figures it draws of a run or a training, what they say, what it skips and
# refuses. The runs are data/results/before_rounds and cuts of it.

reference=$BATS_TEST_DIRNAME/../data/results/before_rounds
all='benchmark_results token_latency time_vs_cache speedup_grid depth memory roofline kernels latency_distribution'
naive='rgb(213,  94,   0)' cached='rgb(  0, 114, 178)'

# The reference run's figures, which many tests look at.
setup_file() {
    mkdir "$BATS_FILE_TMPDIR/run"
    cp "$reference"/*.csv "$BATS_FILE_TMPDIR/run"
    SECONDS=0
    KVBENCH_PROGRAM=${KV_PROGRAM:-$BATS_TEST_DIRNAME/../build/benchmarks/kvbench} \
        "$BATS_TEST_DIRNAME/../plots/render.sh" "$BATS_FILE_TMPDIR/run" >"$BATS_FILE_TMPDIR/out" 2>"$BATS_FILE_TMPDIR/err"
    export SECONDS_OF_ALL=$SECONDS
}

setup() {
    load helpers
    sandbox
    speaker='plots: '
    export KVBENCH_PROGRAM=$program
}

draw() {
    "$project/plots/render.sh" "$@"
}

# rows PROGRAM FILE: the header, then what an awk program whose variables are the columns makes of the rows.
rows() {
    local header columns=() i
    IFS=, read -ra header <"$2"
    for i in "${!header[@]}"; do
        columns+=(-v "${header[i]}=$((i + 1))")
    done
    awk -F, -v OFS=, "${columns[@]}" "NR == 1 { print; next } $1" "$2"
}

# cut_runs PROGRAM [FILE...]: the sandbox becomes such a cut of the reference run, with those of its other files.
cut_runs() {
    rows "$1" "$reference/runs.csv" >runs.csv
    local file
    for file in "${@:2}"; do
        cp "$reference/$file" .
    done
}

# add_runs PROGRAM: rows more, made of the reference run's.
add_runs() {
    rows "$1" "$reference/runs.csv" | tail -n +2 >>runs.csv
}

failed='for (i = status + 1; i < error; i++) $i = ""; $status = "failed"'

# drawn FIGURE [FOLDER]: the last `ends 0 draw` made both pictures, whole and of one size; $svg is the text of one.
drawn() {
    local folder=${2-.} png size
    is "$err" ''
    has "$out" "$folder/figures/$1.png and .svg"
    png=$folder/figures/$1.png svg=$(<"$folder/figures/$1.svg")
    is "$(head -c 4 "$png" | tail -c 3) $(tail -c 8 "$png" | head -c 4)" 'PNG IEND'
    read -ra size < <(od -An --endian=big -tu4 -j16 -N8 "$png")
    [[ ${size[0]} == 1800 && ${size[1]} -ge 800 && $(wc -c <"$png") -gt 20000 ]] || complain "$1: ${size[*]}"
    [[ $svg == '<?xml'*'<svg'*'fill="#ffffff"'*'</svg>' ]] || complain "$1.svg is no whole drawing"
}

# shows FIGURE TEXT... and hides FIGURE TEXT...: in a figure that was drawn.
shows() {
    drawn "$1"
    has "$svg" "${@:2}"
}

hides() {
    drawn "$1"
    lacks "$svg" "${@:2}"
}

# skipped FIGURE REASON: on one line, and there is no picture of it.
skipped() {
    local line
    line=$(grep "^$1: skipped, " <<<"$out") || complain "$1 was not skipped: $out"
    has "$line" "$2"
    absent "figures/$1.png" "figures/$1.svg"
}

# refused PART [FOLDER]: one line, and nothing is drawn.
refused() {
    refuses 1 "$1" draw "${2-.}"
    absent figures
}

of_reference() {
    out=$(<"$BATS_FILE_TMPDIR/out") err=$(<"$BATS_FILE_TMPDIR/err")
    cd "$BATS_FILE_TMPDIR/run" || return
    out=${out//"$PWD"/.}
}

# ---- What is drawn

@test "every figure of a run is drawn, whole, in under ten seconds" {
    of_reference
    for figure in $all; do
        drawn "$figure"
    done
    lacks "$(grep -vE "^(parts|precision|quality|paged|prefix|window|speculate|overflow): skipped" <<<"$out")" skipped training
    skipped parts 'parts.csv is not there; run ./kvbench bench --suite parts'
    [[ $SECONDS_OF_ALL -lt 10 ]]
    is "$(ls)" "$(printf '%s\n' figures kernels.csv limits.csv runs.csv summary.csv tokens.csv)"
}

@test "each path has its colour in every figure" {
    of_reference
    for figure in $all; do
        [[ $figure == speedup_grid || $figure == kernels ]] || shows "$figure" "$naive" "$cached"
    done
    shows time_vs_cache 'rgb(152,  78, 163)'
    shows memory 'rgb(152,  78, 163)'
}

@test "what the figures say" {
    of_reference
    n=0
    while IFS='|' read -r figure text; do
        shows "$figure" "$text"
        n=$((n + 1))
    done <<'END'
benchmark_results|With and without a KV cache: gpt2
benchmark_results|synthetic weights (seed 42), 2 threads, packed, avx512; prompt of 21 tokens, 50 new
benchmark_results|<text>naive</text>
benchmark_results|<text>cached</text>
benchmark_results|median of the repetitions (n = 5). Bars: smallest to largest.
benchmark_results|log scale
token_latency|mean of the repetitions (n = 5). Bands: smallest to largest.
token_latency|limit of each path
time_vs_cache|KV memory, cached
depth|cached: 
memory|KV reserved
memory|Batch 8
memory|one repetition (n = 1).
roofline|read bandwidth 
roofline|peak 
kernels|peak that was probed
kernels|Machine: 
kernels|packed, avx512
kernels|attention, avx2
END
    is $n 19
    hides time_vs_cache 'KV memory, naive'
    hides benchmark_results 'Left out'
}

@test "the grid is what compare tells, and the distribution every step" {
    of_reference
    "$program" compare . --by path --base naive --metric ttpt_ms --format csv >"$box/compared"
    n=0
    while IFS=, read -r _ ratio; do
        shows speedup_grid "$(awk "BEGIN { r = 1 / $ratio; printf r < 9.95 ? \"%.1f×\" : \"%.0f×\", r }")"
        n=$((n + 1))
    done < <(rows '$suite == "grid" && $ratio { print "", $ratio }' "$box/compared" | tail -n +2)
    [[ $n -gt 3 ]]
    for path in naive cached; do
        rows '$suite == "trace" && $path == "'$path'" && $token > 1 { print $latency_ns / 1e6 }' tokens.csv |
            tail -n +2 | sort -g >"$box/steps"
        n=$(wc -l <"$box/steps")
        p50=$(awk 'n == 2 * NR - 1 { printf "%.4g", $1 }' n="$n" "$box/steps")
        shows latency_distribution "$path:  n = $n,  p50 $p50 ms,  p95 "
    done
    shows latency_distribution ',  p99 '
}

# as_arm FROM TO COLUMN VALUE: the reference run, and once more the cells of path cached as those of another arm, whose id
# has TO instead of FROM, and VALUE in that column; it keeps a quarter of the bytes.
as_arm() {
    cut_runs 1 kernels.csv limits.csv
    add_runs '$path == "cached" { sub("'"$1"'", "'"$2"'", $cell); $'"$3"' = "'"$4"'"
        $kv_live_bytes = $kv_live_bytes / 4; print }'
    rows '{ print; if ($path == "cached") { sub("'"$1"'", "'"$2"'", $cell); print } }' "$reference/tokens.csv" >tokens.csv
    ends 0 draw .
}

@test "a new path needs no editing" {
    as_arm cached other path other
    shows benchmark_results '<text>other</text>' 'rgb(  0, 158, 115)'
    shows token_latency other
    shows time_vs_cache 'KV memory, other'
    shows speedup_grid other
    shows depth 'other: '
    shows memory 'RSS, other'
    shows roofline 'decode, other'
    shows latency_distribution 'other:  n = '
}

@test "a new value of an axis makes an arm, which needs no editing" {
    as_arm kv-f32 kv-int8 kv int8
    shows benchmark_results '<text>naive</text>' '<text>cached, f32</text>' '<text>cached, int8</text>' \
        "$naive" "$cached" 'rgb(  0, 158, 115)'
    shows token_latency 'cached, int8'
    shows time_vs_cache 'KV memory, cached, int8'
    shows speedup_grid 'cached, f32' 'cached, int8'
    shows depth 'cached, int8: '
    shows memory 'RSS, cached, int8'
    shows roofline 'decode, cached, int8'
    shows latency_distribution 'cached, int8:  n = '
    hides benchmark_results 'Left out'
}

@test "arms that keep as much share the line of their memory" {
    cut_runs '$suite == "trace"'
    add_runs '$path == "cached" { sub("cached", "other", $cell); $path = "other"; print }'
    rows '{ print; if ($path == "cached") { sub("cached", "other", $cell); print } }' "$reference/tokens.csv" >tokens.csv
    ends 0 draw .
    shows time_vs_cache 'KV memory, cached and 1 more' 'rgb(152,  78, 163)'
}

@test "other engines, of a run that has any" {
    cut_runs '$suite == "batch" && $path == "cached"'
    ends 0 draw .
    lacks "$out" peers
    awk -v OFS=, 'NR == 1 { print $0, "engine"; next }
        { print $0, "kvbench"; sub("batch/cached", "batch/e-torch/cached"); print $0, "torch" }' runs.csv >both
    mv both runs.csv
    ends 0 draw .
    shows peers 'Other engines against kvbench' 'torch</tspan>' 'as fast as kvbench' '<text>f32</text>' 'n = 5'
}

# ---- What a run may lack

@test "one path alone keeps its colour" {
    cut_runs '$path == "cached"' limits.csv
    rows '$path == "cached"' "$reference/tokens.csv" >tokens.csv
    ends 0 draw .
    for figure in $all; do
        [[ $figure == speedup_grid || $figure == kernels ]] || hides "$figure" "$naive" '<text>naive</text>'
    done
    shows benchmark_results "$cached" '<text>cached</text>'
    skipped speedup_grid 'no values for it in suite grid; run ./kvbench bench --suite grid'
}

@test "one repetition has no interval, and a missing one is told" {
    cut_runs '$repetition == 1' limits.csv
    rows '$repetition == 1' "$reference/tokens.csv" >tokens.csv
    ends 0 draw .
    shows depth 'one repetition (n = 1), so no interval.'
    shows token_latency 'one repetition (n = 1), so no band.'
    cut_runs '$suite == "batch" && ($path == "naive" || $repetition < 5)'
    ends 0 draw .
    shows benchmark_results '(n = 4 to 5)'
}

@test "one batch" {
    cut_runs '$suite == "batch" && $batch == 4'
    ends 0 draw .
    drawn benchmark_results
}

@test "rows that failed are left out and counted, whatever their errors quote" {
    cut_runs '$suite == "batch"'
    add_runs 'NR < 4 { '"$failed"'; $error = NR == 2 ? "\"use \"\"--batch 1\"\", or less\"" : "\"\""; print }'
    ends 0 draw .
    shows benchmark_results 'Left out: 2 rows that did not end ok.'
}

@test "what was not measured is said" {
    cut_runs '$suite == "batch" && $path == "naive" {
        $ttpt_ms = $decode_tok_s = ""; $weights_source = "F32"; $threads = 1; sub("/t2/", "/t1/", $cell); print }'
    sed -i 's/$/\r/' runs.csv
    ends 0 draw .
    shows benchmark_results 'not measured' 'F32 weights, 1 thread,'
}

@test "configurations are not mixed" {
    cut_runs '$suite == "batch"'
    add_runs 'NR == 2 { $weights_source = "F32"; $batch = 64; sub("/b1/", "/b64/", $cell); $ttft_ms = 900000; print }'
    ends 0 draw .
    shows benchmark_results 'Left out: 1 row of another configuration.'
    lacks "$svg" 900k
}

@test "a model's name is text and not markup" {
    cut_runs '$suite == "batch" { $model = "\"a, \"\"b\"\" <c> & d_e\""; print }'
    ends 0 draw .
    shows benchmark_results 'With and without a KV cache: a, "b" &lt;c> &amp; d_e'
}

@test "percentiles need samples" {
    cut_runs '$suite == "trace" && $path == "cached" && $repetition == 1'
    rows '$path == "cached" && $repetition == 1 && $token <= 30' "$reference/tokens.csv" >tokens.csv
    ends 0 draw .
    shows latency_distribution 'cached:  n = 29,  p50 ' ' ms,  p95 '
    lacks "$svg" p99
}

@test "skipped cells of the grid" {
    cut_runs '$suite == "grid" && ($path == "cached" || $batch > 1)'
    add_runs '$suite == "grid" && $path == "naive" && $batch == 1 && $repetition == 1 {
        '"$failed"'; $status = "skipped"; $error = "\"predicted to take 90 s, more than the budget\""; print }'
    n=$(grep -c ,skipped, runs.csv)
    ends 0 draw .
    shows speedup_grid '– → ' "–  not measured.  Left out: $n rows that did not end ok."
}

@test "without limits of this run there is no roof" {
    cut_runs 1 tokens.csv kernels.csv
    ends 0 draw .
    skipped roofline 'limits.csv is not there; run ./kvbench bench --suite batch'
    rm -r figures
    rows '$threads == 1' "$reference/limits.csv" >limits.csv
    ends 0 draw .
    shows roofline 'No roof: limits.csv has none of 2 threads.'
    hides roofline 'read bandwidth'
}

@test "tokens without limits are drawn without" {
    cut_runs '$suite == "trace"'
    rows '{ $limit_ns = ""; print }' "$reference/tokens.csv" >tokens.csv
    ends 0 draw .
    hides token_latency limit
}

@test "each lacking suite is named" {
    cut_runs 0 kernels.csv
    ends 0 draw .
    drawn kernels
    skipped token_latency 'tokens.csv is not there; run ./kvbench bench --suite trace'
    while read -r figure suite; do
        skipped "$figure" "run ./kvbench bench --suite $suite"
    done <<<$'time_vs_cache trace\nlatency_distribution trace\nspeedup_grid grid\ndepth depth\nmemory memory
roofline batch\nbenchmark_results batch'
    rm -r figures
    cut_runs '$suite == "depth"'
    add_runs '$suite == "batch" { '"$failed"'; print }'
    ends 0 draw .
    is "$err" ''
    skipped benchmark_results 'has no row of suite batch with status ok; run ./kvbench bench --suite batch'
}

@test "a run whose values are all unknown draws nothing, and that is no failure" {
    cut_runs '{ for (i = status + 1; i <= NF; i++) $i = ""; print }' limits.csv
    ends 0 draw .
    is "$err" ''
    for figure in benchmark_results=batch speedup_grid=grid depth=depth memory=memory roofline=batch; do
        skipped "${figure%=*}" "no values for it in suite ${figure#*=}"
    done
    is "$(ls -A)" $'limits.csv\nruns.csv'
}

# ---- A training run

# training ROWS HIGH LOW RISE: an evaluation every 20 steps of 512 tokens and 3 s, training loss from HIGH to LOW and
# validation loss 0.125 above it, which rises again in the end by RISE. Step 0 has no training loss yet.
training() {
    awk -v n="$1" -v high="$2" -v low="$3" -v rise="$4" 'BEGIN {
        print "step,tokens,learning_rate,train_loss,validation_loss,gradient_norm,seconds"
        for (i = 0; i < n; i++) {
            x = n > 1 ? i / (n - 1) : 0
            train = low + (high - low) * (1 - x) ^ 2
            printf "%d,%d,%.9g,%s,%.9g,%s,%d\n", 20 * i, 20 * 512 * i, 1e-5 * (1 - 0.9 * x), i ? train : "",
                train + 0.125 + (x > 0.5 ? rise * (x - 0.5) : 0), i ? 0.7 : "", 60 * i
        }
    }' >training.csv
}

@test "a training run" {
    training 3 5.5 1.25 0
    ends 0 draw .
    is "$out" './figures/training.png and .svg'
    shows training '40 steps, 20.48k tokens in 2 min' 'log scale' 'training loss' 'bits per token' 'Learning rate' \
        'lowest validation loss: 1.375 nats, 1.984 bits, after step 40'
    lacks "$svg" last:
}

# 2.125 + (1 - x)^2 + (x - 1/2) is lowest where its derivative 1 - 2 (1 - x) is 0: halfway.
@test "a training run that overfits" {
    training 301 3 2 1
    ends 0 draw .
    shows training 'lowest validation loss: 2.375 nats, 3.426 bits, after step 3000' \
        'last: 2.625 nats, 3.787 bits' '6000 steps, 3.072M tokens in 5.0 h'
    lacks "$svg" 'log scale'
}

@test "a training run that has just begun, and one without losses" {
    training 1 5.5 1 0
    ends 0 draw .
    shows training 'lowest validation loss: 5.625 nats, 8.115 bits, after step 0'
    rm -r figures
    sed -i '2s/.*/0,0,1e-3,,,,1/' training.csv
    ends 0 draw .
    is "$err" ''
    skipped training 'training.csv has no values for it; run ./kvbench train'
}

@test "a training run in the folder of a run" {
    cut_runs '$suite == "batch"'
    training 9 5.5 1.25 0
    ends 0 draw .
    drawn training
    drawn benchmark_results
}

# ---- What is refused, before anything is drawn

# What is done to a file, and what is said.
@test "malformed files" {
    n=0
    while IFS='|' read -r file change part; do
        cp "$reference"/*.csv .
        training 3 5.5 1.25 0
        sed -i "$change" "$file"
        refused "$file$part"
        n=$((n + 1))
    done <<'END'
runs.csv|d| is empty
runs.csv|s/.*/a,b,c/| has no column "run_id"
runs.csv|1d| has two columns
runs.csv|2s/,ok,.*//| line 2 has 18 fields, the header has 41
runs.csv|2s/,2,0,1,21,/,2,0,one,21,/| line 2 has "one" where column "batch"
runs.csv|2s/,ok,[^,]*,[^,]*/,ok,,nan/| line 2 has "nan" where column "ttft_ms"
runs.csv|$s/$/"open/| line
runs.csv|2s/,[^,]*$/,"open/| line 2
tokens.csv|d| is empty
tokens.csv|s/.*/a,b/| has no column
tokens.csv|2s/[^,]*\(,[^,]*,[^,]*,[^,]*\)$/fast\1/| line 2 has "fast" where column "latency_ns"
tokens.csv|2s/,[^,]*,[^,]*,[^,]*$//| line 2 has 9 fields, the header has 12
kernels.csv|2s/[^,]*\(,[^,]*,[^,]*,[^,]*,[^,]*,\)$/x\1/| line 2 has "x" where column "gflops"
limits.csv|2s/,avx512,[^,]*/,avx512,inf/| line 2 has "inf" where column "read_bytes_per_s"
training.csv|d| is empty
training.csv|1s/learning_rate/rate/| has no column "learning_rate"
training.csv|3s/,[^,]*\(,[^,]*,[^,]*,[^,]*\)$/,nan\1/| line 3 has "nan" where column "train_loss"
training.csv|2s/,,.*//| line 2 has 3 fields, the header has 7
END
    is $n 18
}

@test "files with a header alone" {
    cut_runs 0
    refused 'runs.csv: a header and no rows'
    rm runs.csv
    training 0
    refused 'training.csv: a header and no rows; train again with ./kvbench train'
}

@test "a missing folder, and a folder without a run" {
    refused '. has no runs.csv; run ./kvbench bench'
    refused '/nonexistent/run is not a folder' /nonexistent/run
}

@test "usage" {
    ends 0 draw --help
    has "$out" 'Usage: ./kvbench plots [DIR]'
    for figure in $all training; do
        has "$out" "  $figure "
    done
    is "$err" ''
    refuses 2 'unknown option --colour' draw --colour
    refuses 2 'one folder at most' draw . .
}

@test "the folder is the latest run's, or of any name" {
    cut_runs '$suite == "batch" && $batch < 3'
    mkdir "it's \"a\" \$run" ./-dash
    cp runs.csv "it's \"a\" \$run"
    mv runs.csv ./-dash
    ends 0 draw "it's \"a\" \$run"
    drawn benchmark_results "it's \"a\" \$run"
    ends 0 draw -- -dash
    [[ -s ./-dash/figures/benchmark_results.png ]]
    ln -s ./-dash latest
    ends 0 env KVBENCH_RESULTS="$PWD" "$project/plots/render.sh"
    drawn benchmark_results "$PWD/latest"
}

@test "half a picture is not kept" {
    cut_runs '$suite == "batch"'
    script "$bin/gnuplot" 'echo half >"$5"; echo "line 1: out of paper" >&2; exit 1'
    PATH=$bin:$PATH refused 'benchmark_results: gnuplot failed: line 1: out of paper'
    is "$(ls -A)" runs.csv
}

@test "nothing is left behind when nobody reads what is printed" {
    cut_runs '$suite == "batch"'
    draw . 2>/dev/null | true
    rm -rf figures
    is "$(ls -A)" runs.csv
}

@test "without the program it is said what to do" {
    cut_runs '$suite == "batch"'
    KVBENCH_PROGRAM=/nonexistent/kvbench refused '/nonexistent/kvbench is not there; build it'
}

@test "for phones the panels stand below each other, the time per token first" {
    for name in benchmark_results memory kernels; do
        [[ -s $BATS_FILE_TMPDIR/run/figures/$name-narrow.svg ]]
    done
    python3 - "$BATS_FILE_TMPDIR/run/figures" <<'END'
import re, sys

narrow, wide, kernels = (open(f"{sys.argv[1]}/{name}.svg", encoding="utf-8").read()
                         for name in ("benchmark_results-narrow", "benchmark_results", "kernels"))
size = re.search(r'<svg[^>]*viewBox="0 0 (\d+) (\d+)"', narrow, re.S)
assert int(size[1]) <= 420 and int(size[2]) > 3 * int(size[1]), size[0]
titles = ["Time per token", "Decode throughput", "Peak KV memory", "Time to first token"]
assert sorted(titles, key=narrow.index) == titles
assert sorted(titles, key=wide.index)[0] == titles[3]
# Of five series of kernels no two have the same mark and colour.
marks = set(re.findall(r"<use xlink:href='#(\w+Pt\d+)' [^>]*color='([^']*)'", kernels))
assert len(marks) == 5, marks
END
}
