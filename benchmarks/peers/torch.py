#!/usr/bin/env python3
"""PyTorch: a plain GPT-2 with a cache that is allocated once, as nanoGPT would have it. Eager, or compiled."""

import os
import sys

sys.path.append(os.path.dirname(os.path.abspath(__file__)))
import adapter  # noqa: E402
import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402


class Model:
    def __init__(self, folder, weights, compiled):
        c = adapter.config(folder)
        self.n_layer, self.n_head, self.n_embd = c["n_layer"], c["n_head"], c["n_embd"]
        self.epsilon, self.approximate = c["layer_norm_epsilon"], "none" if c["activation_function"] == "gelu" else "tanh"
        self.dtype = {"f32": torch.float32, "bf16": torch.bfloat16}[weights]
        self.w = {}
        for name, array in adapter.tensors(folder).items():
            tensor = torch.from_numpy(array.copy())
            if tensor.dim() == 2 and name.startswith("h."):
                tensor = tensor.t().contiguous()  # [out, in], as F.linear wants it
            self.w[name] = tensor.to(self.dtype)
        self.forward = torch.compile(self.run, dynamic=True) if compiled else self.run

    def norm(self, x, name):
        return F.layer_norm(x, (self.n_embd,), self.w[name + ".weight"], self.w[name + ".bias"], self.epsilon)

    def linear(self, x, name):
        return F.linear(x, self.w[name + ".weight"], self.w[name + ".bias"])

    def run(self, ids, start, keys, values):
        """ids [B, T], keys and values [n_layer][B, n_head, capacity, head_size] -> logits of the last position [B, V]"""
        B, T = ids.shape
        x = self.w["wte.weight"][ids] + self.w["wpe.weight"][start : start + T]
        for i in range(self.n_layer):
            qkv = self.linear(self.norm(x, f"h.{i}.ln_1"), f"h.{i}.attn.c_attn").split(self.n_embd, 2)
            q, k, v = (t.view(B, T, self.n_head, -1).transpose(1, 2) for t in qkv)
            keys[i][:, :, start : start + T] = k
            values[i][:, :, start : start + T] = v
            y = F.scaled_dot_product_attention(
                q, keys[i][:, :, : start + T], values[i][:, :, : start + T], is_causal=T > 1
            )
            x = x + self.linear(y.transpose(1, 2).reshape(B, T, self.n_embd), f"h.{i}.attn.c_proj")
            y = F.gelu(self.linear(self.norm(x, f"h.{i}.ln_2"), f"h.{i}.mlp.c_fc"), approximate=self.approximate)
            x = x + self.linear(y, f"h.{i}.mlp.c_proj")
        return F.linear(self.norm(x[:, -1], "ln_f"), self.w["wte.weight"])

    def generate(self, batch, prompt, n, watch):
        shape = (batch, self.n_head, len(prompt) + n, self.n_embd // self.n_head)
        with torch.inference_mode():
            keys, values = ([torch.zeros(shape, dtype=self.dtype) for _ in range(self.n_layer)] for _ in range(2))
            ids, out, start = torch.tensor([prompt] * batch), [], 0
            watch.__init__()  # the ids are ready: t0
            for _ in range(n):
                token = self.forward(ids, start, keys, values).argmax(-1, keepdim=True)
                out.append(int(token[0]))
                watch.stamp()
                start, ids = start + ids.shape[1], token
        return out


def main(compiled):
    o = adapter.options()
    torch.set_num_threads(o.threads)
    model = Model(o.model, o.weights, compiled)
    settings = {"weights": o.weights, "threads": torch.get_num_threads(), "compiled": compiled, "cache": "preallocated"}
    adapter.serve("torch", torch.__version__, settings, model.generate)


if __name__ == "__main__":
    main(compiled=False)
