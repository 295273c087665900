#!/usr/bin/env python3
"""The program's clock against one outside it: clock.py PROGRAM STAMPS [GENERATIONS]

A library that is preloaded (stamps.c) notes when OpenBLAS was called and when it returned. A generation is a row of
such products with little before the first and after the last, so its time by the program's own figures has to be that
from the beginning of the first to the end of the last, within 1 % in the median of some generations. One thread, so that
the products of a generation are one after the other."""

import os
import re
import statistics
import subprocess
import sys
import tempfile

WITHIN_PERCENT = 1
NEW = 40
PROMPT = "And it came to pass in those days, that there went out a decree"
FIGURES = re.compile(r"TTFT ([\d.]+) ms, TTPT ([\d.]+) ms")


def run(program, library, stamps, *arguments):
    """What the program wrote to stderr. Nobody reads its stdout: a reader that wakes takes the CPU just between two steps,
    where the program's clock rests."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("KVBENCH_")}
    environment.update(LD_PRELOAD=library, KV_STAMPS=stamps,
                       ASAN_OPTIONS=os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0")
    done = subprocess.run([program, *arguments], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                          text=True)
    if done.returncode:
        sys.exit(f"exit status {done.returncode} of {' '.join(arguments)}: {done.stderr}")
    return done.stderr


def read_products(stamps):
    with open(stamps, encoding="ascii") as file:
        return [tuple(map(float, line.split())) for line in file]


def of_generate(program, library, stamps, path):
    """Milliseconds of one generation: by the program, by the stamps."""
    err = run(program, library, stamps, "generate", "--model", "kjv", "--gemm", "openblas", "--threads", "1",
              "--temperature", "0", "--prompt", PROMPT, "--batch", "8", "--new", str(NEW), "--path", path)
    first, step = map(float, FIGURES.search(err).groups())
    products = read_products(stamps)
    return first + (NEW - 1) * step, 1e3 * (products[-1][2] - products[0][1])


def check(name, pairs):
    off = [100 * (inside / outside - 1) for inside, outside in pairs]
    middle = statistics.median(off)
    print(f"{name}: {len(off)} generations of {statistics.median(o for _, o in pairs):.0f} ms, the program's clock is "
          f"{middle:+.3f} % off in the median, {min(off):+.3f} to {max(off):+.3f} %")
    return abs(middle) <= WITHIN_PERCENT


def main():
    program, library = sys.argv[1:3]
    generations = int(sys.argv[3]) if len(sys.argv) > 3 else 5
    holds = True
    with tempfile.TemporaryDirectory() as folder:
        stamps = os.path.join(folder, "stamps")
        for path in ("naive", "cached"):
            pairs = [of_generate(program, library, stamps, path) for _ in range(generations)]
            holds &= check(f"generate, {path}", pairs)
    sys.exit(not holds)


main()
