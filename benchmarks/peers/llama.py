#!/usr/bin/env python3
"""llama.cpp through llama-cpp-python's low-level API: one batch of all sequences a step, greedy from its logits."""

import ctypes
import os
import sys

sys.path.append(os.path.dirname(os.path.abspath(__file__)))
import adapter  # noqa: E402
import llama_cpp as ll  # noqa: E402
import numpy as np  # noqa: E402

FILE_TYPES = {"bf16": ll.LLAMA_FTYPE_MOSTLY_BF16, "int8": ll.LLAMA_FTYPE_MOSTLY_Q8_0}


def model_file(folder, weights, threads):
    whole = os.path.join(folder, "model.gguf")
    if weights == "f32":
        return whole
    file = folder.rstrip("/") + f"-{weights}.gguf"
    if not os.path.exists(file):
        params = ll.llama_model_quantize_default_params()
        params.ftype, params.nthread = FILE_TYPES[weights], threads
        part = file + ".part"
        if ll.llama_model_quantize(whole.encode(), part.encode(), params) != 0:
            raise RuntimeError(f"llama.cpp cannot quantize {whole}")
        os.rename(part, file)
    return file


def main():
    o = adapter.options()
    silence = ll.llama_log_callback(lambda level, text, data: None)  # kept: it is called until the end
    ll.llama_log_set(silence, ctypes.c_void_p())
    ll.llama_backend_init()
    model = ll.llama_model_load_from_file(model_file(o.model, o.weights, o.threads).encode(),
                                          ll.llama_model_default_params())
    if not model:
        raise SystemExit(f"llama.cpp cannot load {o.model}")
    n_vocab = adapter.config(o.model)["vocab_size"]
    state = {}

    def context(batch, n):
        """One for each size: what a server would have made beforehand."""
        if state.get("size") == (batch, n):
            ll.llama_memory_clear(ll.llama_get_memory(state["context"]), True)
            return state["context"]
        if state:
            ll.llama_free(state["context"])
            ll.llama_batch_free(state["batch"])
        params = ll.llama_context_default_params()
        params.n_ctx, params.n_batch, params.n_ubatch, params.n_seq_max = batch * n, batch * n, max(512, batch), batch
        params.n_threads = params.n_threads_batch = o.threads
        params.type_k = params.type_v = 0  # GGML_TYPE_F32
        state.update(size=(batch, n), context=ll.llama_init_from_model(model, params),
                     batch=ll.llama_batch_init(batch * n, 0, 1))
        return state["context"]

    def decode(handle, tokens, start):
        """tokens [B, T] from that position on -> the next of each sequence"""
        b, i = state["batch"], 0
        B, T = tokens.shape
        for sequence in range(B):
            for t in range(T):
                b.token[i], b.pos[i], b.n_seq_id[i] = int(tokens[sequence, t]), start + t, 1
                b.seq_id[i][0], b.logits[i] = sequence, t == T - 1
                i += 1
        b.n_tokens = i
        if ll.llama_decode(handle, b) != 0:
            raise RuntimeError("llama_decode failed")
        rows = [np.ctypeslib.as_array(ll.llama_get_logits_ith(handle, s * T + T - 1), (n_vocab,)) for s in range(B)]
        return np.array([[row.argmax()] for row in rows])

    def generate(batch, prompt, n, watch):
        handle = context(batch, len(prompt) + n)
        ids, start, out = np.array([prompt] * batch), 0, []
        watch.__init__()
        for _ in range(n):
            token = decode(handle, ids, start)
            out.append(token[0, 0])
            watch.stamp()
            start, ids = start + ids.shape[1], token
        return out

    settings = {"weights": o.weights, "threads": o.threads, "type_k": "f32", "type_v": "f32"}
    adapter.serve("llama", ll.__version__, settings, generate)


main()
