"""python make.py TEMPLATES: what real chat templates write for an assistant's calls and reasoning, as turns.json beside this file.

TEMPLATES is a folder of template files, such as models/templates of llama.cpp's source. transformers 5.24 renders them. The templates
themselves are not kept: only which marks they contain, and the texts of the turns.
"""
import json
import pathlib
import sys

import transformers
from transformers.utils.chat_template_utils import render_jinja_template

# Template file → the format of its calls under our name, or None.
TEMPLATES = {
    "Qwen-Qwen2.5-7B-Instruct": "hermes",
    "NousResearch-Hermes-2-Pro-Llama-3-8B-tool_use": "hermes",
    "ibm-granite-granite-4.0": "hermes",
    "meta-llama-Llama-3.1-8B-Instruct": "llama3_json",
    "meta-llama-Llama-3.2-3B-Instruct": "llama3_json",
    "mistralai-Mistral-Nemo-Instruct-2407": "mistral",
    "unsloth-mistral-Devstral-Small-2507": "mistral_args",
    "mistralai-Ministral-3-14B-Reasoning-2512": "mistral_args",
    "HuggingFaceTB-SmolLM3-3B": None,
    "deepseek-ai-DeepSeek-R1-Distill-Llama-8B": None,
    "google-gemma-2-2b-it": None,
}
MARKS = [
    "<tool_call>", "[TOOL_CALLS]", "[ARGS]", "<|tool_call|>", "<|/tool_call|>", "<|python_tag|>", "'parameters'", '"parameters"', '\\"parameters\\"',
    "<think>", "</think>", "[THINK]", "[/THINK]", "enable_thinking", "reasoning_effort",
]
TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather of a place.",
        "parameters": {"type": "object", "properties": {"place": {"type": "string"}, "days": {"type": "integer"}}, "required": ["place"]},
    },
}
OTHER = {"type": "function", "function": {**TOOL["function"], "name": "time_of", "description": "The time of a place."}}
ARGUMENTS = [{"place": 'São "Paulo"\n{1}', "days": 2}, {"place": "Köln"}]


def call(index, name, id):
    return {"id": id, "type": "function", "function": {"name": name, "arguments": ARGUMENTS[index]}}


CASES = {
    "one call": {"content": "", "tool_calls": [call(0, "weather", "Abc123xyZ")]},
    "two calls": {"content": "", "tool_calls": [call(0, "weather", "Abc123xyZ"), call(1, "time_of", "Bcd234yzA")]},
    "text and a call": {"content": "I look it up.", "tool_calls": [call(1, "weather", "Abc123xyZ")]},
    "text": {"content": "It rains."},
    "reasoning": {"content": "It rains.", "reasoning_content": "Rain is likely.\nSo it rains."},
}


def render(template, messages, **more):
    tools = more.pop("tools", None)
    texts, _ = render_jinja_template(
        [messages], tools=tools, chat_template=template, bos_token="<s>", eos_token="</s>", date_string="1 Jan 2026", **more
    )
    return texts[0]


def turn_of(template, message, tools):
    """The text of the assistant's turn, from where a generation begins."""
    user = [{"role": "user", "content": "What is the weather?"}]
    prompt = render(template, user, tools=tools, add_generation_prompt=True)
    whole = render(template, [*user, {"role": "assistant", **message}], tools=tools, add_generation_prompt=False)
    if not whole.startswith(prompt):
        return None  # the template renders a past turn in another way
    return {"promptEnd": prompt[-40:], "text": whole[len(prompt) :]}


def main():
    found = []
    for name, form in TEMPLATES.items():
        template = (pathlib.Path(sys.argv[1]) / f"{name}.jinja").read_text()
        turns = {}
        for case, message in CASES.items():
            has_calls = "tool_calls" in message
            try:
                turn = turn_of(template, message, [TOOL, OTHER] if has_calls else None)
            except Exception as error:  # a template may refuse a message
                print(f"{name}: {case}: {type(error).__name__}: {str(error)[:90]}", file=sys.stderr)
                continue
            if turn is None:
                print(f"{name}: {case}: another prompt", file=sys.stderr)
            else:
                turns[case] = turn
        found.append({"template": name, "calls": form, "marks": [mark for mark in MARKS if mark in template], "tools": "tools" in template, "turns": turns})
    out = pathlib.Path(__file__).parent / "turns.json"
    value = {"transformers": transformers.__version__, "arguments": ARGUMENTS, "cases": {k: v for k, v in CASES.items()}, "templates": found}
    out.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n")


main()
