#!/usr/bin/env python3
"""Reads safetensors files by the format's published rules (github.com/huggingface/safetensors, "Format"), knowing nothing
of the program's own reader, and holds what it finds against what `replay` of the target says of the same files.

    reader.py REPLAY CORPUS COUNT [SEED]    the files of CORPUS, and COUNT made of seed 1, or SEED
    reader.py REPLAY CORPUS 0               those of a folder alone, such as one that a fuzzer kept

A file that loads has to be the same tensors for both. One that the program refuses may be one that the format allows only
where the program says that it goes no further: limits().
"""
import json
import pathlib
import subprocess
import sys
import tempfile

WIDTHS = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U64": 8, "U32": 4, "U16": 2,
          "U8": 1, "BOOL": 1, "F8_E4M3": 1, "F8_E5M2": 1}
MOST_DIMS, MOST_DEPTH = 8, 2048


class Refused(Exception):
    pass


def refuse_unless(condition, why):
    if not condition:
        raise Refused(why)


def unique(pairs):
    refuse_unless(len({name for name, _ in pairs}) == len(pairs), "a name is there twice")
    return dict(pairs)


def constant(name):
    raise Refused(f"{name} is no JSON")


def hash_bytes(data):
    """FNV-1a of 64 bits."""
    value = 0xcbf29ce484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001b3 % 2**64
    return value


def strings(value):
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield name
            yield from strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from strings(inner)


def whole(values, why):
    refuse_unless(isinstance(values, list) and all(type(v) is int and v >= 0 for v in values), why)
    return values


def parse(data):
    """The header, and where the data begins."""
    refuse_unless(len(data) >= 8, "too short")
    length = int.from_bytes(data[:8], "little")
    refuse_unless(length <= len(data) - 8, "the header ends behind the file")
    text = data[8:8 + length]
    refuse_unless(text[:1] == b"{", "the header does not begin with {")
    try:
        header = json.loads(text.decode("utf-8"), object_pairs_hook=unique, parse_constant=constant)
        for string in strings(header):
            string.encode("utf-8")  # half a surrogate pair is no character
    except (ValueError, RecursionError) as problem:
        raise Refused(f"no JSON: {problem}") from None
    return header, 8 + length


def read(data):
    """The lines of a file that is right."""
    header, start = parse(data)
    notes = header.pop("__metadata__", {})
    refuse_unless(isinstance(notes, dict) and all(isinstance(v, str) for v in notes.values()), "metadata are strings")
    places, lines = [], []
    for name in sorted(header, key=lambda name: name.encode()):
        entry = header[name]
        refuse_unless(isinstance(entry, dict), "an entry is an object")
        dtype, shape = entry.get("dtype"), whole(entry.get("shape"), "a shape is whole numbers")
        offsets = whole(entry.get("data_offsets"), "offsets are whole numbers")
        refuse_unless(isinstance(dtype, str) and dtype in WIDTHS and len(offsets) == 2, "an entry is not whole")
        size = WIDTHS[dtype]
        for n in shape:
            size *= n
        refuse_unless(offsets[1] - offsets[0] == size, "offsets do not hold the shape")
        places.append(tuple(offsets))
        part = data[start + offsets[0]:start + offsets[1]]
        lines.append(f"tensor {name.encode().hex()} {dtype} [{','.join(map(str, shape))}] {offsets[0]} {offsets[1]} "
                     f"{hash_bytes(part):016x}")
    end = 0
    for place in sorted(places):
        refuse_unless(place[0] == end, "a gap or an overlap")
        end = place[1]
    refuse_unless(start + end == len(data), "the data ends elsewhere")
    return lines + [f"loaded: {len(lines)} tensors"]


def depth(value):
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(depth, inner), default=0)


def numbers(value):
    if isinstance(value, (dict, list)):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from numbers(inner)
    elif isinstance(value, (int, float)):
        yield value


def limits(data):
    """Why the program may refuse a file that the format allows; "": it may not."""
    header, _ = parse(data)
    if any("\0" in string for string in strings(header)):
        return "a zero in a text"
    if any(not -2**63 <= n < 2**63 for n in numbers(header)):
        return "a number of more than 64 bits"
    if depth(header) > MOST_DEPTH:
        return "an entry that nothing asks for is nested too deep"
    sizes = [entry["shape"] for name, entry in header.items() if name != "__metadata__"]
    if any(len(shape) > MOST_DIMS for shape in sizes):
        return "too many dimensions"
    for shape in sizes:  # before a 0 the product may be more than 64 bits hold
        product = 1
        for n in shape:
            product *= n
            if product >= 2**64:
                return "a product of more than 64 bits"
    return ""


def said(output):
    """The lines of each file, by its name."""
    files, lines = {}, []
    for line in output.splitlines():
        if line.startswith(("tensor ", "loaded: ", "refused: ")):
            lines.append(line)
        else:
            lines = files.setdefault(line, [])
    return files


def check(path, found):
    data = path.read_bytes()
    try:
        expected = read(data)
    except Refused as why:
        if found[0].startswith("refused: "):
            return "refused"
        sys.exit(f"{path}: loads, but by the format it may not: {why}\n" + "\n".join(found))
    if found == expected:
        return "loaded"
    if found[0].startswith("refused: ") and limits(data):
        return "limit"
    sys.exit(f"{path}: expected\n" + "\n".join(expected) + "\nfound\n" + "\n".join(found))


def main(replay, corpus, count, seed="1"):
    with tempfile.TemporaryDirectory() as made:
        if int(count):
            subprocess.run([replay, "--make", made, count, seed], check=True)
        output = subprocess.run([replay, corpus, made], check=True, stdout=subprocess.PIPE).stdout
        files = said(output.decode("utf-8", "replace"))
        counts = dict.fromkeys(("loaded", "refused", "limit"), 0)
        for path in sorted(p for folder in (corpus, made) for p in pathlib.Path(folder).rglob("*") if p.is_file()):
            counts[check(path, files[path.name])] += 1
    print(f"seed {seed}: {counts['loaded']} load as the format has it, {counts['refused']} are refused by both, "
          f"{counts['limit']} are right and more than the program takes")
    if int(count) and not (counts["loaded"] >= int(count) // 3 and counts["refused"] >= int(count) // 10):
        sys.exit("the files that are made have become too alike")


if len(sys.argv) not in (4, 5):
    sys.exit(__doc__)
main(*sys.argv[1:])
