"""The protocol that every peer speaks, so that an adapter is a class with two methods: see README.md."""

import argparse
import json
import os
import struct
import sys
import time


def options():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True, help="a Hugging Face folder; model.gguf lies in it, too")
    parser.add_argument("--weights", required=True)
    parser.add_argument("--threads", type=int, required=True)
    return parser.parse_args()


def config(folder):
    with open(os.path.join(folder, "config.json"), encoding="utf-8") as file:
        return json.load(file)


def tensors(folder):
    """Of model.safetensors: name -> float32 array, mapped; a linear map is [in, out]."""
    import numpy

    path = os.path.join(folder, "model.safetensors")
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
    data = numpy.memmap(path, dtype=numpy.uint8, mode="r", offset=8 + length)
    header.pop("__metadata__", None)
    return {name: data[slice(*t["data_offsets"])].view(numpy.float32).reshape(t["shape"]) for name, t in header.items()}


class Stopwatch:
    """Stamps around exactly the work: the first ends TTFT, each later one a step."""

    def __init__(self):
        self.start = self.last = time.perf_counter()
        self.ms = []

    def stamp(self):
        now = time.perf_counter()
        self.ms.append((now - self.last) * 1e3)
        self.last = now


def say(answer):
    print(json.dumps(answer, allow_nan=False), file=replies, flush=True)


def serve(name, version, settings, generate):
    """generate(batch, prompt, n, watch) -> ids of the first sequence; it stamps the watch after each new token, or
    after the first and the last where it cannot do better."""
    say({"ready": True, "engine": name, "version": version, "settings": settings})
    for line in sys.stdin:
        request = json.loads(line)
        if request.get("do") == "quit":
            break
        try:
            watch = Stopwatch()
            ids = [int(token) for token in generate(request["batch"], request["prompt"], request["new"], watch)]
            steps = watch.ms[1:] if len(watch.ms) == request["new"] else None
            say({"ttft_ms": watch.ms[0], "step_ms": steps, "e2e_ms": sum(watch.ms), "ids": ids})
        except Exception as error:  # whatever an engine raises is a line, and the next request is served
            say({"error": " ".join(f"{type(error).__name__}: {error}".split())[:400]})


# What libraries print must not come between the answers.
replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
os.dup2(2, 1)
