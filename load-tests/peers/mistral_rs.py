"""Rounds on mistral.rs. Argument: JSON with checkpoint (a directory), quantization (its in-situ type, or null for
float32), loras (PEFT directories), maxSeqs.

Its Python package takes text. A prompt is the text of the ids that the round has, and may count a few tokens more or
less, so the tokens of answers alone are counted. A round has one request: the package refuses others meanwhile.
"""

import json
import sys

from mistralrs import CompletionRequest, LoraAdapter, ModelDType, Runner, Which

from rounds import serve

given = json.loads(sys.argv[1])


def run():
    loras = [LoraAdapter(f"lora-{i}", path) for i, path in enumerate(given["loras"])]
    dtype = ModelDType.F32
    which = (
        Which.Lora(given["checkpoint"], adapters=loras, max_adapters=len(loras), dtype=dtype)
        if loras
        else Which.Plain(given["checkpoint"], dtype=dtype)
    )
    runner = Runner(which, max_seqs=given["maxSeqs"], prefix_cache_n=0, in_situ_quant=given["quantization"])

    def answer(prompt, adapter, max_tokens):
        name = None if adapter is None else f"lora-{adapter}"
        text = runner.detokenize_text(prompt, False)
        request = CompletionRequest(
            text, model="default", max_tokens=max_tokens, temperature=0.0, ignore_eos=True, adapter=name
        )
        return runner.send_completion_request(request).usage.completion_tokens

    def round_of(prompts, adapters, max_tokens):
        return sum(answer(*asked, max_tokens) for asked in zip(prompts, adapters, strict=True))

    return round_of


serve(run)
