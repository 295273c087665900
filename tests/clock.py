#!/usr/bin/env python3
"""The program's clock against one outside it: clock.py PROGRAM STAMPS [GENERATIONS]

A library that is preloaded (stamps.c) notes when OpenBLAS was called and when it returned. A generation is a row of
such products with little before the first and after the last, so its time by the program's own figures has to be that
from the beginning of the first to the end of the last, within 1 % in the median of some generations. So it is with what
`generate` says, and with the repetitions of `bench`, which are found among all products by the moment they started. One
thread, so that the products of a generation are one after the other."""

import bisect
import csv
import os
import re
import statistics
import subprocess
import sys
import tempfile

WITHIN_PERCENT = 1
NEW = {"naive": 10, "cached": 40} # tokens; so that a generation is too short to be probed within
PROMPT = 21 # tokens
CELL = ["--model", "kjv", "--gemm", "openblas", "--threads", "1", "--batch", "4"] # as many products in every step
STARTED_WITHIN_S = 0.0006 # as exactly as runs.csv has it
FIGURES = re.compile(r"TTFT ([\d.]+) ms, TTPT \(TPOT\) ([\d.]+) ms")


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
    """Milliseconds of one generation: by the program, by the stamps; and its products."""
    tokens = ",".join(str(65 + i) for i in range(PROMPT))
    err = run(program, library, stamps, "generate", *CELL, "--tokens", tokens, "--path", path,
              "--new", str(NEW[path]))
    first, step = map(float, FIGURES.search(err).groups())
    products = read_products(stamps)
    return first + (NEW[path] - 1) * step, 1e3 * (products[-1][2] - products[0][1]), len(products)


def of_bench(program, library, stamps, folder, path, generations, n_products):
    """The same of each repetition, which has n_products."""
    run(program, library, stamps, "bench", *CELL, "--suite", "batch", "--prompt", str(PROMPT), "--path", path, "--new",
        str(NEW[path]), "--reps", str(generations), "--quiet", "--out", folder)
    products = read_products(stamps)
    a_step = n_products // NEW[path]
    began = [product[0] for product in products]
    pairs = []
    with open(os.path.join(folder, "runs.csv"), encoding="utf-8") as file:
        for row in csv.DictReader(file):
            first = bisect.bisect_left(began, float(row["started_s"]) - STARTED_WITHIN_S)
            first += -first % a_step # the untimed token before it ends at nearly the same moment
            if row["status"] == "ok":
                pairs.append((float(row["e2e_ms"]), 1e3 * (products[first + n_products - 1][2] - products[first][1])))
    return pairs


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
            generated = [of_generate(program, library, stamps, path) for _ in range(generations)]
            if path == "naive": # it says hundredths of a millisecond, too little of a cached step
                holds &= check(f"generate, {path}", [pair[:2] for pair in generated])
            pairs = of_bench(program, library, stamps, os.path.join(folder, path), path, generations, generated[0][2])
            holds &= check(f"bench, {path}", pairs)
    sys.exit(not holds)


main()
