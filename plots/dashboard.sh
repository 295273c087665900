#!/bin/sh
# Draws the animated picture of a CSV file that kvbench dashboard wrote.
set -u
LC_ALL=C
export LC_ALL

plots=$(cd -- "$(dirname -- "$0")" && pwd -P) || exit 1
program=${KVBENCH_PROGRAM:-$plots/../build/benchmarks/kvbench}

usage()
{
    cat <<'END'
Usage: dashboard.sh FILE.csv FILE.gif

Draws what kvbench dashboard or kvbench race recorded in FILE.csv as an animated picture. Nothing but that file is
needed, so a picture can be drawn again; kvbench, which reads a dashboard's, is taken from $KVBENCH_PROGRAM (default:
build/benchmarks/kvbench).

Exit status: 0 drawn, 1 failed, 2 bad usage.
END
}

fail()
{
    printf 'dashboard: %s\n' "$1" >&2
    exit "${2:-1}"
}

draw()
{
    (cd -- "$plots" && gnuplot -d -c "$1.gp" "$work") </dev/null 2>"$work/log" && [ -s "$work/dashboard.gif" ]
}

# gnuplot has every frame with transparency taken away before the next one comes. Here it stays (disposal method 1, not
# 3, in the frame's header), so that a frame holds only what is new: a tenth of the size.
accumulate()
{
    sed "s/$(printf '!\371\004\015')/$(printf '!\371\004\005')/g" "$work/dashboard.gif" >"$work/accumulated.gif" &&
        ! cmp -s "$work/dashboard.gif" "$work/accumulated.gif"
}

case ${1-} in
-h | --help)
    usage
    exit 0
    ;;
--) shift ;;
-*) fail "unknown option $1; see --help" 2 ;;
esac
[ $# -eq 2 ] || fail "a CSV file and a GIF file are needed; see --help" 2
csv=$1
gif=$2

if ! { [ -f "$csv" ] && [ -r "$csv" ]; }; then
    fail "$csv is not a file that can be read; ./kvbench dashboard writes one"
fi
folder=$(cd -- "$(dirname -- "$gif")" 2>/dev/null && pwd -P) || fail "the folder of $gif cannot be entered"
[ ! -d "$gif" ] || fail "$gif is a folder; name a file"
[ -x "$program" ] || fail "$program is not there; build it, or name one in KVBENCH_PROGRAM"
command -v gnuplot >/dev/null || fail "gnuplot is not installed; install the package gnuplot-nox"

# In the picture's own folder, so that the finished one is renamed and not copied. What a killed one left goes.
for stale in "$folder"/.dashboard.*[0-9]; do
    [ -e "/proc/${stale##*.}" ] || rm -rf -- "$stale"
done
work=$folder/.dashboard.$$
trap 'rm -rf -- "$work"' EXIT
trap 'exit 1' HUP INT TERM PIPE
mkdir -- "$work" 2>/dev/null || fail "cannot write to the folder of $gif; check its permissions and free space"

# The file of a race is small and plain; gnuplot takes tabs, because it cuts a quoted field at its first comma.
race_table()
{
    awk '{
        quoted = 0
        for (i = 1; i <= length($0); i++) {
            c = substr($0, i, 1)
            if (c == "\"") quoted = !quoted
            else printf "%s", c == "," && !quoted ? "\t" : c
        }
        print ""
    }' "$csv" >"$work/race.tsv"
}

case $(head -n 1 -- "$csv") in
turn,word,*)
    picture=race
    race_table || fail "$csv cannot be read"
    ;;
*)
    complaint=$("$program" dashboard --from "$csv" --tables "$work" 2>&1) ||
        fail "$(printf '%s\n' "$complaint" | sed 's/^kvbench dashboard: //' | tail -n 1)"
    picture=dashboard_panels
    [ ! -e "$work/key.1" ] || picture=dashboard
    ;;
esac
draw "$picture" || fail "gnuplot failed: $(grep -v '^[ ^]*$' "$work/log" | tail -n 1)"
accumulate || fail "this gnuplot writes another kind of GIF; use gnuplot 5.4"
mv -f -- "$work/accumulated.gif" "$gif" 2>"$work/log" || fail "$gif cannot be written: $(tail -n 1 "$work/log")"
printf '%s\n' "$gif"
