/** LoRA: delta(x) = (α/r) B(A x), the baseline. Source: arXiv 2106.09685. */
import { mul } from "../graph/ops/elementwise.ts";
import { transpose } from "../graph/ops/shaping.ts";
import { nextUniform } from "../tensor/random.ts";
import { lowRankDelta } from "./low-rank.ts";
import { type AdapterMethod, named } from "./method.ts";

/** lora_A [r,dIn] starts uniform in ±1/√dIn (Kaiming with a = √5), lora_B [dOut,r] at 0. */
export const lora: AdapterMethod = {
  basis: "none",
  parameters: ({ dIn, dOut, k }) => ({ lora_A: [k, dIn], lora_B: [dOut, k] }),
  initialValues: ({ dIn, dOut, k }, _settings, _basis, random) => {
    const bound = 1 / Math.sqrt(dIn);
    return {
      lora_A: Float32Array.from({ length: k * dIn }, () => bound * (2 * nextUniform(random) - 1)),
      lora_B: new Float32Array(dOut * k),
    };
  },
  delta: (x, { scale = 1 }, _settings, parameters) => {
    const up = mul(named(parameters, "lora_B"), x.graph.constant("float32", [], [scale]));
    return lowRankDelta(x, transpose(named(parameters, "lora_A"), [1, 0]), transpose(up, [1, 0]));
  },
};
