/**
 * Queries, keys and values of a layer from its fused projection: split, normed if the family does so, and rotated by
 * position. Shared by the serving graph, where the kernel cannot do it itself, and the training graph.
 */
import type { Graph, Var } from "../graph/graph.ts";
import { rotaryEmbedding } from "../graph/ops/attention.ts";
import { reshape, reshapeLike, split } from "../graph/ops/shaping.ts";
import { product } from "../graph/shape.ts";
import type { ModelConfig, RopeConfig } from "./config/model-config.ts";
import { type TensorOf, normalize } from "./norms.ts";
import { rotaryTables } from "./rope.ts";
import { queryKeyNorms } from "./weight-names.ts";

/** Cosine and sine of one rotary setting, float32 [maxPositions, rotaryDim/2]. */
export interface RotaryVars {
  readonly cos: Var;
  readonly sin: Var;
  /** Tables of the queries, where they grow with their position. */
  readonly query?: RotaryVars;
}

/** The tables of every rotary setting of the model, made when the graph is written. */
export function rotaryWeights(
  graph: Graph,
  { ropes, maxPositions }: Pick<ModelConfig, "ropes" | "maxPositions">,
): readonly RotaryVars[] {
  const tablesOf = (name: string, rope: RopeConfig): RotaryVars => {
    const shape = [maxPositions, rope.rotaryDim / 2];
    let tables: ReturnType<typeof rotaryTables> | null = null;
    const table = (part: "cos" | "sin"): Var =>
      graph.weight(`${name}.${part}`, "float32", shape, {
        kind: "made",
        make: async () => {
          tables ??= rotaryTables(rope, maxPositions);
          return { dtype: "float32", shape, data: tables[part] };
        },
      });
    return { cos: table("cos"), sin: table("sin") };
  };
  return ropes.map((rope, at) => {
    const { queryGrowth: _, ...plain } = rope;
    const tables = tablesOf(`rotary.${at}`, plain);
    if (!growsWithin(rope, maxPositions)) return tables;
    return { ...tables, query: tablesOf(`rotary.${at}.query`, rope) };
  });
}

/** Whether queries grow at any of these positions. */
export function growsWithin({ queryGrowth }: RopeConfig, maxPositions: number): boolean {
  return queryGrowth !== undefined && maxPositions > queryGrowth.originalMaxPositions;
}

export interface HeadsInput {
  readonly config: ModelConfig;
  readonly layer: number;
  /** float32 [B·T, (H+2K)·D] */
  readonly qkv: Var;
  /** int64 [B,T] */
  readonly positionIds: Var | null;
  readonly rotary: readonly RotaryVars[];
  readonly tensor: TensorOf;
}

/** @returns float32 [B·T, H·D], [B·T, K·D], [B·T, K·D] */
export function preparedHeads(input: HeadsInput): { readonly query: Var; readonly key: Var; readonly value: Var } {
  const { config, layer, qkv } = input;
  const { headSize, numHeads, numKvHeads } = config;
  const [q, k, v] = split(
    qkv,
    [numHeads, numKvHeads, numKvHeads].map((heads) => heads * headSize),
    1,
  ) as [Var, Var, Var];
  const norms = queryKeyNorms(layer);
  const prepared = (x: Var, heads: number, part: "query" | "key"): Var =>
    config.isNormedAfterRotation
      ? normed(input, turned(input, x, heads, part), heads, norms[part])
      : turned(input, normed(input, x, heads, norms[part]), heads, part);
  return { query: prepared(q, numHeads, "query"), key: prepared(k, numKvHeads, "key"), value: v };
}

function normed({ config, tensor }: HeadsInput, x: Var, heads: number, name: string): Var {
  if (config.queryKeyNorm === "none") return x;
  if (config.queryKeyNorm === "all") return normalize(config, x, name, tensor);
  const [rows, width] = x.shape;
  const byHead = reshape(x, [product([heads, rows!]), config.headSize]);
  return reshape(normalize(config, byHead, name, tensor), [rows!, width!]);
}

function turned(input: HeadsInput, x: Var, numHeads: number, part: "query" | "key"): Var {
  const { config, layer, positionIds, rotary } = input;
  const at = config.layerRopes[layer] ?? null;
  const both = at === null ? undefined : rotary[at];
  const tables = (part === "query" ? both?.query : undefined) ?? both;
  if (at === null || !tables) return x;
  if (!positionIds) throw new Error("internal: heads that turn need position ids");
  const { headSize } = config;
  const { rotaryDim = headSize, isInterleaved = false } = config.ropes[at] ?? {};
  const rows = reshapeLike(x, positionIds, [numHeads * headSize]);
  return reshape(rotaryEmbedding(rows, positionIds, tables, { numHeads, rotaryDim, headSize, isInterleaved }), x.shape);
}
