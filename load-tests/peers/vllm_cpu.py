"""Rounds on vLLM's CPU build. Argument: JSON with checkpoint (a directory), dtype, loras (PEFT directories), maxSeqs,
contextTokens of one sequence, threads, cacheGiB.
"""

import json
import os
import sys

from rounds import serve

given = json.loads(sys.argv[1])
os.environ |= {
    "VLLM_CPU_KVCACHE_SPACE": str(given["cacheGiB"]),
    "VLLM_CPU_OMP_THREADS_BIND": ",".join(str(i) for i in range(given["threads"])),
    "VLLM_LOGGING_LEVEL": "WARNING",
    "VLLM_NO_USAGE_STATS": "1",
    "HF_HUB_OFFLINE": "1",
}


def run():
    from vllm import LLM, SamplingParams
    from vllm.lora.request import LoRARequest

    loras = given["loras"]
    more = {"enable_lora": True, "max_loras": len(loras), "max_lora_rank": 8} if loras else {}
    model = LLM(
        given["checkpoint"],
        dtype=given["dtype"],
        max_model_len=given["contextTokens"],
        max_num_seqs=given["maxSeqs"],
        enable_prefix_caching=False,
        **more,
    )
    requests = [LoRARequest(f"lora-{i}", i + 1, path) for i, path in enumerate(loras)]

    def round_of(prompts, adapters, max_tokens):
        params = SamplingParams(temperature=0, max_tokens=max_tokens, ignore_eos=True, detokenize=False)
        which = None if not loras else [None if a is None else requests[a] for a in adapters]
        answers = model.generate(
            [{"prompt_token_ids": ids} for ids in prompts], params, lora_request=which, use_tqdm=False
        )
        return sum(len(answer.outputs[0].token_ids) for answer in answers)

    return round_of


if __name__ == "__main__":
    serve(run)
