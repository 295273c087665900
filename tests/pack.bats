# kvbench pack, and what reads a pack: a run comes back as it was, without names; what is no whole pack is refused in one
# line, and nothing is written.

bats_require_minimum_version 1.5.0
reference=$BATS_TEST_DIRNAME/../data/results/reference

setup() {
    load helpers
    of_program
    speaker=kvbench
    export TMPDIR=$BATS_TEST_TMPDIR/tmp KVBENCH_PROGRAM=$program
    mkdir "$TMPDIR"
}

# Whatever a test did, no open pack is left behind.
teardown() {
    absent "$TMPDIR"/kvbench-*
}

# pack_of PYTHON: x.kvbench, a pack of the reference run after `files`, its bytes by name, `manifest` and `entries`, a list
# of (name, bytes, {what else is set}), are as the lines of Python left them.
pack_of() {
    [[ -e good.kvbench ]] || "$program" pack "$reference" --out good.kvbench >/dev/null
    python3 - "$1" <<'PYTHON'
import io, json, sys, tarfile

def fnv(data):
    value = 0xcbf29ce484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001b3 % 2**64
    return f"{value:016x}"

with tarfile.open("good.kvbench") as tar:
    files = {m.name: tar.extractfile(m).read() for m in tar if m.name in ("limits.csv", "runs.csv")}
files["runs.csv"] = b"".join(files["runs.csv"].splitlines(True)[:9])
before, after = (sys.argv[1].split("### then\n") + [""])[:2]
exec(before)
manifest = {"kvbench_pack": 1, "files": {n: {"bytes": len(b), "hash": fnv(b)} for n, b in files.items()}}
entries = [(name, data, {}) for name, data in files.items()]
exec(after)
entries.insert(0, ("pack.json", json.dumps(manifest).encode(), {}))
with tarfile.open("x.kvbench", "w:gz") as tar:
    for name, data, settings in entries:
        info = tarfile.TarInfo(name)
        info.size = len(data)
        for key, value in settings.items():
            setattr(info, key, value)
        tar.addfile(info, io.BytesIO(data) if info.isreg() else None)
PYTHON
}

# is_refused PART: by all that read a pack, in a line with PART, and nothing is there afterwards that was not before.
is_refused() {
    local before
    before=$(ls -A)
    refuses 2 "$1" "$program" compare x.kvbench --by path
    refuses 1 "$1" "$program" report x.kvbench
    mkdir tables
    refuses 1 "$1" "$program" tables x.kvbench tables
    rmdir tables
    is "$(ls -A)" "$before"
    absent "$TMPDIR"/kvbench-*
}

@test "a pack is the run, without names" {
    cp -r "$reference" run
    sed -i 's|"hostname": "vm"|"hostname": "secret"|; s|"model": "gpt2"|"model": "/home/someone/nets/gpt2"|
        s|"--quiet"|"--out=/home/someone/run", "secret"|' run/context.json
    sed -i 's|-vm,|-secret,|; s|,gpt2,|,/home/someone/nets/gpt2,|; s|left out:|/home/someone/x: left out:|' run/*.csv
    ends 0 "$program" pack run
    is "$out" "2026-11-27T010931.kvbench: $(($(stat -c %s 2026-11-27T010931.kvbench) / 1024)) KiB"
    tar -xzf 2026-11-27T010931.kvbench
    run -1 grep -E 'secret|someone|/home' ./*.csv ./*.json
    local file
    for file in runs tokens kernels limits summary; do
        sed 's|-vm,|,|; s|left out:|x: left out:|' "$reference/$file.csv" | diff - "$file.csv"
    done
    python3 -c 'import json; c = json.load(open("context.json")); r = c["run"]
assert c["machine"]["hostname"] is None and r["model"] == "gpt2"
assert r["command"] == ["bench", "--out=run", "host"], r["command"]'
}

@test "names are kept when they are asked for" {
    ends 0 "$program" pack "$reference" --with-names --out x.kvbench
    tar -xzf x.kvbench
    diff "$reference/runs.csv" runs.csv
    is "$(python3 -c 'import json; print(json.load(open("context.json"))["machine"]["hostname"])')" vm
}

@test "the same run gives the same pack" {
    "$program" pack "$reference" --out a.kvbench
    "$program" pack "$reference" --out b.kvbench
    cmp a.kvbench b.kvbench
}

@test "compare, report, tables and plots read a pack as its folder" {
    "$program" pack "$reference" --with-names --out x.kvbench
    ends 0 "$program" compare "$reference" --by path --format csv
    local of_folder=$out
    ends 0 "$program" compare x.kvbench --by path --format csv
    is "$out" "$of_folder"
    ends 0 "$program" compare "$reference" x.kvbench
    has "$out" 'x.kvbench, run 2026-11-27T010931-vm'
    lacks "$out" ': slower' 'Environments differ'
    mkdir of-folder of-pack
    ends 0 "$program" tables "$reference" of-folder
    ends 0 "$program" tables x.kvbench of-pack
    diff -r of-folder of-pack
    ends 0 "$project/plots/render.sh" x.kvbench
    has "$out" 'x-figures/kernels.png and .svg'
    ends 0 "$program" report x.kvbench --against x.kvbench
    is "$out" 'x.html: 9 figures'
    has "$(<x.html)" 'kvbench report</code> from the CSV files in <code>x.kvbench'
    lacks "$(<x.html)" "$TMPDIR"
    absent .figures.*
}

is_open() {
    local folder=("$TMPDIR"/kvbench-*)
    [[ -e ${folder[0]} ]]
}

@test "a pack is closed when its reader is stopped" {
    "$program" pack "$reference" --out x.kvbench
    mkfifo page
    start "$program" report x.kvbench --out page
    soon is_open
    kill -INT "$child"
    finishes 130
    absent "$TMPDIR"/kvbench-*
}

@test "what is truncated or damaged is refused" {
    "$program" pack "$reference" --out whole.kvbench
    local size at
    size=$(stat -c %s whole.kvbench)
    for at in 0 1 30 300 3000 $((size / 2)) $((size - 200)); do
        head -c "$at" whole.kvbench >x.kvbench
        is_refused x.kvbench
    done
    cp whole.kvbench x.kvbench
    printf 'AAAA' | dd of=x.kvbench bs=1 seek=$((size / 3)) conv=notrunc status=none
    is_refused x.kvbench
    cp "$reference/runs.csv" x.kvbench
    is_refused 'no pack of kvbench'
    rm x.kvbench
    refuses 1 'No such file' "$program" report x.kvbench
}

@test "a hostile pack is refused" {
    pack_of ''
    ends 0 "$program" compare x.kvbench --by path # what the others are made from is good
    pack_of $'files["../runs.csv"] = b"x"'
    is_refused '"../runs.csv", which is no file of a run'
    pack_of "files['$BATS_TEST_TMPDIR/evil'] = b'x'"
    is_refused 'which is no file of a run'
    pack_of $'### then\nentries.append(("tokens.csv", b"", {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"}))
manifest["files"]["tokens.csv"] = {"bytes": 0, "hash": fnv(b"")}'
    is_refused '"tokens.csv", which is a link'
    pack_of $'### then\nentries.append(("tokens.csv", b"", {"type": tarfile.LNKTYPE, "linkname": "runs.csv"}))
manifest["files"]["tokens.csv"] = {"bytes": 0, "hash": fnv(b"")}'
    is_refused '"tokens.csv", which is a link'
    pack_of $'### then\nentries.append(("tokens.csv", b"", {"type": tarfile.DIRTYPE}))
manifest["files"]["tokens.csv"] = {"bytes": 0, "hash": fnv(b"")}'
    is_refused 'no file'
    pack_of $'### then\nentries.append(entries[0])'
    is_refused twice
    pack_of $'### then\nmanifest["files"]["runs.csv"]["bytes"] = 5'
    is_refused 'says otherwise'
    pack_of $'### then\nmanifest["files"]["runs.csv"]["hash"] = "0" * 16'
    is_refused damaged
    pack_of $'### then\nentries.pop()'
    is_refused 'lacks files'
    pack_of $'### then\nmanifest["kvbench_pack"] = 2'
    is_refused 'version 1'
    pack_of $'### then\nmanifest = [manifest]'
    is_refused 'version 1'
    pack_of $'files["evil\\033[2J"] = b"x"'
    is_refused '"evil?[2J"'
}

# packed BYTES: x.kvbench is what Python makes of this expression, with gzip, tar(entries) and the good `files` at hand.
packed() {
    [[ -e good.kvbench ]] || "$program" pack "$reference" --out good.kvbench >/dev/null
    python3 - "$1" <<'PYTHON'
import gzip, io, json, sys, tarfile, zipfile, zlib

def tar(entries, form=tarfile.GNU_FORMAT):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for name, data, settings in entries:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            for key, value in settings.items():
                setattr(info, key, value)
            archive.addfile(info, io.BytesIO(data) if info.isreg() else None)
    return out.getvalue()

def header(name, size, kind=b"0"):
    block = bytearray(name.ljust(100, b"\0") + b"0000644\0" + b"0000000\0" * 2 + size + b"00000000000\0" + b" " * 8 + kind +
                      b"\0" * 100 + b"ustar\00000" + b"\0" * 247)
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)

def zeros(before, mebibytes):
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    yield packer.compress(before)
    for _ in range(mebibytes):
        yield packer.compress(bytes(1 << 20))
    yield packer.flush()

with tarfile.open("good.kvbench") as archive:
    files = [(m.name, archive.extractfile(m).read(), {}) for m in archive]
manifest = files[0]
begun = tar([manifest])[:512 + (len(manifest[1]) + 511) // 512 * 512] # an archive that goes on
with open("x.kvbench", "wb") as file:
    made = eval(sys.argv[1])
    for part in [made] if isinstance(made, bytes) else made:
        file.write(part)
PYTHON
}

# is_refused_soon PART: and each program takes less than a second of CPU time.
is_refused_soon() {
    (ulimit -t 1 && is_refused "$1")
}

@test "devices, pipes, names that are no text, and other archives are refused" {
    local kind
    for kind in CHRTYPE BLKTYPE FIFOTYPE; do
        pack_of "### then
entries.append(('tokens.csv', b'', {'type': tarfile.$kind, 'devmajor': 1, 'devminor': 5}))
manifest['files']['tokens.csv'] = {'bytes': 0, 'hash': fnv(b'')}"
        is_refused_soon '"tokens.csv", which is a link or no file'
    done
    local name
    for name in 'tok\xe4ns.csv' '\xff\xfe\xc0\xaf.csv' 'a\nb.csv' 'a/../../x.csv' './runs.csv' '\x1b]0;x\x07.csv' ''; do
        packed "gzip.compress(begun + header(b'$name', b'00000000001\\0') + b'x' * 512 + bytes(1024))"
        is_refused_soon 'which is no file of a run'
    done
    packed 'gzip.compress(tar([manifest, ("tokens.csv", b"x", {"pax_headers": {"path": "../../x"}})], tarfile.PAX_FORMAT))'
    is_refused_soon '"../../x", which is no file of a run'
    packed 'gzip.compress(tar(files[1:] + files[:1]))'
    is_refused_soon 'does not begin with pack.json'
    packed 'gzip.compress(tar([manifest, manifest]))'
    is_refused_soon '"pack.json", which is no file of a run'
    packed 'gzip.compress(gzip.compress(tar(files)))'
    is_refused_soon 'compressed more than once'
    packed 'b"PK\3\4" + bytes(1000)'
    is_refused_soon 'no pack of kvbench'
    packed 'gzip.compress(tar([("pack.json", b"[" * 1000000, {})]))'
    is_refused_soon '"pack.json", which is too long'
    rm x.kvbench
    mkfifo x.kvbench
    is_refused_soon 'is no plain file'
}

@test "sizes that lie, and a gigabyte of zeros, are refused before it is unpacked" {
    packed 'zeros(b"", 1024)'
    is_refused_soon 'does not begin with pack.json'
    packed 'zeros(header(b"pack.json", b"10000000000\0"), 1024)'
    is_refused_soon '"pack.json", which is larger than any run'
    packed 'zeros(begun + header(b"runs.csv", b"10000000000\0"), 1024)'
    is_refused_soon 'larger than any run'
    packed 'zeros(header(b"long", b"10000000000\0", b"L"), 1024)'
    is_refused_soon x.kvbench
    packed 'zeros(header(b"pax", b"10000000000\0", b"x"), 1024)'
    is_refused_soon x.kvbench
    packed 'gzip.compress(header(b"pack.json", b"\x80" + b"\xff" * 11) + bytes(1024))'
    is_refused_soon x.kvbench
    packed 'gzip.compress(header(b"pack.json", b"\xff" * 12) + bytes(1024))'
    is_refused_soon x.kvbench
    packed 'gzip.compress(tar([manifest, ("tokens.csv", b"x", {"pax_headers": {"size": "99999999999"}})], tarfile.PAX_FORMAT))'
    is_refused_soon x.kvbench
}

@test "a pack is refused wherever it is cut" {
    pack_of ''
    mv x.kvbench whole.kvbench
    local size at
    size=$(stat -c %s whole.kvbench)
    for ((at = 0; at < size; at += 100)) do
        head -c "$at" whole.kvbench >x.kvbench
        refuses 1 x.kvbench "$program" plan x.kvbench
    done
    for at in 1 4 8 9; do
        head -c -"$at" whole.kvbench >x.kvbench
        refuses 1 x.kvbench "$program" plan x.kvbench
    done
    absent "$TMPDIR"/kvbench-*
}

@test "a bomb of zeros is refused before it is unpacked" {
    pack_of $'### then\nentries.append(("tokens.csv", bytes(300 << 20), {}))
manifest["files"]["tokens.csv"] = {"bytes": 300 << 20, "hash": "0" * 16}'
    [[ $(stat -c %s x.kvbench) -lt 1000000 ]]
    is_refused 'larger than any run'
    # an archive in an archive stays what it is: bytes that are no CSV
    pack_of $'files["tokens.csv"] = bytes(1 << 20)'
    is_refused x.kvbench
}

@test "other people's CSV is refused, by its name in the pack" {
    pack_of $'files["runs.csv"] = b"name,price\\nbolt,2\\n"'
    is_refused 'x.kvbench: runs.csv'
    pack_of $'del files["runs.csv"]'
    is_refused 'x.kvbench'
}

@test "only runs are packed" {
    refuses 1 'name the folder of a run' "$program" pack nowhere
    mkdir empty
    refuses 1 'holds no runs.csv' "$program" pack empty
    refuses 2 'no folder' "$program" pack "$reference/runs.csv"
    refuses 2 'has to end with .kvbench' "$program" pack "$reference" --out x.tar
    refuses 1 'cannot be written' "$program" pack "$reference" --out nowhere/x.kvbench
    holds 1
}
