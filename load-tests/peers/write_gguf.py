"""Writes a Hugging Face checkpoint (Llama or Qwen2), or LoRA adapters of it, as GGUF files for llama.cpp.

Usage: write_gguf.py model <checkpoint> <out.gguf> f32|q8_0|q4_0
       write_gguf.py lora <checkpoint> <adapter.safetensors>…   (each beside itself, as .gguf)
Every matrix, embedding and vocabulary projection included, takes the one type that is asked for ("pure" in llama.cpp's
words), so that both servers read as many bits; a matrix whose rows are no multiple of 32 long stays float16, as there.
An adapter's tensors are named `<module path>.lora_A` [r,in] and `.lora_B` [out,r]; alpha / r is 1. Needs numpy and gguf.
"""

import json
import pathlib
import re
import struct
import sys

import gguf
import numpy as np

TYPES = {
    "f32": (gguf.GGMLQuantizationType.F32, gguf.LlamaFileType.ALL_F32),
    "q8_0": (gguf.GGMLQuantizationType.Q8_0, gguf.LlamaFileType.MOSTLY_Q8_0),
    "q4_0": (gguf.GGMLQuantizationType.Q4_0, gguf.LlamaFileType.MOSTLY_Q4_0),
}
OUTSIDE = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
}
INSIDE = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}
BLOCK = 32


def read_safetensors(path):
    """Yields (name, float32 array) of one file, one at a time."""
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
        for name, entry in header.items():
            if name == "__metadata__":
                continue
            begin, end = entry["data_offsets"]
            file.seek(8 + length + begin)
            raw = file.read(end - begin)
            if entry["dtype"] == "BF16":
                values = (np.frombuffer(raw, np.uint16).astype(np.uint32) << 16).view(np.float32)
            else:
                values = np.frombuffer(raw, {"F16": np.float16, "F32": np.float32}[entry["dtype"]]).astype(np.float32)
            yield name, values.reshape(entry["shape"])


def gguf_name(name):
    """llama.cpp's name of a tensor."""
    if name in OUTSIDE:
        return OUTSIDE[name]
    found = re.fullmatch(r"model\.layers\.(\d+)\.(.+)\.(weight|bias)", name)
    if not found or found[2] not in INSIDE:
        sys.exit(f"write_gguf: no place for the tensor {name}; Llama and Qwen2 checkpoints can be written.")
    return f"blk.{found[1]}.{INSIDE[found[2]]}.{found[3]}"


def interleaved(rows, heads):
    """Rows of q and k as llama.cpp's Llama rotates them: pairs beside each other instead of halves."""
    shape = rows.shape
    return rows.reshape(heads, 2, shape[0] // heads // 2, *shape[1:]).swapaxes(1, 2).reshape(shape)


def arranged(config, name, values):
    """A tensor (or the half of a LoRA that has its rows) in the order of rows that llama.cpp wants."""
    if config["model_type"] != "llama":
        return values
    heads = config["num_attention_heads"]
    if ".q_proj." in name:
        return interleaved(values, heads)
    if ".k_proj." in name:
        return interleaved(values, config.get("num_key_value_heads", heads))
    return values


def add_tokenizer(writer, checkpoint, vocab_size):
    """The vocabulary for the text of answers. Prompts come as ids; merges are written where there are any."""
    model = json.loads((checkpoint / "tokenizer.json").read_text("utf-8"))["model"]
    by_id = {token_id: token for token, token_id in model["vocab"].items()} if isinstance(model["vocab"], dict) else {}
    tokens = [by_id.get(token_id, f"<unused{token_id}>") for token_id in range(vocab_size)]
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in model.get("merges", [])]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([gguf.TokenType.NORMAL] * vocab_size)
    writer.add_token_merges(merges or ["\u0120 \u0120"])  # the list must not be empty
    # The last token of the vocabulary: requests ignore the end token, and no probability may depend on it.
    writer.add_eos_token_id(vocab_size - 1)
    writer.add_bos_token_id(vocab_size - 1)


def write_model(checkpoint, out, kind):
    config = json.loads((checkpoint / "config.json").read_text("utf-8"))
    arch = config["model_type"]
    if arch not in ("llama", "qwen2"):
        sys.exit(f"write_gguf: model_type {arch}; Llama and Qwen2 checkpoints can be written.")
    if config.get("rope_scaling"):
        sys.exit("write_gguf: rope_scaling is not written.")
    heads = config["num_attention_heads"]
    head_size = config.get("head_dim") or config["hidden_size"] // heads
    quantised, file_type = TYPES[kind]
    writer = gguf.GGUFWriter(out, arch, use_temp_file=True)
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(config.get("num_key_value_heads", heads))
    writer.add_key_length(head_size)
    writer.add_value_length(head_size)
    writer.add_rope_dimension_count(head_size)
    theta = config.get("rope_theta") or config.get("rope_parameters", {}).get("rope_theta", 10000.0)
    writer.add_rope_freq_base(float(theta))
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_file_type(file_type)
    add_tokenizer(writer, checkpoint, config["vocab_size"])
    for path in sorted(checkpoint.glob("*.safetensors")):
        for name, values in read_safetensors(path):
            values = arranged(config, name, values)
            wanted = quantised
            if values.ndim == 1:
                wanted = gguf.GGMLQuantizationType.F32
            elif values.shape[-1] % BLOCK != 0 and kind != "f32":
                wanted = gguf.GGMLQuantizationType.F16
            data = gguf.quants.quantize(np.ascontiguousarray(values), wanted)
            writer.add_tensor(gguf_name(name), data, raw_dtype=wanted)
    finish(writer)


def write_lora(checkpoint, out, adapter):
    config = json.loads((checkpoint / "config.json").read_text("utf-8"))
    writer = gguf.GGUFWriter(out, config["model_type"])
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    tensors = list(read_safetensors(adapter))
    ranks = {values.shape[0] for name, values in tensors if name.endswith(".lora_A")}
    if len(ranks) != 1:
        sys.exit(f"write_gguf: one rank for all targets is written, found {sorted(ranks)}.")
    writer.add_float32("adapter.lora.alpha", float(ranks.pop()))
    for name, values in tensors:
        path, half = name.rsplit(".", 1)
        if half == "lora_B":
            values = arranged(config, f"{path}.", values)
        place = f"{gguf_name(f'model.{path}.weight')}.{half.lower()}"
        writer.add_tensor(place, np.ascontiguousarray(values, np.float32))
    finish(writer)


def finish(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main():
    what, *rest = sys.argv[1:] or [""]
    if what == "model" and len(rest) == 3 and rest[2] in TYPES:
        checkpoint, out, kind = rest
        write_model(pathlib.Path(checkpoint), out, kind)
    elif what == "lora" and len(rest) > 1:
        checkpoint, *adapters = map(pathlib.Path, rest)
        for adapter in adapters:
            write_lora(checkpoint, adapter.with_suffix(".gguf"), adapter)
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
