# data/bible_kjv.sh, with a `bible` that prints what each test wants and a PATH of a few basic commands.

first='In the beginning God created the heaven and the earth.'
other='And he said, Behold (as it were)'
last='The grace of our Lord Jesus Christ be with you all. Amen.'

# All 31,102 verses under made-up names of the 66 books, as even as can be over their 1,189 chapters.
setup_file() {
    awk -v first="$first" -v other="$other" -v last="$last" 'BEGIN {
        n_books = split("50 40 27 36 34 24 21 4 31 24 22 25 29 36 10 13 10 42 150 31 12 8 66 52 5 48 12 14 3 9 1 4 " \
            "7 3 3 3 2 14 4 28 16 24 21 28 16 16 13 6 6 4 4 5 3 6 4 3 1 13 5 5 3 5 1 1 1 22", chapters_of, " ")
        for (book = 0; book < n_books; book++)
            for (c = 1; c <= chapters_of[book + 1]; c++) {
                n_verses = int(31102 / 1189) + (chapter++ < 31102 % 1189)
                for (v = 1; v <= n_verses; v++)
                    printf "%sB%c%c%d:%d %s\n", book % 5 ? "" : "1", 97 + int(book / 26), 97 + book % 26, c, v, \
                        ++verse == 1 ? first : verse == 31102 ? last : other
            }
    }' >"$BATS_FILE_TMPDIR/verses"
}

setup() {
    load helpers
    sandbox
    scratch=$BATS_TEST_TMPDIR/scratch data="$BATS_TEST_TMPDIR/a folder"
    mkdir "$scratch" "$data"
    cp "$project/data/bible_kjv.sh" "$data"
    link_tools sh dirname awk wc cut sha256sum mktemp mv rm cat env sleep head tail tr
    fake id 'echo 1000'
    ln -s "$BATS_FILE_TMPDIR/verses" "$BATS_TEST_TMPDIR/verses"
    fake bible 'cat "${CALLS%/*}/verses"'
}

teardown() {
    stop_child
}

make_text() {
    env -i PATH="$bin" TMPDIR="$scratch" CALLS="$CALLS" "$data/bible_kjv.sh" "$@"
}

# Nothing temporary is left, whatever came of it.
is_tidy() {
    rmdir "$scratch"
    mkdir "$scratch"
}

# fails STATUS PART ARGUMENT...: the last line of stderr has PART, and there is neither the text nor a part of it.
fails() {
    ends "$1" make_text "${@:3}"
    not_made "$2"
}

not_made() {
    is "$out" ''
    local line=${err##*$'\n'}
    [[ $line == 'bible_kjv.sh: '* ]] || complain "stderr: $err"
    has "$line" "$1"
    is_tidy
    is "$(ls -A "$data")" bible_kjv.sh
}

@test "the whole text: chapters under full names, a verse a line" {
    ends 0 make_text
    is_tidy
    is "$err" ''
    is "$calls" 'bible -f gen1:1-rev22:21'
    text=$data/bible-kjv.txt
    is "$(head -4 "$text")" "$(printf '%s\n' 'Genesis 1' '' "$first" "$other")"
    is "$(tail -2 "$text")" "$other"$'\n'"$last"
    for heading in 'Genesis 50' '1 Samuel 31' 'Psalm 150' 'Song of Solomon 8' 'Obadiah 1' '1 Thessalonians 5' \
        'Philemon 1' 'Jude 1' 'Malachi 4' 'Matthew 1' 'Titus 3' 'Revelation 22'; do
        is "$heading $(grep -cx "$heading" "$text")" "$heading 1"
    done
    is "$(grep -cx '' "$text")" $((2 * 1189 - 1))
    is "$(grep -cxF "$other" "$text")" 31100
    for heading in 'Genesis 2' 'Exodus 1'; do
        is "$(grep -B2 -A2 -x "$heading" "$text")" "$(printf '%s\n' "$other" '' "$heading" '' "$other")"
    done
}

@test "its size and digest are told, whatever its name" {
    ends 0 make_text 'a b.txt'
    digest=$(sha256sum <'a b.txt')
    is "$out" "a b.txt: $(wc -c <'a b.txt') bytes, $(wc -w <'a b.txt') words, 31102 verses"$'\n'"sha256 ${digest%% *}"
}

@test "slips of typing go" {
    rm "$BATS_TEST_TMPDIR/verses"
    sed '2c1Baa1:2 two  runs   of spaces, one at the end ' "$BATS_FILE_TMPDIR/verses" >"$BATS_TEST_TMPDIR/verses"
    ends 0 make_text out
    is "$(grep -cx 'two runs of spaces, one at the end' out)" 1
}

# What sed makes of the text, and what is said of it.
@test "other texts are refused" {
    n=0
    while IFS='|' read -r change part; do
        rm "$BATS_TEST_TMPDIR/verses"
        sed "$change" "$BATS_FILE_TMPDIR/verses" >"$BATS_TEST_TMPDIR/verses"
        fails 1 "$part"
        n=$((n + 1))
    done <<'END'
$d|verses: 31101 and not 31102
$a1Bcn22:27 The grace of our Lord Jesus.|verses: 31103
1c1Baa1:1 At first God made|the first verse begins "At first
$c1Bcn22:26 The end.|the last verse begins "The end
2d|the verse at 1Baa1:3: 3 and not 2
2i1Baa1:1 Again.|the verse at 1Baa1:1: 1 and not 2
$i1Bcn24:1 A chapter too far.|the chapter that begins at 1Bcn24:1
$c1Bcn23:1 One chapter more.|chapters of Revelation: 23 and not 22
$iBzz1:1 One book more.|books: more than 66
100cGenesis|line 100 is no verse
100s/ .*/ /|line 100 is no verse
100s/ .*/ Begötter/|line 100 is no verse
100s/.*//|line 100 is no verse
d|books: 0 and not 66
END
    is "$n" 14
}

@test "a failure keeps what was there" {
    printf 'as before' >out
    fake bible 'echo "no bible.data" >&2; exit 3'
    fails 1 "'bible' failed (no bible.data); install bible-kjv again" out
    fails 1 'cannot write nowhere/out' nowhere/out
    is "$(<out)" 'as before'
}

@test "an interruption leaves nothing" {
    fake bible 'sleep 30'
    start env -i PATH="$bin" TMPDIR="$scratch" CALLS="$CALLS" "$data/bible_kjv.sh"
    soon grep -q bible "$CALLS"
    kill -TERM -- "-$child"
    finishes 143
    not_made interrupted
}

@test "usage" {
    fails 2 'unknown option --wrong' --wrong
    fails 2 "'b' was given too" a b
    mkdir folder
    fails 2 "not 'folder'" folder
    fails 2 "not ''" ''
    is "$calls" ''
    ends 0 make_text --help
    [[ $out == 'Usage: data/bible_kjv.sh '* ]]
}

# ---- The package

# Notes each call, and has the program come once it is asked to.
without_bible() {
    mv "$bin/bible" "$BATS_TEST_TMPDIR/bible"
    apt='case $* in *install*) mv "${CALLS%/*}/bible" "${CALLS%/*}/bin/bible" ;; *) exit 1 ;; esac'
}

@test "without the package its name or the command to run is told" {
    without_bible
    fails 1 "install Debian's package bible-kjv, or what has it on this system"
    fake apt-get "$apt"
    fails 1 'as root, run: apt-get update && apt-get install -y --no-install-recommends bible-kjv'
    lacks "$calls" apt-get
}

@test "a package that cannot be installed" {
    without_bible
    fake id 'echo 0'
    fake apt-get 'echo no such package; exit 100'
    fails 1 'apt-get failed, as shown above'
    has "$err" $'no such package\n'
    fake apt-get
    fails 1 "bible-kjv is installed and has no program 'bible'"
}

@test "root installs the package, and others do with sudo" {
    for user in 0 1000; do
        without_bible
        fake id "echo $user"
        fake apt-get "$apt"
        [[ $user == 0 ]] || fake sudo 'exec "$@"'
        ends 0 make_text
        [[ -s $data/bible-kjv.txt ]]
        is "$(grep ^apt-get <<<"$calls")" "apt-get update
apt-get -o DPkg::Lock::Timeout=600 install -y --no-install-recommends bible-kjv"
        [[ $user == 0 ]] && sudo= || sudo='sudo '
        is "$err" "bible_kjv.sh: installing bible-kjv (${sudo}apt-get)"
    done
}
