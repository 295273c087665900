#!/usr/bin/env python3
"""Writes two files beside this script: evaluation.csv, how many bits a byte the held-out text takes under this model
and others, and samples.txt, what this model writes.

    data/models/kjv/evaluate.py TEXT

TEXT is the whole text, as data/bible_kjv.sh writes it: validation.txt beside this script must be its last 5 %, and what
comes before is what the model was trained on. Every row states what its model had seen. Takes a minute.
"""
import csv
import io
import lzma
import math
import os
import shlex
import subprocess
import sys
from collections import Counter

FOLDER = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(FOLDER)))
VALIDATION = os.path.join(FOLDER, "validation.txt")
EVALUATION = os.path.join(FOLDER, "evaluation.csv")
SAMPLES = os.path.join(FOLDER, "samples.txt")
PROMPTS = (  # the first seeds there are: nothing is picked
    ["--seed", "1"],
    ["--seed", "2"],
    ["--seed", "3"],
    ["--temperature", "0.7", "--prompt", "And the LORD said"],
    ["--temperature", "0", "--prompt", " vibe coding to learn kv cache."],
)
HELD_OUT_PERCENT = 5
PATHS_AGREE = 1e-4  # nats; both paths compute the same, up to rounding


def read(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        sys.exit(f"evaluate.py: {path}: {error.strerror}")


def split(path):
    """The text to train on, and the text held out."""
    text, held_out = read(path), read(VALIDATION)
    n = len(text) * HELD_OUT_PERCENT // 100
    if n == 0 or text[-n:] != held_out:
        sys.exit(f"evaluate.py: validation.txt is not the last {n} bytes of {path}: use the text of data/bible_kjv.sh")
    return text[:-n], held_out


def kvbench(*arguments):
    """What that command writes to stdout."""
    command = [os.path.join(ROOT, "kvbench"), *arguments]
    run = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if run.returncode:
        sys.exit(f"evaluate.py: '{shlex.join(command)}' ended with status {run.returncode}")
    return run.stdout


def model(path, *options):
    """loss in nats a token, which is a byte, and the bits that all bytes but the first take."""
    out = kvbench("evaluate", "--csv", "--model", FOLDER, "--text", VALIDATION, "--path", path, *options)
    row = next(csv.DictReader(io.StringIO(out)))
    return float(row["loss_nats"]), float(row["bits_per_byte"])


def model_row(name, path, note, *options):
    loss, bits_per_byte = model(path, *options)
    # The first byte is not predicted: as it is, it takes 8 bits.
    n_bytes = 1 + math.ceil(bits_per_byte * (os.path.getsize(VALIDATION) - 1) / 8)
    return [name, n_bytes, f"{bits_per_byte:.9f}", f"{loss:.9f}", note]


def xz_row(name, n_bytes, held_out, note):
    return [name, n_bytes, f"{8 * n_bytes / len(held_out):.9f}", "", note]


def xz_bytes(data):
    return len(lzma.compress(data, preset=9))


def unigram_row(name, counts, held_out, note):
    """Cross-entropy of the held-out bytes under these counts of the 256 bytes."""
    total = sum(counts.values())
    loss = -sum(n * math.log(counts[byte] / total) for byte, n in Counter(held_out).items()) / len(held_out)
    bits_per_byte = loss / math.log(2)
    return [name, math.ceil(bits_per_byte * len(held_out) / 8), f"{bits_per_byte:.9f}", f"{loss:.9f}", note]


def rows(train, held_out):
    seen = "the training text"
    naive = model_row("naive", "naive", seen)
    cached = model_row("cached", "cached", f"{seen}; every position read from the cache",
                       "--chunk", "1", "--batch", "128")
    if abs(float(naive[3]) - float(cached[3])) > PATHS_AGREE:
        sys.exit(f"evaluate.py: the paths differ: naive {naive[3]}, cached {cached[3]} nats; run ./kvbench test")
    yield naive
    yield cached
    yield xz_row("xz", xz_bytes(held_out), held_out, "nothing but the held-out text, as it goes")
    yield xz_row("xz-after-training-text", xz_bytes(train + held_out) - xz_bytes(train), held_out,
                 "the training text; then the held-out text, as it goes")
    # Add-one: a byte that the training text lacks has a probability too.
    yield unigram_row("unigram", Counter(train) + Counter(range(256)), held_out, seen)
    yield unigram_row("unigram-of-itself", Counter(held_out), held_out,
                      "how often each byte occurs in the held-out text: no unigram takes less")


def samples():
    for options in PROMPTS:
        yield f"$ ./kvbench generate -n 300 {shlex.join(options)}\n{kvbench('generate', '-n', '300', *options)}"


def replace(path, text):
    with open(path + ".part", "w", newline="", encoding="utf-8") as file:
        file.write(text)
    os.replace(path + ".part", path)


def main():
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    train, held_out = split(sys.argv[1])
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["name", "bytes", "bits_per_byte", "loss_nats", "note"])
    writer.writerows(rows(train, held_out))
    replace(EVALUATION, table.getvalue())
    replace(SAMPLES, "\n".join(samples()))


main()
