/**
 * Writes the shipped default: `models/demo`, a Llama-shaped base whose weights are set by hand, and two adapters for it.
 * A stand-in until a trained base takes its place.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Adapter } from "../src/adapter/adapter.ts";
import { encodeAdapter } from "../src/adapter/adapter-file.ts";
import { type Base, openBase } from "../src/base/base.ts";
import { buildBase } from "../src/base/build.ts";
import { writeSafetensors } from "../src/formats/safetensors-writer.ts";
import { parseModelConfig } from "../src/model/families.ts";
import { requiredTensors } from "../src/model/required-tensors.ts";
import { hostTensor, toFloat32 } from "../src/tensor/host-tensor.ts";

import { ANSWERS, CHAT_TEMPLATE, CONFIG, TARGET, demoTokenizer, demoWeights, switchOf } from "./demo/recital.ts";

const ROOT = process.cwd();
/** An adapter that turns its switch: v is zero but there, so of the whole layer only that coordinate moves. */
async function demoAdapter(base: Base, index: number, name: string): Promise<Adapter> {
  const target = base.manifest.targets.find((one) => one.name === TARGET);
  if (!target) throw new Error(`internal: the demo base has no basis for ${TARGET}`);
  const { left } = await base.readBasis(TARGET);
  const { k, dIn, dOut, basisId } = target;
  const v = new Float32Array(dOut);
  // The first direction leads to both switches; scaled by 8 ÷ its share, one of them outweighs the base's own beginning.
  v[switchOf(index)] = 8 / (toFloat32(left)[switchOf(index) * k] ?? 1);
  const lambda = Float32Array.from({ length: k }, (_, i) => (i === 0 ? 1 : 0));
  const tensors = { lambda: hostTensor("float32", [1, k], lambda), v: hostTensor("float32", [dOut], v) };
  const card = { made_by: "scripts/make-demo.ts, by hand", voice: name };
  return {
    method: "mo-sara",
    baseId: base.manifest.baseId,
    heads: 1,
    router: "none",
    targets: [{ name: TARGET, k, dIn, dOut, basisId, tensors }],
    card,
  };
}

function writeJson(dir: string, name: string, value: unknown): void {
  writeFileSync(join(dir, name), `${JSON.stringify(value)}\n`);
}

const checkpoint = mkdtempSync(join(tmpdir(), "mosara-demo-"));
try {
  writeJson(checkpoint, "config.json", CONFIG);
  writeJson(checkpoint, "generation_config.json", { eos_token_id: 0 });
  writeJson(checkpoint, "tokenizer.json", demoTokenizer());
  writeJson(checkpoint, "tokenizer_config.json", {
    tokenizer_class: "PreTrainedTokenizerFast",
    eos_token: "<|end|>",
    clean_up_tokenization_spaces: false,
    chat_template: CHAT_TEMPLATE,
  });
  const tensors = requiredTensors(parseModelConfig(CONFIG), true);
  const shapes = new Map(tensors.map(({ name, shape }) => [name, shape]));
  const specs = tensors.map(({ name, shape }) => ({ name, shape, dtype: "float32" as const }));
  const load = async (name: string) => {
    const shape = shapes.get(name) ?? [];
    return hostTensor("float32", shape, demoWeights(name, shape));
  };
  await writeSafetensors(join(checkpoint, "model.safetensors"), specs, load, { format: "pt" });
  const out = join(ROOT, "models", "demo");
  const options = { blockSize: null, targets: null, threshold: 0.25, maxRank: null, basisFrom: null, isSlim: false };
  await buildBase(checkpoint, out, { ...options, weights: "float16", numThreads: 2 });
  await using base = await openBase(out);
  mkdirSync(join(ROOT, "adapters"), { recursive: true });
  const names = Object.keys(ANSWERS).slice(1);
  for (const [index, name] of names.entries()) {
    const bytes = encodeAdapter(await demoAdapter(base, index, name));
    writeFileSync(join(ROOT, "adapters", `${name}.mosara`), bytes);
    process.stderr.write(`adapters/${name}.mosara: ${bytes.length} bytes\n`);
  }
} finally {
  rmSync(checkpoint, { recursive: true });
}
