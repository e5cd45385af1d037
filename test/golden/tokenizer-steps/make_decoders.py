"""python make_decoders.py: the text that each decoder of `tokenizers` 0.23.3 makes of unusual token sequences, as decoders.json beside this file."""
import json
import pathlib
import random
import re

import tokenizers

BYTE_LEVEL = ["Hello", "Ġworld", "Ċ", "Ċ", "ĠĠ", "Ã", "©", "ðŁ", "ĺ", "Ģ", "ä½", "ł", "å¥½", "ï", "¿", "½", "ÿ", "Ģ", "é", "日", "Ġ", "a", "<|im_end|>", "ĉ"]
# Whole characters as byte tokens, so that random mixtures have unbroken ones too.
CHARACTERS = [["<0xE4>", "<0xBD>", "<0xA0>"], ["<0xF0>", "<0x9F>", "<0x98>", "<0x80>"], ["<0xE2>", "<0x96>", "<0x81>"], ["<0xC3>", "<0xA9>"], ["<0x41>"]]
PIECES = [
    "▁Hello", "▁", "▁▁", "world", "a▁b", "<0xE4>", "<0xBD>", "<0xA0>", "<0xFF>", "<0x80>", "<0xF0>", "<0x9F>", "<0x98>", "<0x80>", "<0x41>",
    "<0x0A>", "<0xe4>", "<0xE2>", "<0x96>", "<0x81>", "é", "<s>", " ", "  x", "日本", "<0x20>", "<0x>", "<0xG0>", "<0xC3>", "<0xA9>",
]
WORDS = [
    "hello", "##ing", "##", "world", ".", "!", "?", ",", "'", "s", "##'s", "n't", "do", "not", "'m", "'ve", "'re", "é", "日", " x", "a ##b",
    "[SEP]", "don", "t", " n't", " .", " do not", "##.", "-",
]
SUFFIXED = ["hel", "lo</w>", "world</w>", "</w>", ".</w>", "a</w>b", "é</w>", "日", "'s</w>", "<s>", "  ", "x"]


def sequence(*decoders):
    return {"type": "Sequence", "decoders": list(decoders)}


def replace(pattern, content):
    return {"type": "Replace", "pattern": {"String": pattern}, "content": content}


def strip(start, stop=0):
    return {"type": "Strip", "content": " ", "start": start, "stop": stop}


def metaspace(scheme, split=True):
    return {"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": split}


LEVEL = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}
FALLBACK, FUSE = {"type": "ByteFallback"}, {"type": "Fuse"}


def decoders():
    """Each decoder with the tokens of its kind. The families that have it stand behind it."""
    yield LEVEL, BYTE_LEVEL  # GPT-2, Llama 3, Qwen, SmolLM, OLMo, Phi-4
    yield sequence(LEVEL), BYTE_LEVEL
    yield sequence(replace("▁", " "), FALLBACK, FUSE), PIECES  # Gemma
    yield sequence(replace("▁", " "), FALLBACK, FUSE, strip(1)), PIECES  # Llama 2, Mistral, Phi-3
    yield sequence(replace("▁", " "), FALLBACK, FUSE, strip(2)), PIECES
    yield sequence(FALLBACK, FUSE), PIECES
    yield sequence(replace("▁", " "), FUSE), PIECES
    yield sequence(FUSE), PIECES
    for scheme in ("always", "first", "never"):
        yield metaspace(scheme), PIECES  # T5 and its relatives
        yield sequence(FALLBACK, metaspace(scheme)), PIECES
    yield metaspace("always", False), PIECES
    for prefix in ("##", "-"):
        for cleanup in (True, False):
            yield {"type": "WordPiece", "prefix": prefix, "cleanup": cleanup}, WORDS  # BERT
    for suffix in ("</w>", "o"):
        yield {"type": "BPEDecoder", "suffix": suffix}, SUFFIXED  # GPT, CLIP
    yield None, WORDS


def sequences(pool, dice):
    """Every token alone and doubled, all in order, and random mixtures."""
    yield []
    yield pool
    for token in pool:
        yield [token]
        yield [token, token]
    for _ in range(120):
        yield dice.choices(pool, k=dice.randint(2, 9))
    if pool is PIECES:
        words = [token for token in pool if not token.startswith("<0x")]
        for _ in range(80):
            parts = [dice.choice(CHARACTERS) if dice.random() < 0.5 else [dice.choice(words)] for _ in range(dice.randint(1, 6))]
            yield [token for part in parts for token in part]


def is_whole(tokens):
    """Whether every run of byte tokens is UTF-8. Of broken runs a stream makes something else (the text fixtures' README, rule 4)."""
    run = bytearray()
    for token in [*tokens, ""]:
        byte = re.fullmatch("<0x([0-9A-Fa-f]{2})>", token)
        if byte:
            run.append(int(byte[1], 16))
            continue
        try:
            run.decode()
        except UnicodeDecodeError:
            return False
        run.clear()
    return True


def decode(config, tokens):
    model = {"type": "BPE", "vocab": {}, "merges": []}
    if config is None:
        # Without a decoder the tokens are joined by spaces. The tokenizer does that, so they must be in its vocabulary.
        vocab = {token: i for i, token in enumerate(dict.fromkeys(tokens))}
        own = tokenizers.Tokenizer.from_str(json.dumps({"version": "1.0", "added_tokens": [], "model": {**model, "vocab": vocab}}))
        return own.decode([vocab[token] for token in tokens], skip_special_tokens=False)
    own = tokenizers.Tokenizer.from_str(json.dumps({"version": "1.0", "added_tokens": [], "decoder": config, "model": model}))
    return own.decoder.decode(tokens)


def main():
    dice = random.Random(11)
    cases = []
    for config, pool in decoders():
        given = list(sequences(pool, dice))
        if "ByteFallback" in json.dumps(config):
            given = [tokens for tokens in given if is_whole(tokens)]
        cases.append({"config": config, "tokens": given, "texts": [decode(config, tokens) for tokens in given]})
    out = pathlib.Path(__file__).parent / "decoders.json"
    value = {"tokenizers": tokenizers.__version__, "decoders": cases}
    out.write_text(json.dumps(value, ensure_ascii=False, separators=(",", ":")).replace('{"config"', '\n{"config"') + "\n")


main()
