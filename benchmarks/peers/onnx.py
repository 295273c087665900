#!/usr/bin/env python3
"""ONNX Runtime: GPT-2 as a graph with past keys and values in and present ones out, bound without copies."""

import os
import sys

sys.path.append(os.path.dirname(os.path.abspath(__file__)))
import adapter  # noqa: E402
import numpy as np  # noqa: E402
import onnx  # noqa: E402
import onnxruntime  # noqa: E402
from onnx import TensorProto, helper, numpy_helper  # noqa: E402


class Builder:
    def __init__(self, folder):
        self.c, self.w = adapter.config(folder), adapter.tensors(folder)
        self.nodes, self.constants, self.n = [], [], 0

    def constant(self, value, name=None):
        name = name or f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.array(value), name))
        return name

    def op(self, kind, *inputs, n_out=1, out=None, **attributes):
        self.n += 1
        names = [out] if out else [f"t{self.n}_{i}" for i in range(n_out)]
        domain = attributes.pop("domain", "")
        self.nodes.append(helper.make_node(kind, list(inputs), names, domain=domain, **attributes))
        return names[0] if n_out == 1 else names

    def norm(self, x, name):
        return self.op("LayerNormalization", x, self.constant(self.w[name + ".weight"]),
                       self.constant(self.w[name + ".bias"]), epsilon=self.c["layer_norm_epsilon"], axis=-1)

    def linear(self, x, name):
        product = self.op("MatMul", x, self.constant(self.w[name + ".weight"]))
        return self.op("Add", product, self.constant(self.w[name + ".bias"]))

    def graph(self):
        c, H = self.c, self.c["n_head"]
        D = c["n_embd"] // H
        erf = c["activation_function"] == "gelu"
        inputs = [helper.make_tensor_value_info("ids", TensorProto.INT64, ["B", "T"]),
                  helper.make_tensor_value_info("positions", TensorProto.INT64, ["T"])]
        outputs = [helper.make_tensor_value_info("token", TensorProto.INT64, ["B", 1])]
        x = self.op("Add", self.op("Gather", self.constant(self.w["wte.weight"], "wte"), "ids"),
                    self.op("Gather", self.constant(self.w["wpe.weight"]), "positions"))
        for i in range(c["n_layer"]):
            qkv = self.linear(self.norm(x, f"h.{i}.ln_1"), f"h.{i}.attn.c_attn")
            q, k, v = self.op("Split", qkv, n_out=3, axis=2, num_outputs=3)
            past, present = [f"past_{s}_{i}" for s in "kv"], [f"present_{s}_{i}" for s in "kv"]
            inputs += [helper.make_tensor_value_info(p, TensorProto.FLOAT, ["B", H, "P", D]) for p in past]
            outputs += [helper.make_tensor_value_info(p, TensorProto.FLOAT, ["B", H, "S", D]) for p in present]
            y = f"attended_{i}"
            self.nodes.append(helper.make_node("MultiHeadAttention", [q, k, v, "", "", "", *past], [y, *present],
                                               domain="com.microsoft", num_heads=H, unidirectional=1))
            x = self.op("Add", x, self.linear(y, f"h.{i}.attn.c_proj"))
            y = self.op("Gelu", self.linear(self.norm(x, f"h.{i}.ln_2"), f"h.{i}.mlp.c_fc"),
                        approximate="none" if erf else "tanh")
            x = self.op("Add", x, self.linear(y, f"h.{i}.mlp.c_proj"))
        x = self.op("Gather", self.norm(x, "ln_f"), self.constant(np.int64(-1)), axis=1)
        head = self.constant(np.ascontiguousarray(self.w["wte.weight"].T))
        self.op("ArgMax", self.op("MatMul", x, head), axis=1, out="token")
        return helper.make_graph(self.nodes, "gpt2", inputs, outputs, self.constants)


def convert(folder, file):
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("com.microsoft", 1)]
    onnx.save(helper.make_model(Builder(folder).graph(), opset_imports=opsets, ir_version=10), file)


def main():
    o = adapter.options()
    file = o.model.rstrip("/") + ".onnx"
    if not os.path.exists(file):
        convert(o.model, file + ".part")
        os.rename(file + ".part", file)
    if o.weights == "int8":
        from onnxruntime.quantization import quantize_dynamic

        quantized = o.model.rstrip("/") + "-int8.onnx"
        if not os.path.exists(quantized):
            quantize_dynamic(file, quantized + ".part", per_channel=True,
                             extra_options={"DefaultTensorType": TensorProto.FLOAT})
            os.rename(quantized + ".part", quantized)
        file = quantized
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = o.threads
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    c = adapter.config(o.model)
    names = [f"{s}_{i}" for i in range(c["n_layer"]) for s in "kv"]

    def generate(batch, prompt, n, watch):
        ids, positions, out = np.array([prompt] * batch), np.arange(len(prompt)), []
        empty = np.zeros((batch, c["n_head"], 0, c["n_embd"] // c["n_head"]), np.float32)
        past = [onnxruntime.OrtValue.ortvalue_from_numpy(empty) for _ in names]
        watch.__init__()
        for i in range(n):
            binding = session.io_binding()
            binding.bind_cpu_input("ids", ids)
            binding.bind_cpu_input("positions", positions)
            for name, value in zip(names, past):
                binding.bind_ortvalue_input("past_" + name, value)
                binding.bind_output("present_" + name)
            binding.bind_output("token")
            session.run_with_iobinding(binding)
            *past, token = binding.get_outputs()  # in the order in which they were bound
            ids = token.numpy()
            out.append(ids[0, 0])
            watch.stamp()
            positions = np.array([len(prompt) + i])
        return out

    settings = {"intra_op_num_threads": o.threads, "weights": o.weights}
    adapter.serve("onnx", onnxruntime.__version__, settings, generate)


main()
