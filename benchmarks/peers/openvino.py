#!/usr/bin/env python3
"""OpenVINO: a stateful GPT-2 built from its operations, keys and values in the model's own variables."""

import os
import sys

sys.path.append(os.path.dirname(os.path.abspath(__file__)))
import adapter  # noqa: E402
import numpy as np  # noqa: E402
import openvino as ov  # noqa: E402
from openvino import opset13 as op  # noqa: E402


def int8(w):
    """w [out, in] -> int8, a scale a row: what the CPU plugin multiplies without unpacking it first."""
    scale = np.maximum(np.abs(w).max(axis=1, keepdims=True), 1e-12) / 127
    codes = op.constant(np.rint(w / scale).astype(np.int8))
    return op.multiply(op.convert(codes, np.float32), op.constant(scale.astype(np.float32)))


class Builder:
    def __init__(self, folder, weights):
        self.c = adapter.config(folder)
        self.w = adapter.tensors(folder)
        self.matrix = int8 if weights == "int8" else op.constant
        self.sinks = []

    def norm(self, x, name):
        axes = op.constant(np.array([-1]))
        y = op.mvn(x, axes, True, self.c["layer_norm_epsilon"], "inside_sqrt")
        return op.add(op.multiply(y, op.constant(np.array(self.w[name + ".weight"]))), np.array(self.w[name + ".bias"]))

    def linear(self, x, name):
        w = np.ascontiguousarray(self.w[name + ".weight"].T)
        return op.add(op.matmul(x, self.matrix(w), False, True), np.array(self.w[name + ".bias"]))

    def cached(self, name, new, batch, beams):
        """new [B, n_head, T, head_size] behind what the variable holds."""
        H, D = self.c["n_head"], self.c["n_embd"] // self.c["n_head"]
        info = ov.op.util.VariableInfo()
        info.data_shape, info.data_type = ov.PartialShape([-1, H, -1, D]), ov.Type.f32
        info.variable_id = name
        variable = ov.op.util.Variable(info)
        shape = op.concat([batch, op.constant(np.array([H, 0, D]))], 0)
        before = op.read_value(op.broadcast(op.constant(np.float32(0)), shape), variable)
        whole = op.concat([op.gather(before, beams, op.constant(0)), new], 2)
        self.sinks.append(op.assign(whole, variable))
        return whole

    def model(self):
        c, w, H = self.c, self.w, self.c["n_head"]
        ids, positions, beams = (op.parameter(s, np.int64, n) for s, n in
                                 (([-1, -1], "ids"), ([-1], "positions"), ([-1], "beams")))
        batch = op.gather(op.shape_of(ids), op.constant(np.array([0])), op.constant(0))
        table = self.matrix(np.array(w["wte.weight"]))
        x = op.add(op.gather(table, ids, op.constant(0)), op.gather(np.array(w["wpe.weight"]), positions, op.constant(0)))
        last = op.gather(positions, op.constant(np.array(-1)), op.constant(0))
        seen = op.range(op.constant(np.int64(0)), op.add(last, op.constant(np.int64(1))), op.constant(np.int64(1)), "i64")
        mask = op.less_equal(op.unsqueeze(seen, op.constant(0)), op.unsqueeze(positions, op.constant(1)))
        mask = op.select(mask, op.constant(np.float32(0)), op.constant(np.float32(-1e9)))
        mask = op.unsqueeze(mask, op.constant(np.array([0, 1])))
        heads, merged = op.constant(np.array([0, 0, H, -1])), op.constant(np.array([0, 0, -1]))
        turn = op.constant(np.array([0, 2, 1, 3]))
        for i in range(c["n_layer"]):
            qkv = op.split(self.linear(self.norm(x, f"h.{i}.ln_1"), f"h.{i}.attn.c_attn"), op.constant(2), 3)
            q, k, v = (op.transpose(op.reshape(t, heads, True), turn) for t in qkv.outputs())
            k, v = self.cached(f"keys.{i}", k, batch, beams), self.cached(f"values.{i}", v, batch, beams)
            y = op.scaled_dot_product_attention(q, k, v, mask)
            y = op.reshape(op.transpose(y, turn), merged, True)
            x = op.add(x, self.linear(y, f"h.{i}.attn.c_proj"))
            y = op.gelu(self.linear(self.norm(x, f"h.{i}.ln_2"), f"h.{i}.mlp.c_fc"),
                        "erf" if c["activation_function"] == "gelu" else "tanh")
            x = op.add(x, self.linear(y, f"h.{i}.mlp.c_proj"))
        x = op.gather(self.norm(x, "ln_f"), op.constant(-1), op.constant(1))
        logits = op.matmul(x, table, False, True)
        token = op.topk(logits, op.constant(1), 1, "max", "none", "i64").output(1)
        return ov.Model([op.result(token)], self.sinks, [ids, positions, beams], "gpt2")


def main():
    o = adapter.options()
    model = Builder(o.model, o.weights).model()
    precision = "bf16" if o.weights == "bf16" else "f32"
    settings = {"INFERENCE_NUM_THREADS": o.threads, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": precision,
                "KV_CACHE_PRECISION": precision, "DYNAMIC_QUANTIZATION_GROUP_SIZE": 32 if o.weights == "int8" else 0}
    request = ov.Core().compile_model(model, "CPU", settings).create_infer_request()

    def generate(batch, prompt, n, watch):
        request.reset_state()
        ids, positions, out = np.array([prompt] * batch), np.arange(len(prompt)), []
        beams = np.arange(batch)
        watch.__init__()
        for i in range(n):
            ids = request.infer([ids, positions, beams])[0].copy()
            out.append(ids[0, 0])
            watch.stamp()
            positions = np.array([len(prompt) + i])
        return out

    adapter.serve("openvino", ov.get_version(), settings, generate)


main()
