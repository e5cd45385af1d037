/**
 * A fused attention node of a serving graph put as plain operators: the same names in and out, so that the rest of the graph stays as it
 * is. What the operators are is `device-graph/plain-cache-attention.ts`'s to know. Pure.
 */
import type { OnnxGraph, OnnxNode } from "../formats/onnx-proto.ts";
import { Graph, type Var } from "../graph/graph.ts";
import { plainCachedAttention } from "./plain-cache-attention.ts";
import { type GraphPart, graphPart } from "./graph-part.ts";

/**
 * @param node a GroupQueryAttention of `graph`, as the serving graph has them
 * @param cacheType of keys and values in the cache
 */
export function plainAttention(node: OnnxNode, graph: OnnxGraph, cacheType: "float32" | "float16"): GraphPart {
  const part = new Graph("attention");
  const numberOf = (name: string): number => {
    const found = node.attribute.find((one) => one.name === name);
    return Number(found?.f ?? found?.i ?? 0);
  };
  const [numHeads, numKvHeads] = [numberOf("num_heads"), numberOf("kv_num_heads")];
  const headSize = headSizeOf(node, graph);
  const [query, key, value, pastKey, pastValue, lastPositions, totalLength, cos, sin] = node.input;
  const input = (name: string | undefined, ...[dtype, shape]: InputType): Var => part.input(name ?? "", dtype, shape);
  const tokens = (name: string | undefined, heads: number): Var => input(name, "float32", ["B", "T", heads * headSize]);
  const cache: InputType = [cacheType, ["B", numKvHeads, "S", headSize]];
  const table: InputType = ["float32", ["P", headSize / 2]];
  const made = plainCachedAttention({
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
  });
  for (const result of [made.output, made.presentKey, made.presentValue]) part.output(result);
  return graphPart(part, node.name, node.output);
}

type InputType = Parameters<Graph["input"]> extends [string, ...infer Rest] ? Rest : never;

function headSizeOf(node: OnnxNode, graph: OnnxGraph): number {
  const past = graph.input.find(({ name }) => name === node.input[3]);
  const size = past?.type?.tensorType?.shape?.dim[3]?.dimValue;
  if (size === undefined) throw new Error(`internal: the cache of ${node.name} has no head size`);
  return size;
}
