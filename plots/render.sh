#!/bin/sh
# Renders the figures of a run from its CSV files. A new figure is one script NAME.gp and one row in `figures`.
set -u
LC_ALL=C
export LC_ALL

plots=$(cd -- "$(dirname -- "$0")" && pwd -P) || exit 1
results=${KVBENCH_RESULTS:-$(dirname -- "$plots")/results}

# Which measurement a row of runs.csv is.
identity=suite,status,path,model,weights,gemm,isa,threads,prompt_tokens,new_tokens

# name, CSV file, suite that fills it, columns that must be there
figures="
benchmark_results runs.csv batch $identity,batch,ttft_ms,ttpt_ms,decode_tok_s,kv_live_bytes
"

usage()
{
    cat <<'END'
Usage: render.sh [DIR]

Renders every figure of a run as DIR/figures/NAME.png and NAME.svg, from the CSV files in DIR alone.
DIR is a folder that ./kvbench bench wrote; default: $KVBENCH_RESULTS/latest, or results/latest in the project.
A figure whose rows are lacking is skipped, and the suite that measures them is named.

Exit status: 0 rendered or skipped, 1 failed, 2 bad usage.

Figures:
END
    echo "$figures" | while read -r name csv suite needs; do
        [ -z "$name" ] || printf '  %-20s from %s, suite %s\n' "$name" "$csv" "$suite"
    done
}

fail()
{
    printf 'plots: %s\n' "$1" >&2
    exit "${2:-1}"
}

draw()
{
    (cd -- "$plots" && gnuplot -d -c "$1.gp" "$work/rows.csv" "$work/$1.$2" "$2" "$3") </dev/null 2>"$work/log" &&
        [ -s "$work/$1.$2" ]
}

# gnuplot's SVG knows no bold outside of enhanced text. Readers without DejaVu Sans get a font of nearly the same
# widths, not a serif one. Ids differ by figure, so that one page can hold several.
portable_svg()
{
    sed -e 's/font-family="DejaVu Sans:Bold"/font-weight="bold" font-family="DejaVu Sans"/' \
        -e 's/font-family="DejaVu Sans"/font-family="DejaVu Sans, Verdana, sans-serif"/g' \
        -e "s/id=\"gnuplot_/id=\"$1_/g" -e "s/<title>Gnuplot</<title>$1</" "$work/$1.svg" >"$work/portable.svg" &&
        mv -f -- "$work/portable.svg" "$work/$1.svg"
}

# Both formats are whole before the first takes its final name.
render()
{
    for format in png svg; do
        draw "$1" "$format" "$2" || fail "$1: gnuplot failed: $(grep -v '^[ ^]*$' "$work/log" | tail -n 1)"
    done
    if ! { portable_svg "$1" && mkdir -p -- "$run/figures" &&
        mv -f -- "$work/$1.png" "$work/$1.svg" "$run/figures/"; } 2>"$work/log"; then
        fail "cannot write to $folder/figures; check its permissions and free space"
    fi
    printf '%s/figures/%s.png and .svg\n' "$folder" "$1"
}

figure()
{
    if [ ! -e "$run/$2" ]; then
        echo "$1: skipped, $2 is not there; run ./kvbench bench --suite $3"
        return
    fi
    counts=$(cd -- "$work" && awk -v csv="$2" -v suite="$3" -v needs="$4" -v rows=rows.csv -f "$plots/select.awk" \
        2>log <"$run/$2") || fail "$folder/${counts:-$2: cannot be read; check its permissions}"
    if [ "${counts% *}" -eq 0 ]; then
        echo "$1: skipped, $2 has no row of suite $3 with status ok; run ./kvbench bench --suite $3"
        return
    fi
    render "$1" "${counts#* }"
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
[ -e "$run/runs.csv" ] || fail "$folder has no runs.csv; run ./kvbench bench, or name the folder of a run"
command -v gnuplot >/dev/null || fail "gnuplot is not installed; install the package gnuplot-nox"

# In the run's own folder, so that a finished figure is renamed and not copied.
work=$run/.figures.$$
mkdir -- "$work" 2>/dev/null || fail "cannot write to $folder; check its permissions and free space"
trap 'rm -rf -- "$work"' EXIT
trap 'exit 1' HUP INT TERM

while read -r name csv suite needs; do
    [ -z "$name" ] || figure "$name" "$csv" "$suite" "$needs"
done <<END
$figures
END
