#!/usr/bin/env bash
# peft 0.21.2: the names of tensors in adapter_model.safetensors may contain an adapter's name ("lora_A.mine.weight").
# When peft loads such a file under the adapter name "default", it only warns. Every LoRA weight stays at its initial
# value, so the model answers like the base. Without the name, or with "default", the same numbers load.
# Seen: "plain True", "default True", "mine False".
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv && venv/bin/pip install -q torch==2.13.0 transformers==5.24.0 peft==0.21.2 2>/dev/null
cat >try.py <<'PY'
import warnings

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig, LlamaForCausalLM

warnings.simplefilter("ignore")
torch.manual_seed(0)
config = LlamaConfig(hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, vocab_size=32)
LlamaForCausalLM(config).save_pretrained("base")
model = get_peft_model(LlamaForCausalLM.from_pretrained("base"), LoraConfig(target_modules=["q_proj"], r=2))
for name, value in model.named_parameters():
    if "lora_" in name:
        torch.nn.init.normal_(value)
model.save_pretrained("adapter")
saved = load_file("adapter/adapter_model.safetensors")
ids = torch.arange(8)[None]
with torch.no_grad():
    base = LlamaForCausalLM.from_pretrained("base")(ids).logits
    for name in ["", "default", "mine"]:
        renamed = {key.replace(".weight", f".{name}.weight") if name else key: value for key, value in saved.items()}
        save_file(renamed, "adapter/adapter_model.safetensors")
        loaded = PeftModel.from_pretrained(LlamaForCausalLM.from_pretrained("base"), "adapter")
        print(name or "plain", bool((loaded(ids).logits - base).abs().max() > 1e-6))
PY
output=$(HF_HUB_OFFLINE=1 venv/bin/python try.py 2>/dev/null)
echo "$output"
[[ $output == $'plain True\ndefault True\nmine False' ]]
