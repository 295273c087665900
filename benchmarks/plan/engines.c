/* The engines: kvbench, and the peers that are held against it. A peer is one row here and benchmarks/peers/NAME.py. */
#include "plan/plan.h"

#include <string.h>

static const struct kv_engine engines[] = {
    {.choice = {"kvbench", "this program"}, .environment = ""},
    {.choice = {"torch", "PyTorch: a plain model with a preallocated cache, eager"},
     .weights = {"f32", "bf16"},
     .environment = "torch"},
    {.choice = {"torch-compile", "the same through torch.compile"}, .weights = {"f32", "bf16"}, .environment = "torch"},
    {.choice = {"transformers", "PyTorch through transformers, as generate() calls it"},
     .weights = {"f32", "bf16"},
     .environment = "torch"},
    {.choice = {"llama", "llama.cpp through llama-cpp-python's low-level API"},
     .weights = {"f32", "bf16", "int8"},
     .environment = "llama"},
    {.choice = {"openvino", "OpenVINO, a stateful model"},
     .weights = {"f32", "bf16", "int8"},
     .environment = "openvino"},
    {.choice = {"onnx", "ONNX Runtime, with past keys and values"}, .weights = {"f32", "int8"}, .environment = "onnx"},
    {.choice = {"ctranslate2", "CTranslate2; it gives no time a token"},
     .weights = {"f32", "bf16", "int8"},
     .environment = "ctranslate2"},
};
enum { N_ENGINES = sizeof engines / sizeof engines[0] };

const struct kv_engine *kv_engine_at(int index)
{
    return index >= 0 && index < N_ENGINES ? &engines[index] : NULL;
}

const struct kv_choice *kv_engine_choice(int index)
{
    const struct kv_engine *engine = kv_engine_at(index);
    return engine ? &engine->choice : NULL;
}

const struct kv_engine *kv_engine_find(const char *name)
{
    for (int i = 0; i < N_ENGINES; i++)
        if (strcmp(engines[i].choice.name, name) == 0)
            return &engines[i];
    return NULL;
}

bool kv_engine_is_own(const char *name)
{
    return !*name || strcmp(name, engines[0].choice.name) == 0;
}

bool kv_engine_takes(const struct kv_engine *engine, const char *weights)
{
    if (engine == &engines[0])
        return true;
    for (int i = 0; engine && engine->weights[i]; i++)
        if (strcmp(engine->weights[i], weights) == 0)
            return true;
    return false;
}
