#!/usr/bin/env python3
"""Runs the table of bad input, bad_input.txt: command lines, files and environments, each with what is said of it.

    bad_input.py PROGRAM FAULT_CLOCK [PATTERN]    those whose line has PATTERN in it; TAP on stdout
    bad_input.py PROGRAM FAULT_CLOCK --update     takes what is said now as expected, but for patterns; read `git diff`

A row is STATUS, LINE and EXPECTED, with tabs between them. LINE is run by bash in a folder of its own; `kv` is the program,
`run`, `trained` and `text` are a small run, a small training and a text there (`need run` copies one), and the functions
below make what is bad. EXPECTED is all of stderr, one line; between slashes it is a regular expression; empty: nothing is
said. A line may not leave a file that was not there before it, unless its STATUS is 0, nor write to stdout what is no help.
`@needs NAME` begins rows that can be run only where NAME is true, and are skipped else, with that reason.
"""
import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
TABLE = HERE / "bad_input.txt"
SECONDS = 120  # of a line: a sanitizer's build beside others

PRELUDE = r"""
kv() { "$program" "$@"; }
need() { cp -r "$fixtures/$1" "${2:-$1}" && chmod -R u+w "${2:-$1}"; }
# from here on what is there is no trace of the program
ready() { find . -mindepth 1 | sort >"$before"; }
# a copy of the smallest model; KEY VALUE: a field of its config.json
model() { cp -r "$tiny" model && chmod -R u+w model; [[ $# == 0 ]] || field "$@"; }
field() { python3 - "$@" <<'END'
import json, sys
with open("model/config.json", encoding="utf-8") as file:
    config = json.load(file)
if len(sys.argv) > 2:
    config[sys.argv[1]] = json.loads(sys.argv[2])
else:
    del config[sys.argv[1]]
with open("model/config.json", "w", encoding="utf-8") as file:
    json.dump(config, file)
END
}
# COLUMN VALUE [FILE]: the second row of a CSV file gets it
cell() { awk -F, -v OFS=, -v name="$1" -v value="$2" 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == name) at = i }
    NR == 3 { $at = value } { print }' "${3:-run/runs.csv}" >cell.tmp && mv cell.tmp "${3:-run/runs.csv}"; }
as_nobody() { if [[ $(id -u) == 0 ]]; then setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; else "$@"; fi; }
# OPTIONS LINE: with ./disk mounted so
mounted() { program=$program fixtures=$fixtures tiny=$tiny unshare -m bash -c '
    kv() { "$program" "$@"; }; '"$(declare -f last)"'
    mkdir disk && mount -t tmpfs -o size=4m disk disk && cp -r "$fixtures/run" disk/run && chmod -R u+w disk &&
    mount -o "remount,$1" disk && eval "$2"' bash "$1" "$2"; local status=$?; rmdir disk; return $status; }
german() { env "LOCPATH=$locales" LC_ALL=de_DE.UTF-8 "$program" "$@"; }
# the last line alone, of a command that tells how it goes
last() { "$@" 2>last.tmp; local status=$?; tail -n 1 last.tmp >&2; rm last.tmp; return $status; }
broken_clock() { env "LD_PRELOAD=$fault_clock" "ASAN_OPTIONS=${ASAN_OPTIONS-}:verify_asan_link_order=0" KV_CLOCK=still "$@"; }
"""


def clean_environment():
    kept = {k: v for k, v in os.environ.items() if not re.match(r"KVBENCH_|BENCHMARK_|OPENBLAS_|OMP_|LC_|LANG|COLUMNS|TERM", k)}
    return {**kept, "LC_ALL": "C.UTF-8", "TZ": "UTC", "TERM": "dumb", "KVBENCH_ISA": "portable",
            "OPENBLAS_NUM_THREADS": "1"}  # its buffers take address space, which a row limits


class Bench:
    def __init__(self, program, clock, place):
        self.program, self.place = program, pathlib.Path(place)
        self.fixtures, self.locales = self.place / "fixtures", self.place / "locales"
        self.environment = {**clean_environment(), "program": program, "fixtures": str(self.fixtures),
                            "tiny": str(ROOT / "data/reference/tiny-f32"), "data": str(ROOT / "data"),
                            "locales": str(self.locales), "fault_clock": clock,
                            "KVBENCH_MODELS": str(self.place / "models"), "KVBENCH_RESULTS": str(self.place / "results")}
        # where OpenBLAS mistakes the CPU, the program would say so and start over in every line
        said = subprocess.run([program, "info"], env=self.environment, capture_output=True, text=True).stderr
        better = re.search(r"started over with (OPENBLAS_CORETYPE)=(\S+)", said)
        if better:
            self.environment[better[1]] = better[2]

    def prepare(self):
        self.place.chmod(0o755)
        self.fixtures.mkdir()
        tiny = self.environment["tiny"]
        (self.fixtures / "text").write_bytes((ROOT / "data/models/kjv/validation.txt").read_bytes()[:8000])
        for line in (["bench", "--quiet", "--model", tiny, "--suite", "batch", "--batch", "1", "--new", "3", "--reps", "2",
                      "--threads", "1", "--time", "0", "--out", "run"],
                     ["train", "--text", "text", "--layers", "1", "--heads", "1", "--embd", "16", "--context", "32",
                      "--batch", "2", "--steps", "10", "--every", "5", "--threads", "1", "--out", "trained"],
                     ["pack", "run", "--out", "run.kvbench"]):
            subprocess.run([self.program, *line], cwd=self.fixtures, env=self.environment, check=True, capture_output=True)
        subprocess.run(["chmod", "-R", "a+rX", self.fixtures], check=True)

    def can(self, needs):
        """Of what rows need, why it is not there; "": it is. Making a locale takes seconds."""
        nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.getuid() == 0 else []
        reads = ["sh", "-c", '"$0" --version && test -r "$1"', self.program, str(self.fixtures / "text")]
        tools = {"nobody": (nobody + reads, "another user cannot run the program where it is"),
                 "mounts": (["unshare", "-m", "true"], "mounts are not allowed here"),
                 "german": (["localedef", "-i", "de_DE", "-f", "UTF-8", str(self.locales / "de_DE.UTF-8")],
                            "no locale can be made: the package locales is not here"),
                 "clock": (["test", "-n", self.environment["fault_clock"]], "run by meson test"),
                 "limits": (["test", "-z", os.environ.get("KV_SANITIZED", "")], "a sanitizer takes more memory than any limit")}
        self.locales.mkdir()
        found = {}
        for name, (command, reason) in tools.items():
            if name not in needs:
                continue
            try:
                done = subprocess.run(command, capture_output=True).returncode == 0
            except OSError:
                done = False
            found[name] = "" if done else reason
        return found

    def run(self, number, line):
        """Status, stderr, stdout, and the files that the line left."""
        box, before = self.place / f"box {number}", self.place / f"before {number}"
        box.mkdir()
        box.chmod(0o777)
        command = f"{PRELUDE}\nbefore='{before}'\n{line}\n"
        try:
            done = subprocess.run(["bash", "-c", command], cwd=box, env=self.environment, stdin=subprocess.DEVNULL,
                                  capture_output=True, timeout=SECONDS)
            status, err, out = done.returncode, done.stderr, done.stdout
        except subprocess.TimeoutExpired:
            status, err, out = "hangs", b"", b""
        there = before.read_text().splitlines() if before.exists() else []
        left = [name for p in box.rglob("*") if (name := f"./{p.relative_to(box)}") not in there and not p.is_dir()]
        subprocess.run(["rm", "-rf", box])
        said = err.decode("utf-8", "replace").removesuffix("\n")
        for path, name in ((str(box), "HERE"), (str(self.place), "PLACE"), (str(ROOT), "ROOT")):
            said = said.replace(path, name)
        return status, said, out, left


def read_table():
    """(number of the line, STATUS, LINE, EXPECTED, what it needs)"""
    rows, needs = [], ""
    for at, text in enumerate(TABLE.read_text(encoding="utf-8").splitlines()):
        if text.startswith("@needs"):
            needs = text[len("@needs"):].strip()
        elif text and not text.startswith("#"):
            status, line, *expected = text.split("\t")
            rows.append((at, status, line, expected[0] if expected else "", needs))
    return rows


def problem(expected_status, expected, status, said, out, left):
    if str(status) != expected_status:
        return f"status {status} instead of {expected_status}"
    if "\n" in said:
        return "more than one line"
    if expected.startswith("/") and expected.endswith("/") and len(expected) > 1:
        if not re.fullmatch(expected[1:-1], said):
            return f"expected /{expected[1:-1]}/"
    elif said != expected:
        return f"expected: {expected}"
    if status != 0 and out:
        return f"writes to stdout: {out[:200]!r}"
    return f"leaves {', '.join(left)}" if status != 0 and left else ""


def main(program, clock, pattern=""):
    update, n_wrong = pattern == "--update", 0
    rows = [row for row in read_table() if update or pattern in row[2]]
    lines = TABLE.read_text(encoding="utf-8").splitlines()
    with tempfile.TemporaryDirectory() as place, concurrent.futures.ThreadPoolExecutor(2) as workers:
        bench = Bench(os.path.abspath(program), clock and os.path.abspath(clock), place)
        bench.prepare()
        can = bench.can({row[4] for row in rows})
        jobs = [None if can.get(row[4]) else workers.submit(bench.run, row[0], row[2]) for row in rows]
        print(f"1..{len(rows)}")
        for number, (row, job) in enumerate(zip(rows, jobs), 1):
            at, status, line, expected, needs = row
            if not job:
                print(f"ok {number} - {line} # skip {can[needs]}")
                continue
            found = job.result()
            wrong = problem(status, expected, *found)
            if update and wrong and not expected.startswith("/"):
                lines[at] = f"{found[0]}\t{line}\t{found[1]}".replace("\n", "\\n")
                wrong = problem(str(found[0]), found[1], *found)
            n_wrong += bool(wrong)
            print(f"{'not ok' if wrong else 'ok'} {number} - {line}", flush=True)
            if wrong:
                print(f"# line {at + 1}: {wrong}\n# stderr: " + found[1].replace("\n", "\n#         "), flush=True)
    if update:
        TABLE.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return 1 if n_wrong else 0


if len(sys.argv) not in (3, 4):
    sys.exit(__doc__)
sys.exit(main(*sys.argv[1:]))
