"""The cases of this folder, made by the generator of the given model fixtures.

    python make.py <folder that holds the generator models.py> <out>
"""

import math
import sys
from pathlib import Path

sys.path.insert(0, sys.argv[1])
import models as generator
import torch
from models import BF16, F16, config, rope, small
from safetensors.torch import load_file, save_file

OUT = Path(sys.argv[2])


def hub_names(folder):
    """No prefix, and a causal mask among the tensors."""
    path = folder / "model.safetensors"
    tensors = {name.removeprefix("transformer."): value.clone() for name, value in load_file(path).items()}
    tensors["h.0.attn.bias"] = torch.tril(torch.ones(1, 1, 100, 100, dtype=torch.uint8))
    save_file(tensors, path, metadata={"format": "pt"})


YARN = rope(10000.0, "yarn", factor=4.0, original_max_position_embeddings=32)
LINEAR = rope(100000.0, "linear", factor=3.0)
PARTIAL = rope(partial_rotary_factor=0.75)
LONGROPE = rope(5000.0, "longrope", short_factor=[1.0, 1.5, 1.1, 2.0, 3.0, 1.3], long_factor=[9.0] * 6, original_max_position_embeddings=100)
CASES = [
    {"name": "llama-biased-yarn", "seed": 921, "dtype": BF16, "init": {"emb": 0.15},
     "note": "Llama: biases everywhere, one key/value head, head_dim 12 (not hidden/heads), yarn with attention_factor left out",
     "config": config("llama", **small(attention_bias=True, mlp_bias=True, hidden_size=40, num_attention_heads=5, num_key_value_heads=1,
                      head_dim=12, intermediate_size=50, rope_parameters=YARN))},
    {"name": "qwen2-window", "seed": 922, "dtype": F16, "bos": False, "legacy": True,
     "note": "Qwen2 with its sliding window switched on from layer 1, head size 8, legacy spelling without layer_types",
     "config": config("qwen2", **small(hidden_size=40, num_attention_heads=5, num_key_value_heads=1, intermediate_size=36,
                      use_sliding_window=True, sliding_window=7, max_window_layers=1, rope_parameters=rope()))},
    {"name": "phi3-partial", "seed": 923, "dtype": BF16, "legacy": True, "reach": 20,
     "note": "Phi-3: three quarters of each head turn, window 13, key/value heads as many as heads, legacy spelling",
     "config": config("phi3", **small(hidden_size=48, num_attention_heads=3, num_key_value_heads=3, intermediate_size=40,
                      rope_parameters=PARTIAL, original_max_position_embeddings=128, sliding_window=13))},
    {"name": "gemma3-nested", "seed": 924, "dtype": BF16, "init": {"emb": 0.04, "final_norm": 5.0},
     "note": "Gemma 3 in the transformers 5 spelling: full layers scaled linearly, logits capped, the pattern given by layer_types alone",
     "config": config("gemma3_text", **small(hidden_size=40, num_attention_heads=4, num_key_value_heads=2, head_dim=12, intermediate_size=44,
                      query_pre_attn_scalar=20, sliding_window=9, final_logit_softcapping=4.0, attn_logit_softcapping=1.0,
                      layer_types=["full_attention", "sliding_attention"],
                      rope_parameters={"full_attention": LINEAR, "sliding_attention": rope(5000.0)}))},
    {"name": "phi3-longrope", "seed": 926, "dtype": BF16, "reach": 20,
     "note": "Phi-3 with longrope, within its original length of 100 of 400 positions; served no further",
     "config": config("phi3", **small(hidden_size=48, num_attention_heads=4, num_key_value_heads=2, intermediate_size=40, max_position_embeddings=400,
                      original_max_position_embeddings=100, rope_parameters=LONGROPE))},
    {"name": "gpt2-hub", "seed": 925, "dtype": F16, "bos": False, "post": hub_names, "init": {"emb": 0.2, "lin": 2.0},
     "note": "GPT-2 as on the hub: no transformer. prefix, a causal mask among the tensors; n_inner 50, vocabulary 391",
     "config": config("gpt2", vocab_size=391, n_positions=100, n_embd=40, n_layer=1, n_head=4, n_inner=50, pad_token_id=None)},
]  # fmt: skip

# The generator's float64 decoder knows Qwen2's windows from layer_types alone.
plain = generator.reference


def reference(folder, ids, adapter=None, override=None):
    types = {"layer_types": ["full_attention", "sliding_attention"]} if folder.name == "qwen2-window" else {}
    return plain(folder, ids, adapter, {**types, **(override or {})})


generator.reference = reference
plain_angles = generator.rope_angles


def rope_angles(cfg, settings, head_dim, length):
    """The generator's, and longrope within its original length: frequencies over the short factors, both tables magnified."""
    if settings.get("rope_type") != "longrope":
        return plain_angles(cfg, settings, head_dim, length)
    cos, sin = plain_angles(cfg, {**settings, "rope_type": "default"}, head_dim, length)
    angles = torch.arange(length, dtype=torch.float64)[:, None] / (
        settings["rope_theta"] ** (torch.arange(0, head_dim, 2, dtype=torch.float64) / head_dim) * torch.tensor(settings["short_factor"], dtype=torch.float64))
    size = math.sqrt(1 + math.log(cfg["max_position_embeddings"] / 100) / math.log(100))
    return (angles.cos() * size).to(cos.dtype), (angles.sin() * size).to(sin.dtype)


generator.rope_angles = rope_angles
OUT.mkdir(parents=True, exist_ok=True)
for case in CASES:
    made = generator.make_case(OUT, {"bos": True, **case})
    print(case["name"], made["error"] / made["largest"])
