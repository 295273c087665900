#!/bin/sh
# Renders the figures of a run from its CSV files. A new figure is one script NAME.gp and one row in `figures`.
set -u
LC_ALL=C
export LC_ALL

plots=$(cd -- "$(dirname -- "$0")" && pwd -P) || exit 1
results=${KVBENCH_RESULTS:-$(dirname -- "$plots")/results}

# name, suite that fills it (training: no suite, but ./kvbench train), CSV files: the first has the rows it draws, one
# with a ? may be lacking
figures="
benchmark_results batch runs.csv
token_latency trace tokens.csv runs.csv limits.csv?
time_vs_cache trace tokens.csv runs.csv
speedup_grid grid runs.csv
depth depth runs.csv
memory memory runs.csv
roofline batch runs.csv limits.csv
kernels kernels kernels.csv limits.csv?
latency_distribution trace tokens.csv runs.csv
training training training.csv
"

configuration=model,weights_source,gemm,isa,threads

# maker SUITE: the command that measures it.
maker()
{
    case $1 in
    training) echo "./kvbench train" ;;
    *) echo "./kvbench bench --suite $1" ;;
    esac
}

# What select.awk is to know of a CSV file and a suite: the columns that must be there, and those in which all rows of a
# figure must agree, which is the configuration without what the suite sweeps.
columns()
{
    case $1 in
    runs.csv)
        needs=suite,status,path,$configuration,batch,prompt_tokens,new_tokens,context_tokens,ttft_ms,ttpt_ms
        needs=$needs,decode_tok_s,kv_live_bytes,kv_reserved_bytes,rss_peak_bytes,flops,bytes,limit_ms
        ;;
    tokens.csv) needs=suite,path,batch,token,context_tokens,latency_ns ;;
    kernels.csv) needs=kernel,shape,gemm,isa,threads,rows,k,context_tokens,status,gflops,limit_pct ;;
    limits.csv) needs=threads,read_bytes_per_s,fma_flop_per_s ;;
    training.csv) needs=step,tokens,learning_rate,train_loss,validation_loss,seconds ;;
    esac
    case $1:$2 in
    runs.csv:batch) same=$configuration,prompt_tokens,new_tokens ;;
    runs.csv:trace) same=$configuration,prompt_tokens,new_tokens,batch ;;
    runs.csv:depth) same=$configuration,batch ;;
    runs.csv:*) same=$configuration ;;
    tokens.csv:*) same="batch" ;;
    kernels.csv:*) same=threads ;;
    *) same= ;;
    esac
}

usage()
{
    cat <<'END'
Usage: render.sh [DIR]

Renders every figure of a run as DIR/figures/NAME.png and NAME.svg, from the CSV files in DIR alone.
DIR is a folder that ./kvbench bench or ./kvbench train wrote; default: $KVBENCH_RESULTS/latest, or results/latest in
the project. A figure whose rows are lacking is skipped, and the suite that measures them is named.

Exit status: 0 rendered or skipped, 1 failed, 2 bad usage.

Figures:
END
    echo "$figures" | while read -r name suite csv _; do
        [ -z "$name" ] || printf '  %-20s from %s, suite %s\n' "$name" "$csv" "$suite"
    done
}

fail()
{
    printf 'plots: %s\n' "$1" >&2
    exit "${2:-1}"
}

# select_rows CSV SUITE: checks the file and copies the rows of the suite to $work/SUITE/CSV, with their counts beside.
select_rows()
{
    [ ! -e "$work/$2/$1.counts" ] || return 0
    columns "$1" "$2"
    counts=$(cd -- "$work/$2" && awk -v csv="$1" -v suite="$2" -v needs="$needs" -v same="$same" -v rows="$1" \
        -f "$plots/csv.awk" -f "$plots/select.awk" 2>"$work/log" <"$run/$1") ||
        fail "$folder/${counts:-$1: cannot be read; check its permissions}"
    echo "$counts" >"$work/$2/$1.counts"
}

# prepare NAME SUITE CSV...: has the rows of a figure ready, or leaves a line that says why it is skipped.
prepare()
{
    figure=$1
    suite=$2
    shift 2
    mkdir -p -- "$work/$suite"
    for csv; do
        file=${csv%\?}
        if [ -e "$run/$file" ]; then
            select_rows "$file" "$suite"
            read -r kept _ <"$work/$suite/$file.counts"
            lack="$file has no row of suite $suite with status ok"
            [ "$suite" != training ] || lack="$file has no row"
        else
            : >"$work/$suite/$file"
            kept=0
            lack="$file is not there"
        fi
        if [ "$kept" -eq 0 ] && [ "$file" = "$csv" ]; then
            echo "$figure: skipped, $lack; run $(maker "$suite")" >"$work/$figure.skipped"
            return
        fi
    done
}

# draw NAME SUITE FORMAT NOT_OK OTHERS: exit status 3 when there is nothing to draw in those rows.
draw()
{
    (cd -- "$plots" && rows=$work/$2 exec gnuplot -d -c "$1.gp" "$work/$2" "$work/$1.$3" "$3" "$4" "$5") \
        </dev/null 2>"$work/log.$3" || return
    [ -s "$work/$1.$3" ]
}

# gnuplot's SVG knows no bold outside of enhanced text. Readers without DejaVu Sans get a font of nearly the same
# widths, not a serif one. Ids differ by figure, so that one page can hold several. Each curve's title is gnuplot code,
# which a browser would show.
portable_svg()
{
    sed -e 's/font-family="DejaVu Sans:Bold"/font-weight="bold" font-family="DejaVu Sans"/' \
        -e 's/font-family="DejaVu Sans"/font-family="DejaVu Sans, Verdana, sans-serif"/g' \
        -e 's/\(<g id="[^"]*" *>\)<title>.*<\/title>/\1/' \
        -e "s/id=\"gnuplot_/id=\"$1_/g" -e "s/<title>Gnuplot</<title>$1</" "$work/$1.svg" >"$work/portable.svg" &&
        mv -f -- "$work/portable.svg" "$work/$1.svg"
}

# render NAME SUITE CSV: both formats are drawn at once, and are whole before the first takes its final name.
render()
{
    read -r _ not_ok others <"$work/$2/$3.counts"
    draw "$1" "$2" svg "$not_ok" "$others" &
    draw "$1" "$2" png "$not_ok" "$others"
    status=$?
    wait $! || { [ $status -ne 0 ] || status=1; }
    if [ $status -eq 3 ]; then
        [ "$2" = training ] && of= || of=" in suite $2"
        echo "$1: skipped, $3 has no values for it$of; run $(maker "$2")"
        return
    fi
    # An iconv warning, of a degree sign that no figure has, opens every log.
    [ $status -eq 0 ] ||
        fail "$1: gnuplot failed: $(cat "$work"/log.??? | grep -v -e '^[ ^]*$' -e iconv | tail -n 1)"
    if ! { portable_svg "$1" && mkdir -p -- "$run/figures" &&
        mv -f -- "$work/$1.png" "$work/$1.svg" "$run/figures/"; } 2>"$work/log"; then
        fail "cannot write to $folder/figures; check its permissions and free space"
    fi
    printf '%s/figures/%s.png and .svg\n' "$folder" "$1"
}

case ${1-} in
-h | --help)
    usage
    exit 0
    ;;
--) shift ;;
-*) fail "unknown option $1; see --help" 2 ;;
esac
[ $# -le 1 ] || fail "one folder at most; see --help" 2
folder=${1-$results/latest}

[ -d "$folder" ] || fail "$folder is not a folder; run ./kvbench bench, or name the folder of a run"
run=$(cd -- "$folder" && pwd -P) || fail "$folder cannot be entered; check its permissions"
if [ ! -e "$run/runs.csv" ] && [ ! -e "$run/training.csv" ]; then
    fail "$folder has no runs.csv; run ./kvbench bench, or name the folder of a run or of a training"
fi
command -v gnuplot >/dev/null || fail "gnuplot is not installed; install the package gnuplot-nox"

# In the run's own folder, so that a finished figure is renamed and not copied.
work=$run/.figures.$$
mkdir -- "$work" 2>/dev/null || fail "cannot write to $folder; check its permissions and free space"
trap 'rm -rf -- "$work"' EXIT
trap 'exit 1' HUP INT TERM

# A run has no training, and a trained model no run: nothing is said of the figures of the other.
figures=$(echo "$figures" | while read -r name suite files; do
    case $suite in training) origin=training.csv ;; *) origin=runs.csv ;; esac
    [ ! -e "$run/$origin" ] || echo "$name $suite $files"
done)

# Every file is checked before the first figure is drawn.
while read -r name suite files; do
    # shellcheck disable=SC2086 # a list of names
    [ -z "$name" ] || prepare "$name" "$suite" $files
done <<END
$figures
END

# A suite may leave the file of another with a header alone, but a run has rows.
first_rows=$(cd -- "$run" && for csv in runs.csv kernels.csv training.csv; do [ ! -e $csv ] || sed -n 2p $csv; done)
if [ -z "$first_rows" ]; then
    [ ! -e "$run/runs.csv" ] || fail "$folder/runs.csv: a header and no rows; measure again with ./kvbench bench"
    fail "$folder/training.csv: a header and no rows; train again with ./kvbench train"
fi

while read -r name suite csv _; do
    if [ -e "$work/$name.skipped" ]; then
        cat "$work/$name.skipped"
    elif [ -n "$name" ]; then
        render "$name" "$suite" "$csv"
    fi
done <<END
$figures
END
