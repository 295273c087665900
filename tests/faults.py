#!/usr/bin/env python3
"""What the program does when an allocation, a write or a read goes wrong.

    faults.py PROGRAM fault_memory.so fault_calls [full [WORKLOAD...]]

Every workload is run once to count its allocations, its calls that write and those that read; then again and again, and
each time another one of them fails: all of them with "full", else a few of each kind, drawn by a seed that is printed.
Either it ends as it would have (what was lost was not needed), or with one line on stderr that says what is the matter,
and no signal; no half-written file is left, and what was in the folder stays as it was or is whole and new. A read that
is cut short changes nothing at all.
"""
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile

PROGRAM, MEMORY, CALLS = (pathlib.Path(a).resolve() for a in sys.argv[1:4])
FULL, ONLY = sys.argv[4:5] == ["full"], sys.argv[5:]
DATA = pathlib.Path(__file__).resolve().parent.parent / "data"
TINY = str(DATA / "reference/tiny-f32")
BENCH = ["bench", "--quiet", "--model", TINY, "--suite", "batch", "--batch", "1", "--new", "2", "--reps", "1",
         "--threads", "1", "--time", "0"]
TRAIN = ["train", "--layers", "1", "--heads", "1", "--embd", "8", "--context", "8", "--batch", "1", "--every", "2",
         "--threads", "1", "--text", "text"]
# name, arguments, whether what they print depends on no clock, samples of each kind
WORKLOADS = [
    ("generate", ["generate", "--model", TINY, "--tokens", "1,2", "-n", "3", "--threads", "1"], True, 12),
    ("text", ["generate", "--model", str(DATA / "models/kjv"), "--prompt", "In the", "-n", "2", "--threads", "1"], True, 6),
    ("logits", ["logits", "--model", TINY, "--tokens", "1,2", "--out", "logits", "--threads", "1"], True, 12),
    ("tokenize", ["tokenize", "--model", TINY, "--tokenizer", "bytes"], True, 6),
    ("train", [*TRAIN, "--out", "new", "--steps", "4"], False, 12),
    ("resume", ["train", "--out", "trained", "--resume", "--steps", "6"], False, 12),
    ("compare", ["compare", "run", "--by", "path", "--csv", "compared.csv"], True, 8),
    ("report", ["report", "run", "--out", "page.html"], False, 8),
    ("bench", [*BENCH, "--out", "bench"], False, 5),
]
KINDS = ["memory", "ENOSPC", "EIO", "EINTR", "short"]


def run(folder, arguments, kind, number):
    """The process, and how many calls of that kind it made; number 0: none fails."""
    log = folder.parent / "log"
    log.unlink(missing_ok=True)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("KVBENCH_")}
    environment |= {"KVBENCH_ISA": "portable", "OPENBLAS_CORETYPE": os.environ.get("OPENBLAS_CORETYPE", "Haswell")}
    command = [str(PROGRAM), *arguments]
    if kind == "memory":
        environment |= {"LD_PRELOAD": str(MEMORY), "KV_FAULT": str(number), "KV_FAULT_LOG": str(log)}
    else:
        command = [str(CALLS), kind, str(number), str(log), *command]
    done = subprocess.run(command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          errors="replace", timeout=120)
    return done, int(log.read_text()) if log.exists() else 0


def files(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def judge(name, steady, kind, clean, clean_files, before, done, after):
    """What is wrong with how it ended; None: nothing."""
    said = [line for line in done.stderr.splitlines() if line.startswith("kvbench")]
    if "error while loading shared libraries" in done.stderr:
        return None  # the loader's own reads: the program has not begun
    if done.returncode < 0 or done.returncode > 3:
        return f"ended with {done.returncode}"
    if any(".kvbench-part-" in file for file in after) and "no memory; close" not in done.stderr:
        return f"left {[f for f in after if '.kvbench-part-' in f]}"
    if done.returncode != 0:
        if kind == "short":
            return "a short read is no failure"
        if not said or len(said[-1]) < 20 or said[-1].rstrip().endswith(":"):
            return "did not say why"
        if kind == "memory" and ("memory" not in done.stderr or (done.returncode == 2 and name != "compare")):
            return "blames something else than memory"
        lost = [file for file in before if file not in after and not file.endswith("tokens.csv")]
        return f"lost {lost}" if lost else None
    if set(clean_files) - set(after):
        return f"said that all is well, without {set(clean_files) - set(after)}"
    if steady and done.stdout != clean.stdout:
        return "printed something else, and said that all is well"
    return None


def prepare(folder):
    (folder / "text").write_bytes((DATA / "models/kjv/validation.txt").read_bytes()[:600])
    for arguments in ([*BENCH, "--out", "run"], [*TRAIN, "--out", "trained", "--steps", "4"]):
        subprocess.run([str(PROGRAM), *arguments], cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, check=True)


def main():
    seed = int(os.environ.get("KV_SEED", random.SystemRandom().randrange(10**6)))
    draw = random.Random(seed)
    print(f"seed {seed}; KV_SEED={seed} draws the same")
    faults = failures = 0
    with tempfile.TemporaryDirectory() as place:
        start, box = pathlib.Path(place) / "start", pathlib.Path(place) / "box"
        start.mkdir()
        prepare(start)
        before = files(start)

        def attempt(arguments, kind, number):
            shutil.rmtree(box, ignore_errors=True)
            shutil.copytree(start, box)
            done, n = run(box, arguments, kind, number)
            return done, n, files(box)

        if run(start, ["--version"], "ENOSPC", 0)[0].returncode == 124:
            print("ptrace is not allowed here: system calls are left out")
            KINDS[1:] = []
        for name, arguments, steady, samples in WORKLOADS:
            if ONLY and name not in ONLY:
                continue
            for kind in KINDS:
                clean, n, clean_files = attempt(arguments, kind, 0)
                if clean.returncode:
                    raise SystemExit(f"{name} fails without a fault: {clean.stderr}")
                numbers = range(1, n + 1)
                if not FULL:
                    numbers = sorted(draw.sample(numbers, min(n, samples if kind == "memory" else (samples + 3) // 4)))
                for number in numbers:
                    done, _, after = attempt(arguments, kind, number)
                    faults += 1
                    wrong = judge(name, steady, kind, clean, clean_files, before, done, after)
                    if wrong:
                        failures += 1
                        print(f"{name}, {kind} {number} of {n}: {wrong}: {done.stderr.strip()[-300:]!r}")
    print(f"{faults} faults, {failures} not well told")
    return failures > 0 or faults == 0


if __name__ == "__main__":
    sys.exit(main())
