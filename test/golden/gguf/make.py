"""Makes the golden GGUF files of this folder: python make.py --llama-cpp DIR [types] [families] [pre-tokenizers]

DIR is llama.cpp's source (it lies in the sdist llama-cpp-python==0.3.36 of PyPI, under vendor/llama.cpp): its converter writes the
families' files. Needs torch, transformers, gguf and sentencepiece; pre-tokenizers also llama_cpp (llama-cpp-python).
"""

import argparse
import json
import re
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

HERE = Path(__file__).parent
MODELS = HERE.parent / "models"
FURTHER = HERE.parent / "families"

# Where a block has numbers in binary16, which random bytes would make infinite.
HALVES = {
    "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "Q2_K": [80, 82], "Q3_K": [108],
    "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208], "IQ4_NL": [0], "IQ4_XS": [0],
}  # fmt: skip


def make_types():
    """One tensor of each type out of random bytes, and what gguf-py makes of it."""
    import gguf

    random = np.random.default_rng(18)
    writer = gguf.GGUFWriter(HERE / "types.gguf", "llama")
    expected = {}
    for name in ["F32", "F16", "BF16", *HALVES]:
        type = gguf.GGMLQuantizationType[name]
        block_size, block_bytes = gguf.GGML_QUANT_SIZES[type]
        rows, columns = 3, 512
        if name in HALVES:
            data = random.integers(0, 256, (rows, columns // block_size, block_bytes), dtype=np.uint8)
            for at in HALVES[name]:
                # Ordinary scales, negative ones, one too small for a normal number, and 0.
                scales = random.normal(0, 0.05, data.shape[:2]).astype(np.float16)
                scales[0, 0], scales[1, 0] = 3e-6, 0
                data[..., at : at + 2] = scales[..., None].view(np.uint8)
            data = data.reshape(rows, -1)
        else:
            values = random.normal(0, 1, (rows, columns)).astype(np.float32)
            data = gguf.quantize(values, type)
        expected[name] = torch.from_numpy(gguf.dequantize(data, type).astype(np.float32).copy())
        if name == "F16":
            writer.add_tensor(name, data.view(np.float16))
        elif name == "F32":
            writer.add_tensor(name, data)
        else:
            writer.add_tensor(name, data, raw_dtype=type)
    finish(writer)
    save_file(expected, HERE / "types.safetensors")


def finish(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


# What each family's golden model becomes, so that a GGUF file can say it: keys of config.json, layers by the ones they are copies of.
LONGROPE = {"type": "longrope", "short_factor": [1.0, 1.25, 1.5, 2.0], "long_factor": [1.0, 2.0, 3.0, 4.0]}
FAMILIES = {
    "llama": {"outtype": "f16", "split": 9},
    "llama3": {"outtype": "bf16"},
    "mistral": {"config": {"sliding_window": None}},
    "qwen2": {},
    "qwen3": {},
    "phi3": {
        "config": {
            "partial_rotary_factor": 0.5, "original_max_position_embeddings": 64, "rope_scaling": LONGROPE,
            "sliding_window": 16,
        },
        "pieces": "phi3",
    },
    "gemma2": {"config": {"query_pre_attn_scalar": 16}, "pieces": "gemma"},
    "gemma3": {"config": {"query_pre_attn_scalar": 16, "sliding_window_pattern": 6}, "layers": [0, 1, 2, 0, 1, 2, 0]},
    "smollm3": {"config": {"no_rope_layers": [1, 1, 1, 0, 1]}, "layers": [0, 1, 2, 1, 0]},
    "gpt2": {"config": {"n_ctx": 128}},
    "olmo2": {},
    "gemma": {"pieces": "gemma"},
    "granite": {},
    "exaone4": {},
    "seed_oss": {},
    "starcoder2": {"config": {"sliding_window": None}},
    "cohere": {},
    "arcee": {},
    "ministral3": {},
    "olmo3": {
        "config": {
            "rope_parameters": {
                "sliding_attention": {"rope_type": "default", "rope_theta": 5000.0},
                "full_attention": {
                    "rope_type": "yarn", "rope_theta": 1e5, "factor": 4.0, "original_max_position_embeddings": 16,
                    "beta_fast": 32.0, "beta_slow": 1.0,
                },
            },
        },
    },
}  # fmt: skip

PIECE_TEXTS = [
    "Hello world", "", " ", "  two  spaces ", "a\nb\n\nc\ttab", "naïve café, 12345 ½", "call <tool> now", "日本語 🙂", "the the the",
    "an example of words that are in the text it was trained on", "▁ mark", "(x == 1) ? y : z;",
]  # fmt: skip


def make_families(llama_cpp, only):
    sys.path[:0] = [str(llama_cpp), str(llama_cpp / "gguf-py")]
    import gguf
    from conversion import ModelBase, ModelType, TextModel, get_model_architecture, get_model_class

    # The converter knows tokenizers by their hashes; the golden ones are GPT-2's words.
    TextModel.get_vocab_base_pre = lambda self, tokenizer: "gpt-2"
    types = {"f16": gguf.LlamaFileType.MOSTLY_F16, "bf16": gguf.LlamaFileType.MOSTLY_BF16}
    wanted = set(only) or set(FAMILIES)
    for name, change in FAMILIES.items():
        if name not in wanted:
            continue
        out = HERE / "families" / name
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir(parents=True)
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder)
            ids = prepare(name, change, source)
            model_class = get_model_class(get_model_architecture(ModelBase.load_hparams(source, False), ModelType.TEXT))
            type = types.get(change.get("outtype"), gguf.LlamaFileType.MOSTLY_Q8_0)
            with torch.inference_mode():
                model_class(source, type, out / "model.gguf", model_name=name, split_max_tensors=change.get("split", 0)).write()
            shutil.copy(source / "config.json", out)
        facts = {"layers": change.get("layers"), **({"pieces": ids} if ids else {})}
        (out / "expected.json").write_text(json.dumps(facts, ensure_ascii=False, indent=1) + "\n")


def prepare(name, change, source):
    """The golden model with its changes, as an ordinary directory; ids of texts where it gets pieces instead of its tokenizer."""
    home = MODELS if (MODELS / name).exists() else FURTHER
    shutil.copytree(home / name, source, dirs_exist_ok=True, ignore=shutil.ignore_patterns("adapters", "refused", "expected*"))
    config = json.loads((source / "config.json").read_text())
    if home is FURTHER:
        config["vocab_size"] = give_words(source)
    config |= change.get("config", {})
    if "pieces" in change:
        config |= {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": None}
        (source / "generation_config.json").write_text(json.dumps({"bos_token_id": 1, "eos_token_id": 2}))
    layers = change.get("layers")
    if layers:
        config["num_hidden_layers"] = len(layers)
        config.pop("layer_types", None)
        tensors = load_file(source / "model.safetensors")
        changed = {key: value for key, value in tensors.items() if ".layers." not in key}
        for at, of in enumerate(layers):
            for key, value in tensors.items():
                if f".layers.{of}." in key:
                    changed[key.replace(f".layers.{of}.", f".layers.{at}.")] = value.clone()
        save_file(changed, source / "model.safetensors", {"format": "pt"})
    (source / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    return train_pieces(source, change["pieces"]) if "pieces" in change else None


def give_words(source):
    """The tokenizer of another model, and rows of zeros for its words. Returns the size of the vocabulary."""
    for file in ["tokenizer.json", "tokenizer_config.json"]:
        shutil.copy(MODELS / "llama" / file, source)
    size = 384
    tensors = load_file(source / "model.safetensors")
    for key in ["model.embed_tokens.weight", "lm_head.weight"]:
        if key in tensors:
            rows, width = tensors[key].shape
            tensors[key] = torch.cat([tensors[key], torch.zeros(size - rows, width, dtype=tensors[key].dtype)])
    save_file(tensors, source / "model.safetensors", {"format": "pt"})
    return size


def train_pieces(source, kind):
    """A SentencePiece model in the manner of Llama 2 and Phi-3 (a space before every text) or of Gemma."""
    import sentencepiece

    for file in ["tokenizer.json", "tokenizer_config.json"]:
        (source / file).unlink()
    text = (MODELS / "README.md").read_text()
    (source / "text.txt").write_text(text)
    gemma = kind == "gemma"
    sentencepiece.SentencePieceTrainer.Train(
        input=str(source / "text.txt"), model_prefix=str(source / "tokenizer"), model_type="bpe", vocab_size=372,
        character_coverage=0.98, byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=False,
        add_dummy_prefix=not gemma, split_digits=True, allow_whitespace_only_pieces=True,
        user_defined_symbols=["<tool>"] if gemma else [],
    )  # fmt: skip
    config = {"tokenizer_class": "GemmaTokenizer" if gemma else "LlamaTokenizer", "add_bos_token": True}
    if gemma:  # the converter asks this file alone which pieces users have defined
        config["added_tokens_decoder"] = {"3": {"content": "<tool>", "special": False}}
    (source / "tokenizer_config.json").write_text(json.dumps(config))
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(source / "tokenizer.model"))
    return {text: [1, *pieces.EncodeAsIds(text)] for text in PIECE_TEXTS}


PRE_TEXTS = [
    "Hello world", " leading", "trailing ", "two  spaces   three    four", "\ttab\t\ttabs", "a\nb", "a\n\nb\n \n c", "line\r\nline\r\n\r\n", "  \n  x",
    "I've you're he'll it's we'd I'm don't", "I'VE YOU'RE HE'LL IT'S WE'D I'M DON'T", "'tis the season's 'end'", "o'clock rock'n'roll",
    "1", "12", "123", "1234", "12345 678901", "3.14159", "1,000,000", "x1y22z333", "2024-11-29T10:20:30Z", "½ cup ² ٣ Ⅷ ①", "v1.2.3-rc4",
    "snake_case camelCase PascalCase UPPER_CASE", "HTMLParser XMLHttpRequest iPhone", "foo(bar)[baz]{qux}", "if (x == 1) { return y; } // done",
    "a+b-c*d/e%f^g", "!!! ??? ... --- ===", "$100 + 20% = #5 @home & ~x |y| `z` <w>", "https://example.com/a?b=c&d=e#f", "me@example.org", "\"quoted\" 'single'",
    "naïve café über straße", "нещо на български", "ελληνικά κείμενο", "日本語のテキスト", "中文文本,你好。", "한국어 텍스트", "שלום עולם", "مرحبا بالعالم", "हिन्दी पाठ", "ภาษาไทย",
    "🙂", "🙂🙂 👩‍👩‍👧 🇩🇪", "mixed 日本 and 中文 words", "abc日本abc", "  日本", "e\u0301", "\u00a0nbsp\u00a0", "\u3000wide\u3000", "\u200bzero", "a\u2028b",
    "", " ", "  ", "\n", "\n\n", " \n", "\t", "-", "--", "_", "__init__", ".", "..", "?!", "(a)", " (a) ", "\"", "''",
]  # fmt: skip


def make_pre_tokenizers():
    """Ids of texts under a small vocabulary, with the words of every name that llama.cpp knows."""
    import gguf
    import llama_cpp

    names = re.findall(r'^  "?([\w.-]+)"?: (?!readonly)', (HERE / "../../../src/checkpoint/gguf/pre-tokenizers.ts").read_text(), re.M)
    tokens, merges = small_vocabulary()
    ids = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in ["default", *names]:
            path = Path(folder) / "vocab.gguf"
            writer = gguf.GGUFWriter(path, "llama")
            for add in ["context_length", "embedding_length", "block_count", "feed_forward_length", "head_count"]:
                getattr(writer, f"add_{add}")(32)
            writer.add_layer_norm_rms_eps(1e-6)
            writer.add_tokenizer_model("gpt2")
            writer.add_tokenizer_pre(name)
            writer.add_token_list(tokens)
            writer.add_token_types([1] * len(tokens))
            writer.add_token_merges([" ".join(merge) for merge in merges])
            writer.add_add_bos_token(False)
            finish(writer)
            model = llama_cpp.Llama(str(path), vocab_only=True, verbose=False)
            ids[name] = [model.tokenize(text.encode(), add_bos=False, special=False) for text in PRE_TEXTS]
            model.close()
    # Most names share what others have.
    groups = {}
    for name, lists in ids.items():
        groups.setdefault(json.dumps(lists), []).append(name)
    facts = {"tokens": tokens, "merges": [" ".join(merge) for merge in merges], "texts": PRE_TEXTS}
    facts["groups"] = [{"names": names, "ids": json.loads(lists)} for lists, names in groups.items()]
    (HERE / "pre-tokenizers.json").write_text(json.dumps(facts, ensure_ascii=False) + "\n")


def small_vocabulary():
    """Merges that run across every boundary: what is cut shows in the ids."""
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    letters = bytes_to_unicode()
    tokens = [letters[byte] for byte in range(256)]
    sequences = [[letters[byte] for byte in text.encode()] for text in PRE_TEXTS]
    merges = []
    for _ in range(500):
        counts = {}
        for sequence in sequences:
            for pair in zip(sequence, sequence[1:]):
                counts[pair] = counts.get(pair, 0) + 1
        pair = max(counts, key=lambda one: (counts[one], one))
        merges.append(pair)
        joined = "".join(pair)
        if joined not in tokens:
            tokens.append(joined)
        for at, sequence in enumerate(sequences):
            out = []
            for letter in sequence:
                if out and (out[-1], letter) == pair:
                    out[-1] = joined
                else:
                    out.append(letter)
            sequences[at] = out
    return tokens, merges


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("what", nargs="*", default=["types", "families"])
    parser.add_argument("--llama-cpp", type=Path)
    parser.add_argument("--only", nargs="*", default=[], help="names of families")
    args = parser.parse_args()
    if "types" in args.what:
        make_types()
    if "families" in args.what:
        make_families(args.llama_cpp, args.only)
    if "pre-tokenizers" in args.what:
        make_pre_tokenizers()
