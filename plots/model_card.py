#!/usr/bin/env python3
"""Writes the numbers and samples of the embedded model's card, so that nobody types them.

    plots/model_card.py            put the blocks between the markers of data/models/kjv/README.md
    plots/model_card.py --check    exit 1 when README.md does not hold what the files beside it say

The files are config.json, model.safetensors, training.csv, evaluation.csv and samples.txt.
"""
import csv
import json
import math
import os
import struct
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
NAME = "data/models/kjv"
FOLDER = os.path.join(ROOT, NAME)
README = os.path.join(FOLDER, "README.md")
BEGIN, END = "<!-- from {} by plots/model_card.py: {} -->", "<!-- end of {} -->"


def open_file(name, mode="r"):
    try:
        return open(os.path.join(FOLDER, name), mode, **({} if "b" in mode else {"encoding": "utf-8", "newline": ""}))
    except OSError as error:
        sys.exit(f"model_card.py: {NAME}/{name}: {error.strerror}")


def read(name):
    with open_file(name) as file:
        return list(csv.DictReader(file, strict=True))


def tensors():
    """The header of model.safetensors: 8 bytes of length, then JSON."""
    with open_file("model.safetensors", "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
    header.pop("__metadata__", None)
    return header.values()


def model():
    with open_file("config.json") as file:
        config = json.load(file)
    all_tensors = tensors()
    parameters = sum(math.prod(tensor["shape"]) for tensor in all_tensors)
    size = os.path.getsize(os.path.join(FOLDER, "model.safetensors"))
    return [
        f"{config['n_layer']} layers, {config['n_head']} heads, width {config['n_embd']}, {config['n_positions']} "
        f"positions, {config['vocab_size']} tokens: {parameters:,} parameters, "
        f"{'/'.join(sorted({tensor['dtype'] for tensor in all_tensors}))}, {size / 1e6:.2f} MB."
    ]


def duration(seconds):
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"


def training():
    rows = read("training.csv")
    best = min(rows, key=lambda row: float(row["validation_loss"]))
    shown = [("first", rows[0]), ("lowest validation loss: this model", best)]
    if rows[-1] is not best:
        shown.append(("last", rows[-1]))
    lines = [
        "| | step | bytes seen | time | training loss, nats a byte | validation loss, nats a byte |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for words, row in shown:
        train_loss = f"{float(row['train_loss']):.4f}" if row["train_loss"] else ""
        lines.append(
            f"| {words} | {int(row['step']):,} | {int(row['tokens']):,} | {duration(float(row['seconds']))} "
            f"| {train_loss} | {float(row['validation_loss']):.4f} |"
        )
    return lines


COMPRESSORS = {
    "naive": "**this model**, naive path",
    "cached": "**this model**, cached path",
    "xz": "`xz -9`",
    "xz-after-training-text": "`xz -9` of both texts, less `xz -9` of the training text",
    "unigram": "frequencies of single bytes",
    "unigram-of-itself": "frequencies of single bytes",
}


def compression():
    lines = ["| | bits a byte | bytes | loss, nats a byte | what it has seen |", "| --- | ---: | ---: | ---: | --- |"]
    for row in read("evaluation.csv"):
        loss = f"{float(row['loss_nats']):.4f}" if row["loss_nats"] else ""
        lines.append(
            f"| {COMPRESSORS[row['name']]} | {float(row['bits_per_byte']):.3f} | {int(row['bytes']):,} | {loss} "
            f"| {row['note']} |"
        )
    return lines


def samples():
    with open_file("samples.txt") as file:
        return ["```", *file.read().strip("\n").split("\n"), "```"]


BLOCKS = (
    ("model", "config.json and model.safetensors", model),
    ("training", "training.csv", training),
    ("compression", "evaluation.csv", compression),
    ("samples", "samples.txt", samples),
)


def main():
    if sys.argv[1:] not in ([], ["--check"]):
        sys.exit(__doc__)
    with open_file("README.md") as file:
        before = file.read()
    text = before
    for name, source, lines in BLOCKS:
        begin, end = BEGIN.format(source, name), END.format(name)
        if text.count(begin) != 1 or text.count(end) != 1:
            sys.exit(f"model_card.py: {NAME}/README.md must hold one '{begin}' and one '{end}'")
        head, rest = text.split(begin)
        text = head + begin + "\n" + "\n".join(lines()) + "\n" + end + rest.split(end)[1]
    if text == before:
        return
    if sys.argv[1:]:
        sys.exit(f"model_card.py: {NAME}/README.md differs from the files beside it: run plots/model_card.py")
    with open(README + ".part", "w", encoding="utf-8", newline="") as file:
        file.write(text)
    os.replace(README + ".part", README)


main()
