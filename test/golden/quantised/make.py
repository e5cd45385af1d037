"""Tiny quantised checkpoints, and what the libraries that own their formats decode them to.

    python make.py --gptqmodel <source of GPTQModel> --autoawq <source of AutoAWQ>

Codes and scales are random: every code is valid. The libraries decode with float32 scales, so nothing is rounded twice.
"""

import argparse
import hashlib
import importlib.util
import json
import shutil
import sys
import types
from pathlib import Path

import torch
from compressed_tensors.compressors import BaseCompressor
from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM

HERE = Path(__file__).parent
F8, F16, BF16, F32 = torch.float8_e4m3fn, torch.float16, torch.bfloat16, torch.float32
SIZES = dict(hidden_size=64, intermediate_size=96, num_hidden_layers=1, num_attention_heads=4, num_key_value_heads=2,
             head_dim=16, vocab_size=80, max_position_embeddings=64, eos_token_id=1, bos_token_id=0)  # fmt: skip
LAYER = "model.layers.0."


def gptqmodel(source):
    """The module that decodes checkpoints, without the package's own start, which wants all of its dependencies."""
    for name in ["gptqmodel", "gptqmodel.quantization"]:
        module = types.ModuleType(name)
        module.__path__ = [str(Path(source, *name.split(".")))]
        sys.modules[name] = module
    import gptqmodel.utils.model_dequant

    return gptqmodel.utils.model_dequant


def autoawq(source):
    spec = importlib.util.spec_from_file_location("packing_utils", Path(source, "awq/utils/packing_utils.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Case:
    def __init__(self, name, model_type, settings, tied=False, **more):
        self.folder = HERE / name
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()
        self.random = torch.Generator().manual_seed(sum(name.encode()))
        self.plain = AutoConfig.for_model(model_type, **SIZES, tie_word_embeddings=tied, **more)
        self.settings = settings
        self.tensors, self.decoded = {}, {}
        model = AutoModelForCausalLM.from_config(self.plain)
        self.shapes = {key: value.shape for key, value in model.state_dict().items()}
        self.tied = tied

    def normal(self, shape, size=1.0):
        return torch.randn(shape, generator=self.random) * size

    def words(self, *shape):
        return torch.randint(-(2**31), 2**31, shape, generator=self.random).to(torch.int32)

    def scales(self, *shape, dtype=F16):
        return (0.02 + 0.03 * torch.rand(shape, generator=self.random)).to(dtype)

    def fill(self, dtype=F16):
        """All tensors that are not quantised."""
        for key, shape in self.shapes.items():
            module = key.removesuffix(".weight")
            if key in self.tensors or any(name.startswith(module + ".") for name in self.tensors if key.endswith(".weight")):
                continue
            if self.tied and key == "lm_head.weight":
                continue
            value = 1 + self.normal(shape, 0.1) if "norm" in key else self.normal(shape, 0.3)
            self.tensors[key] = value.to(dtype)

    def linears(self):
        return {key.removesuffix(".weight"): tuple(shape) for key, shape in self.shapes.items()
                if len(shape) == 2 and key.startswith(LAYER)}  # fmt: skip

    def write(self, decode):
        self.fill()
        settings = {**self.plain.to_dict(), "torch_dtype": "float16", "quantization_config": self.settings}
        (self.folder / "config.json").write_text(json.dumps(settings, indent=2) + "\n")
        path = self.folder / "model.safetensors"
        save_file({key: value.contiguous() for key, value in sorted(self.tensors.items())}, path, metadata={"format": "pt"})
        decoded = {key: value.to(F32) for key, value in decode(path).items()}
        model = AutoModelForCausalLM.from_config(self.plain).to(F32)
        state = {key: decoded[key if key in decoded else "model.embed_tokens.weight"] for key in self.shapes}
        model.load_state_dict(state)
        ids = torch.randint(2, SIZES["vocab_size"], (1, 12), generator=self.random)
        with torch.no_grad():
            logits = model.eval()(ids).logits[0, -1]
        digests = {key: hashlib.sha256(value.contiguous().numpy().tobytes()).hexdigest() for key, value in sorted(decoded.items())
                   if key in self.shapes and not (self.tied and key == "lm_head.weight")}  # fmt: skip
        expected = {"input_ids": ids[0].tolist(), "last_logits": logits.tolist(), "sha256": digests}
        (self.folder / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
        print(self.folder.name, float(logits.abs().max()))


def gptq_module(case, module, shape, bits, group, shuffled):
    rows, inputs = shape
    groups = inputs // group
    index = torch.arange(inputs) // group
    case.tensors |= {
        f"{module}.qweight": case.words(inputs * bits // 32, rows),
        f"{module}.qzeros": case.words(groups, rows * bits // 32),
        f"{module}.scales": case.scales(groups, rows) / (16 if bits == 8 else 1),
        f"{module}.g_idx": (index[torch.randperm(inputs, generator=case.random)] if shuffled else index).to(torch.int32),
    }  # fmt: skip


def make_gptq(tools):
    settings = {"quant_method": "gptq", "bits": 4, "group_size": 32, "desc_act": False, "sym": False, "lm_head": False}
    case = Case("gptq", "qwen2", settings)  # has biases
    for module, shape in case.linears().items():
        gptq_module(case, module, shape, 4, 32, False)
    case.write(lambda path: tools.convert_gptq_file(path, F32, settings, "cpu"))
    eight = {"bits": 8, "group_size": 16}
    settings = {**settings, "checkpoint_format": "gptq_v2", "desc_act": True, "dynamic": {"+:.*down_proj": eight}}
    case = Case("gptq-v2-act-order", "llama", settings, tied=True)
    for module, shape in case.linears().items():
        is_eight = module.endswith("down_proj")
        gptq_module(case, module, shape, 8 if is_eight else 4, 16 if is_eight else 32, not module.endswith("v_proj"))
    case.write(lambda path: decode_mixed_gptq(tools, path, settings))


def decode_mixed_gptq(tools, path, settings):
    """The library reads the bits of one file from one setting."""
    tensors = load_file(path)
    part = path.with_name("part.safetensors")
    decoded = {}
    for bits in (4, 8):
        save_file({key: value for key, value in tensors.items() if ("down_proj" in key) == (bits == 8)}, part)
        decoded |= tools.convert_gptq_file(part, F32, {**settings, "bits": bits}, "cpu")
    part.unlink()
    return decoded


def make_awq(tools):
    settings = {"quant_method": "awq", "bits": 4, "group_size": 32, "zero_point": True, "version": "gemm",
                "modules_to_not_convert": ["v_proj"]}  # fmt: skip
    case = Case("awq", "llama", settings)
    for module, (rows, inputs) in case.linears().items():
        if not module.endswith("v_proj"):
            case.tensors |= {
                f"{module}.qweight": case.words(inputs, rows // 8),
                f"{module}.qzeros": case.words(inputs // 32, rows // 8),
                f"{module}.scales": case.scales(inputs // 32, rows),
            }

    def decode(path):
        tensors = load_file(path)
        for name in [key for key in tensors if key.endswith(".qweight")]:
            words, zeros, scales = (tensors.pop(name.replace("qweight", part)) for part in ("qweight", "qzeros", "scales"))
            weight = tools.dequantize_gemm(words, zeros, scales.to(F32), 4, 32)
            tensors[name.replace("qweight", "weight")] = weight.T.contiguous()
        return tensors

    case.write(decode)


def float8(case, shape):
    return case.normal(shape, 40).clamp(-448, 448).to(F8)


def loaded(path):
    """What transformers itself makes of the checkpoint."""
    return AutoModelForCausalLM.from_pretrained(path.parent, dtype=F32, device_map="cpu").state_dict()


def make_fp8():
    settings = {"quant_method": "fp8", "activation_scheme": "dynamic", "weight_block_size": [32, 32], "modules_to_not_convert": ["lm_head"]}
    case = Case("fp8-blocks", "qwen3", settings)
    for module, shape in case.linears().items():
        case.tensors[f"{module}.weight"] = float8(case, shape)
        case.tensors[f"{module}.weight_scale_inv"] = case.scales(shape[0] // 32, shape[1] // 32, dtype=BF16) / 8
    case.write(loaded)
    settings = {**settings, "activation_scheme": "static", "weight_block_size": None}
    case = Case("fp8-tensor", "llama", settings)
    for module, shape in case.linears().items():
        case.tensors[f"{module}.weight"] = float8(case, shape)
        case.tensors[f"{module}.weight_scale_inv"] = case.scales(dtype=F32) / 8
        case.tensors[f"{module}.activation_scale"] = case.scales(dtype=F32)
    case.write(loaded)


def make_modelopt(tools):
    settings = {"quant_method": "modelopt", "quant_algo": "FP8", "ignore": ["lm_head"], "producer": {"name": "modelopt"}}
    case = Case("modelopt-fp8", "llama", settings)
    for module, shape in case.linears().items():
        case.tensors[f"{module}.weight"] = float8(case, shape)
        case.tensors[f"{module}.weight_scale"] = case.scales(dtype=F32) / 8
        case.tensors[f"{module}.input_scale"] = case.scales(dtype=F32)

    def decode(path):
        from safetensors import safe_open

        with safe_open(path, framework="pt") as reader:
            return tools.convert_fp8_shard(reader, F32, block_shape=None)

    case.write(decode)


def make_compressed():
    floats = {"num_bits": 8, "type": "float", "strategy": "channel", "symmetric": True}
    four = {"num_bits": 4, "type": "int", "strategy": "group", "group_size": 32, "symmetric": False}
    whole = {"num_bits": 8, "type": "int", "strategy": "channel", "symmetric": True}
    kinds = {"float-quantized": (["o_proj", "up_proj"], floats), "pack-quantized": (["q_proj", "k_proj", "down_proj"], four),
             "int-quantized": (["v_proj"], whole), "symmetric": (["gate_proj"], {**four, "symmetric": True, "group_size": 16})}  # fmt: skip
    format_of = lambda kind: "pack-quantized" if kind == "symmetric" else kind  # noqa: E731
    groups = {f"group_{i}": {"targets": [f"re:.*{name}" for name in names], "weights": args, "format": format_of(kind)}
              for i, (kind, (names, args)) in enumerate(kinds.items())}  # fmt: skip
    settings = {"quant_method": "compressed-tensors", "format": "mixed-precision", "quantization_status": "compressed",
                "ignore": ["lm_head"], "config_groups": groups, "sparsity_config": {}, "transform_config": {}}  # fmt: skip
    case = Case("compressed-tensors", "llama", settings)
    schemes = {}
    for module, (rows, inputs) in case.linears().items():
        kind, args = next((kind, args) for kind, (names, args) in kinds.items() if module.rsplit(".")[-1] in names)
        columns = inputs // args["group_size"] if "group_size" in args else 1
        scheme = QuantizationScheme(targets=["Linear"], weights=QuantizationArgs(**args), format=format_of(kind))
        scales = case.scales(rows, columns, dtype=BF16)
        state = {"weight": case.normal((rows, inputs), 0.2), "weight_scale": scales.to(F32) * (0.2 if kind == "int-quantized" else 1)}
        state["weight_scale"] = state["weight_scale"].to(BF16).to(F32)
        if not args["symmetric"]:
            state["weight_zero_point"] = torch.randint(-8, 8, (rows, columns), generator=case.random).to(torch.int8)
        compressed = BaseCompressor.get_value_from_registry(format_of(kind)).compress(state, scheme)
        for part, value in compressed.items():
            case.tensors[f"{module}.{part}"] = value.to(BF16) if part == "weight_scale" else value
        schemes[module] = scheme

    def decode(path):
        tensors = load_file(path)
        for module, scheme in schemes.items():
            parts = {key: tensors.pop(key) for key in list(tensors) if key.startswith(f"{module}.")}
            state = {key.removeprefix(f"{module}."): value for key, value in parts.items()}
            state["weight_scale"] = state["weight_scale"].to(F32)
            compressor = BaseCompressor.get_value_from_registry(scheme.format)
            tensors[f"{module}.weight"] = compressor.decompress(state, scheme)["weight"]
        return tensors

    case.write(decode)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--gptqmodel", required=True)
    parser.add_argument("--autoawq", required=True)
    args = parser.parse_args()
    torch.manual_seed(1)
    dequant = gptqmodel(args.gptqmodel)
    make_gptq(dequant)
    make_awq(autoawq(args.autoawq))
    make_fp8()
    make_modelopt(dequant)
    make_compressed()
