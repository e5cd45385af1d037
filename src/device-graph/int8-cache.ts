/**
 * Attention over an int8 KV cache, for caches in the host's memory. A block of a head's numbers has one float16 scale,
 * which is chosen when a token is computed. Keys are rotated and rounded before attention, and values are rounded. So a
 * query reads the same numbers in the step that makes them, in later steps and from the prefix cache. Scales that are
 * constants, as ONNX Runtime's own int8 cache has them, cost too much accuracy (docs/log/2026-11.md). The operators
 * come first in this file, then the pass. Pure.
 */
import type { OnnxModel, OnnxNode, OnnxValueInfo } from "../formats/onnx-proto.ts";
import { Graph, type Var } from "../graph/graph.ts";
import { rotaryEmbedding } from "../graph/ops/attention.ts";
import { abs, cast, maximum, mul } from "../graph/ops/elementwise.ts";
import { reduceMax } from "../graph/ops/reduce.ts";
import { dequantizeRows, quantizeRows } from "../graph/ops/rounding.ts";
import { reshape, reshapeAs, reshapeLike, split, transpose } from "../graph/ops/shaping.ts";
import { product } from "../graph/shape.ts";
import { cacheParts, INPUT_IDS, LAST_POSITIONS, scaleBlock } from "../model/ports.ts";
import { type GraphPart, graphPart } from "./graph-part.ts";
import { headSizeOf, tokenPositions } from "./plain-attention.ts";

const MAX_CODE = 127;
/** The smallest scale: float16 has its full precision from here on. */
const MIN_SCALE = 2 ** -14;

interface Rounded {
  /** int8 [N,g] */
  readonly codes: Var;
  /** float16 [N] */
  readonly scales: Var;
}

/** Rows float32 [N,g], each with a scale by its greatest number. */
function rounded(rows: Var): Rounded {
  const constant = (value: number): Var => rows.graph.constant("float32", [], [value]);
  const greatest = reduceMax(abs(rows), { axes: [1], keepDims: false });
  const exact = maximum(mul(greatest, constant(1 / MAX_CODE)), constant(MIN_SCALE));
  const scales = cast(exact, "float16");
  return { codes: quantizeRows(rows, cast(scales, "float32")), scales };
}

/** The numbers that codes stand for. @param codes int8 [N,g] @param scales float16 [N] */
function numbersOf({ codes, scales }: Rounded): Var {
  return dequantizeRows(codes, cast(scales, "float32"));
}

/** float32 [B,K,S,D] of a cache. @param codes int8 [B,K,S,D] @param scales float16 [B,K,S,D/g] */
function pastOf(codes: Var, scales: Var, block: number): Var {
  const numBlocks = product(scales.shape);
  const rows = { codes: reshape(codes, [numBlocks, block]), scales: reshape(scales, [numBlocks]) };
  return reshapeAs(numbersOf(rows), codes);
}

/** New keys or values [B,T,K·D] as attention reads them, and what a step adds to the cache. */
function newPart(x: Var, tokens: Var, heads: { readonly numKvHeads: number; readonly headSize: number }) {
  const { numKvHeads, headSize } = heads;
  const block = scaleBlock(heads);
  const [b, t] = tokens.shape;
  const made = rounded(reshape(x, [product([b!, t!, (numKvHeads * headSize) / block]), block]));
  const byHead = (rows: Var, width: number): Var =>
    transpose(reshapeLike(rows, tokens, [numKvHeads, width]), [0, 2, 1, 3]); // [B,K,T,…]
  return {
    read: reshapeLike(numbersOf(made), tokens, [numKvHeads * headSize]),
    added: [byHead(made.codes, headSize), byHead(made.scales, headSize / block)],
  };
}

/** Name of the positions of the step's tokens, int64 [B,T], which all layers share. */
const POSITIONS = "int8_cache.positions";

function positions(): GraphPart {
  const graph = new Graph("positions");
  const [tokens, last] = [INPUT_IDS, LAST_POSITIONS].map(({ name, dtype, shape }) => graph.input(name, dtype, shape));
  graph.output(tokenPositions(tokens!, last!)); // two ports
  return graphPart(graph, "int8_cache", [POSITIONS]);
}

/** A GroupQueryAttention as serving graphs have it: q, k and v in one input, or apart and rotated. */
interface Attention {
  readonly numHeads: number;
  readonly numKvHeads: number;
  readonly headSize: number;
  readonly query: string;
  readonly key: string;
  readonly value: string;
  /** Tables of the rotation that the kernel applies; empty: none. */
  readonly tables: readonly string[];
}

function attentionOf(node: OnnxNode, headSize: number): Attention {
  const numberOf = (name: string): number => Number(node.attribute.find((one) => one.name === name)?.i ?? 0);
  const [query = "", key = "", value = ""] = node.input;
  const tables = numberOf("do_rotary") === 1 ? node.input.slice(7, 9) : [];
  return { numHeads: numberOf("num_heads"), numKvHeads: numberOf("kv_num_heads"), headSize, query, key, value, tables };
}

/** Queries, keys and values of the step, float32 [B,T,heads·D] each, rotated. */
function headsOf(graph: Graph, attention: Attention): readonly Var[] {
  const { numHeads, numKvHeads, headSize, tables } = attention;
  const input = (name: string, heads: number): Var => graph.input(name, "float32", ["B", "T", heads * headSize]);
  if (attention.key !== "")
    return [input(attention.query, numHeads), input(attention.key, numKvHeads), input(attention.value, numKvHeads)];
  const packed = input(attention.query, numHeads + 2 * numKvHeads);
  const [both, value] = split(packed, [(numHeads + numKvHeads) * headSize, numKvHeads * headSize], 2);
  const [cos, sin] = tables.map((name) => graph.input(name, "float32", ["P", headSize / 2]));
  // Queries and keys are adjacent, so one node rotates both.
  const heads = { numHeads: numHeads + numKvHeads, rotaryDim: headSize, headSize };
  const turned =
    cos && sin ? rotaryEmbedding(both!, graph.input(POSITIONS, "int64", ["B", "T"]), { cos, sin }, heads) : both!;
  return [...split(turned, [numHeads * headSize, numKvHeads * headSize], 2), value!]; // two sizes, two parts
}

/** The nodes of a layer in place of its attention, the tensors of its cache, and what a step adds to them. */
function overInt8(node: OnnxNode, layer: number, headSize: number): GraphPart {
  const attention = attentionOf(node, headSize);
  const graph = new Graph("int8-cache");
  const [query, key, value] = headsOf(graph, attention);
  const tokens = graph.input(INPUT_IDS.name, INPUT_IDS.dtype, INPUT_IDS.shape);
  const parts = cacheParts(layer, attention, "int8");
  const [keys, keyScales, values, valueScales] = parts.map(({ past }) =>
    graph.input(past.name, past.dtype, past.shape),
  );
  const [newKeys, newValues] = [key!, value!].map((x) => newPart(x, tokens, attention));
  const block = scaleBlock(attention);
  const name = (part: string): string => `${node.name}.int8_cache.${part}`;
  const results = new Map<string, Var>([
    [name("key"), newKeys!.read],
    [name("value"), newValues!.read],
    [name("past_key"), pastOf(keys!, keyScales!, block)],
    [name("past_value"), pastOf(values!, valueScales!, block)],
    ...[...newKeys!.added, ...newValues!.added].map((one, at) => [parts[at]!.added, one] as const),
  ]); // four tensors a layer, as `cacheParts` gives them
  const isPacked = attention.key === "";
  if (isPacked) results.set(name("query"), query!);
  for (const one of results.values()) graph.output(one);
  const before = graphPart(graph, name("before"), [...results.keys()]);
  const heads = [isPacked ? name("query") : attention.query, name("key"), name("value")];
  const input = [...heads, name("past_key"), name("past_value"), ...node.input.slice(5)];
  for (const at of [7, 8]) if (input[at] !== undefined) input[at] = "";
  const attribute = node.attribute.map((one) => (one.name === "do_rotary" ? { ...one, i: 0 } : one));
  return {
    nodes: [...before.nodes, { ...node, input, attribute }],
    constants: before.constants,
    inputs: before.inputs.filter((info) => parts.some(({ past }) => past.name === info.name)),
    outputs: before.outputs.filter((info) => parts.some(({ added }) => added === info.name)),
  };
}

/** The graph with an int8 cache as inputs, and the parts that a step adds to it as outputs. */
export function withInt8Cache(model: OnnxModel): OnnxModel {
  const { graph } = model;
  const layers = graph.node.filter(({ opType }) => opType === "GroupQueryAttention");
  const replaced = new Set(layers.flatMap(({ input, output }) => [...input.slice(3, 5), ...output.slice(1)]));
  const parts = new Map(layers.map((node, layer) => [node, overInt8(node, layer, headSizeOf(node, graph))]));
  const shared = positions();
  const all = [...parts.values()];
  const kept = ({ name }: OnnxValueInfo): boolean => !replaced.has(name);
  return {
    ...model,
    graph: {
      ...graph,
      node: [...shared.nodes, ...graph.node.flatMap((node) => parts.get(node)?.nodes ?? [node])],
      initializer: [...graph.initializer, ...[shared, ...all].flatMap(({ constants }) => constants)],
      input: [...graph.input.filter(kept), ...all.flatMap(({ inputs }) => inputs)],
      output: [...graph.output.filter(kept), ...all.flatMap(({ outputs }) => outputs)],
    },
  };
}
