/**
 * A fused attention node of a serving graph put otherwise: the same names in and out, so that the rest of the graph stays as it is. What
 * stands in its place is `model/`'s to know. Pure.
 */
import { type OnnxGraph, type OnnxNode, type OnnxTensor, decodeModel } from "../formats/onnx-proto.ts";
import { Graph, type Var } from "../graph/graph.ts";
import type { CachedAttention } from "../graph/ops/attention.ts";
import { serializeGraph } from "../graph/serialize.ts";
import { appendingAttention } from "../model/appending-attention.ts";
import { plainCachedAttention } from "../model/plain-cache-attention.ts";
import { type NewCacheNames, POSITION_IDS } from "../model/ports.ts";

/** Nodes in the place of one, and the constants that they bring along. */
export interface NodesInPlace {
  readonly nodes: readonly OnnxNode[];
  readonly constants: readonly OnnxTensor[];
}

/** A GroupQueryAttention of a serving graph. */
export interface AttentionNode {
  readonly node: OnnxNode;
  readonly graph: OnnxGraph;
  /** Of keys and values in the cache. */
  readonly cacheType: "float32" | "float16";
}

/** The node as plain operators. */
export function plainInPlace(place: AttentionNode): NodesInPlace {
  return rebuilt(place, place.node.output, (options) => {
    const { output, presentKey, presentValue } = plainCachedAttention(options);
    return [output, presentKey, presentValue];
  });
}

/** The node with new keys and values as results of their own, under these names; it reads `POSITION_IDS` where it turns heads. */
export function appendingInPlace(place: AttentionNode, names: NewCacheNames, isPlain: boolean): NodesInPlace {
  return rebuilt(place, [...place.node.output, names.key, names.value], (options, part) => {
    const { name, dtype, shape } = POSITION_IDS;
    const positionIds = options.rotary && part.input(name, dtype, shape);
    const made = appendingAttention(options, positionIds, isPlain);
    return [made.output, made.presentKey, made.presentValue, made.newKey, made.newValue];
  });
}

type InputType = Parameters<Graph["input"]> extends [string, ...infer Rest] ? Rest : never;

/** @param results the names of what is built, in its order */
function rebuilt(
  { node, graph, cacheType }: AttentionNode,
  results: readonly string[],
  build: (options: CachedAttention, part: Graph) => readonly Var[],
): NodesInPlace {
  const part = new Graph("attention");
  const numberOf = (name: string): number => {
    const found = node.attribute.find((one) => one.name === name);
    return Number(found?.f ?? found?.i ?? 0);
  };
  const [numHeads, numKvHeads] = [numberOf("num_heads"), numberOf("kv_num_heads")];
  const headSize = headSizeOf(node, graph);
  const [query, key, value, pastKey, pastValue, lastPositions, totalLength, cos, sin] = node.input;
  const input = (name: string | undefined, ...[dtype, shape]: InputType) => part.input(name ?? "", dtype, shape);
  const tokens = (name: string | undefined, heads: number) => input(name, "float32", ["B", "T", heads * headSize]);
  const cache: InputType = [cacheType, ["B", numKvHeads, "S", headSize]];
  const table: InputType = ["float32", ["P", headSize / 2]];
  const options: CachedAttention = {
    ...(key && value
      ? { query: tokens(query, numHeads), key: tokens(key, numKvHeads), value: tokens(value, numKvHeads) }
      : { query: tokens(query, numHeads + 2 * numKvHeads) }),
    pastKey: input(pastKey, ...cache),
    pastValue: input(pastValue, ...cache),
    lastPositions: input(lastPositions, "int32", ["B"]),
    totalLength: input(totalLength, "int32", []),
    rotary: numberOf("do_rotary") === 1 ? { cos: input(cos, ...table), sin: input(sin, ...table) } : null,
    numHeads,
    numKvHeads,
    scale: numberOf("scale"),
    window: numberOf("local_window_size"),
    softCap: numberOf("softcap"),
  };
  for (const result of build(options, part)) part.output(result);
  return inPlaceOf(node, results, decodeModel(serializeGraph(part)).graph);
}

function headSizeOf(node: OnnxNode, graph: OnnxGraph): number {
  const past = graph.input.find(({ name }) => name === node.input[3]);
  const size = past?.type?.tensorType?.shape?.dim[3]?.dimValue;
  if (size === undefined) throw new Error(`internal: the cache of ${node.name} has no head size`);
  return size;
}

/** What goes into the part keeps its name, what comes out gets the wanted one, and names within are made the node's, so that they are no other node's. */
function inPlaceOf(node: OnnxNode, results: readonly string[], part: OnnxGraph): NodesInPlace {
  const names = new Map(["", ...part.input.map(({ name }) => name)].map((name) => [name, name]));
  part.output.forEach(({ name }, at) => names.set(name, results[at] ?? ""));
  const renamed = (name: string): string => names.get(name) ?? `${node.name}.${name}`;
  return {
    nodes: part.node.map((one) => ({
      ...one,
      name: renamed(one.name),
      input: one.input.map(renamed),
      output: one.output.map(renamed),
    })),
    constants: part.initializer.map((one) => ({ ...one, name: renamed(one.name) })),
  };
}
