#!/bin/sh
# Renders the figures of a run: `kvbench tables` computes what they show, gnuplot draws it.
set -u
LC_ALL=C
export LC_ALL

plots=$(cd -- "$(dirname -- "$0")" && pwd -P) || exit 1
results=${KVBENCH_RESULTS:-$(dirname -- "$plots")/results}
program=${KVBENCH_PROGRAM:-$(dirname -- "$plots")/build/benchmarks/kvbench}

usage()
{
    cat <<'END'
Usage: ./kvbench plots [DIR]        (plots/render.sh [DIR] is the same)

Draws every figure of a run as DIR/figures/NAME.png and NAME.svg, from the CSV files in DIR alone.
DIR is a folder that ./kvbench bench or ./kvbench train wrote, or NAME.kvbench, a pack of a run, whose figures go
into the folder NAME-figures beside it; default: $KVBENCH_RESULTS/latest, or results/latest in
the project. A figure whose rows are lacking is skipped, and the suite that measures them is named. kvbench itself is
taken from $KVBENCH_PROGRAM (default: build/benchmarks/kvbench).

Exit status: 0 rendered or skipped, 1 failed, 2 bad usage.

Figures:
END
    [ ! -x "$program" ] || "$program" tables --list
}

fail()
{
    printf 'plots: %s\n' "$1" >&2
    exit "${2:-1}"
}

# draw NAME FORMAT
draw()
{
    (cd -- "$plots" && exec gnuplot -d -c "$1.gp" "$work/$1" "$work/$1.$2" "$2") </dev/null 2>"$work/log.$2" &&
        [ -s "$work/$1.$2" ]
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

# render NAME: both formats are drawn at once, and are whole before the first takes its final name. A figure that knows
# "narrow" is drawn for phones, too, as NAME-narrow.svg, which the page shows there.
render()
{
    draw "$1" svg &
    draw "$1" png
    status=$?
    wait $! || status=1
    # An iconv warning, of a degree sign that no figure has, opens every log.
    if [ $status -ne 0 ]; then
        complaint=$(cat "$work"/log.??? | grep -v -e '^[ ^]*$' -e iconv -e Skipping | tail -n 1)
        fail "$1: gnuplot failed: ${complaint:-it could not write to $folder; check its free space}"
    fi
    narrow=
    if grep -q narrow "$plots/$1.gp"; then
        if ! draw "$1" narrow; then
            complaint=$(grep -v -e '^[ ^]*$' "$work/log.narrow" | tail -n 1)
            fail "$1, narrow: gnuplot failed: ${complaint:-it could not write to $folder; check its free space}"
        fi
        narrow=$work/$1-narrow.svg
        { mv -f -- "$work/$1.narrow" "$narrow" && portable_svg "$1-narrow"; } 2>/dev/null || fail "cannot write to $folder; check its permissions and free space"
    fi
    if ! { portable_svg "$1" && mkdir -p -- "$run$figures" &&
        mv -f -- "$work/$1.png" "$work/$1.svg" ${narrow:+"$narrow"} "$run$figures/"; } 2>"$work/log"; then
        fail "cannot write to $shown$figures; check its permissions and free space"
    fi
    printf '%s%s/%s.png and .svg\n' "$shown" "$figures" "$1" 2>/dev/null || fail "stdout cannot be written"
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

# The figures of $run are in $run$figures, which is called $shown$figures.
shown=$folder figures=/figures near=$folder
case $folder in
*.kvbench)
    if [ -f "$folder" ]; then
        near=$(dirname -- "$folder")
        shown=${folder%.kvbench} figures=-figures
    fi
    ;;
esac
[ -d "$near" ] || fail "$folder is not a folder; run ./kvbench bench, or name the folder of a run"
run=$(cd -- "$near" && pwd -P) || fail "$folder cannot be entered; check its permissions"
[ -x "$program" ] || fail "$program is not there; build it, or name one in KVBENCH_PROGRAM"
command -v gnuplot >/dev/null || fail "gnuplot is not installed; install the package gnuplot-nox"

# In the run's own folder, so that a finished figure is renamed and not copied. What a killed one left goes.
for stale in "$run"/.figures.*[0-9]; do
    [ -e "/proc/${stale##*.}" ] || rm -rf -- "$stale"
done
work=$run/.figures.$$
[ $figures = /figures ] || run=$run/$(basename -- "$shown")
trap 'rm -rf -- "$work"' EXIT
trap 'exit 1' HUP INT TERM PIPE
mkdir -- "$work" 2>/dev/null || fail "cannot write to $folder; check its permissions and free space"

# Every file is checked before the first figure is drawn. What is said is kept in memory: the disk may be full.
list=$("$program" tables -- "$folder" "$work" 2>&1) ||
    fail "$(printf '%s\n' "$list" | sed 's/^kvbench tables: //' | tail -n 1)"
while read -r figure; do
    case $figure in
    *:*) printf '%s\n' "$figure" ;;
    *) render "$figure" ;;
    esac
done <<END
$list
END
