"""Reads safetensors files with nothing but json and struct, as a judge that is not our own code.

    check_logits.py EXPECTED FILE...   prints, as a JSON array, an object a FILE: the names of its tensors, and of
                                       `logits` dtype, shape and the largest difference from EXPECTED's, as a fraction
                                       of the largest |expected|
"""

import json
import math
import struct
import sys


def read(path):
    """Header without metadata, and the values of tensor `logits`; its bytes must be the rest of the file."""
    with open(path, "rb") as file:
        (size,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(size))
        data = file.read()
    header.pop("__metadata__", None)
    begin, end = header["logits"]["data_offsets"]
    count = math.prod(header["logits"]["shape"])
    if (begin, end) != (0, len(data)):
        sys.exit(f"{path}: logits has bytes {begin} to {end} of {len(data)}")
    return header, struct.unpack(f"<{count}f", data)


def compare(path, expected):
    header, values = read(path)
    if len(values) != len(expected):
        sys.exit(f"{path}: {len(values)} logits instead of {len(expected)}")
    differences = [abs(value - wanted) for value, wanted in zip(values, expected)]
    # max would pass over a NaN
    finite = all(math.isfinite(value) for value in values)
    return {
        "names": sorted(header),
        "dtype": header["logits"]["dtype"],
        "shape": header["logits"]["shape"],
        "difference": max(differences) / max(map(abs, expected)) if finite else 1e9,
    }


def main(arguments):
    if len(arguments) < 2:
        sys.exit(__doc__)
    _, expected = read(arguments[0])
    print(json.dumps([compare(path, expected) for path in arguments[1:]]))


if __name__ == "__main__":
    main(sys.argv[1:])
