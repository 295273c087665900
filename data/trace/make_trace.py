#!/usr/bin/env python3
"""Writes the made trace beside it: requests that share beginnings, as those of an assistant with a few instructions do.

Four of five requests are one of FOUR instructions, drawn with odds 8 : 4 : 2 : 1, in front of a verse of its own
(Python's random.Random with SEED); every fifth request goes on from an earlier one. Texts are from the King James Bible,
which is in the public domain, held out from the training of the model kjv; they are at most 200 bytes long.

    python3 data/trace/make_trace.py > data/trace/chat.jsonl
"""
import json
import pathlib
import random

SEED, REQUESTS, FOUR = 14, 48, 4
text = (pathlib.Path(__file__).parent.parent / "models" / "kjv" / "validation.txt").read_text()
lines = [line.strip() for line in text.splitlines() if 60 <= len(line.strip()) <= 400 and line.isascii()]
draw = random.Random(SEED)
instructions = [line[:120] for line in draw.sample(lines, FOUR)]
arrival, asked = 0.0, []
for i in range(REQUESTS):
    arrival += draw.expovariate(4)
    if i % 5 == 4:
        prompt = (draw.choice(asked) + " " + draw.choice(lines))[:200]
    else:
        prompt = draw.choices(instructions, [8, 4, 2, 1])[0] + " " + draw.choice(lines)[:draw.randint(20, 60)]
    asked.append(prompt)
    print(json.dumps({"arrival_s": round(arrival, 3), "prompt": prompt, "n": draw.randint(4, 16)}))
