"""python ask-checkpoints.py: what transformers (5.24.0) and peft (0.21.2) load of the cases that rename tensors."""
import json
import pathlib
import re
import shutil
import tempfile

import torch
from peft import PeftModel
from peft.utils.error import NoMatchingPeftModuleError
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

CASES = pathlib.Path(__file__).parent
MODELS = CASES.parent / "models"
IDS = torch.tensor([[5, 40, 41, 42, 90, 7]])


def rename(path, edits):
    tensors = load_file(path)
    for pattern, replacement in (edit["rename"] for edit in edits):
        replacement = replacement.replace("$1", r"\1")
        tensors = {re.sub(pattern, replacement, name, count=1): value for name, value in tensors.items()}
    save_file(tensors, path, metadata={"format": "pt"})


def logits(model):
    with torch.no_grad():
        return model(IDS).logits


def load(folder):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)


def ask_checkpoint(case, folder):
    spec = case["checkpoint"]
    shutil.copytree(MODELS / spec["from"], folder, dirs_exist_ok=True)
    rename(folder / "model.safetensors", spec["tensors"])
    return torch.equal(logits(load(folder)), logits(load(MODELS / spec["from"])))


def ask_adapter(case, folder):
    source = MODELS / case["from"]
    shutil.copytree(source, folder, dirs_exist_ok=True)
    rename(folder / "adapter_model.safetensors", case.get("tensors", []))
    config = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps(config | case.get("config", {})))
    base = source.parent.parent
    golden = logits(PeftModel.from_pretrained(load(base), source))
    try:
        return torch.equal(logits(PeftModel.from_pretrained(load(base), folder)), golden)
    except NoMatchingPeftModuleError:
        return False


for path in sorted(CASES.glob("*/*/case.json")):
    case = json.loads(path.read_text())
    ask = {"no-prefix": ask_checkpoint, "default-in-names": ask_adapter, "peft-targets": ask_adapter}.get(path.parent.parent.name)
    if ask is None:
        continue
    with tempfile.TemporaryDirectory() as name:
        same = ask(case, pathlib.Path(name))
    print(path.relative_to(CASES), "the golden one" if same else "another", "|", json.dumps(case["right"]))
    assert same == ("refused" not in case["right"]), path
