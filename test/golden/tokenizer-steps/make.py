"""python make.py: what `tokenizers` 0.23.3 makes of unusual texts, step by step, as steps.json beside this file (and sentencepiece 0.2.3)."""
import base64
import json
import pathlib
import random
import tempfile

import sentencepiece
import tokenizers

TEXTS = [
    "Hello, world!", "1 ½ cups", "عام ٢٠٢٤", "step ①", "x² + y³ = 10⁵", "  two  spaces\t tab\n\nlines \r\n", "don't I'LL we've",
    "ΟΔΟΣ ὈΔΥΣΣΕΎΣ Σ", "İstanbul Iı", "a\u0085b\ufeffc\u180ed\u200be\u2028f\u3000g", "e\u0301 é ﬁ ﬀ ㎏ ①", "日本語と漢字 カタカナ ー",
    "𠀀𠮷 𝟘𝟙 𝒜 emoji 👩‍👩‍👧 🏳️‍🌈 🇩🇪", "snake_case camelCase dash-word", "price: $5+€7=~£9^2 `code` <tag> |x|", "«quoted» „low“ — … ¿¡",
    "हिन्दी १२३ क़", "ไทย ๑๒๓", "한국어 각", "\u0001\u0007\u007f\u00ad\u0600", "▁mark ▁▁two", "a  b", " lead", "trail ", "12345", "a1b22c333",
    "Ⅳ ⅳ 〇 ㊿ 𐄇", "\u0378 \ue000 \ufffd", "ǅ ß ẞ ſ K Å", "a.b,c;d!e?f", "...", "\u0300start", "\u1e9b\u0323", "नी\u200d\u200c",
]


def texts():
    dice = random.Random(5)
    pool = [*"abZ019 ½٣①.,!_-▁'\t\n\u0301\u00a0\u3000é漢ー𠮷👍", "\u200d", "\u0085", "\ufeff", "  ", "'s", "Σ", "\u0345"]
    return TEXTS + ["".join(dice.choices(pool, k=dice.randint(1, 14))) for _ in range(60)]


def split(pattern, behavior, invert=False):
    return {"type": "Split", "pattern": pattern, "behavior": behavior, "invert": invert}


LLAMA3 = (
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*"
    "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
)
BYTES = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
BEHAVIORS = ["Isolated", "Removed", "Contiguous", "MergedWithPrevious", "MergedWithNext"]


def pre_tokenizers():
    yield BYTES
    yield {**BYTES, "add_prefix_space": True}
    yield {**BYTES, "use_regex": False}
    for individual in (True, False):
        yield {"type": "Digits", "individual_digits": individual}
    for behavior in BEHAVIORS:
        yield {"type": "Punctuation", "behavior": behavior}
        yield split({"String": " "}, behavior)
        yield split({"Regex": "\\p{L}+|\\d"}, behavior)
        yield split({"Regex": "\\s"}, behavior, True)
    yield split({"Regex": LLAMA3}, "Isolated")
    yield split({"Regex": LLAMA3}, "Removed", True)
    for kind in ("Whitespace", "WhitespaceSplit", "BertPreTokenizer"):
        yield {"type": kind}
    for scheme in ("always", "first", "never"):
        for cuts in (True, False):
            yield {"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": cuts}
    yield {"type": "CharDelimiterSplit", "delimiter": "-"}
    yield {"type": "FixedLength", "length": 3}
    yield {"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": True}, BYTES]}
    yield {
        "type": "Sequence",
        "pretokenizers": [
            {"type": "WhitespaceSplit"},
            {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": True},
        ],
    }
    yield {"type": "Sequence", "pretokenizers": [{"type": "Punctuation", "behavior": "Contiguous"}, BYTES]}


def normalizers():
    for kind in ("NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents"):
        yield {"type": kind}
    for left, right in ((True, True), (True, False), (False, True)):
        yield {"type": "Strip", "strip_left": left, "strip_right": right}
    yield {"type": "Prepend", "prepend": "▁"}
    yield {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
    yield {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": "$&"}
    yield {"type": "Sequence", "normalizers": [{"type": "NFD"}, {"type": "StripAccents"}, {"type": "Lowercase"}]}
    for clean in (True, False):
        for chinese in (True, False):
            for accents in (None, True, False):
                for lower in (True, False):
                    yield {
                        "type": "BertNormalizer",
                        "clean_text": clean,
                        "handle_chinese_chars": chinese,
                        "strip_accents": accents,
                        "lowercase": lower,
                    }
    yield {"type": "Precompiled", "precompiled_charsmap": compiled_map()}


# Code points → code points: a prefix of another rule, a grapheme of two characters, a removal, a character beyond the basic plane.
RULES = ["41\t61", "2460\t31", "FB01\t66 69", "65 301\tE9", "301\t", "A0\t20", "3000\t20", "1D7D8\t30", "938\t915", "FF5E\t7E", "2D\t2014"]


def compiled_map():
    """The map that SentencePiece compiles of these rules, in base64."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder)
        (path / "rules.tsv").write_text("".join(f"{rule}\n" for rule in RULES))
        (path / "text.txt").write_text("a b c d e f g h\n" * 20)
        sentencepiece.SentencePieceTrainer.train(
            input=str(path / "text.txt"),
            model_prefix=str(path / "model"),
            vocab_size=12,
            normalization_rule_tsv=str(path / "rules.tsv"),
            minloglevel=2,
        )
        model = fields((path / "model.model").read_bytes())
        return base64.b64encode(fields(model[3])[2]).decode()


def fields(message):
    """The last value of each length-delimited field of a protobuf message; of others nothing is kept."""
    found, at = {}, 0

    def varint():
        nonlocal at
        value, shift = 0, 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(message):
        tag = varint()
        if tag & 7 == 2:
            length = varint()
            found[tag >> 3] = message[at : at + length]
            at += length
        elif tag & 7 == 5:
            at += 4
        elif tag & 7 == 0:
            varint()
        else:
            raise ValueError(f"wire type {tag & 7}")
    return found


def backend(key, config):
    model = {"type": "BPE", "vocab": {}, "merges": []}
    return tokenizers.Tokenizer.from_str(json.dumps({"version": "1.0", "added_tokens": [], key: config, "model": model}))


def main():
    given = texts()
    pre = []
    for config in pre_tokenizers():
        step = backend("pre_tokenizer", config).pre_tokenizer
        pre.append({"config": config, "words": [[word for word, _ in step.pre_tokenize_str(text)] for text in given]})
    norm = []
    for config in normalizers():
        step = backend("normalizer", config).normalizer
        norm.append({"config": config, "texts": [step.normalize_str(text) for text in given]})
    out = pathlib.Path(__file__).parent / "steps.json"
    value = {"tokenizers": tokenizers.__version__, "texts": given, "preTokenizers": pre, "normalizers": norm}
    out.write_text(json.dumps(value, separators=(",", ":")).replace('{"config"', '\n{"config"') + "\n")


main()
