"""Tiny random models of further families, and what transformers computes from them in float32.

    python make.py [name ...]

Weights are scaled up so that positions, windows, norms and factors change the logits visibly.
"""

import json
import shutil
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText

HERE = Path(__file__).parent
LENGTH, LAST = 40, 4
SLIDING, FULL = "sliding_attention", "full_attention"
SMALL = dict(vocab_size=72, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2,
             num_key_value_heads=1, head_dim=16, max_position_embeddings=64, bos_token_id=0, eos_token_id=1, pad_token_id=None)  # fmt: skip


def rope(theta=10000.0, kind="default", **more):
    return {"rope_type": kind, "rope_theta": theta, **more}


YARN = rope(1e5, "yarn", factor=4.0, original_max_position_embeddings=16, max_position_embeddings=64, beta_fast=32.0, beta_slow=1.0,
            mscale=1.0, mscale_all_dim=1.0, llama_4_scaling_beta=0.1)  # fmt: skip
LLAMA3 = rope(1e5, "llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=32)
PARTLY = lambda share: rope(partial_rotary_factor=share)  # noqa: E731
FACTORS = dict(embedding_multiplier=2.0, attention_multiplier=0.4, residual_multiplier=0.7, logits_scaling=3.0)
DENSE = dict(num_local_experts=0, num_experts_per_tok=0, shared_intermediate_size=40, layer_types=[FULL, FULL],
             mamba_n_heads=8, mamba_d_head=8)  # not used  # fmt: skip
MIXED = dict(layer_types=[SLIDING, FULL], sliding_window=7)

CASES = {
    "gemma": dict(tie_word_embeddings=True),
    "vaultgemma": dict(**MIXED, query_pre_attn_scalar=24, attn_logit_softcapping=2.0, final_logit_softcapping=4.0),
    "ministral": dict(**MIXED),
    "ministral3": dict(rope_parameters=YARN),
    "olmo3": dict(**MIXED, rope_parameters={SLIDING: rope(5000.0), FULL: {k: v for k, v in YARN.items() if "llama" not in k}}),
    "exaone4": dict(**MIXED),
    "granite": dict(**FACTORS, attention_bias=True, mlp_bias=True),
    "granitemoehybrid": dict(**FACTORS, **DENSE, tie_word_embeddings=True, position_embedding_type="rope"),
    "granitemoehybrid-nope": dict(**FACTORS, **DENSE, position_embedding_type="nope"),
    "glm": dict(rope_parameters=PARTLY(0.5)),
    "glm4": dict(rope_parameters=PARTLY(0.5)),
    "ernie4_5": dict(use_bias=True),
    "helium": dict(attention_bias=True),
    "cohere": dict(attention_bias=True),
    "cohere2": dict(**MIXED, logit_scale=0.25),
    "starcoder2": dict(sliding_window=9),
    "stablelm": dict(use_qkv_bias=True, rope_parameters=PARTLY(0.25)),
    "nemotron": dict(rope_parameters=PARTLY(0.5)),
    "arcee": dict(mlp_bias=True),
    "jais2": dict(),
    "seed_oss": dict(attention_out_bias=True, attention_dropout=0.0, residual_dropout=0.0),
    "cwm": dict(**MIXED, rope_parameters=LLAMA3),
    "hunyuan_v1_dense": dict(rope_parameters=rope(kind="dynamic", alpha=50.0, factor=1.0), attention_bias=True),
}  # fmt: skip
# Models that also read images: their text part alone is asked.
SEEING = dict(hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, image_size=28, patch_size=14)
WHOLES = {
    "gemma3": (dict(**MIXED, query_pre_attn_scalar=24, tie_word_embeddings=True), dict(vision_config=SEEING, mm_tokens_per_image=1)),
    "mistral3": (dict(model_type="ministral3", rope_parameters=YARN), dict(vision_config=dict(**SEEING, model_type="pixtral", head_dim=8))),
}  # fmt: skip

# Gradients of these tensors pass through every part of a layer.
CHECKED = ["q_proj", "k_norm", "key_layernorm", "down_proj", "c_proj", "output_linear", "input_layernorm"]


def scramble(model, seed):
    random = torch.Generator().manual_seed(seed)
    offset = 1.0 if any(word in model.config.model_type for word in ("gemma", "nemotron")) else 0.0
    for name, value in model.named_parameters():
        noise = torch.randn(value.shape, generator=random)
        leaf = name.split(".")[-2]
        if name.endswith("bias"):
            new = 0.3 * noise
        elif value.ndim == 1:
            new = (3.0 if name.endswith("model.norm.weight") else 1.0) * (1 + 0.2 * noise) - offset
        elif leaf in ("embed_tokens", "lm_head"):
            new = noise * 0.3
        else:
            new = noise * (2.5 if leaf in ("q_proj", "k_proj") else 1.3) / value.shape[1] ** 0.5
        value.data.copy_(new.half().float())


def make(name, settings):
    folder = HERE / name
    shutil.rmtree(folder, ignore_errors=True)
    kind = name.split("-")[0]
    loader = AutoModelForCausalLM
    if kind in WHOLES:
        text, more = WHOLES[kind]
        config = AutoConfig.for_model(kind, text_config={**SMALL, **text}, **more)
        loader = AutoModelForImageTextToText
    else:
        config = AutoConfig.for_model(kind, **{**SMALL, **settings})
    config._attn_implementation = "eager"
    model = loader.from_config(config).eval()
    seed = sum(name.encode())
    scramble(model, seed)
    model.half().save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    stored = loader.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    ids = torch.randint(2, SMALL["vocab_size"], (1, LENGTH), generator=torch.Generator().manual_seed(seed + 1))
    logits = stored(ids).logits[0]
    loss = F.cross_entropy(logits[:-1], ids[0, 1:])
    loss.backward()
    parameters = {key.replace("model.language_model.", "model."): value.grad for key, value in stored.named_parameters() if value.grad is not None}
    largest = float(logits.detach().abs().max())
    expected = {"input_ids": ids[0], "logits_last4": logits[-LAST:].detach().contiguous(), "loss": loss.detach().reshape(1)}
    expected |= {f"grad.{key}": value for key, value in parameters.items() if key.startswith("model.layers.0.") and any(part in key for part in CHECKED)}
    save_file(expected, folder / "expected.safetensors")
    twin = stored.double()
    far = float((twin(ids).logits[0] - logits).detach().abs().max()) / largest
    swapped = ids.clone()
    swapped[0, -8] = 2 + (ids[0, -8] - 1) % 70
    change = float((twin(swapped).logits[0, -1] - logits[-1]).detach().abs().max())
    text = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(text, indent=1) + "\n")
    print(f"{name:24} largest {largest:7.2f}  float64 {far:.1e}  an earlier token moves {change:.2f}")


if __name__ == "__main__":
    torch.set_num_threads(1)
    for name, settings in {**CASES, **{kind: {} for kind in WHOLES}}.items():
        if len(sys.argv) == 1 or name in sys.argv[1:]:
            make(name, settings)
