/**
 * Writes a graph as an ONNX model. Weights of kind "made" go to one external file, tensor by tensor.
 * Weights in existing files are referred to. Source: ONNX IR 10, opset 21.
 */
import { open } from "node:fs/promises";
import { dirname, join } from "node:path";
import {
  ATTRIBUTE_TYPES,
  EXTERNAL_DATA_LOCATION,
  type OnnxAttribute,
  type OnnxGraph,
  type OnnxModel,
  type OnnxNode,
  type OnnxTensor,
  type OnnxValueInfo,
  dtypeOfOnnxType,
  encodeModel,
  onnxTypeOf,
} from "../formats/onnx-proto.ts";
import { type DType, bytesPerElement } from "../tensor/dtype.ts";
import { bytesOf, numElements } from "../tensor/host-tensor.ts";
import type { Attribute, Graph, Node, Var, Weight } from "./graph.ts";

const OPSET = 21;
const IR_VERSION = 10;

/** The place of a weight of kind "made". */
export interface ExternalPlace {
  readonly location: string;
  readonly offset: number;
  readonly length: number;
}

type Places = ReadonlyMap<Weight, ExternalPlace>;

function valueInfo(value: Var): OnnxValueInfo {
  const dim = value.shape.map((size) => (typeof size === "number" ? { dimValue: size } : { dimParam: size }));
  return { name: value.name, type: { tensorType: { elemType: onnxTypeOf(value.dtype), shape: { dim } } } };
}

function attribute(name: string, value: Attribute, places: Places): OnnxAttribute {
  if (typeof value === "number") return { name, type: ATTRIBUTE_TYPES.int, i: value };
  if (typeof value === "string") return { name, type: ATTRIBUTE_TYPES.string, s: value };
  if (Array.isArray(value)) return { name, type: ATTRIBUTE_TYPES.ints, ints: value as readonly number[] };
  if ("float" in value) return { name, type: ATTRIBUTE_TYPES.float, f: value.float };
  return { name, type: ATTRIBUTE_TYPES.graph, g: onnxGraph((value as { graph: Graph }).graph, places) };
}

function onnxNode(node: Node, places: Places): OnnxNode {
  return {
    name: node.outputs[0]?.name ?? node.op,
    opType: node.op,
    domain: node.domain,
    input: node.inputs.map((input) => input?.name ?? ""),
    output: node.outputs.map((output) => output.name),
    attribute: Object.entries(node.attributes).map(([name, value]) => attribute(name, value, places)),
    docString: node.site,
  };
}

function onnxTensor(weight: Weight, places: Places): OnnxTensor {
  const { value, data } = weight;
  const common = { name: value.name, dims: value.shape as readonly number[], dataType: onnxTypeOf(value.dtype) };
  if (data.kind === "inline") return { ...common, rawData: bytesOf(data.tensor) };
  const place = data.kind === "file" ? data : places.get(weight);
  if (!place || place.location === "") throw new Error(`internal: weight ${value.name} has no place in a file`);
  const externalData = [
    { key: "location", value: place.location },
    { key: "offset", value: String(place.offset) },
    { key: "length", value: String(place.length) },
  ];
  return { ...common, externalData, dataLocation: EXTERNAL_DATA_LOCATION };
}

function onnxGraph(graph: Graph, places: Places): OnnxGraph {
  return {
    name: graph.name,
    node: graph.nodes.map((node) => onnxNode(node, places)),
    initializer: graph.weights.map((weight) => onnxTensor(weight, places)),
    input: graph.inputs.map(valueInfo),
    // ONNX requires that a branch's results state nothing about the values captured around it.
    output: graph.outputs.map(valueInfo),
  };
}

/** The graph as an ONNX model; `places` holds the places of the weights of kind "made". */
export function toOnnxModel(graph: Graph, places: Places = new Map()): OnnxModel {
  return {
    irVersion: IR_VERSION,
    producerName: "mosara",
    graph: onnxGraph(graph, places),
    opsetImport: [
      { domain: "", version: OPSET },
      { domain: "com.microsoft", version: 1 },
    ],
  };
}

/** The weights of a model that are in files, by name. */
export function externalTensors(
  model: OnnxModel,
): ReadonlyMap<string, ExternalPlace & { readonly dtype: DType; readonly shape: readonly number[] }> {
  const tensors = model.graph.initializer.filter((tensor) => tensor.dataLocation === EXTERNAL_DATA_LOCATION);
  return new Map(
    tensors.map((tensor) => {
      const of = (key: string): string => tensor.externalData?.find((entry) => entry.key === key)?.value ?? "";
      const place = { location: of("location"), offset: Number(of("offset")), length: Number(of("length")) };
      return [tensor.name, { ...place, dtype: dtypeOfOnnxType(tensor.dataType), shape: tensor.dims }];
    }),
  );
}

/** Converts the weights of kind "made" to inline ones, for graphs that never become files. */
export async function inlineMadeWeights(graph: Graph): Promise<void> {
  for (const [i, { value, data }] of graph.weights.entries())
    if (data.kind === "made") graph.weights[i] = { value, data: { kind: "inline", tensor: await data.make() } };
}

/** The bytes of a model whose weights are inline or in files. */
export function serializeGraph(graph: Graph): Uint8Array {
  return encodeModel(toOnnxModel(graph));
}

/**
 * Writes `graph` to `modelPath`, and its made weights to `weightsName` beside it, one tensor in memory at a time.
 * @param onWeight called after each made weight with the bytes written so far
 */
export async function writeGraph(
  graph: Graph,
  modelPath: string,
  weightsName: string,
  onWeight: (bytesWritten: number) => void = () => {},
): Promise<{ weightBytes: number }> {
  const places = new Map<Weight, ExternalPlace>();
  const made = graph.weights.filter((weight) => weight.data.kind === "made");
  let offset = 0;
  if (made.length > 0) {
    await using file = await open(join(dirname(modelPath), weightsName), "wx");
    for (const weight of made) {
      offset += await writeMade(weight, file, offset, weightsName, places);
      onWeight(offset);
    }
    await file.sync();
  }
  await using model = await open(modelPath, "wx");
  await model.writeFile(encodeModel(toOnnxModel(graph, places)));
  await model.sync();
  return { weightBytes: offset };
}

// ONNX Runtime maps external tensors from the file. An alignment of 64 bytes keeps every tensor on a cache line.
const ALIGNMENT = 64;

async function writeMade(
  weight: Weight,
  file: Awaited<ReturnType<typeof open>>,
  start: number,
  location: string,
  places: Map<Weight, ExternalPlace>,
): Promise<number> {
  const { value, data } = weight;
  if (data.kind !== "made") throw new Error(`internal: ${value.name} is not made`);
  const tensor = await data.make();
  const length = numElements(value.shape as readonly number[]) * bytesPerElement(value.dtype);
  if (tensor.dtype !== value.dtype || tensor.data.byteLength !== length)
    throw new Error(`internal: ${value.name} wanted ${length} bytes of ${value.dtype}, was made as ${tensor.dtype}`);
  const offset = Math.ceil(start / ALIGNMENT) * ALIGNMENT;
  await writeAll(file, bytesOf(tensor), offset);
  places.set(weight, { location, offset, length });
  return offset + length - start;
}

/** Writes all of `bytes` at `position`: one write call moves at most 2 GiB. */
async function writeAll(file: Awaited<ReturnType<typeof open>>, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.byteLength;) {
    const { bytesWritten } = await file.write(bytes, done, Math.min(bytes.byteLength - done, 2 ** 30), position + done);
    done += bytesWritten;
  }
}
