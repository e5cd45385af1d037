"""The renders and ids of this folder, made with the generator of the given text fixtures and its versions.

    TZ=UTC python make.py <folder that holds the generator text.py> <folder of the given tokenizers>
"""

import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, sys.argv[1])
import text as generator
from transformers import AutoTokenizer

HERE = Path(__file__).parent
TOKENIZERS = Path(sys.argv[2])
user = lambda content, **more: {"role": "user", "content": content, **more}
says = lambda content, **more: {"role": "assistant", "content": content, **more}
system = lambda content: {"role": "system", "content": content}
call = lambda name, arguments, at="call00001": {"id": at, "type": "function", "function": {"name": name, "arguments": arguments}}
TOOLS = [
    {"type": "function", "function": {"name": "find", "description": "Finds\nthings <x> & 'y'", "parameters": {
        "type": "object", "required": ["what"], "properties": {
            "what": {"type": ["string", "null"]}, "how": {"enum": ["fast", "slow"]}, "many": {"type": "integer", "default": 1.0},
            "where": {"type": "array", "items": {"type": "object", "properties": {"lat": {"type": "number", "default": 1e20}}, "required": []}},
            "when": {"anyOf": [{"type": "string"}, {"type": "null"}]}}}}},
    {"type": "function", "function": {"name": "stop", "parameters": {"type": "object", "properties": {}}}},
]  # fmt: skip
CONVERSATIONS = [
    ("typed-tools", [system(" S "), user("Go")], {"tools": TOOLS}),
    ("odd-arguments", [user("Go"), says("So:", tool_calls=[call("find", {"what": None, "many": 2.0, "where": [{"lat": -0.0}], "b": "é\u2028\""}), call("stop", {}, "call00002")]),
                       {"role": "tool", "name": "find", "content": "one"}, {"role": "tool", "content": "two"}, user("On")], {"tools": TOOLS}),
    ("short-id", [user("Go"), says("", tool_calls=[call("stop", {}, "c1")])], {}),
    ("reasoning", [user("a"), says("A", reasoning_content="because\n"), user("b"), says("<think>\nx\n</think>\n\nB")], {}),
    ("reasoning-and-call", [user("a"), says(None, reasoning_content="plan", tool_calls=[call("stop", {})]), {"role": "tool", "content": "done"}], {"tools": TOOLS[1:]}),
    ("documents", [system("x"), user("q", name="Ann")], {"documents": [{"title": "the o'neill file", "text": "a b  c"}, {"title": "", "text": None}, {}]}),
    ("effort", [user("q")], {"reasoning_effort": "low", "date_string": "today"}),
    ("mixed-parts", [system([{"type": "text", "text": "S"}]), user([{"type": "text", "text": " a "}, {"type": "image"}, {"type": "other"}, {"type": "text", "text": "b"}]), says([])], {}),
]  # fmt: skip

TEXTS = ["Hello world", "  two spaces ", " lead", "a<s>b</s> c", "I'M 12345 don't", "line\nbreak\n\n  x", "日本 é 😀", "", "e\u0301 ﬁ", "<|user|> hi <|im_end|>x",
         "x<|endoftext|> y <|begin_of_text|>z", "\u2581mark \u2581\u2581", "\ttab"]  # fmt: skip
PIECES, LLAMA3 = "sentencepiece-llama2", "byte-level-llama3"
VARIANTS = [
    (PIECES, "llama", {"tokenizer_class": "LlamaTokenizer", "legacy": False}),
    (PIECES, "llama", {"tokenizer_class": "LlamaTokenizerFast", "legacy": True, "add_eos_token": True}),
    (PIECES, "smollm3", {"tokenizer_class": "LlamaTokenizer", "add_prefix_space": False}),
    (PIECES, "mistral", {"tokenizer_class": "LlamaTokenizer", "legacy": False}),
    (PIECES, "phi3", {"tokenizer_class": "LlamaTokenizer", "add_bos_token": False}),
    (PIECES, "llama", {"tokenizer_class": "PreTrainedTokenizerFast", "add_bos_token": False, "add_eos_token": True}),
    (PIECES, "gemma2", {"tokenizer_class": "GemmaTokenizer"}),
    (PIECES, "gemma3_text", {}),
    (LLAMA3, "llama", {"tokenizer_class": "LlamaTokenizer"}),
    (LLAMA3, "qwen2", {"tokenizer_class": "Qwen2Tokenizer"}),
    (LLAMA3, "qwen3", {"tokenizer_class": "Qwen2TokenizerFast", "add_prefix_space": True}),
    (LLAMA3, "gpt2", {"add_prefix_space": True}),
    (LLAMA3, "olmo2", {"tokenizer_class": "GPT2TokenizerFast"}),
]


def ids_of(source, model_type, changes):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "tokenizer.json").write_bytes((TOKENIZERS / source / "tokenizer.json").read_bytes())
        config = json.loads((TOKENIZERS / source / "tokenizer_config.json").read_text())
        del config["tokenizer_class"]
        (folder / "tokenizer_config.json").write_text(json.dumps({**config, **changes}))
        (folder / "config.json").write_text(json.dumps({"model_type": model_type}))
        tokenizer = AutoTokenizer.from_pretrained(folder)
        rows = [{"text": t, "plain": tokenizer.encode(t, add_special_tokens=False), "special": tokenizer.encode(t)} for t in TEXTS]
        return {"source": source, "modelType": model_type, "config": changes, "rows": rows}


module = generator.freeze_clock()
generator.conversations = lambda given=generator.conversations: given() + CONVERSATIONS
versions = {}
for folder in sorted((HERE / "chat-templates").iterdir()):
    if folder.is_dir():
        rows = generator.template_cases(module, (folder / "template.jinja").read_text(), {"bos_token": "<s>", "eos_token": "</s>"})
        generator.write_json(folder / "cases.json", {"template": "template.jinja", "clock": generator.CLOCK}, "cases", rows)
        print(folder.name, len(rows), sum("error" in row for row in rows))
snippets = (HERE / "snippets.txt").read_text().removesuffix("\n").split("\n%%\n")
values = json.loads((HERE / "values.json").read_text())
rows = [{"template": t, **generator.render(module, t, [], values)} for t in snippets]
generator.write_json(HERE / "chat-templates" / "snippets.json", {"clock": generator.CLOCK, "values": values}, "cases", rows)
generator.write_json(HERE / "tokenizer-classes.json", {}, "cases", [ids_of(*variant) for variant in VARIANTS])
