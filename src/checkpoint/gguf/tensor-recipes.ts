/**
 * The place of each tensor of a model in a GGUF file, under llama.cpp's
 * names: one tensor, a part of a joined matrix, or several tensors.
 * The recipes are the same for all families, because `ModelConfig` already holds the differences.
 */
import {
  LM_HEAD,
  EMBEDDING,
  FINAL_NORM,
  POSITION_EMBEDDING,
  layerNorms,
  queryKeyNorms,
} from "../../model/weight-names.ts";
import type { ModelConfig } from "../../model/config/model-config.ts";

/** A range of rows of a file's tensor; all rows where `rows` is undefined. */
export interface RecipePart {
  readonly tensor: string;
  readonly rows?: { readonly first: number; readonly count: number; readonly of: number };
  /** Number of heads, if their rows are pairs of neighbours and must be reordered into halves. */
  readonly turnedHeads?: number;
}

/** The recipe for one of our tensors: its parts, concatenated along the rows. */
export interface Recipe {
  readonly parts: readonly RecipePart[];
  /** Subtracted from every value. Gemma's files store the norm's factor; we store the factor minus 1. */
  readonly subtract: 0 | 1;
}

/** Names without ".weight" or ".bias": our name → the file's name. */
type Sources = Map<string, readonly RecipePart[]>;

/** Recipes by our names, for all tensors that the model could need and the file contains. */
export function tensorRecipes(
  config: ModelConfig,
  isTurned: boolean,
  hasTensor: (name: string) => boolean,
): ReadonlyMap<string, Recipe> {
  const sources: Sources = new Map();
  sources.set(stem(EMBEDDING), [{ tensor: "token_embd" }]);
  sources.set(stem(POSITION_EMBEDDING), [{ tensor: "position_embd" }]);
  sources.set(stem(LM_HEAD), [{ tensor: "output" }]);
  sources.set(FINAL_NORM, [{ tensor: "output_norm" }]);
  for (let layer = 0; layer < config.numLayers; layer++) addLayer(sources, config, layer, isTurned, hasTensor);
  const norms = new Set(normNames(config));
  const recipes = new Map<string, Recipe>();
  for (const [name, parts] of sources)
    for (const kind of ["weight", "bias"])
      if (parts.every(({ tensor }) => hasTensor(`${tensor}.${kind}`)))
        recipes.set(`${name}.${kind}`, {
          parts: parts.map((part) => ({ ...part, tensor: `${part.tensor}.${kind}` })),
          subtract: norms.has(name) && kind === "weight" ? config.norm.offset : 0,
        });
  return recipes;
}

const stem = (name: string): string => name.replace(/\.weight$/, "");

function normNames(config: ModelConfig): readonly string[] {
  const layers = Array.from({ length: config.numLayers }, (_, layer) => [
    ...Object.values(layerNorms(config, layer) as unknown as Record<string, string | null>),
    ...Object.values(queryKeyNorms(layer)),
  ]);
  return [FINAL_NORM, ...layers.flat().filter((name) => name !== null)];
}

function addLayer(
  sources: Sources,
  config: ModelConfig,
  layer: number,
  isTurned: boolean,
  hasTensor: (name: string) => boolean,
): void {
  const { modules } = config;
  const block = (name: string): string => `blk.${layer}.${name}`;
  const add = (name: string | null, parts: readonly RecipePart[]): void => {
    if (name !== null) sources.set(name, parts);
  };
  const module = (name: string): string => `model.layers.${layer}.${name}`;
  const ours = (names: readonly string[]): readonly string[] => names.map(module);
  const qkv = queryKeyValue(config, isTurned, block, hasTensor(`${block("attn_qkv")}.weight`));
  addGroup(sources, ours(modules.qkv), qkv);
  addGroup(sources, ours(modules.mlpIn), mlpIn(config, block, hasTensor(`${block("ffn_gate")}.weight`)));
  add(module(modules.output), [{ tensor: block("attn_output") }]);
  add(module(modules.down), [{ tensor: block("ffn_down") }]);
  const norms = layerNorms(config, layer);
  add(norms.beforeAttention, [{ tensor: block("attn_norm") }]);
  add(norms.afterAttention, [{ tensor: block("post_attention_norm") }]);
  // Where no block has a norm on its output, the converter of Seed-OSS names this one by its original.
  const beforeMlp = ["ffn_norm", ...(norms.afterAttention === null ? ["post_attention_norm"] : [])].map(block);
  add(norms.beforeMlp, [{ tensor: beforeMlp.find((name) => hasTensor(`${name}.weight`)) ?? block("ffn_norm") }]);
  add(norms.afterMlp, [{ tensor: block("post_ffw_norm") }]);
  const { query, key } = queryKeyNorms(layer);
  add(query, [{ tensor: block("attn_q_norm") }]);
  add(key, [{ tensor: block("attn_k_norm") }]);
}

/** If we have several tensors, each gets one part. A single tensor gets all parts. */
function addGroup(sources: Sources, names: readonly string[], parts: readonly RecipePart[]): void {
  const [only] = names;
  if (names.length === 1 && only !== undefined) sources.set(only, parts);
  else for (const [i, name] of names.entries()) sources.set(name, parts[i] ? [parts[i]] : []);
}

function queryKeyValue(
  { numHeads, numKvHeads, headSize, modules }: ModelConfig,
  isTurned: boolean,
  block: (name: string) => string,
  isJoined: boolean,
): readonly RecipePart[] {
  if (isJoined && modules.qkv.length === 1 && !isTurned) return [{ tensor: block("attn_qkv") }];
  let first = 0;
  return ["q", "k", "v"].map((letter) => {
    const heads = letter === "q" ? numHeads : numKvHeads;
    const rows = { first, count: heads * headSize, of: (numHeads + 2 * numKvHeads) * headSize };
    first += rows.count;
    const turned = isTurned && letter !== "v" ? { turnedHeads: heads } : {};
    return isJoined ? { tensor: block("attn_qkv"), rows, ...turned } : { tensor: block(`attn_${letter}`), ...turned };
  });
}

/**
 * Gate and up. The file usually stores Phi-3's joined matrix as `ffn_up`, and also the input layer of an MLP without a
 * gate.
 */
function mlpIn({ modules }: ModelConfig, block: (name: string) => string, hasGate: boolean): readonly RecipePart[] {
  if (modules.mlpIn.length === 1 && !hasGate) return [{ tensor: block("ffn_up") }];
  return [{ tensor: block("ffn_gate") }, { tensor: block("ffn_up") }];
}
