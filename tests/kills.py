#!/usr/bin/env python3
"""What SIGKILL at random moments leaves, and what comes of it: kills.py PROGRAM [COMMAND...]

Commands that can be resumed are killed again and again, at moments drawn over the whole of an uninterrupted run, then left
to finish: the result is that run's. ab, which has no --resume, is begun again: the rows that an earlier comparison left
stay as they are until there are new ones. After each kill no process of it is left; in the end nothing temporary is.

KV_COUNT kills of each command (5), KV_SEED draws the same moments again."""
import contextlib
import csv
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

TESTS = pathlib.Path(__file__).resolve().parent
DATA = TESTS.parent / "data"
PROGRAM = pathlib.Path(sys.argv[1]).resolve()
COUNT = int(os.environ.get("KV_COUNT", 5))
TINY = ["--model", str(DATA / "reference/tiny-f32"), "--threads", "1"]
SECONDS = 120  # any of them takes a hundredth


class Wrong(Exception):
    pass


class Box:
    """A folder to work in, with a folder for what is temporary, and what has been started there."""

    def __init__(self, folder):
        self.folder, self.temporary = folder, folder / "tmp"
        self.temporary.mkdir(parents=True)
        (folder / "text").write_bytes((DATA / "models/kjv/validation.txt").read_bytes()[:2000])
        adapters = folder / "adapters"
        adapters.mkdir()
        shutil.copy(DATA.parent / "benchmarks/peers/adapter.py", adapters)
        shutil.copy(TESTS / "fake_peer.py", adapters / "torch.py")
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("KVBENCH_")}
        self.environment |= {"TMPDIR": str(self.temporary), "KVBENCH_ADAPTERS": str(adapters), "KV_PROGRAM": str(PROGRAM),
                             "PYTHONDONTWRITEBYTECODE": "1",
                             "OPENBLAS_CORETYPE": os.environ.get("OPENBLAS_CORETYPE", "Haswell")}

    def start(self, arguments):
        with open(self.folder / "log", "w", encoding="utf-8") as log:
            return subprocess.Popen([str(PROGRAM), *arguments], cwd=self.folder, env=self.environment, stdout=log, stderr=log,
                                    stdin=subprocess.DEVNULL, start_new_session=True)

    def said(self):
        return (self.folder / "log").read_text(encoding="utf-8", errors="replace").strip()

    def finish(self, arguments):
        """Seconds of a run that nobody disturbs."""
        begin = time.monotonic()
        status = self.start(arguments).wait(SECONDS)
        if status:
            raise Wrong(f"exit status {status} of {' '.join(arguments)}: {self.said()[-500:]}")
        return time.monotonic() - begin

    def kill(self, arguments, after):
        """False: it ended before. Only the program itself is killed: what it started has to notice."""
        child = self.start(arguments)
        with contextlib.suppress(subprocess.TimeoutExpired):
            if child.wait(after):
                raise Wrong(f"exit status {child.returncode} of {' '.join(arguments)}: {self.said()[-500:]}")
            return False
        child.kill()
        child.wait()
        end = time.monotonic() + 20
        while group_lives(child.pid):
            if time.monotonic() > end:
                os.killpg(child.pid, signal.SIGKILL)
                raise Wrong("what it started was still there after 20 s")
            time.sleep(0.01)
        return True

    def leftovers(self):
        """Names of temporary files and folders."""
        return [str(p.relative_to(self.folder)) for p in self.folder.rglob("*")
                if ".kvbench-part-" in p.name or p.name.endswith(".part") or self.temporary in p.parents]


def group_lives(group):
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, 0)
        return True
    return False


def rows(file):
    with open(file, newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream, strict=True))


# ---- What each command does ------------------------------------------------------------------------------------------


class Bench:
    """The same rows, each once, at the same places of the same rounds; of peers, too."""

    resumes = True
    options = ["bench", "--suite", "batch,depth", "--batch", "1,3", "--prompt", "1,21,60", "--new", "4", "--reps", "40"]

    def begin(self, out):
        return [*self.options, *TINY, "--seed", "7", "--quiet", "--out", out]

    def go_on(self, box, out):
        begun = (box.folder / out / "context.json").exists()
        return ["bench", "--quiet", "--resume", out] if begun else self.begin(out)

    def check(self, box, whole, out):
        done = subprocess.run([sys.executable, str(TESTS / "check_resume.py"), whole, out, "20", "20"], cwd=box.folder,
                              capture_output=True, text=True)
        if done.returncode:
            raise Wrong(done.stderr.strip())


class Peers(Bench):
    options = ["bench", "--suite", "batch", "--engine", "kvbench,torch", "--batch", "1,2", "--prompt", "5", "--new", "4", "--reps", "8"]


class Train:
    """The same bits, and the same rows but for their seconds."""

    resumes = True

    def begin(self, out):
        return ["train", "--layers", "1", "--heads", "2", "--embd", "16", "--context", "16", "--batch", "2", "--threads", "1",
                "--every", "50", "--steps", "1500", "--text", "text", "--out", out]

    def go_on(self, box, out):
        begun = (box.folder / out / "checkpoint.safetensors").exists()
        return ["train", "--resume", "--out", out] if begun else self.begin(out)

    def check(self, box, whole, out):
        for name in ("model.safetensors", "config.json"):
            if (box.folder / whole / name).read_bytes() != (box.folder / out / name).read_bytes():
                raise Wrong(f"{name} is another one")
        results = [[{**row, "seconds": ""} for row in rows(box.folder / folder / "training.csv")] for folder in (whole, out)]
        if results[0] != results[1]:
            raise Wrong("training.csv has other rows")


class Ab:
    """By the same coins the same order of the same sides, and no row of another comparison. How many starts there are is
    the clock's; the first ones are in both."""

    resumes = False

    def begin(self, out):
        return ["ab", str(PROGRAM), str(PROGRAM), *TINY, "--prompt", "5", "--new", "4", "--time", "2s", "--coins", "7",
                "--quiet", "--csv", out]

    def go_on(self, box, out):
        return self.begin(out)

    def check(self, box, whole, out):
        orders = [[(r["start"], r["round"], r["place"], r["side"]) for r in rows(box.folder / file)] for file in (whole, out)]
        first = [[row for row in order if row[:2] == ("1", "1")] for order in orders]
        if min(map(len, orders)) < 8 or first[0] != first[1]:
            raise Wrong(f"rows of another comparison: {orders[1][:4]}")


COMMANDS = {"bench": Bench, "train": Train, "ab": Ab, "peers": Peers}

# ---- Killing them ----------------------------------------------------------------------------------------------------


def try_command(name, draw, box):
    """Kills it COUNT times in all, of one result five times at most."""
    command, kills, results = COMMANDS[name](), 0, 0
    seconds = box.finish(command.begin("whole"))
    while kills < COUNT:
        out, results = f"out{results}", results + 1
        if not command.resumes:  # what was there before
            shutil.copy(box.folder / "whole", box.folder / out)
        arguments = command.begin(out)
        for _ in range(min(5, COUNT - kills)):
            if not box.kill(arguments, draw.uniform(0, seconds)):
                break
            kills += 1
            if not command.resumes and (box.folder / out).read_bytes() != (box.folder / "whole").read_bytes():
                raise Wrong("what was there before it was killed is not there any more")
            arguments = command.go_on(box, out)
        else:
            box.finish(arguments)
        command.check(box, "whole", out)
        if box.leftovers():
            raise Wrong(f"left {box.leftovers()}")
    return f"{name}: {kills} kills, {results} results as if there had been none"


def main():
    seed = int(os.environ.get("KV_SEED", random.SystemRandom().randrange(10**6)))
    print(f"seed {seed}; KV_SEED={seed} draws the same")
    wrong = 0
    for name in sys.argv[2:] or COMMANDS:
        with tempfile.TemporaryDirectory() as folder:
            try:
                print(try_command(name, random.Random(f"{seed} {name}"), Box(pathlib.Path(folder) / "box")), flush=True)
            except Wrong as reason:
                wrong += 1
                print(f"{name}: {reason}", flush=True)
    return wrong > 0


if __name__ == "__main__":
    sys.exit(main())
