#!/usr/bin/env python3
"""CTranslate2: the weights in its own folder, written beside the model. A call back for each token would cost 40 us of a
step, a seventh of a small model's, so the first token is a call of its own, and of the others there is their time together
alone."""

import os
import sys

sys.path.append(os.path.dirname(os.path.abspath(__file__)))
import adapter  # noqa: E402
import ctranslate2  # noqa: E402
import numpy as np  # noqa: E402
from ctranslate2.specs import Activation, TransformerDecoderModelSpec  # noqa: E402

ATTEMPTS = 5
TYPES = {"f32": "float32", "bf16": "bfloat16", "int8": "int8"}


def convert(folder, out):
    c, w = adapter.config(folder), adapter.tensors(folder)
    gelu = Activation.GELU if c["activation_function"] == "gelu" else Activation.GELUTanh
    spec = TransformerDecoderModelSpec.from_config(c["n_layer"], c["n_head"], pre_norm=True, activation=gelu)
    spec.decoder.scale_embeddings = False

    def norm(to, name):
        to.gamma, to.beta = np.array(w[name + ".weight"]), np.array(w[name + ".bias"])

    def linear(to, name):
        to.weight, to.bias = np.ascontiguousarray(w[name + ".weight"].T), np.array(w[name + ".bias"])

    spec.decoder.embeddings.weight = np.array(w["wte.weight"])
    spec.decoder.position_encodings.encodings = np.array(w["wpe.weight"])
    spec.decoder.projection.weight = np.array(w["wte.weight"])
    norm(spec.decoder.layer_norm, "ln_f")
    for i, layer in enumerate(spec.decoder.layer):
        norm(layer.self_attention.layer_norm, f"h.{i}.ln_1")
        linear(layer.self_attention.linear[0], f"h.{i}.attn.c_attn")
        linear(layer.self_attention.linear[1], f"h.{i}.attn.c_proj")
        norm(layer.ffn.layer_norm, f"h.{i}.ln_2")
        linear(layer.ffn.linear_0, f"h.{i}.mlp.c_fc")
        linear(layer.ffn.linear_1, f"h.{i}.mlp.c_proj")
    spec.register_vocabulary([str(i) for i in range(c["vocab_size"])])
    spec.config.bos_token = spec.config.eos_token = spec.config.unk_token = "0"
    spec.validate()
    os.makedirs(out, exist_ok=True)
    spec.save(out)


def main():
    o = adapter.options()
    folder = o.model.rstrip("/") + "-ctranslate2"
    if not os.path.exists(os.path.join(folder, "model.bin")):
        convert(o.model, folder)
    kind = TYPES[o.weights]
    generator = ctranslate2.Generator(folder, device="cpu", compute_type=kind, intra_threads=o.threads, inter_threads=1)

    def timed(watch, tokens, n):
        watch.__init__()
        results = generator.generate_batch(tokens, max_length=n, min_length=n, max_batch_size=len(tokens), sampling_topk=1,
                                           include_prompt_in_result=False, end_token=[])
        watch.stamp()
        return results[0].sequences_ids[0]

    def generate(batch, prompt, n, watch):
        tokens = [[str(i) for i in prompt]] * batch
        for _ in range(ATTEMPTS):  # a first token that took as long as all was held up by something else
            ids = timed(watch, tokens, n)
            whole_ms = watch.ms[0]
            if n > 1:
                timed(watch, tokens, 1)
                watch.ms.append(whole_ms - watch.ms[0])  # what the first call took beyond a first token
            if n == 1 or watch.ms[1] > 0:
                break
        return ids

    settings = {"compute_type": generator.compute_type, "intra_threads": o.threads}
    adapter.serve("ctranslate2", ctranslate2.__version__, settings, generate)


main()
