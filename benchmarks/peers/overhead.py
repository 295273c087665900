#!/usr/bin/env python3
"""What the harness adds to an engine's time: overhead.py ADAPTER [ROUNDS [BATCH [NEW]]] OPTIONS

OPTIONS are those of an adapter: --model FOLDER --weights f32 --threads 1.
The adapter's generate() is called in turns through the protocol (a line of JSON from a pipe, the stopwatch, the answer)
and in a plain loop without a stopwatch; who is first is drawn anew each round. Both are measured in CPU time of the process,
from the moment when the ids are ready, which other programs change little; so let one thread compute. Then what a stamp
costs by itself, and how much CPU time the engine's threads burn once they have answered, which whoever is next would
miss."""

import json
import os
import random
import statistics
import sys
import time

sys.path.append(os.path.dirname(os.path.abspath(__file__)))
import adapter  # noqa: E402

at = next((i for i, word in enumerate(sys.argv) if word.startswith("--")), len(sys.argv))
own, sys.argv[1:] = sys.argv[1:at], sys.argv[at:]
if not own:
    sys.exit(__doc__)
rounds, batch, new = (int(n) for n in (own[1:] + ["200", "1", "24"][len(own) - 1 :]))
prompt = [(7 * i + 3) % adapter.config(adapter.options().model)["vocab_size"] for i in range(21)]
marks, took = [], []


class Stopwatch(adapter.Stopwatch):
    """The adapters' own; its start by the other clock, too."""

    def __init__(self):
        super().__init__()
        marks.append(time.process_time())


class Nothing:
    def __init__(self):
        self.ms = [0.0, 0.0]
        marks.append(time.process_time())

    def stamp(self):
        pass


def load(name):
    """What the adapter would serve: name, version, settings, generate."""
    found = []
    adapter.serve = lambda *arguments: found.extend(arguments)
    file = os.path.join(sys.path[-1], name + ".py")
    with open(file, encoding="utf-8") as stream:
        exec(compile(stream.read(), file, "exec"), {"__name__": "__main__", "__file__": file})
    return found


def whole(*arguments):
    """From the first moment at which the ids are ready until the engine has returned."""
    at = len(marks)
    ids = generate(*arguments)
    took.append(time.process_time() - marks[at])
    return ids


def served():
    """As in a round: a first token comes before, so that the caches are the engine's own."""
    reading, writing = os.pipe()
    for n in (1, new):
        request = {"do": "run", "batch": batch, "new": n, "prompt": prompt}
        os.write(writing, json.dumps(request).encode() + b"\n")
    os.close(writing)
    with os.fdopen(reading) as sys.stdin:
        serve(name, version, settings, whole)


def plain():
    whole(batch, prompt, 1, Nothing())
    whole(batch, prompt, new, Nothing())


def measured(call):
    call()
    return took[-1]


serve, adapter.Stopwatch, adapter.replies = adapter.serve, Stopwatch, open(os.devnull, "w", encoding="utf-8")
name, version, settings, generate = load(own[0])
ratios, shortest = [], float("inf")
for turn in range(rounds + 3):
    calls = random.sample([served, plain], 2)
    seconds = {call: measured(call) for call in calls}
    if turn >= 3:  # warm
        ratios.append(100 * (seconds[served] / seconds[plain] - 1))
        shortest = min(shortest, seconds[plain])
ratios.sort()
cut = int(rounds / 2 - 0.98 * rounds**0.5)
watch, start = adapter.Stopwatch(), time.process_time()
for _ in range(100000):
    watch.stamp()
stamp = (time.process_time() - start) / 100000
start = time.process_time()
time.sleep(1)
print(
    f"{name} {version}, batch {batch}, {new} new tokens in {shortest * 1e3:.2f} ms: through the protocol "
    f"{statistics.median(ratios):+.2f} % (95 % interval {ratios[cut]:+.2f} to {ratios[-1 - cut]:+.2f}, {rounds} rounds); "
    f"a stamp takes {stamp * 1e6:.2f} us, {100 * stamp * new / shortest:.3f} % of a token; in the second after the last "
    f"answer its threads computed for {(time.process_time() - start) * 1e3:.1f} ms",
    file=sys.stderr,
)
