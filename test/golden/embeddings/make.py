"""Pooled hidden states of the given model fixtures, as transformers (and peft) compute them.

    python test/golden/embeddings/make.py <folder of the model fixtures> <out>

One file a model: for each input the mean over all positions and the last position of the last hidden state, which transformers
returns after the final norm. Computed in float64 from the stored weights. Adapters add a file of their own.
"""

import json
import sys
from pathlib import Path

import peft
import torch
import transformers
from safetensors.torch import load_file, save_file

MODELS, OUT = Path(sys.argv[1]), Path(sys.argv[2])
ADAPTERS = {"llama": ["r8-all"]}


def pooled(model, ids):
    with torch.no_grad():
        hidden = model(input_ids=ids, output_hidden_states=True, use_cache=False).hidden_states[-1]
    return {"mean": hidden.mean(dim=1).float(), "last": hidden[:, -1].float().contiguous()}


def write(name, model, expected):
    tensors = {}
    for prefix in ("", "long_"):
        ids = expected[f"{prefix}input_ids"]
        tensors[f"{prefix}input_ids"] = ids
        for kind, value in pooled(model, ids).items():
            tensors[f"{prefix}{kind}"] = value
    save_file(tensors, OUT / f"{name}.safetensors", metadata={"format": "pt"})


OUT.mkdir(parents=True, exist_ok=True)
for folder in sorted(path.parent for path in MODELS.glob("*/config.json")):
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64, attn_implementation="eager").eval()
    expected = load_file(folder / "expected.safetensors")
    write(folder.name, model, expected)
    for adapter in ADAPTERS.get(folder.name, []):
        adapted = peft.PeftModel.from_pretrained(model, folder / "adapters" / adapter).double().eval()
        write(f"{folder.name}.{adapter}", adapted, expected)
versions = {"torch": torch.__version__, "transformers": transformers.__version__, "peft": peft.__version__}
(OUT / "versions.json").write_text(json.dumps(versions) + "\n")
