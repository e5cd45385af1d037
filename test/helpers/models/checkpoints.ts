/**
 * Random checkpoints for tests: any config, dtype and number of shards, and any damage a test wants to do before they
 * are written.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Checkpoint } from "../../../src/checkpoint/checkpoint.ts";
import { writeSafetensors } from "../../../src/formats/safetensors-writer.ts";
import type { RawConfig } from "../../../src/model/config/config-reader.ts";
import { parseModelConfig } from "../../../src/model/families.ts";
import { requiredTensors } from "../../../src/model/required-tensors.ts";
import { type HostTensor, fromFloat32, numElements } from "../../../src/tensor/host-tensor.ts";

/** A Llama of one layer, small enough to be built in a moment. */
export const TOY_CONFIG: RawConfig = {
  model_type: "llama",
  architectures: ["LlamaForCausalLM"],
  hidden_size: 16,
  intermediate_size: 24,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  vocab_size: 12,
  max_position_embeddings: 32,
  tie_word_embeddings: false,
  eos_token_id: 0,
};

interface CheckpointOptions {
  readonly dtype?: "float32" | "float16" | "bfloat16";
  readonly numShards?: number;
  readonly seed?: number;
  /** Spread of the weights around 0. */
  readonly scale?: number;
  /** Changes tensors (by name) before they are written. */
  readonly change?: (tensors: Map<string, HostTensor>) => void;
}

/** A repeatable stream of numbers in [−1, 1). */
export function noise(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  };
}

/** Writes a checkpoint into `dir`, made if need be. The same arguments give the same bytes. @returns `dir` */
export async function writeCheckpoint(dir: string, raw: RawConfig, options: CheckpointOptions = {}): Promise<string> {
  const { dtype = "float32", numShards = 1, seed = 11, scale = 0.3, change } = options;
  mkdirSync(dir, { recursive: true });
  writeFileSync(join(dir, "config.json"), JSON.stringify(raw));
  const next = noise(seed);
  const tensors = new Map<string, HostTensor>();
  for (const { name, shape } of requiredTensors(parseModelConfig(raw), raw.tie_word_embeddings !== true)) {
    const isNorm = name.includes("norm");
    const values = Float32Array.from({ length: numElements(shape) }, () =>
      isNorm ? 1 + 0.1 * next() : scale * next(),
    );
    tensors.set(name, { dtype, shape, data: fromFloat32(values, dtype) });
  }
  change?.(tensors);
  await writeShards(dir, tensors, numShards);
  return dir;
}

async function writeShards(dir: string, tensors: ReadonlyMap<string, HostTensor>, numShards: number): Promise<void> {
  const weightMap: Record<string, string> = {};
  for (let shard = 0; shard < numShards; shard++) {
    const file =
      numShards === 1 ? "model.safetensors" : `model-${String(shard + 1).padStart(5, "0")}-of-${numShards}.safetensors`;
    const part = [...tensors].filter((_, i) => i % numShards === shard);
    for (const [name] of part) weightMap[name] = file;
    const specs = part.map(([name, { dtype, shape }]) => ({ name, dtype, shape }));
    await writeSafetensors(join(dir, file), specs, async (name) => tensors.get(name)!); // the specs are the tensors
  }
  if (numShards > 1)
    writeFileSync(join(dir, "model.safetensors.index.json"), JSON.stringify({ metadata: {}, weight_map: weightMap }));
}

/** Writes a checkpoint's configuration and tokenizer into `dir`, made if need be. @returns `dir` */
export async function writeTexts(checkpoint: Pick<Checkpoint, "texts">, dir: string): Promise<string> {
  mkdirSync(dir, { recursive: true });
  for (const [name, read] of checkpoint.texts) writeFileSync(join(dir, name), await read());
  return dir;
}
