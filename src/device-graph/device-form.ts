/**
 * Adapts a serving graph to a device, in memory: attention, products and the cache of the stored graph are rewritten.
 * The files stay unchanged, so one base serves every device. Pure, except for reading the file.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import {
  ATTRIBUTE_TYPES,
  type OnnxGraph,
  type OnnxModel,
  type OnnxNode,
  type OnnxTensor,
  type OnnxValueInfo,
  decodeModel,
  dtypeOfOnnxType,
  encodeModel,
  onnxTypeOf,
} from "../formats/onnx-proto.ts";
import { bytesPerElement } from "../tensor/dtype.ts";
import { numElements } from "../tensor/host-tensor.ts";
import { BASES_FILE, SERVE_GRAPH_FILE } from "../base/base.ts";
import { withBlendTerms } from "./blend-terms.ts";
import { withHiddenStates } from "./hidden-states.ts";
import { withInt8Cache } from "./int8-cache.ts";
import { withNewCacheOutputs } from "./new-cache.ts";
import { attentionAsOperators } from "./plain-attention.ts";
import { withReadLogits } from "./read-logits.ts";

/**
 * Attention kernels. "fused" is the operator's fast path. "stepwise" makes the same operator compute scores, weights
 * and sums one after the other. The operator takes that path if its softmax has a sink. A sink of weight 0 does not
 * change the result. "plain" replaces it by products, a softmax and the other steps, each an operator of its own.
 */
export type AttentionPath = "fused" | "stepwise" | "plain";

export interface DeviceForm {
  readonly attention: AttentionPath;
  /**
   * Whether the session writes the cache. If not, it returns the part that a step adds, `newCacheNames`, to the owner
   * of the cache.
   */
  readonly writesCache: boolean;
  /**
   * Whether the serving graph reads its logits itself and returns only the result. If not, it returns the logits
   * unchanged.
   */
  readonly readsLogits: boolean;
  /** Whether attention and its cache are float16. */
  readonly hasHalfAttention: boolean;
  /**
   * Whether the cache is int8 (`int8-cache.ts`). Only where the session does not write it, and attention is float32.
   */
  readonly hasInt8Cache: boolean;
  /** Whether products of weights that are not quantised are float16. */
  readonly hasHalfProducts: boolean;
  /** Whether the device supports float16 at all. If not, float16 tables are cast when the session opens. */
  readonly knowsHalf: boolean;
}

/** The CPU's form: its kernels are right, and its cache is in the host's memory. */
export const CPU_FORM: DeviceForm = {
  attention: "fused",
  writesCache: false,
  readsLogits: true,
  hasHalfAttention: false,
  hasInt8Cache: false,
  hasHalfProducts: false,
  knowsHalf: true,
};

/** Bytes of a model's constants on a device, in the type used for computing. */
export interface ModelBytes {
  readonly weights: number;
  /** U and V of the targets. */
  readonly bases: number;
}

/** A serving graph, ready for a session. */
export interface DeviceModel {
  readonly model: Uint8Array;
  readonly bytes: ModelBytes;
  /** Inputs that only branches read. */
  readonly branchInputs: readonly string[];
}

/** The serving graph of a base directory in this form, for a session with `weightsDir` = the directory. */
export async function deviceModel(baseDir: string, form: DeviceForm): Promise<DeviceModel> {
  const stored = withBlendTerms(withHiddenStates(decodeModel(await readFile(join(baseDir, SERVE_GRAPH_FILE)))));
  const model = inForm(form.readsLogits ? withReadLogits(stored) : stored, form);
  return { model: encodeModel(model), bytes: modelBytes(model, form), branchInputs: branchInputs(model.graph) };
}

function branchInputs({ node, input }: OnnxGraph): readonly string[] {
  const readOutside = new Set(node.flatMap((one) => one.input));
  return input.map(({ name }) => name).filter((name) => !readOutside.has(name));
}

/** Counts every constant once: quantised constants as they are, the others in the type used for computing. */
function modelBytes({ graph }: OnnxModel, { hasHalfProducts }: DeviceForm): ModelBytes {
  const total = { weights: 0, bases: 0 };
  for (const { dims, dataType, externalData } of graph.initializer) {
    const dtype = dtypeOfOnnxType(dataType);
    const isFloat = dtype === "bfloat16" || dtype === "float16" || dtype === "float32";
    const isBasis = externalData?.some(({ key, value }) => key === "location" && value === BASES_FILE) === true;
    const size = isFloat ? (hasHalfProducts && !isBasis ? 2 : 4) : bytesPerElement(dtype);
    total[isBasis ? "bases" : "weights"] += size * numElements(dims);
  }
  return total;
}

// Inputs of com.microsoft.GroupQueryAttention, by place. Source: ONNX Runtime contrib operators.
const ATTENTION = "GroupQueryAttention";
const CACHE_INPUTS = [3, 4];
const CACHE_OUTPUTS = [1, 2];
const FLOAT_INPUTS = [0, 1, 2, 7, 8];
const SINK_INPUT = 11;

/** The model rewritten in this form. */
export function inForm(model: OnnxModel, form: DeviceForm): OnnxModel {
  const { graph } = model;
  const attention = graph.node.filter(({ opType }) => opType === ATTENTION);
  const presents = attention.flatMap(({ output }) => CACHE_OUTPUTS.map((at) => output[at] ?? ""));
  const cache = new Set([...attention.flatMap(({ input }) => CACHE_INPUTS.map((at) => input[at] ?? "")), ...presents]);
  const halves = new Set(
    graph.initializer.filter(({ dataType }) => dataType === onnxTypeOf("float16")).map(({ name }) => name),
  );
  const added = new Map<string, OnnxTensor>();
  const node = graph.node.flatMap((one): readonly OnnxNode[] => {
    if (one.opType === ATTENTION) return attentionNodes(one, graph, form, added);
    if (!form.knowsHalf && one.opType === "Gather" && halves.has(one.input[0] ?? "")) return ofFullTable(one);
    return form.hasHalfProducts && one.opType === "Gemm" ? inHalf(one, [0, 1, 2]) : [one];
  });
  const port = (info: OnnxValueInfo): OnnxValueInfo =>
    form.hasHalfAttention && cache.has(info.name) ? asHalf(info) : info;
  const initializer = [...graph.initializer, ...added.values()];
  const ports = { input: graph.input.map(port), output: graph.output.map(port) };
  const formed = { ...model, graph: { ...graph, ...ports, node, initializer } };
  if (form.hasInt8Cache) return withInt8Cache(formed);
  return form.writesCache ? formed : withNewCacheOutputs(formed, presents);
}

/** Rewrites a node of fused attention in this form. @param added receives the constants that come with it, by name */
function attentionNodes(
  node: OnnxNode,
  graph: OnnxGraph,
  { attention, hasHalfAttention }: DeviceForm,
  added: Map<string, OnnxTensor>,
): readonly OnnxNode[] {
  if (attention === "plain") {
    const { nodes, constants } = attentionAsOperators(node, graph, hasHalfAttention ? "float16" : "float32");
    for (const constant of constants) added.set(constant.name, constant);
    return nodes;
  }
  const wanted = attention === "stepwise" ? withSink(node, hasHalfAttention, added) : node;
  return hasHalfAttention ? inHalf(wanted, FLOAT_INPUTS) : [wanted];
}

function asHalf({ type, ...info }: OnnxValueInfo): OnnxValueInfo {
  return { ...info, type: { tensorType: { ...type?.tensorType, elemType: onnxTypeOf("float16") } } };
}

/** The least finite numbers. A score that far below the others has weight 0. */
const LEAST = { float32: Float32Array.of(-3.4e38), float16: Uint16Array.of(0xfbff) };

function withSink(node: OnnxNode, isHalf: boolean, sinks: Map<string, OnnxTensor>): OnnxNode {
  const numHeads = Number(node.attribute.find(({ name }) => name === "num_heads")?.i ?? 0);
  const name = `attention.no_sink.${numHeads}`;
  if (!sinks.has(name)) {
    const least = isHalf ? LEAST.float16 : LEAST.float32;
    const bytes = new Uint8Array(least.buffer);
    const rawData = new Uint8Array(numHeads * bytes.length);
    for (let head = 0; head < numHeads; head++) rawData.set(bytes, head * bytes.length);
    sinks.set(name, { name, dims: [numHeads], dataType: onnxTypeOf(isHalf ? "float16" : "float32"), rawData });
  }
  const input = Array.from({ length: SINK_INPUT }, (_, at) => node.input[at] ?? "");
  const attribute = node.attribute.filter((one) => one.name !== "smooth_softmax");
  const smooth = { name: "smooth_softmax", type: ATTRIBUTE_TYPES.int, i: 1 };
  return { ...node, input: [...input, name], attribute: [...attribute, smooth] };
}

const castNode = (from: string, to: string, dtype: "float16" | "float32"): OnnxNode => ({
  name: to,
  opType: "Cast",
  domain: "",
  input: [from],
  output: [to],
  attribute: [{ name: "to", type: ATTRIBUTE_TYPES.int, i: onnxTypeOf(dtype) }],
});

/** A Gather from a float32 copy of a float16 table. A later cast of its result then has nothing left to do. */
function ofFullTable(node: OnnxNode): readonly OnnxNode[] {
  const [table = "", ...rest] = node.input;
  const full = `${node.output[0] ?? ""}.table`;
  return [castNode(table, full, "float32"), { ...node, input: [full, ...rest] }];
}

/** The node computed in float16. The inputs at these indices are cast to it, and its first output is cast back. */
function inHalf(node: OnnxNode, places: readonly number[]): readonly OnnxNode[] {
  const [result = "", ...rest] = node.output;
  const halfOf = (at: number): string => `${result}.half.${at}`;
  const isCast = (at: number): boolean => places.includes(at) && Boolean(node.input[at]);
  const casts = node.input.flatMap((from, at) => (isCast(at) ? [castNode(from, halfOf(at), "float16")] : []));
  const input = node.input.map((from, at) => (isCast(at) ? halfOf(at) : from));
  const halfResult = `${result}.half`;
  return [...casts, { ...node, input, output: [halfResult, ...rest] }, castNode(halfResult, result, "float32")];
}
