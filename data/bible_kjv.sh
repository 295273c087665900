#!/bin/sh
# Makes one text file of the King James Bible from Debian's package bible-kjv; --help says how.
set -eu

program=bible_kjv.sh
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
package=bible-kjv
scratch=
part=
# Bytes are bytes: what is ASCII does not depend on who runs this.
LC_ALL=C
export LC_ALL

# Full names and chapters, in the order of the text: the 39 books of the Old Testament, then the 27 of the New.
old_testament="Genesis:50 Exodus:40 Leviticus:27 Numbers:36 Deuteronomy:34 Joshua:24 Judges:21 Ruth:4 1_Samuel:31 \
2_Samuel:24 1_Kings:22 2_Kings:25 1_Chronicles:29 2_Chronicles:36 Ezra:10 Nehemiah:13 Esther:10 Job:42 Psalm:150 \
Proverbs:31 Ecclesiastes:12 Song_of_Solomon:8 Isaiah:66 Jeremiah:52 Lamentations:5 Ezekiel:48 Daniel:12 Hosea:14 \
Joel:3 Amos:9 Obadiah:1 Jonah:4 Micah:7 Nahum:3 Habakkuk:3 Zephaniah:3 Haggai:2 Zechariah:14 Malachi:4"
new_testament="Matthew:28 Mark:16 Luke:24 John:21 Acts:28 Romans:16 1_Corinthians:16 2_Corinthians:13 Galatians:6 \
Ephesians:6 Philippians:4 Colossians:4 1_Thessalonians:5 2_Thessalonians:3 1_Timothy:6 2_Timothy:4 Titus:3 \
Philemon:1 Hebrews:13 James:5 1_Peter:5 2_Peter:3 1_John:5 2_John:1 3_John:1 Jude:1 Revelation:22"

usage()
{
    cat <<'END'
Usage: data/bible_kjv.sh [--help] [OUT]
Writes the King James Bible as one text file, OUT (default data/bible-kjv.txt), from Debian's package bible-kjv.
The package is installed with apt-get when its program `bible` is not there; nothing else needs the network.

Each chapter is a line with the book's full name and the chapter's number, a blank line, then one verse a line
without its number; a blank line divides chapters. The text is ASCII with LF line ends. Its words are as packaged:
without psalm titles and colophons, which the package does not have. Only runs of spaces (two verses) become one
space and a space at the end of a line (one verse) goes: they are slips of typing that a model would learn.

OUT gets its name only after the counts agree: 39 and 27 books with each one's chapters, 1,189 chapters and 31,102
verses, every verse after the one before it, and the first and the last of them. Its size, words, verses and
SHA-256 are printed.

Exit status: 0 OUT is whole, 1 it could not be made, 2 bad usage, 128 + N ended by signal N.
END
}

# complain EXIT_STATUS LINE
complain()
{
    printf '%s: %s\n' "$program" "$2" >&2
    exit "$1"
}

fail()
{
    complain 1 "$1"
}

clean_up()
{
    [ -z "$part" ] || rm -f -- "$part"
    [ -z "$scratch" ] || rm -rf -- "$scratch"
}

apt_install()
{
    # An index that cannot be refreshed is no reason to stop: the package may be known already.
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get update
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600 install -y \
        --no-install-recommends "$package"
}

provide_bible()
{
    command -v bible >/dev/null && return
    sudo=
    [ "$(id -u)" = 0 ] || sudo=sudo
    by_hand="apt-get update && apt-get install -y --no-install-recommends $package"
    command -v apt-get >/dev/null ||
        fail "the program 'bible' is missing; install Debian's package $package, or what has it on this system"
    [ -z "$sudo" ] || command -v sudo >/dev/null ||
        fail "the program 'bible' is missing; as root, run: $by_hand"
    echo "$program: installing $package (${sudo:+sudo }apt-get)" >&2
    if ! apt_install >"$scratch/apt" 2>&1 </dev/null; then
        cat "$scratch/apt" >&2
        fail "apt-get failed, as shown above; as root, run: $by_hand"
    fi
    command -v bible >/dev/null || fail "$package is installed and has no program 'bible'; put /usr/bin on PATH"
}

# read_verses: one verse a line, "Ge1:1 In the beginning ..."
read_verses()
{
    # From the scratch folder, because `bible` takes its data from the current folder first, if there is any.
    (cd "$scratch" && bible -f gen1:1-rev22:21) >"$scratch/verses" 2>"$scratch/error" </dev/null ||
        fail "'bible' failed ($(tail -n 1 "$scratch/error")); install $package again"
}

# Sets the chapters out under full names; ends with one line that names what does not agree, if anything does not.
# A book is known by its place and its chapters, because its abbreviation may differ between versions of the package.
set_out()
{
    awk -v package="$package" -v old="$old_testament" -v new="$new_testament" '
        function wrong(what) {
            print what "; this is not the text of " package " 4.38" >"/dev/stderr"
            failed = 1
            exit 1
        }
        # expect(FOUND, EXPECTED, WHAT)
        function expect(found, expected, what) {
            if (found != expected) wrong(what ": " found + 0 " and not " expected)
        }
        function end_book() {
            if (books > 0) expect(chapter, chapters_of[books], "chapters of " name_of[books])
        }
        BEGIN {
            expected_books = split(old " " new, list, " ")
            for (i = 1; i <= expected_books; i++) {
                split(list[i], entry, ":")
                name_of[i] = entry[1]
                gsub(/_/, " ", name_of[i])
                chapters_of[i] = entry[2]
            }
        }
        !/^[1-3]?[A-Za-z]+[0-9]+:[0-9]+ +[^ ]/ || /[^ -~]/ { wrong("line " NR " is no verse in ASCII") }
        {
            reference = $1
            sub(/^[^ ]+ +/, "")
            gsub(/  +/, " ")
            sub(/ $/, "")
            match(reference, /[0-9]+:[0-9]+$/)
            split(substr(reference, RSTART), number, ":")
            abbreviation = substr(reference, 1, RSTART - 1)
            new_book = abbreviation != book
            new_chapter = new_book || number[1] + 0 != chapter
        }
        new_book {
            end_book()
            if (++books > expected_books) wrong("books: more than " expected_books)
            book = abbreviation
            chapter = 0
        }
        new_chapter {
            expect(number[1] + 0, chapter + 1, "the chapter that begins at " reference)
            chapter++
            chapters++
            verse = 0
            printf "%s%s %d\n\n", chapters == 1 ? "" : "\n", name_of[books], chapter
        }
        {
            expect(number[2] + 0, verse + 1, "the verse at " reference)
            verse++
            if (NR == 1) first = $0
            last = $0
            print
        }
        END {
            if (failed) exit 1
            end_book()
            expect(books, expected_books, "books")
            expect(chapters, 1189, "chapters")
            expect(NR, 31102, "verses")
            if (first !~ /^In the beginning God created/) wrong("the first verse begins \"" substr(first, 1, 30) "\"")
            if (last !~ /^The grace of our Lord Jesus/) wrong("the last verse begins \"" substr(last, 1, 30) "\"")
        }' "$scratch/verses" >"$part" 2>"$scratch/error" ||
        fail "$(head -n 1 "$scratch/error"); nothing was written"
}

digest()
{
    if command -v sha256sum >/dev/null; then
        sha256sum
    else
        shasum -a 256
    fi | cut -d ' ' -f 1
}

# count OPTION FILE: what wc counts
count()
{
    wc "$1" <"$2" | tr -d ' '
}

describe()
{
    printf '%s: %s bytes, %s words, %s verses\nsha256 %s\n' \
        "$out" "$(count -c "$part")" "$(count -w "$part")" "$(count -l "$scratch/verses")" "$(digest <"$part")"
}

case ${1:-} in
-h | --help)
    usage
    exit 0
    ;;
-*) complain 2 "unknown option $1; try --help" ;;
esac
[ $# -le 1 ] || complain 2 "one OUT is enough, and '$2' was given too; try --help"
out=${1-$here/bible-kjv.txt}
if [ -z "$out" ] || [ -d "$out" ]; then
    complain 2 "OUT is to be a file and not '$out'; try --help"
fi

trap clean_up EXIT
trap 'complain 129 "interrupted; nothing was written"' HUP
trap 'complain 130 "interrupted; nothing was written"' INT
trap 'complain 143 "interrupted; nothing was written"' TERM
scratch=$(mktemp -d)
provide_bible
part=$out.$$.part
{ true >"$part"; } 2>/dev/null || fail "cannot write $part; check the folder and its free space"
read_verses
set_out
description=$(describe)
mv -f -- "$part" "$out"
echo "$description"
