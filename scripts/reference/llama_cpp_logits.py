"""Logits of a GGUF file by llama.cpp, after it has quantised the file to another type.

Input (JSON on stdin): file, ftype (llama.cpp's number; null: the file as it is), texts as ids, out. Logits of text i go
to out/i.f32. The embedding, which may be the vocabulary projection too, becomes Q8_0.
"""
import ctypes
import json
import os
import sys

import llama_cpp

given = json.load(sys.stdin)
path = given["file"]
if given["ftype"] is not None:
    path = os.path.join(given["out"], "model.gguf")
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype = given["ftype"]
    params.allow_requantize = True
    params.token_embedding_type = llama_cpp.GGML_TYPE_Q8_0
    params.output_tensor_type = llama_cpp.GGML_TYPE_Q8_0
    params.nthread = 2
    failed = llama_cpp.llama_model_quantize(given["file"].encode(), path.encode(), ctypes.byref(params))
    if failed:
        sys.exit(f"llama.cpp cannot quantise {given['file']}: {failed}")
model = llama_cpp.Llama(path, n_ctx=1024, logits_all=True, n_threads=2, verbose=False)
for i, ids in enumerate(given["texts"]):
    model.reset()
    model.eval(ids)
    model.scores[: len(ids)].astype("float32").tofile(os.path.join(given["out"], f"{i}.f32"))
print(json.dumps({"bytes": os.path.getsize(path)}))
