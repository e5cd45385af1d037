"""The golden case of rewards: what TRL's GRPOTrainer says of graded answers on the tiny model of the training fixtures.

python scripts/reference/rewards.py test/golden/training test/golden/rewards    (needs torch, peft, trl, accelerate, datasets)

Writes case.json (answers, rewards, log-probabilities at sampling, losses) and values.safetensors: gradients at a point
where none is dead and many tokens are clipped, and the parameters after three steps. Everything is float32 on the CPU.
"""

import json
import sys
from pathlib import Path

import torch
import trl
from datasets import Dataset
from datasets.table import InMemoryTable
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast
from trl import GRPOConfig, GRPOTrainer

root, out = Path(sys.argv[1]), Path(sys.argv[2])
out.mkdir(parents=True, exist_ok=True)
torch.set_num_threads(1)
case = json.loads((root / "methods/lora/case.json").read_text())
CLIP, LR, STEPS, GROUPS, SIZE = 0.2, 0.05, 3, 2, 4

random = torch.Generator().manual_seed(33)
draw = lambda low, high: int(torch.randint(low, high, (1,), generator=random))
ids = lambda length: torch.randint(3, 160, (length,), generator=random).tolist()


def make_step():
    length = draw(2, 7)  # one length a step: TRL pads prompts at the left
    groups = []
    for _ in range(GROUPS):
        prompt = ids(length)
        answers = [ids(draw(1, 8)) + [2] for _ in range(SIZE)]
        groups.append({"prompt_ids": prompt, "answers": answers, "rewards": [draw(0, 3) / 2 for _ in answers]})
    return groups


init, point = [load_file(root / f"methods/lora/{name}.safetensors") for name in ("init", "point")]


def parameters(model):
    own = lambda name: name.removeprefix("base_model.model.model.").removesuffix(".default.weight")
    return {own(name): value for name, value in model.named_parameters() if value.requires_grad}


def filled(model, values):
    for name, parameter in parameters(model).items():
        parameter.data.copy_(values[name])
    return model


def adapted():
    base = AutoModelForCausalLM.from_pretrained(root / "base", dtype=torch.float32, attn_implementation="eager")
    targets = [name.split(".")[-1] for name in case["targets"]]
    return get_peft_model(base, LoraConfig(r=case["rank"], lora_alpha=case["alpha"], target_modules=targets))


def trainer_of(model):
    vocabulary = {f"t{i}": i for i in range(160)}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel(vocabulary, unk_token="t0")), pad_token="t0", eos_token="t2"
    )
    settings = GRPOConfig(
        output_dir="/tmp/rewards-reference", loss_type="bnpo", beta=0.0, epsilon=CLIP, epsilon_high=CLIP, temperature=1.0,
        num_generations=SIZE, per_device_train_batch_size=SIZE, report_to=[], use_cpu=True, bf16=False,
        gradient_checkpointing=False, disable_dropout=True,
    )  # fmt: skip
    data = Dataset(InMemoryTable.from_pydict({"prompt": ["t3"]}), fingerprint="prompts")
    reward = lambda completions, **_: [0.0 for _ in completions]
    return GRPOTrainer(model=model, reward_funcs=reward, args=settings, train_dataset=data, processing_class=tokenizer)


def inputs_of(groups):
    prompts = torch.tensor([group["prompt_ids"] for group in groups for _ in group["answers"]])
    answers = [answer for group in groups for answer in group["answers"]]
    width = max(map(len, answers))
    padded = torch.tensor([answer + [0] * (width - len(answer)) for answer in answers])
    mask = torch.tensor([[1] * len(answer) + [0] * (width - len(answer)) for answer in answers])
    rewards = torch.tensor([group["rewards"] for group in groups])
    # As GRPOTrainer scales rewards by group.
    advantages = (rewards - rewards.mean(1, keepdim=True)) / (rewards.std(1, keepdim=True) + 1e-4)
    return {
        "prompt_ids": prompts,
        "prompt_mask": torch.ones_like(prompts),
        "completion_ids": padded,
        "completion_mask": mask,
        "advantages": advantages.flatten(),
    }


def logps_of(trainer, inputs):
    tokens = torch.cat([inputs["prompt_ids"], inputs["completion_ids"]], 1)
    mask = torch.cat([inputs["prompt_mask"], inputs["completion_mask"]], 1)
    with torch.no_grad():
        return trainer._get_per_token_logps_and_entropies(trainer.model, tokens, mask, inputs["completion_ids"].size(1))[0]


def noted(groups, inputs, logps):
    """The groups with the log-probability of each token when it was sampled."""
    rows = [row[: int(mask.sum())].tolist() for row, mask in zip(logps, inputs["completion_mask"])]
    return [{**group, "logprobs": rows[i * SIZE : (i + 1) * SIZE]} for i, group in enumerate(groups)]


model = adapted()
trainer = trainer_of(model)
trainer.model.train()
trainer.current_gradient_accumulation_steps = 1
noise = lambda logps: logps + 0.3 * torch.randn(logps.shape, generator=random)

# The loss and the gradients at the point. The answers were sampled from something near it.
filled(trainer.model, point)
groups = make_step()
inputs = inputs_of(groups)
sampled = noise(logps_of(trainer, inputs))
loss = trainer._compute_loss(trainer.model, {**inputs, "old_per_token_logps": sampled})
loss.backward()
gradients = {f"grad.{name}": value.grad.clone() for name, value in parameters(trainer.model).items()}
at_point = {"groups": noted(groups, inputs, sampled), "loss": loss.item()}

# Three steps from the initial values.
filled(trainer.model, init)
trainer.model.zero_grad()
trained = list(parameters(trainer.model).values())
optimizer = torch.optim.AdamW(trained, lr=LR, weight_decay=0.0)
steps = []
for _ in range(STEPS):
    groups = make_step()
    inputs = inputs_of(groups)
    sampled = noise(logps_of(trainer, inputs))
    loss = trainer._compute_loss(trainer.model, {**inputs, "old_per_token_logps": sampled})
    loss.backward()
    norm = torch.nn.utils.clip_grad_norm_(trained, 1.0)
    optimizer.step()
    optimizer.zero_grad()
    steps.append({"groups": noted(groups, inputs, sampled), "loss": loss.item(), "grad_norm": norm.item()})
final = {f"final.{name}": value.detach().clone() for name, value in parameters(trainer.model).items()}

save_file({**gradients, **final}, out / "values.safetensors")
versions = {"torch": torch.__version__, "trl": trl.__version__}
text = json.dumps({"versions": versions, "clip": CLIP, "lr": LR, "point": at_point, "steps": steps})
(out / "case.json").write_text(text + "\n")
