# plots/dashboard.sh: the animated pictures it draws, of what kvbench dashboard recorded and of files made here, and what
# it refuses.

header=step,kind,layer,head,position,dimension,value,token,text

setup() {
    load helpers
    sandbox
    speaker='dashboard: '
    tiny=$project/data/reference/tiny-f32
}

draw() {
    KVBENCH_PROGRAM=$program "$project/plots/dashboard.sh" "$@"
}

# gif FILE: fails unless it is a whole GIF of 960 x 600 that loops for ever and keeps every frame under the next one;
# prints the number of its frames.
gif() {
    python3 - "$1" <<'END'
import struct, sys

data = open(sys.argv[1], "rb").read()
table = lambda flags: 3 << (flags & 7) + 1 if flags & 0x80 else 0
assert data[:6] == b"GIF89a" and struct.unpack_from("<HH", data, 6) == (960, 600)
frames, loops, at = 0, 0, 13 + table(data[10])
while data[at] != 0x3B:
    if data[at] == 0x2C:
        frames, at = frames + 1, at + 10 + table(data[at + 9]) + 1
    else:
        assert data[at] == 0x21
        assert data[at + 1] != 0xF9 or data[at + 3] >> 2 & 7 == 1, "a frame does not stay"
        loops += data[at + 3 : at + 14] == b"NETSCAPE2.0" and data[at + 16 : at + 18] == b"\0\0"
        at += 2
    while data[at]:
        at += data[at] + 1
    at += 1
assert at == len(data) - 1 and loops == 1
print(frames)
END
}

# drawn FRAMES: of d.csv, as d.gif, and nothing else comes about.
drawn() {
    ends 0 draw d.csv d.gif
    is "$out" d.gif
    is "$err" ''
    is "$(ls -A)" $'d.csv\nd.gif'
    is "$(gif d.gif)" "$1"
}

record() {
    "$program" dashboard --model "$tiny" -o d.gif "$@" >/dev/null
}

# not_drawn STATUS PART ARGUMENT...: one line, and nothing comes about.
not_drawn() {
    local before
    before=$(ls -A)
    refuses "$1" "$2" draw "${@:3}"
    is "$(ls -A)" "$before"
}

@test "every view is drawn, a frame a token" {
    record --layer 0 -n 6 --head 1
    drawn 6
    record --layer 0 -n 6 --heads all
    drawn 6
    record --layers all --tokens 5 -n 1
    drawn 1
}

@test "so is every view of a cache in fewer bits" {
    record --layer 0 -n 4 --head 1 --kv int8
    drawn 4
    record --layer 0 -n 4 --heads all --kv int8/int4
    drawn 4
    record --layers all --tokens 5 -n 1 --kv int4 # of one position, whose weight cannot change
    drawn 1
    record --layer 0 --tokens 5 -n 1 --kv int4
    drawn 1
}

@test "float32 by its name is the same picture as without" {
    record --layer 0 -n 3
    drawn 3
    mv d.gif "$BATS_TEST_TMPDIR/first"
    record --layer 0 -n 3 --kv f32
    drawn 3
    cmp d.gif "$BATS_TEST_TMPDIR/first"
    record --layer 0 -n 3 --kv int4
    drawn 3
    [[ $(cksum <d.gif) != "$(cksum <"$BATS_TEST_TMPDIR/first")" ]]
}

@test "drawn again, it is the same picture" {
    record --layer 0 -n 3
    drawn 3
    mv d.gif "$BATS_TEST_TMPDIR/first"
    drawn 3
    cmp d.gif "$BATS_TEST_TMPDIR/first"
}

# sample PANELS [KV]: noise, which compresses worst, in the shape that a GPT-2 of 124M has by default; any texts as tokens.
sample() {
    printf '%s\n' "$header" ',model,,,,,,,"/models/it'\''s, a ""model""/"' ',weights,,,,,,,synthetic:42'
    [[ -z ${2-} ]] || printf '%s\n' ",kv,,,,,,,$2"
    awk -v n_panels="$1" -v kv="${2-}" 'function noise() { return rand() * 2 - 1 }
        BEGIN {
            split("\" it'\''s, a \"\"label\"\"\"~{/:Bold x}_2^3~\\n~@p & q~ünï~%s", labels, "~")
            for (t = 0; t < 30; t++)
                printf "%d,token,,,%d,,,7,%s\n", t < 10 ? 0 : t - 9, t, labels[t % 6 + 1]
            for (step = 1; step <= 20; step++) {
                newest = 8 + step
                for (d = 0; d < 64 && n_panels == 1; d++) {
                    printf "%d,query,5,0,%d,%d,%g,7,\n", step, newest, d, noise()
                    for (t = step == 1 ? 0 : newest; t <= newest; t++)
                        printf "%d,key,5,0,%d,%d,%g,7,\n%d,value,5,0,%d,%d,%g,7,\n", step, t, d, noise(), step, t, d, noise()
                }
                for (panel = 0; panel < n_panels; panel++)
                    for (t = 0; t <= newest; t++) {
                        printf "%d,attention,5,%d,%d,,%g,7,\n", step, panel, t, t ? 0.05 * rand() : 0.6
                        if (kv) printf "%d,attention_f32,5,%d,%d,,%g,7,\n", step, panel, t, t ? 0.05 * rand() : 0.6
                    }
            }
        }'
}

@test "a picture of noise is of a size that can be sent" {
    for panels in 1 12; do
        for kv in '' "it's_{/:Bold x}/int4"; do
            sample $panels "$kv" >d.csv
            drawn 20
            size=$(wc -c <d.gif)
            [[ $size -ge 50000 && $size -le 500000 ]]
        done
    done
}

# The rows, with / between them, and what is said.
@test "malformed files" {
    n=0
    while IFS='|' read -r rows part; do
        tr / '\n' <<<"${rows/HEADER/$header}" >d.csv
        not_drawn 1 "$part" d.csv d.gif
        n=$((n + 1))
    done <<'END'
|d.csv has no column "step"
step,kind,layer/1,key,0|d.csv has no column "head"
HEADER|d.csv: no step is in it
HEADER/0,token,,,0,,,5,5/1,token,,,1,,,6,6|d.csv: no step is in it
HEADER/1,key,0|d.csv line 2 has 3 fields, the header has 9
HEADER/1,lock,0,0,0,0,1,5,|d.csv line 2: kind is "lock"
HEADER/1,key,0,0,0,0,nan,5,|d.csv line 2 has "nan" where column "value" needs a number
HEADER/1,key,0,0,0,0,,5,|d.csv line 2: value is "", which is no number
HEADER/0.5,key,0,0,0,0,1,5,|d.csv line 2: step is "0.5", which is not a whole number
HEADER/0,token,,,0,,,5,"5|d.csv line 2
HEADER/0,token,,,0,,,5,5/1,token,,,1,,,6,6/1,attention,0,0,1,,1,6,|d.csv: layer 0, head 0 has no attention weight of step 1, position 0
HEADER/,kv,,,,,,,int8/0,token,,,0,,,5,5/1,token,,,1,,,6,6/1,attention,0,0,0,,1,5,|d.csv: layer 0, head 0 has no attention weight of float32 of step 1, position 0
HEADER/0,token,,,0,,,5,5/1,token,,,1,,,6,6/1,attention,0,0,0,,1,5,/1,query,0,0,0,1,1,5,|d.csv: the query of position 0 has no dimension 0
HEADER/0,token,,,0,,,5,5/1,token,,,2,,,6,6/1,attention,0,0,0,,1,5,|d.csv: there is no token of position 1
HEADER/0,token,,,0,,,5,5/1,token,,,1,,,6,6/1,attention,0,0,0,,1,5,/1,attention,2000000000,2000000000,0,,1,5,|d.csv: rows are missing
END
    is $n 15
}

@test "usage" {
    not_drawn 1 'd.csv is not a file' d.csv d.gif
    not_drawn 2 'a CSV file and a GIF file are needed' d.csv
    not_drawn 2 'unknown option --colour' --colour
    echo "$header" >d.csv
    not_drawn 1 'the folder of no-folder/d.gif cannot be entered' d.csv no-folder/d.gif
    ends 0 draw --help
    has "$out" 'Usage: dashboard.sh FILE.csv FILE.gif'
}
