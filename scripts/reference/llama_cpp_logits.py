"""Logits and losses of a GGUF file by llama.cpp, after it has quantised the file to another type.

Input (JSON on stdin): file, ftype (llama.cpp's number; null: the file as it is), texts and windows as ids, out. Logits
of text i go to out/i.f32. The loss that is printed is the mean −log p of a token over all windows. The embedding, which
may be the vocabulary projection too, becomes Q8_0, and float32 in a file of float32.
"""
import ctypes
import json
import os
import sys

import llama_cpp
import numpy

given = json.load(sys.stdin)
path = given["file"]
if given["ftype"] is not None:
    path = os.path.join(given["out"], "model.gguf")
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype = given["ftype"]
    params.allow_requantize = True
    if given["ftype"] != llama_cpp.LLAMA_FTYPE_ALL_F32:
        params.token_embedding_type = llama_cpp.GGML_TYPE_Q8_0
        params.output_tensor_type = llama_cpp.GGML_TYPE_Q8_0
    params.nthread = 2
    failed = llama_cpp.llama_model_quantize(given["file"].encode(), path.encode(), ctypes.byref(params))
    if failed:
        sys.exit(f"llama.cpp cannot quantise {given['file']}: {failed}")
longest = max(len(ids) for ids in given["texts"] + given["windows"])
model = llama_cpp.Llama(path, n_ctx=longest, logits_all=True, n_threads=2, n_threads_batch=2, verbose=False)


def logits_of(ids):
    model.reset()
    model.eval(ids)
    return model.scores[: len(ids)]


for i, ids in enumerate(given["texts"]):
    logits_of(ids).astype("float32").tofile(os.path.join(given["out"], f"{i}.f32"))
losses = []
for ids in given["windows"]:
    for row, following in zip(logits_of(ids), ids[1:]):
        wide = row.astype("float64")
        top = wide.max()
        losses.append(float(top + numpy.log(numpy.exp(wide - top).sum()) - wide[following]))
print(json.dumps({"bytes": os.path.getsize(path), "loss": sum(losses) / len(losses) if losses else None}))
