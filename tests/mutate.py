#!/usr/bin/env python3
"""Which small mistakes in core and benchmarks no test would notice: mutate.py FOLDER

Makes a copy of the source tree in FOLDER (a new one, or that of an earlier call) and builds it; then changes one place of
one C file at a time, builds what may see it, and runs those tests until one fails. A change that does not compile, or
that changes no object file, is none. Prints a line a mutant and the score at the end; those that survived are to be
looked at one by one.

KV_COUNT mutants (300), KV_SEED draws the same ones again, KV_SECONDS ends it before; KV_ONLY=core/infer draws from the
files whose names begin so."""
import collections
import hashlib
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import time

SOURCE = pathlib.Path(__file__).resolve().parent.parent
EQUALITY = {"KV_COUNT": "150", "KV_SEED": "1"}
# The tests that may see a change of files whose names begin so, quick ones first; the first line that fits counts.
TESTS = [
    ("core/base/pool", ["pool", "matmul", "equality"]),
    ("core/base/number", ["lists", "csv", "tokenize", "cli"]),
    ("core/base", ["utf8", "save", "load", "safetensors", "sampler", "csv", "faults"]),
    ("core/cache", ["session", "kept", "attention", "equality", "observer"]),
    ("core/infer/account", ["parts"]),
    ("core/infer/sampler", ["sampler"]),
    ("core/infer", ["session", "parts", "observer", "equality", "reference"]),
    ("core/kernels", ["kernels", "formats", "attention", "kept", "matmul", "equality"]),
    ("core/model", ["config", "safetensors", "load", "save", "synthetic", "reference", "peers"]),
    ("core/text", ["tokenizer", "tokenize"]),
    ("core/train", ["train", "trainer", "training", "train_checkpoint", "train_runs"]),
    ("benchmarks/ab", ["contest", "apart", "effect", "ab"]),
    ("benchmarks/cli", ["lists", "compare", "generate_terminal", "cli", "golden", "format", "generate", "bench", "ab"]),
    ("benchmarks/machine", ["machine", "context", "limits", "cli"]),
    ("benchmarks/measure", ["measure", "decoder", "gate", "limits", "kernel_suite", "parts", "golden", "bench", "progress"]),
    ("benchmarks/plan", ["plan", "engines", "golden", "bench"]),
    ("benchmarks/report", ["report", "figures", "findings", "golden", "report_browser"]),
    ("benchmarks/results/csv", ["csv", "faults"]),
    ("benchmarks/results", ["results", "stats", "trend", "tables", "findings", "figures", "precision", "compare", "apart",
                            "effect", "golden", "history", "pack", "plots"]),
    ("benchmarks/text", ["evaluation", "training", "terminal", "dashboard_numbers", "generate_terminal", "golden", "race",
                         "dashboard", "train_runs"]),
]
BOUNDS = {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "==", "&&": "||", "||": "&&"}
SIGNS = {"+": "-", "-": "+", "+=": "-=", "-=": "+=", "*": "/", "++": "--"}
Mutant = collections.namedtuple("Mutant", "file line kind old new")


def code_of(text):
    """The text with comments, strings and directives blanked out, each character in its place."""
    blank = lambda m: re.sub(r"[^\n]", " ", m.group())
    text = re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'', blank, text, flags=re.S)
    return re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", blank, text, flags=re.M)


def mutants_of(file):
    """All of a file, by kind."""
    text = (SOURCE / file).read_text(encoding="utf-8")
    code, lines = code_of(text).split("\n"), text.split("\n")
    found = collections.defaultdict(list)

    def replace(kind, number, span, new):
        line = lines[number]
        found[kind].append(Mutant(file, number, kind, line, line[:span[0]] + new + line[span[1]:]))

    for number, line in enumerate(code):
        if not line.startswith("    ") or line.rstrip().endswith("\\"):
            continue  # declarations of files, and macros
        for match in re.finditer(r"(?<= )(<=?|>=?|[!=]=|&&|\|\|)(?= )", line):
            replace("bound", number, match.span(), BOUNDS[match.group()])
        for match in re.finditer(r"(?<= )([+-]=?|\*)(?= )|\+\+", line):
            replace("sign", number, match.span(), SIGNS[match.group()])
        for match in re.finditer(r"(?<![\w.\[])\d+(?![\w.\]])", line):
            replace("constant", number, match.span(), str(int(match.group()) + 1))
        if re.match(r" +(\w+(\.|->|\[[^=]*\])?)+( [-+*/|]?= |\().*;$", line) and not re.match(r" +(return|assert)\b", line):
            found["removed line"].append(Mutant(file, number, "removed line", lines[number], ""))
    return found


class Copy:
    """A tree of its own, built."""

    def __init__(self, folder):
        self.source, self.build = folder / "source", folder / "build"
        outputs = shutil.ignore_patterns(".git", "build*", "results")
        shutil.copytree(SOURCE, self.source, dirs_exist_ok=True, symlinks=True,
                        ignore=lambda place, names: outputs(place, names) if pathlib.Path(place) == SOURCE else [])
        if not (self.build / "build.ninja").exists():
            subprocess.run(["meson", "setup", str(self.build), str(self.source), "--buildtype=release"], check=True,
                           stdout=subprocess.DEVNULL)
        self.targets = set(re.findall(r"^(\S+): ", self.run("ninja", "-C", str(self.build), "-t", "targets", "all").stdout,
                                      re.M))

    @staticmethod
    def run(*command, **settings):
        return subprocess.run(command, capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL, **settings)

    def builds(self, tests):
        programs = {t: f"tests/test_{t}" for t in tests}
        wanted = {p if p in self.targets else "benchmarks/kvbench" for p in programs.values()} # scripts test the program
        return self.run("ninja", "-C", str(self.build), *sorted(wanted)).returncode == 0

    def objects(self):
        """Of the object files of core and benchmarks, what is in them."""
        return {file: hashlib.sha256(file.read_bytes()).digest() for file in self.build.glob("[cb]*/**/*.o")}

    def first_failure(self, tests):
        for test in tests:
            done = self.run("meson", "test", "-C", str(self.build), "--no-rebuild", "--suite", "kvbench", test,
                            env=os.environ | (EQUALITY if test == "equality" else {}))
            if done.returncode:
                return test
        return None


def judge(copy, mutant, tests, sound):
    """'SURVIVED', 'killed by ...', or None: it is no mutant. The next build has the file as it was."""
    file = copy.source / mutant.file
    original = file.read_text(encoding="utf-8")
    lines = original.split("\n")
    lines[mutant.line] = mutant.new
    try:
        file.write_text("\n".join(lines), encoding="utf-8")
        if not copy.builds(tests) or copy.objects() == sound:
            return None
        failed = copy.first_failure(tests)
        return f"killed by {failed}" if failed else "SURVIVED"
    finally:
        file.write_text(original, encoding="utf-8")


def tests_of(file):
    return next((tests for prefix, tests in TESTS if file.startswith(prefix)), None)


def main():
    seed = int(os.environ.get("KV_SEED", random.SystemRandom().randrange(10**6)))
    count, only = int(os.environ.get("KV_COUNT", 300)), os.environ.get("KV_ONLY", "")
    end = time.monotonic() + float(os.environ.get("KV_SECONDS", "inf"))
    draw, copy = random.Random(seed), Copy(pathlib.Path(sys.argv[1]).resolve())
    files = sorted(str(p.relative_to(SOURCE)) for top in ("core", "benchmarks") for p in (SOURCE / top).rglob("*.[ch]"))
    files = [f for f in files if f.startswith(only) and tests_of(f) and "avx512" not in f and "amx" not in f]
    sizes = [len((SOURCE / f).read_bytes()) for f in files]
    print(f"seed {seed}; KV_SEED={seed} draws the same", flush=True)
    if not copy.builds({test for file in files for test in tests_of(file)}):
        sys.exit("the copy does not build")
    sound, verdicts = copy.objects(), collections.Counter()
    while sum(verdicts.values()) < count and time.monotonic() < end:
        file = draw.choices(files, sizes)[0]
        kinds = mutants_of(file)
        if not kinds:
            continue
        mutant = draw.choice(kinds[draw.choice(sorted(kinds))])
        verdict = judge(copy, mutant, tests_of(file), sound)
        if verdict:
            verdicts[verdict.split()[0]] += 1
            print(f"{verdict}: {mutant.file}:{mutant.line + 1}: {mutant.kind}: {mutant.old.strip()}"
                  + (f"  ->  {mutant.new.strip()}" if mutant.new else ""), flush=True)
    n = sum(verdicts.values())
    print(f"{verdicts['killed']} of {n} killed, {100 * verdicts['killed'] / max(n, 1):.0f} %")


main()
