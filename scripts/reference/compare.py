"""What transformers and peft say to mosara's exports and merges: reads jobs (a JSON file), prints one line a job.

A job: a checkpoint, an exported PEFT directory, a merged checkpoint, a prompt, and mosara's log-probabilities of it, served live.
"""

import json
import os
import sys
import warnings

os.environ.setdefault("HF_HUB_OFFLINE", "1")
warnings.filterwarnings("ignore")

import torch
import transformers
from peft import PeftModel
from transformers import AutoModelForCausalLM

torch.set_grad_enabled(False)
transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()
LOGITS, LOGPROBS = 5e-5, 1e-4  # relative to the largest logit; absolute


def load(folder):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()


def logits(model, ids):
    return model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits.float()


def compare(job):
    ids = torch.tensor([job["prompt"]])
    base = logits(load(job["checkpoint"]), ids)
    model = PeftModel.from_pretrained(load(job["checkpoint"]), job["exported"], autocast_adapter_dtype=False)
    exported = logits(model.float().eval(), ids)
    merged = logits(load(job["merged"]), ids)
    largest = float(exported.abs().max())
    scores = exported[0, :-1].log_softmax(-1).gather(-1, ids[0, 1:, None])[:, 0]
    served = float((scores - torch.tensor(job["logprobs"])).abs().max())
    apart = float((exported - merged).abs().max()) / largest
    effect = float((exported - base).abs().max())
    good = apart < LOGITS and served < LOGPROBS and effect > 0.01
    print(f"{'ok  ' if good else 'BAD '} {job['name']:34} merged {apart:.1e} of max |logit|, served {served:.1e}, effect {effect:.2f}", flush=True)
    return good


with open(sys.argv[1]) as file:
    jobs = json.load(file)
bad = sum(not compare(job) for job in jobs)
print(f"{len(jobs) - bad}/{len(jobs)} agree")
sys.exit(1 if bad or not jobs else 0)
