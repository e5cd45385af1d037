"""The golden case of preferences: what TRL's DPOTrainer says of pairs on the tiny model of the training fixtures.

python scripts/reference/preferences.py test/golden/training        (needs torch, peft, trl, accelerate, datasets from PyPI)

Writes <training>/preferences/case.json (pairs, settings, loss and metrics) and values.safetensors (gradients at a point
where none is dead, and the parameters after three steps from the initial values). Everything is float32 on the CPU.
"""

import json
import sys
from pathlib import Path

import torch
import trl
from datasets import Dataset
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast
from trl import DPOConfig, DPOTrainer

root = Path(sys.argv[1])
out = root / "preferences"
out.mkdir(exist_ok=True)
torch.set_num_threads(1)
case = json.loads((root / "methods/lora/case.json").read_text())
BETA, LR, STEPS, BATCH = 0.1, 0.05, 3, 2

random = torch.Generator().manual_seed(22)
ids = lambda low, high: torch.randint(3, 160, (int(torch.randint(low, high, (1,), generator=random)),), generator=random).tolist()
pairs = [{"prompt_ids": ids(2, 8), "chosen_ids": ids(1, 9) + [2], "rejected_ids": ids(1, 9) + [2]} for _ in range(STEPS * BATCH)]


class Prepared(DPOTrainer):
    """The pairs are ids already, and come in order."""

    def _prepare_dataset(self, dataset, *_, **__):
        return dataset

    def _get_train_sampler(self, *_):
        return torch.utils.data.SequentialSampler(self.train_dataset)


init, point = [load_file(root / f"methods/lora/{name}.safetensors") for name in ("init", "point")]


def adapted():
    base = AutoModelForCausalLM.from_pretrained(root / "base", dtype=torch.float32, attn_implementation="eager")
    targets = [name.split(".")[-1] for name in case["targets"]]
    model = get_peft_model(base, LoraConfig(r=case["rank"], lora_alpha=case["alpha"], target_modules=targets))
    return filled(model, init)


def filled(model, values):
    for name, parameter in parameters(model).items():
        parameter.data.copy_(values[name])
    return model


def parameters(model):
    own = lambda name: name.removeprefix("base_model.model.model.").removesuffix(".default.weight")
    return {own(name): value for name, value in model.named_parameters() if value.requires_grad}


def trainer_of(model):
    vocabulary = {f"t{i}": i for i in range(160)}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel(vocabulary, unk_token="t0")), pad_token="t0", eos_token="t2"
    )
    settings = DPOConfig(
        output_dir="/tmp/preferences-reference", beta=BETA, learning_rate=LR, lr_scheduler_type="constant", max_steps=STEPS,
        per_device_train_batch_size=BATCH, max_grad_norm=1.0, weight_decay=0.0, optim="adamw_torch", logging_steps=1,
        report_to=[], use_cpu=True, bf16=False, gradient_checkpointing=False, save_strategy="no", disable_tqdm=True,
        disable_dropout=True, max_length=None,
    )  # fmt: skip
    return Prepared(model=model, args=settings, train_dataset=Dataset.from_list(pairs), processing_class=tokenizer)


METRICS = ["rewards/chosen", "rewards/rejected", "rewards/accuracies", "rewards/margins"]

# The loss and the gradients of the first batch, at the point. The trainer takes the initial adapter as the reference.
at_point = trainer_of(adapted())
filled(at_point.model, point)
at_point.model.train()
batch = at_point.data_collator(pairs[:BATCH])
loss = at_point.compute_loss(at_point.model, batch)
loss.backward()
gradients = {f"grad.{name}": value.grad.clone() for name, value in parameters(at_point.model).items()}
metrics = {name: at_point._metrics["train"][name][0] for name in METRICS}

# Three steps from the initial values.
stepping = trainer_of(adapted())
stepping.train()
logs = [{name: line[name] for name in ["loss", "grad_norm", *METRICS]} for line in stepping.state.log_history if "loss" in line]
final = {f"final.{name}": value.detach().clone() for name, value in parameters(stepping.model).items()}

save_file({**gradients, **final}, out / "values.safetensors")
versions = {"torch": torch.__version__, "trl": trl.__version__}
settings = {"beta": BETA, "lr": LR, "steps": STEPS, "batch": BATCH}
found = {"loss": loss.item(), **metrics}
text = json.dumps({"versions": versions, **settings, "pairs": pairs, "point": found, "steps_log": logs})
(out / "case.json").write_text(text + "\n")
print(text)
