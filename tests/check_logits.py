"""Reads safetensors files with nothing but json and struct, as a judge that is not our own code.

    check_logits.py BOUND EXPECTED FILE...   prints a line a file; exit status 1 unless each has a tensor `logits` and no
                                             other, F32, of EXPECTED's shape and within BOUND of its largest |value|
"""

import json
import math
import struct
import sys


def read(path):
    """Shape and values of tensor `logits`; its bytes must be the rest of the file."""
    with open(path, "rb") as file:
        (size,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(size))
        data = file.read()
    header.pop("__metadata__", None)
    tensor = header["logits"]
    count = math.prod(tensor["shape"])
    if len(header) != 1 or tensor["dtype"] != "F32" or tensor["data_offsets"] != [0, len(data)]:
        sys.exit(f"{path}: {header} and {len(data)} bytes")
    return tensor["shape"], struct.unpack(f"<{count}f", data)


def main(arguments):
    if len(arguments) < 3:
        sys.exit(__doc__)
    shape, expected = read(arguments[1])
    bound = float(arguments[0]) * max(map(abs, expected))
    for path in arguments[2:]:
        found_shape, values = read(path)
        # not a maximum, which would pass over a NaN
        wrong = [pair for pair in zip(values, expected) if not abs(pair[0] - pair[1]) <= bound]
        if found_shape != shape or wrong:
            sys.exit(f"{path}: shape {found_shape}, expected {shape}; {len(wrong)} values are wrong, first {wrong[:1]}")
        print("F32", shape, "equal within", arguments[0])


if __name__ == "__main__":
    main(sys.argv[1:])
