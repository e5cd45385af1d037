"""Rounds on ik_llama.cpp. Argument: JSON with model (a GGUF file), threads, maxSeqs, contextTokens of one sequence.

All rows of a round are decoded in one batch, greedily. Matrices are repacked for this processor at load.
"""

import ctypes
import json
import sys

import numpy as np
from ik_llama_cpp import _ctypes_api as C

from rounds import serve

given = json.loads(sys.argv[1])


def open_context():
    C.llama_backend_init()
    model_params = C.llama_model_default_params()
    model_params.repack_tensors = True
    model_params.use_mmap = False
    model = C.llama_model_load_from_file(given["model"].encode(), model_params)
    params = C.llama_context_default_params()
    params.n_seq_max = given["maxSeqs"]
    params.n_ctx = given["maxSeqs"] * given["contextTokens"]
    params.n_batch = params.n_ctx
    params.n_threads = params.n_threads_batch = given["threads"]
    params.flash_attn = given["flashAttention"]
    context = C.llama_init_from_model(model, params)
    if not model or not context:
        sys.exit(f"ik_llama.cpp cannot open {given['model']}")
    return model, context


def decode(context, entries):
    """@param entries (token, position, sequence, whether its logits are wanted)"""
    batch = C.llama_batch_init(len(entries), 0, 1)
    batch.n_tokens = len(entries)
    for i, (token, position, sequence, wanted) in enumerate(entries):
        batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.logits[i] = token, position, 1, int(wanted)
        batch.seq_id[i][0] = sequence
    status = C.llama_decode(context, batch)
    C.llama_batch_free(batch)
    if status != 0:
        sys.exit(f"llama_decode failed: {status}")


def run():
    model, context = open_context()
    vocab_size = C.llama_vocab_n_tokens(C.llama_model_get_vocab(model))

    def best(at):
        logits = C.llama_get_logits_ith(context, at)
        return int(np.ctypeslib.as_array(ctypes.cast(logits, ctypes.POINTER(ctypes.c_float)), (vocab_size,)).argmax())

    def round_of(prompts, adapters, max_tokens):
        if any(adapter is not None for adapter in adapters):
            sys.exit("ik_llama.cpp does not batch different adapters")
        C.llama_kv_cache_clear(context)
        entries, last = [], []
        for row, prompt in enumerate(prompts):
            entries += [(token, at, row, at == len(prompt) - 1) for at, token in enumerate(prompt)]
            last.append(len(entries) - 1)
        decode(context, entries)
        tokens = [best(at) for at in last]
        for step in range(1, max_tokens):
            decode(context, [(token, len(prompts[row]) + step - 1, row, True) for row, token in enumerate(tokens)])
            tokens = [best(at) for at in range(len(tokens))]
        return len(prompts) * max_tokens

    return round_of


serve(run)
