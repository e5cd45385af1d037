"""Logits, greedy answers and chat prompts of a GGUF file by transformers in float32.

Input (JSON on stdin): file, texts and prompts as ids, count, conversations, out. Logits of text i go to out/i.f32.
"""
import json
import os
import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

given = json.load(sys.stdin)
folder, name = os.path.split(given["file"])
model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=torch.float32).eval()
with torch.no_grad():
    for i, ids in enumerate(given["texts"]):
        logits = model(torch.tensor([ids])).logits[0]
        logits.numpy().astype("float32").tofile(os.path.join(given["out"], f"{i}.f32"))
    greedy = []
    for ids in given["prompts"]:
        inputs = torch.tensor([ids])
        past, step, answer = None, inputs, []
        for _ in range(given["count"]):
            out = model(step, past_key_values=past, use_cache=True)
            past = out.past_key_values
            step = out.logits[:, -1].argmax(-1, keepdim=True)
            answer.append(int(step))
        greedy.append(answer)
rendered = None
if given["conversations"]:
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=name)
    rendered = [
        tokenizer.apply_chat_template(one, tokenize=False, add_generation_prompt=True) for one in given["conversations"]
    ]
print(json.dumps({"greedy": greedy, "rendered": rendered}))
