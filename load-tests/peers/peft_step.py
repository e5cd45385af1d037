"""Training steps of transformers and PEFT's LoRA on q and v, on request: a peer of train-process.ts, over the same files and protocol.

Its only argument is the job file, as that of torch_step.py. Needs torch, transformers and peft.
"""

import json
import os
import sys

import torch
from peft import LoraConfig, get_peft_model
from torch_step import answer_turns, read_safetensors
from transformers import AutoModelForCausalLM


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        job = json.load(file)
    torch.set_num_threads(job["numThreads"])
    torch.set_num_interop_threads(1)
    rank = job["adapter"]["rank"]
    base = AutoModelForCausalLM.from_pretrained(job["dir"], dtype=torch.float32)
    model = get_peft_model(base, LoraConfig(r=rank, lora_alpha=rank, target_modules=["q_proj", "v_proj"], lora_dropout=0))
    modules = dict(model.named_modules())
    for name, values in read_safetensors(os.path.join(job["dir"], job["adapterFile"])).items():
        modules[f"base_model.model.model.{name}.default"].weight.data.copy_(values)
    model.train()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=job["learningRate"], weight_decay=job["weightDecay"], fused=True)
    tokens = torch.tensor([example["ids"] for example in job["examples"]])
    mask = torch.tensor([example["lossMask"] for example in job["examples"]])[:, 1:]
    ids, labels = tokens[:, :-1].contiguous(), tokens[:, 1:].masked_fill(mask == 0, -100)

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss = model(input_ids=ids, labels=labels, shift_labels=labels, use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, job["clip"])
        optimizer.step()
        return loss.item()

    answer_turns(step)


main()
