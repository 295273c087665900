"""Writes a small GPT-2 checkpoint whose texts a test can know.

    make_model.py FOLDER VOCAB_SIZE N_POSITIONS             random weights, the same at every call
    make_model.py FOLDER VOCAB_SIZE N_POSITIONS ID:LOGIT... an urn: whatever came before, a token's logit is the one
                                                            given, and no other token has a chance
    ... tokenizer=NAME                                      config.json names it
"""

import array
import json
import math
import os
import random
import struct
import sys

LAYERS, WIDTH, INNER, NO_CHANCE = 2, 16, 64, -1000.0


def shapes(vocab_size, n_positions):
    layer = {
        "ln_1.weight": [WIDTH], "ln_1.bias": [WIDTH], "attn.c_attn.weight": [WIDTH, 3 * WIDTH],
        "attn.c_attn.bias": [3 * WIDTH], "attn.c_proj.weight": [WIDTH, WIDTH], "attn.c_proj.bias": [WIDTH],
        "ln_2.weight": [WIDTH], "ln_2.bias": [WIDTH], "mlp.c_fc.weight": [WIDTH, INNER], "mlp.c_fc.bias": [INNER],
        "mlp.c_proj.weight": [INNER, WIDTH], "mlp.c_proj.bias": [WIDTH],
    }  # fmt: skip
    model = {"wte.weight": [vocab_size, WIDTH], "wpe.weight": [n_positions, WIDTH]}
    model |= {f"h.{number}.{name}": shape for number in range(LAYERS) for name, shape in layer.items()}
    return model | {"ln_f.weight": [WIDTH], "ln_f.bias": [WIDTH]}


def values(name, shape, urn, source):
    count = math.prod(shape)
    if not urn:
        return [source.gauss(0, 0.5) for _ in range(count)]
    numbers = [0.0] * count
    if name == "ln_f.bias":
        numbers[0] = 1.0
    if name == "wte.weight":
        numbers[::WIDTH] = [urn.get(token, NO_CHANCE) for token in range(shape[0])]
    return numbers


def main(folder, vocab_size, n_positions, *more):
    config = {"n_layer": LAYERS, "n_head": 2, "n_embd": WIDTH, "n_inner": INNER}
    config |= {"vocab_size": int(vocab_size), "n_positions": int(n_positions)}
    config |= {"kvbench_tokenizer": word[10:] for word in more if word.startswith("tokenizer=")}
    urn = {int(token): float(logit) for token, logit in (word.split(":") for word in more if ":" in word)}
    header, data, source = {}, array.array("f"), random.Random(1)
    for name, shape in shapes(config["vocab_size"], config["n_positions"]).items():
        begin = 4 * len(data)
        data.extend(values(name, shape, urn, source))
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [begin, 4 * len(data)]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    os.makedirs(folder)
    with open(os.path.join(folder, "model.safetensors"), "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data.tobytes())
    with open(os.path.join(folder, "config.json"), "w", encoding="utf-8") as file:
        json.dump(config, file)


if len(sys.argv) < 4:
    sys.exit(__doc__)
main(*sys.argv[1:])
