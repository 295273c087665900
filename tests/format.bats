# What programs read: --format json of every command that prints a table, and the files through datapackage.json, as the
# examples in benchmarks/README.md read them.

reference=$BATS_TEST_DIRNAME/../data/results/reference

setup() {
    load helpers
    of_program
}

# rows_of KEY,KEY.. COMMAND...: prints JSON lines alone, one at least, each an object that begins with these keys.
rows_of() {
    ends 0 "${@:2}"
    python3 -c '
import json, sys
rows = [json.loads(line) for line in sys.argv[2].splitlines()]
assert rows, "no rows"
for row in rows:
    assert list(row)[:len(sys.argv[1].split(","))] == sys.argv[1].split(","), list(row)' "$1" "$out"
}

@test "every table comes as JSON lines" {
    rows_of name,unit,type "$program" columns --format json
    rows_of item,name,text "$program" info --format json
    rows_of threads,isa,read_bytes_per_s "$program" limits --threads 1 --format json
    rows_of peer,installed,weights,summary "$program" peers --list --format json
    is "$(wc -l <<<"$out")" "$("$program" peers --list | grep -c '  \(yes\|no\)  ')"
    rows_of figure,file,suite "$program" tables --list --format json
    rows_of context_tokens,goal_ms "$program" plan "$reference" --format json
    rows_of metric "$program" compare "$reference" --by path --format json
    printf 'And it came to pass in the days of the king.' >text
    rows_of path,cache,kv,weights,chunk "$program" evaluate --text text --kv int8 --format json
    has "$out" '"top_agreement":' '"tokens":43,'
    rows_of suite,shape,arm,batch "$program" bench --dry-run --model "$tiny" --suite batch,kernels --batch 1,2 --format json
    rows_of run_id,cell "$program" bench --model "$tiny" --suite batch --batch 1 --new 4 --reps 1 -q --format json --out run
    rows_of a,b,metric,median_a_ms "$program" ab "$program" "$program" --model kjv --time 4s -q --format json
}

@test "calibrate has its table as JSON, too" {
    rows_of seconds,slowdown_pct,contests,slower_pct "$program" calibrate --model kjv --time 20s -q --out cal --format json
}

@test "formats say the same" {
    ends 0 "$program" info --format csv
    local csv=$out
    ends 0 "$program" info --format json
    is "$(wc -l <<<"$csv")" $(($(wc -l <<<"$out") + 1))
    ends 0 "$program" limits --threads 1 --format markdown
    has "$out" '| threads | isa |'
    refuses 2 "'yaml' is not one of text, markdown, csv, json" "$program" info --format yaml
}

# example LANGUAGE N: the N-th such block of benchmarks/README.md as the file example, of the reference run.
example() {
    mkdir -p results
    ln -sfn "$reference" results/latest
    awk -v fence="\`\`\`$1" -v n="$2" '$0 == fence { i++; inside = i == n; next } /^```/ { inside = 0 } inside' \
        "$project/benchmarks/README.md" >example
    [[ -s example ]]
}

@test "the example with Python alone reads the files" {
    example python 1
    ends 0 python3 example
    is "$(sed 's/ .*//' <<<"$out")" $'naive\ncached'
    # its medians are those of the rows, read with another tool
    local path
    for path in naive cached; do
        [[ $out == *"$path $(awk -F, -v path="$path" 'NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next }
            $at["path"] == path && $at["suite"] == "batch" && $at["status"] == "ok" && $at["batch"] == 1 { print $at["ttpt_ms"] }' \
            "$reference/runs.csv" | sort -g | awk '{ v[NR] = $1 } END { printf "%.3f", NR % 2 ? v[(NR + 1) / 2] :
            (v[NR / 2] + v[NR / 2 + 1]) / 2 }' | sed 's/.$//')"* ]] || complain "$path: $out"
    done
}

@test "the example with pandas reads the files" {
    local python=/usr/bin/python3
    "$python" -c 'import pandas' 2>/dev/null || skip "no pandas: Debian's package python3-pandas has it"
    example python 2
    ends 0 "$python" example
    has "$out" 'suite   path    batch' 'batch   cached  1           9.0' 'Name: ttpt_ms, dtype: float64'
}

@test "the example with R reads the files" {
    Rscript -e 'library(jsonlite)' >/dev/null 2>&1 || skip "no R with jsonlite: r-base-core and r-cran-jsonlite have it"
    example r 1
    ends 0 Rscript example
    has "$out" 'suite   path batch' 'batch cached     1    9.0'
}

@test "the example with DuckDB reads the files" {
    local python=${KV_DUCKDB_PYTHON:-python3}
    "$python" -c 'import duckdb' 2>/dev/null || skip "no duckdb, which is on PyPI; KV_DUCKDB_PYTHON names a Python with it"
    example python 3
    ends 0 "$python" example
    has "$out" '│ batch   │ cached  │     1 │ 9.0'
}
