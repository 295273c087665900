#!/bin/sh
# Fetches published GPT-2 checkpoints from the Hugging Face hub; --help says how.
set -eu

program=fetch_gpt2.sh
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
hub=${KVBENCH_HUB:-https://huggingface.co}
hub=${hub%/}
models=${KVBENCH_MODELS:-$here/models}
folder=
scratch=
child=

usage()
{
    cat <<'END'
Usage: data/fetch_gpt2.sh [--help] MODEL...
Fetches config.json and model.safetensors of each MODEL into data/models/MODEL/.

  gpt2          124M parameters, about 0.5 GB
  gpt2-medium   355M parameters, about 1.5 GB
  gpt2-large    774M parameters, about 3.2 GB
  gpt2-xl       1.5B parameters, about 6.4 GB

A file gets its final name only after its checksum agrees with the one that the server declares. What was
fetched before an interruption stays as FILE.part, and the same command continues from there.

Environment:
  KVBENCH_HUB      the hub, or a mirror of it (default https://huggingface.co)
  KVBENCH_MODELS   the folder that holds the models (default data/models)

Exit status: 0 every model is there and verified, 1 a fetch failed, 2 bad usage, 128 + N ended by signal N.
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

# interrupted EXIT_STATUS
interrupted()
{
    complain "$1" "interrupted; run the same command again to continue"
}

clean_up()
{
    if [ -n "$child" ]; then
        # Not to be told by the shell that its child was terminated.
        { kill "$child" && wait "$child"; } 2>/dev/null || true
    fi
    [ -z "$scratch" ] || rm -rf -- "$scratch"
    # A model of which nothing arrived leaves no empty folder.
    [ -z "$folder" ] || rmdir -- "$folder" 2>/dev/null || true
}

bytes_of()
{
    if [ -e "$1" ]; then
        wc -c <"$1" | tr -d ' '
    else
        echo 0
    fi
}

# digest 1|256: the SHA digest of stdin in hexadecimal
digest()
{
    if command -v "sha${1}sum" >/dev/null; then
        "sha${1}sum"
    else
        shasum -a "$1"
    fi | cut -d ' ' -f 1
}

# digest_as_declared FILE: large files are declared by their SHA-256, small ones by their git blob id
digest_as_declared()
{
    if [ "$algorithm" = sha256 ]; then
        digest 256 <"$1"
    else
        { printf 'blob %s\000' "$(bytes_of "$1")"; cat -- "$1"; } | digest 1
    fi
}

# curl's own words for why it ended with status $code
curl_message()
{
    sed -n 's/^curl: ([0-9]*) //p' "$scratch/error" | tail -n 1 | grep . || echo "curl ended with status $code"
}

# From the header lines of every answer on the way: "STATUS CHECKSUM SIZE", with - for what nobody declared.
# The hub declares a large file in its redirect; the ETag of the CDN behind it may look like a SHA-256 and is none.
read_declaration()
{
    awk '
        { sub(/\r$/, ""); name = tolower($0); sub(/:.*/, "", name); value = $0; sub(/^[^:]*:[ \t]*/, "", value) }
        name ~ /etag$/ { sub(/^W\//, "", value); gsub(/[" \t]/, "", value); value = tolower(value) }
        /^HTTP\// { split($0, word, " "); status = word[2]; etag = body_length = "" }
        name == "etag" && length(value) == 40 { etag = value }
        name == "content-length" { body_length = value }
        name == "x-linked-etag" && linked_etag == "" { linked_etag = value }
        name == "x-linked-size" && linked_size == "" { linked_size = value }
        END {
            checksum = linked_etag != "" ? linked_etag : etag
            size = linked_size != "" ? linked_size : status == 200 ? body_length : ""
            printf "%s %s ", linked_etag != "" ? 200 : status, checksum != "" ? checksum : "-"
            printf size ~ /^[0-9]+$/ && length(size) < 19 ? "%.0f\n" : "-\n", size
        }' "$1"
}

# Asks the server about $url; sets algorithm, checksum and size ("" when it declares none).
ask_server()
{
    code=0
    : >"$scratch/headers"
    curl -sSIL --max-redirs 10 --connect-timeout 30 --max-time 120 -D "$scratch/headers" -o /dev/null \
        "$url" 2>"$scratch/error" || code=$?
    declaration=$(read_declaration "$scratch/headers")
    status=${declaration%% *}
    size=${declaration##* }
    size=${size#-}
    checksum=${declaration#* }
    checksum=${checksum%% *}

    if [ "$checksum" = - ] && [ "$code" -ne 0 ]; then
        fail "$label: $(curl_message); check the network and KVBENCH_HUB ($hub)"
    fi
    case $status in
    200) ;;
    40?) fail "$label: HTTP $status for $url; check KVBENCH_HUB" ;;
    *) fail "$label: HTTP $status for $url; try again later" ;;
    esac
    case ${#checksum}:$checksum in
    *:*[!0-9a-f]*) algorithm= ;;
    64:*) algorithm=sha256 ;;
    40:*) algorithm=git-sha1 ;;
    *) algorithm= ;;
    esac
    [ -n "$algorithm" ] || fail "$label: $hub declares no checksum, so nothing was fetched; use another KVBENCH_HUB"
}

check_space()
{
    available=$(df -Pk "$folder" | awk 'NR == 2 { print $4 }')
    needed=$(((${size:-0} - $(bytes_of "$part")) / 1024 + 1))
    [ "$needed" -le "$available" ] ||
        fail "$label: needs $((needed / 1024)) MiB, $folder has $((available / 1024)); free some or set KVBENCH_MODELS"
}

show_progress()
{
    while kill -0 "$child" 2>/dev/null; do
        printf '\r%s: %s of %s MiB ' "$label" "$(($(bytes_of "$part") / 1048576))" "$((size / 1048576))" >&2
        sleep 1
    done
    printf '\r\033[K' >&2
}

# Runs curl once, from the end of the partial file on. In the background, because only then can a signal end it.
download()
{
    have=$(bytes_of "$part")
    set --
    [ "$have" -eq 0 ] || set -- -C "$have"
    curl -fsSL --max-redirs 10 --connect-timeout 30 --speed-limit 1 --speed-time 60 "$@" -o "$part" \
        -w '%{http_code}' "$url" >"$scratch/status" 2>"$scratch/error" &
    child=$!
    if [ -t 2 ] && [ "${size:-0}" -ge 1048576 ]; then
        show_progress
    fi
    code=0
    wait "$child" || code=$?
    child=
}

# Downloads until the partial file is whole. A broken connection is taken up again as long as each attempt gets
# further than all before it, so that a server which never finishes cannot hold us for ever.
transfer()
{
    furthest=$(bytes_of "$part")
    while [ "$(bytes_of "$part")" != "$size" ]; do
        download
        if [ "$code" -eq 33 ]; then # the server ignores ranges
            rm -f -- "$part"
            continue
        fi
        have=$(bytes_of "$part")
        if [ -z "$size" ] || [ "$have" -le "$furthest" ]; then
            if [ "$code" -eq 0 ] || [ "$(cat "$scratch/status")" = 416 ]; then
                return # this is all that the server has; the checksum will tell
            fi
            fail "$label: $(curl_message) (after $have of ${size:-?} bytes); run the same command again to continue"
        fi
        furthest=$have
    done
}

# record FILE: notes the verified file's checksum, as `sha256sum -c` reads it, before it gets its final name
record()
{
    if ! {
        [ ! -e "$sums" ] || awk -v name="$name" '$2 != name' "$sums"
        printf '%s  %s\n' "$(digest 256 <"$1")" "$name"
    } >"$sums.part"; then
        fail "cannot write $sums.part; check the folder and its free space"
    fi
    mv -f -- "$sums.part" "$sums"
}

recorded()
{
    [ ! -e "$sums" ] || awk -v name="$name" '$2 == name { print $1 }' "$sums"
}

# Whether the final file is there and verified. A file that disagrees is somebody's and is never overwritten.
already_there()
{
    [ -e "$final" ] || return 1
    known=$(recorded)
    if [ -n "$known" ]; then
        # The content is hashed again: it takes seconds, needs no network, and finds what the disk has lost.
        [ "$(digest 256 <"$final")" = "$known" ] ||
            fail "$final is not what was fetched; delete it (or keep it elsewhere) and run this again"
    else
        ask_server
        [ "$(digest_as_declared "$final")" = "$checksum" ] ||
            fail "$final is not the file of $hub; delete it (or keep it elsewhere) and run this again"
        record "$final"
    fi
}

# fetch_file MODEL NAME
fetch_file()
{
    name=$2
    label=$1/$2
    url=$hub/openai-community/$1/resolve/main/$2
    final=$folder/$2
    part=$final.part
    sums=$folder/SHA256SUMS
    if already_there; then
        echo "$label: already there"
        return
    fi

    ask_server
    # A partial file of other content than the server has now cannot be continued.
    [ "$(cat -- "$part.checksum" 2>/dev/null)" = "$checksum" ] || rm -f -- "$part"
    [ "$(bytes_of "$part")" -le "${size:-0}" ] || rm -f -- "$part"
    check_space
    echo "$checksum" 2>/dev/null >"$part.checksum" ||
        fail "cannot write $part.checksum; check the folder and its free space"
    transfer
    if [ "$(digest_as_declared "$part")" != "$checksum" ]; then
        rm -f -- "$part" "$part.checksum"
        fail "$label: the checksum is not the one that $hub declares, so it was deleted; run the same command again"
    fi
    record "$part"
    mv -f -- "$part" "$final"
    rm -f -- "$part.checksum"
    echo "$label: fetched, $algorithm verified"
}

fetch_model()
{
    folder=$models/$1
    mkdir -p -- "$folder" 2>/dev/null || fail "cannot make $folder; set KVBENCH_MODELS"
    [ -w "$folder" ] || fail "cannot write to $folder; set KVBENCH_MODELS"
    # curl inherits the lock, so one that outlives a killed script still keeps a second fetch away.
    if command -v flock >/dev/null; then
        exec 9<"$folder"
        if ! flock -n 9; then
            folder= # the other's, however empty
            fail "$1 is being fetched by another process; wait for it"
        fi
    fi
    # The weights come last: where they are, the model is whole.
    fetch_file "$1" config.json
    fetch_file "$1" model.safetensors
}

[ $# -gt 0 ] || complain 2 "no model was named; try --help"
for model in "$@"; do
    case $model in
    -h | --help)
        usage
        exit 0
        ;;
    -*) complain 2 "unknown option $model; try --help" ;;
    gpt2 | gpt2-medium | gpt2-large | gpt2-xl) ;;
    *) complain 2 "unknown model '$model'; choose from gpt2, gpt2-medium, gpt2-large, gpt2-xl" ;;
    esac
done
command -v curl >/dev/null || fail "curl is missing; install it"

trap clean_up EXIT
trap 'interrupted 129' HUP
trap 'interrupted 130' INT
trap 'interrupted 143' TERM
scratch=$(mktemp -d)
for model in "$@"; do
    fetch_model "$model"
done
