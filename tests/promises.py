#!/usr/bin/env python3
"""What the instrument promises, held against it while the noise program runs: promises.py PROOF PROGRAM NOISE [full]

  ab       a program is compared with itself, and with itself slowed by 3 %
  compare  separate runs of one program are compared pairwise
  repeat   two runs say how much faster the cached path is

The short form checks what has to hold on a machine that is busy with other things as well; `full` has the numbers of the
promise, and takes hours. KV_COUNT comparisons or runs, KV_SECONDS each, where others than these are wanted. KV_PART is
`itself` or `slowed` for one part of `ab` alone, so that its hours can be had in two sittings."""

import contextlib
import itertools
import json
import math
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time

VERDICTS = ("faster", "slower", "equal", "undecided", "not told apart")
FALSE = VERDICTS[:2]
# A run that has the promised chance of a false verdict fails a short form once in so many times.
SHORT_FORM_FAILS = 1000


def most_false(n, chance=0.05):
    """The smallest count that Binomial(n, chance) exceeds at most once in SHORT_FORM_FAILS times."""
    below, count = 0, -1
    while below < 1 - 1 / SHORT_FORM_FAILS:
        count += 1
        below += math.comb(n, count) * chance**count * (1 - chance) ** (n - count)
    return count


class Proof:
    """A program, noise beside it, and whether all has held so far."""

    def __init__(self, program, noise, full, folder):
        self.program, self.noise, self.full, self.folder = program, noise, full, folder
        self.holds = True
        self.model = [] if full else ["--model", "kjv"]

    def count(self, short, full):
        return int(os.environ.get("KV_COUNT", full if self.full else short))

    def seconds(self, short, full):
        return float(os.environ.get("KV_SECONDS", full if self.full else short))

    def check(self, holds, text):
        self.holds &= holds
        print(f"{'holds' if holds else 'FAILS'}: {text}", flush=True)

    @contextlib.contextmanager
    def under_noise(self, seed):
        """The noise ends with this process at the latest, or after hours."""
        child = subprocess.Popen([self.noise, "--seed", str(seed), "--seconds", "40000"])
        try:
            yield
        finally:
            child.kill()
            child.wait()

    def run(self, *arguments):
        """What it wrote to stdout."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("KVBENCH_")}
        done = subprocess.run([self.program, *arguments], env=environment, stdin=subprocess.DEVNULL, capture_output=True,
                              text=True)
        if done.returncode:
            sys.exit(f"exit status {done.returncode} of {' '.join(arguments)}: {done.stderr}")
        return done.stdout

    def bench(self, name, *arguments):
        folder = os.path.join(self.folder, name)
        self.run("bench", *self.model, "--suite", "batch", *arguments, "--quiet", "--out", folder)
        return folder

    def compare(self, *arguments):
        """A result each: a cell and a metric."""
        rows = [json.loads(line) for line in self.run("compare", *arguments, "--format", "json").splitlines()]
        results = [row for row in rows if row["verdict"] != "environment"]
        if not results or any(result["verdict"] not in VERDICTS for result in results):
            sys.exit(f"compare {' '.join(arguments)} said {rows}")
        return results


# ---- ab -----------------------------------------------------------------------------------------------------------------

LAST_LINE = re.compile(r"B is (faster|slower): |(equal) within [\d.]+ %: |(undecided): ")


def verdicts_of(proof, what, n, *arguments):
    """Of n comparisons; a line each, with the verdicts up to there."""
    verdicts, begin = [], time.monotonic()
    for i in range(n):
        last = proof.run("ab", proof.program, *proof.model, *arguments, "--quiet").splitlines()[-1]
        found = LAST_LINE.match(last)
        if not found:
            sys.exit(f"ab ended with no verdict: {last}")
        verdicts.append(next(filter(None, found.groups())))
        counts = ", ".join(f"{verdicts.count(verdict)} {verdict}" for verdict in VERDICTS if verdict in verdicts)
        print(f"  {time.monotonic() - begin:.0f} s  {what} {i + 1} of {n}: {counts}; {last}", flush=True)
    return verdicts


def prove_same(proof, *limit):
    n = proof.count(3, 40)
    same = verdicts_of(proof, "itself", n, proof.program, *limit)
    n_false = sum(verdict in FALSE for verdict in same)
    allowed = 2 * n // 40 if proof.full else most_false(n)
    proof.check(n_false <= allowed, f"{n_false} of {n} comparisons of a program with itself said faster or slower, "
                f"{same.count('equal')} equal; at most {allowed}")


def prove_slowed(proof, *limit):
    n = proof.count(1, 20)
    slowed = verdicts_of(proof, "slowed", n, "--b", "--extra 3", *limit)
    n_found, wanted = slowed.count("slower"), 18 * n // 20 if proof.full else 0
    proof.check(n_found >= wanted, f"{n_found} of {n} true slow-downs of 3 % were found; at least {wanted}")
    proof.check(slowed.count("faster") == 0, "none of them was called faster")


def prove_ab(proof):
    parts = {"itself": prove_same, "slowed": prove_slowed}
    part = os.environ.get("KV_PART", "")
    if part and part not in parts:
        sys.exit(f"KV_PART is '{part}': it is one of {', '.join(parts)}")
    with proof.under_noise(1):
        for prove in [parts[part]] if part else parts.values():
            prove(proof, "--time", f"{proof.seconds(5, 120):g}s")


# ---- Separate runs ------------------------------------------------------------------------------------------------------


def prove_compare(proof):
    n = proof.count(3, 8)
    # Of a short run all steps may be ones in which two threads had one CPU, which makes tiny ones six times as long.
    size = ["--batch", "1,4", "--reps", "10"] if proof.full else ["--batch", "16,64", "--reps", "6", "--threads", "1"]
    with proof.under_noise(2):
        runs = [proof.bench(f"run-{i}", "--path", "cached", "--new", "12", *size) for i in range(n)]
    results = [proof.compare(a, b) for a, b in itertools.combinations(runs, 2)]
    verdicts = [result["verdict"] for pair in results for result in pair]
    n_false = sum(verdict in FALSE for verdict in verdicts)
    for result in itertools.chain(*results):
        if result["verdict"] in FALSE:
            print(f"  {result['verdict']}: {result['metric']}, batch {result['batch']}: {result['ratio']:.3f} "
                  f"({result['ratio_low']:.3f} to {result['ratio_high']:.3f})")
    summary = f"{n_false} of {len(verdicts)} verdicts of {len(results)} pairs of runs said faster or slower"
    if proof.full:
        proof.check(n_false <= 0.05 * len(verdicts), f"{summary}; at most 5 %")
    else: # results of a pair are not independent of each other
        pairs = sum(any(result["verdict"] in FALSE for result in pair) for pair in results)
        proof.check(pairs <= most_false(len(results)), f"{summary}, in {pairs} pairs; at most {most_false(len(results))}")


def prove_repeat(proof):
    arguments = ["--path", "naive,cached", *(["--new", "12"] if proof.full else
                                             ["--new", "6", "--batch", "1,2,4", "--reps", "6"])]
    with proof.under_noise(3):
        runs = [proof.bench(f"run-{i}", *arguments) for i in range(2)]
    by_path = ["--by", "path", "--base", "naive", "--metric", "ttpt_ms"]
    first, second = ({result["batch"]: result for result in proof.compare(run, *by_path)} for run in runs)
    if first.keys() != second.keys():
        sys.exit(f"not the same cells: {first}, {second}")
    for batch in sorted(first, key=int):
        print(f"  batch {batch}: cached over naive", " then ".join(
            f"{cells[batch]['ratio']:.4f} ({cells[batch]['ratio_low']:.4f} to {cells[batch]['ratio_high']:.4f})"
            for cells in (first, second)))
    apart = statistics.median(abs(second[batch]["ratio"] / first[batch]["ratio"] - 1) for batch in first)
    text = f"two runs one after the other differ by {100 * apart:.2f} % in the median cell"
    if proof.full:
        proof.check(apart <= 0.03, f"{text}; at most 3 %")
    else: # of steps shorter than a time slice some are hit by other programs and some are not
        below = [sum(result["ratio"] < 1 for result in cells.values()) for cells in (first, second)]
        proof.check(min(below) > len(first) / 2, f"{text}; cached is faster in {below[0]} and {below[1]} of {len(first)}")


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended before its time")) # and so do noise and program
    prove = {"ab": prove_ab, "compare": prove_compare, "repeat": prove_repeat}[sys.argv[1]]
    with tempfile.TemporaryDirectory() as folder:
        proof = Proof(os.path.abspath(sys.argv[2]), sys.argv[3], sys.argv[4:] == ["full"], folder)
        prove(proof)
    sys.exit(not proof.holds)


main()
