"""Training steps of PyTorch, eager, on request: the peer of train-process.ts, over the same files and the same protocol.

Its only argument is the job file. A line on stdin is a number of steps to take; a line on stdout tells what they took.
A plain decoder of the Llama kind with what PyTorch itself offers for each part; needs nothing but torch.
"""

import json
import os
import resource
import struct
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn

DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


def read_safetensors(path):
    """All tensors of a file as float32."""
    with open(path, "rb") as file:
        (size,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(size))
        tensors = {}
        for name, entry in header.items():
            if name == "__metadata__":
                continue
            start, end = entry["data_offsets"]
            file.seek(8 + size + start)
            values = torch.frombuffer(bytearray(file.read(end - start)), dtype=DTYPES[entry["dtype"]])
            tensors[name.removeprefix("model.")] = values.reshape(entry["shape"]).float()
    return tensors


class Adapted(nn.Module):
    """A linear layer, and v * U(lambda * V'x) beside it where an adapter has numbers for it."""

    def __init__(self, name, weights, adapter, trains_all):
        super().__init__()
        self.weight = nn.Parameter(weights[f"{name}.weight"], trains_all)
        bias = weights.get(f"{name}.bias")
        self.bias = None if bias is None else nn.Parameter(bias, trains_all)
        self.is_adapted = f"{name}.lambda" in adapter
        if self.is_adapted:
            self.gains = nn.Parameter(adapter[f"{name}.lambda"])
            self.scale = nn.Parameter(adapter[f"{name}.v"])
            self.register_buffer("left", adapter[f"{name}.U"])
            self.register_buffer("right", adapter[f"{name}.V"])

    def forward(self, x):
        y = F.linear(x, self.weight, self.bias)
        if not self.is_adapted:
            return y
        return y + F.linear((x @ self.right) * self.gains, self.left) * self.scale


class Layer(nn.Module):
    def __init__(self, index, config, make, norm):
        super().__init__()
        name = f"layers.{index}"
        self.heads = config["num_attention_heads"]
        self.kv_heads = config["num_key_value_heads"]
        self.epsilon = config["rms_norm_eps"]
        for part in ("q_proj", "k_proj", "v_proj", "o_proj"):
            setattr(self, part, make(f"{name}.self_attn.{part}"))
        for part in ("gate_proj", "up_proj", "down_proj"):
            setattr(self, part, make(f"{name}.mlp.{part}"))
        self.norm1 = norm(f"{name}.input_layernorm.weight")
        self.norm2 = norm(f"{name}.post_attention_layernorm.weight")

    def forward(self, x, cos, sin):
        normed = F.rms_norm(x, x.shape[-1:], self.norm1, self.epsilon)
        x = x + self.attend(normed, cos, sin)
        normed = F.rms_norm(x, x.shape[-1:], self.norm2, self.epsilon)
        return x + self.down_proj(F.silu(self.gate_proj(normed)) * self.up_proj(normed))

    def attend(self, x, cos, sin):
        rows, length, _ = x.shape
        split = lambda y, heads: y.view(rows, length, heads, -1).transpose(1, 2)
        query = rotate(split(self.q_proj(x), self.heads), cos, sin)
        key = rotate(split(self.k_proj(x), self.kv_heads), cos, sin)
        value = split(self.v_proj(x), self.kv_heads)
        y = F.scaled_dot_product_attention(query, key, value, is_causal=True, enable_gqa=True)
        return self.o_proj(y.transpose(1, 2).reshape(rows, length, -1))


def rotate(x, cos, sin):
    first, second = x.chunk(2, -1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), -1)


class Decoder(nn.Module):
    def __init__(self, config, weights, adapter, trains_all):
        super().__init__()
        parameter = lambda name: nn.Parameter(weights[name], trains_all)
        make = lambda name: Adapted(name, weights, adapter, trains_all)
        self.theta = config["rope_theta"]
        self.head_size = config["hidden_size"] // config["num_attention_heads"]
        self.epsilon = config["rms_norm_eps"]
        self.embedding = parameter("embed_tokens.weight")
        self.layers = nn.ModuleList(Layer(i, config, make, parameter) for i in range(config["num_hidden_layers"]))
        self.norm = parameter("norm.weight")
        self.head = parameter("lm_head.weight") if "lm_head.weight" in weights else self.embedding

    def forward(self, ids, wanted):
        """Logits of the wanted flat rows."""
        length = ids.shape[1]
        cos, sin = self.rotary_tables(length)
        x = F.embedding(ids, self.embedding)
        for layer in self.layers:
            x = layer(x, cos, sin)
        x = x.flatten(0, 1)
        x = x if wanted is None else x.index_select(0, wanted)
        return F.linear(F.rms_norm(x, x.shape[-1:], self.norm, self.epsilon), self.head)

    def rotary_tables(self, length):
        frequencies = self.theta ** (-torch.arange(0, self.head_size, 2).double() / self.head_size)
        angles = torch.outer(torch.arange(length).double(), frequencies)
        return angles.cos().float(), angles.sin().float()


def batch_of(examples):
    """ids [B,T], the flat rows that predict something (None: all do) and their labels."""
    tokens = torch.tensor([example["ids"] for example in examples])
    mask = torch.tensor([example["lossMask"] for example in examples])[:, 1:].flatten()
    wanted = mask.nonzero().flatten()
    labels = tokens[:, 1:].flatten()[wanted]
    return tokens[:, :-1].contiguous(), None if len(wanted) == len(mask) else wanted, labels


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        job = json.load(file)
    torch.set_num_threads(job["numThreads"])
    torch.set_num_interop_threads(1)
    with open(os.path.join(job["dir"], "config.json"), encoding="utf-8") as file:
        config = json.load(file)
    weights = read_safetensors(os.path.join(job["dir"], job["weightsFile"]))
    has_adapter = job["adapterFile"] is not None
    adapter = read_safetensors(os.path.join(job["dir"], job["adapterFile"])) if has_adapter else {}
    model = Decoder(config, weights, adapter, not has_adapter)
    del weights, adapter
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=job["learningRate"], weight_decay=job["weightDecay"], fused=True)
    ids, wanted, labels = batch_of(job["examples"])

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss = F.cross_entropy(model(ids, wanted), labels)
        loss.backward()
        nn.utils.clip_grad_norm_(trained, job["clip"])
        optimizer.step()
        return loss.item()

    answer_turns(step)


def answer_turns(step):
    """Takes as many steps as each line on stdin says, and prints what they took."""
    for line in sys.stdin:
        wall, cpu = time.perf_counter(), time.process_time()
        losses = [step() for _ in range(int(line))]
        turn = {
            "seconds": time.perf_counter() - wall,
            "cpuSeconds": time.process_time() - cpu,
            "losses": losses,
            "peakBytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        }
        print(json.dumps(turn), flush=True)


if __name__ == "__main__":
    main()
