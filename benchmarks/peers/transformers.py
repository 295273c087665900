#!/usr/bin/env python3
"""Hugging Face's transformers, as most people call it: generate() with its own cache."""

import os
import sys

sys.path.append(os.path.dirname(os.path.abspath(__file__)))
import adapter  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402


def main():
    o = adapter.options()
    torch.set_num_threads(o.threads)
    dtype = {"f32": torch.float32, "bf16": torch.bfloat16}[o.weights]
    model = transformers.GPT2LMHeadModel.from_pretrained(o.model, dtype=dtype).eval()
    model.generation_config.eos_token_id = model.generation_config.pad_token_id = None

    def generate(batch, prompt, n, watch):
        ids = torch.tensor([prompt] * batch)
        mask = torch.ones_like(ids)

        def processor(ids_so_far, scores):  # called once a step, of any batch, when the token before has been selected
            if ids_so_far.shape[1] > len(prompt):
                watch.stamp()
            return scores

        with torch.inference_mode():
            watch.__init__()
            rows = model.generate(ids, attention_mask=mask, do_sample=False, max_new_tokens=n, min_new_tokens=n,
                                  logits_processor=transformers.LogitsProcessorList([processor]))
            watch.stamp()
        return rows[0, len(prompt):]

    settings = {"weights": o.weights, "threads": torch.get_num_threads(), "attention": model.config._attn_implementation}
    adapter.serve("transformers", transformers.__version__, settings, generate)


main()
