/**
 * Memory of a WebGPU device: tensors created, filled and copied there without the host. Every operation is a tiny model
 * of one or two operators, opened on first use. Several tensors of one type share one run. Knows nothing of the
 * tensors' purpose.
 *
 * The binding can neither allocate nor copy device buffers. But runs return new ones (`keepsOutputs`), and a fetch
 * writes into the tensor it names. ScatterElements leaves positions it does not write unchanged when its result is its
 * own input (ONNX Runtime 1.30, seen on SwiftShader).
 *
 * A buffer that could not be allocated is invalid. If it were freed with valid ones, the provider would reuse it for
 * the next tensor of its size. A session that keeps its outputs holds those of its last run. So a failed session is set
 * aside with its buffers, and another is opened in its place.
 */
import { ATTRIBUTE_TYPES, type OnnxNode, encodeModel, onnxTypeOf } from "../formats/onnx-proto.ts";
import { type DType, type TypedArray, bytesPerElement } from "../tensor/dtype.ts";
import { numElements } from "../tensor/host-tensor.ts";
import { DeviceFullError } from "./device-errors.ts";
import { type RuntimeTensor, type Session, type Traffic, deviceView, openSession, runtimeTensor } from "./ort.ts";

/** A tensor in a device's memory. Its owner frees it. Feeding freed memory would end the process. */
export class DeviceTensor {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly bytes: number;
  #tensor: RuntimeTensor | null;

  constructor(tensor: RuntimeTensor) {
    this.#tensor = tensor;
    this.dtype = tensor.type as DType;
    this.shape = tensor.dims;
    this.bytes = numElements(tensor.dims) * bytesPerElement(this.dtype);
  }

  /** The first values, in this shape, as a session accepts them. */
  as(shape: readonly number[]): RuntimeTensor {
    if (!this.#tensor) throw new Error("internal: a device tensor is used after it was freed");
    if (numElements(shape) > numElements(this.shape)) throw new Error("internal: a view beyond a device tensor's end");
    return deviceView(this.#tensor, shape);
  }

  free(): void {
    this.#tensor?.dispose();
    this.#tensor = null;
  }
}

/** A matrix on the device, which may be the first values of a larger tensor. */
export interface DeviceMatrix {
  readonly tensor: DeviceTensor;
  readonly numRows: number;
  readonly numColumns: number;
}

type NodeParts = readonly [op: string, inputs: readonly string[], outputs: readonly string[], axis?: number];
type PortParts = readonly [name: string, dtype: DType, rank: number];

const int64s = (values: readonly number[]): RuntimeTensor =>
  runtimeTensor("int64", BigInt64Array.from(values, BigInt), [values.length]);
const viewOf = ({ tensor, numRows, numColumns }: DeviceMatrix): RuntimeTensor => tensor.as([numRows, numColumns]);

/**
 * Maximum number of sessions that may be set aside. Each takes some host memory, and may hold valid buffers beside an
 * invalid one.
 */
const MAX_SET_ASIDE = 32;

export class DeviceMemory implements AsyncDisposable {
  readonly #sessions = new Map<string, Promise<Session>>();
  readonly #setAside: Session[] = [];

  /** Whether the device computes with float16. @throws {AppError} device_unavailable */
  async supportsHalf(): Promise<boolean> {
    const zeros = await this.zeros("float16", [2, 2]).catch((error: unknown) => {
      if (/requires f16/.test((error as Error).message)) return null; // ONNX Runtime's words, 1.30
      throw error;
    });
    zeros?.free();
    return zeros !== null;
  }

  /** Zeros, float32 or float16. @throws {DeviceFullError} */
  async zeros(dtype: "float32" | "float16", shape: readonly number[]): Promise<DeviceTensor> {
    const rank = shape.length;
    const value = runtimeTensor(dtype, dtype === "float32" ? new Float32Array(1) : new Uint16Array(1), [1]);
    return await this.#makeOne(`zeros ${dtype} ${rank}`, { value, shape: int64s(shape) }, () => ({
      nodes: [["Expand", ["value", "shape"], ["y0"]]],
      inputs: [
        ["value", dtype, 1],
        ["shape", "int64", 1],
      ],
      outputs: [["y0", dtype, rank]],
    }));
  }

  /**
   * A copy in another shape with the same number of axes. Values within both shapes stay, the rest is zero. @throws
   * {DeviceFullError}
   */
  async resized(tensor: DeviceTensor, shape: readonly number[]): Promise<DeviceTensor> {
    const { dtype } = tensor;
    const rank = shape.length;
    const kept = shape.map((size, axis) => Math.min(size, tensor.shape[axis] ?? 0));
    const x = tensor.as(tensor.shape);
    const zeros = kept.map(() => 0);
    const bounds = { starts: int64s(zeros), ends: int64s(kept) };
    const pads = int64s([...zeros, ...shape.map((size, axis) => size - kept[axis]!)]); // as many axes
    const cut = () =>
      this.#makeOne(`cut ${dtype} ${rank}`, { x, ...bounds }, () => ({
        nodes: [["Slice", ["x", "starts", "ends"], ["y0"]]],
        inputs: [["x", dtype, rank], ...["starts", "ends"].map((name): PortParts => [name, "int64", 1])],
        outputs: [["y0", dtype, rank]],
      }));
    const pad = (from: RuntimeTensor) =>
      this.#makeOne(`pad ${dtype} ${rank}`, { x: from, pads }, () => ({
        nodes: [["Pad", ["x", "pads"], ["y0"]]],
        inputs: [
          ["x", dtype, rank],
          ["pads", "int64", 1],
        ],
        outputs: [["y0", dtype, rank]],
      }));
    if (kept.every((size, axis) => size === tensor.shape[axis])) return await pad(x);
    const between = await cut();
    if (kept.every((size, axis) => size === shape[axis])) return between;
    try {
      return await pad(between.as(kept));
    } finally {
      between.free();
    }
  }

  /** Tensors of one type, filled with values from the host. @throws {DeviceFullError} */
  async upload(
    dtype: DType,
    parts: readonly { readonly data: TypedArray; readonly shape: readonly number[] }[],
  ): Promise<DeviceTensor[]> {
    const feeds = Object.fromEntries(parts.map(({ data, shape }, i) => [`x${i}`, runtimeTensor(dtype, data, shape)]));
    return await this.#make(`upload ${dtype} ${parts.map(({ shape }) => shape.length).join()}`, feeds, () => ({
      nodes: parts.map((_, i) => ["Identity", [`x${i}`], [`y${i}`]]),
      inputs: parts.map(({ shape }, i) => [`x${i}`, dtype, shape.length]),
      outputs: parts.map(({ shape }, i) => [`y${i}`, dtype, shape.length]),
    }));
  }

  /** Values of tensors of one type, copied to the host. For small results and tests. */
  async download(tensors: readonly RuntimeTensor[]): Promise<TypedArray[]> {
    const dtype = tensors[0]?.type as DType;
    const ranks = tensors.map(({ dims }) => dims.length);
    const downloading = await this.#session(`download ${dtype} ${ranks.join()}`, false, () => ({
      nodes: tensors.map((_, i) => ["Identity", [`x${i}`], [`y${i}`]]),
      inputs: ranks.map((rank, i) => [`x${i}`, dtype, rank]),
      outputs: ranks.map((rank, i) => [`y${i}`, dtype, rank]),
    }));
    const feeds = Object.fromEntries(tensors.map((tensor, i) => [`x${i}`, tensor]));
    const results = await downloading.run(
      feeds,
      tensors.map((_, i) => `y${i}`),
    );
    return tensors.map((_, i) => results[`y${i}`]!.data as TypedArray); // fetched by name
  }

  /**
   * Writes each source [a,c] over the first c columns of rows `firstRow`…`firstRow`+a−1 of its target [A,C], in place.
   * All matrices have one type. A source must not lie in its target's memory.
   */
  async writeRows(pairs: readonly MatrixPair[], firstRow: number): Promise<void> {
    const numRows = pairs[0]?.source.numRows ?? 0;
    const rows = Int32Array.from({ length: numRows }, (_, i) => firstRow + i);
    await this.#scatter(pairs, 0, runtimeTensor("int32", rows, [numRows, 1]));
  }

  /** Writes each source [A,c] over the columns from `firstColumn` on of its target [A,C], in place. */
  async writeColumns(pairs: readonly MatrixPair[], firstColumn: number): Promise<void> {
    const numColumns = pairs[0]?.source.numColumns ?? 0;
    const columns = Int32Array.from({ length: numColumns }, (_, i) => firstColumn + i);
    await this.#scatter(pairs, 1, runtimeTensor("int32", columns, [1, numColumns]));
  }

  async #scatter(pairs: readonly MatrixPair[], axis: 0 | 1, at: RuntimeTensor): Promise<void> {
    const [first] = pairs;
    if (!first) return;
    const { dtype } = first.target.tensor;
    const scattering = await this.#session(`scatter ${axis} ${dtype} ${pairs.length}`, false, () => ({
      nodes: pairs.flatMap((_, i): NodeParts[] => [
        ["Shape", [`u${i}`], [`s${i}`]],
        ["Expand", ["at", `s${i}`], [`i${i}`]],
        ["ScatterElements", [`x${i}`, `i${i}`, `u${i}`], [`y${i}`], axis],
      ]),
      inputs: [["at", "int32", 2], ...pairs.flatMap((_, i) => [`x${i}`, `u${i}`].map((x): PortParts => [x, dtype, 2]))],
      outputs: pairs.map((_, i) => [`y${i}`, dtype, 2]),
    }));
    const feeds: Record<string, RuntimeTensor> = { at };
    const fetches: Record<string, RuntimeTensor> = {};
    pairs.forEach(({ target, source }, i) => {
      feeds[`x${i}`] = fetches[`y${i}`] = viewOf(target);
      feeds[`u${i}`] = viewOf(source);
    });
    await scattering.run(feeds, fetches);
  }

  /** Copies of `count` rows, or columns, of each matrix from `first` on. @throws {DeviceFullError} */
  async take(
    matrices: readonly DeviceMatrix[],
    axis: "rows" | "columns",
    first: number,
    count: number,
  ): Promise<DeviceTensor[]> {
    const dtype = matrices[0]?.tensor.dtype ?? "float32";
    const bounds = { starts: int64s([first]), ends: int64s([first + count]), axes: int64s([axis === "rows" ? 0 : 1]) };
    const feeds = Object.fromEntries(matrices.map((matrix, i) => [`x${i}`, viewOf(matrix)]));
    return await this.#make(`take ${dtype} ${matrices.length}`, { ...bounds, ...feeds }, () => ({
      nodes: matrices.map((_, i) => ["Slice", [`x${i}`, "starts", "ends", "axes"], [`y${i}`]]),
      inputs: [
        ...["starts", "ends", "axes"].map((name): PortParts => [name, "int64", 1]),
        ...matrices.map((_, i): PortParts => [`x${i}`, dtype, 2]),
      ],
      outputs: matrices.map((_, i) => [`y${i}`, dtype, 2]),
    }));
  }

  /** Bytes that were copied between host and device. */
  async traffic(): Promise<Traffic> {
    const total: Traffic = { toDevice: 0, toHost: 0 };
    for (const { traffic } of await Promise.all(this.#sessions.values())) {
      total.toDevice += traffic.toDevice;
      total.toHost += traffic.toHost;
    }
    return total;
  }

  async #makeOne(name: string, feeds: Record<string, RuntimeTensor>, parts: () => ModelParts): Promise<DeviceTensor> {
    const [made] = await this.#make(name, feeds, parts);
    return made!; // it has one output
  }

  /** New tensors: all outputs y0, y1, … of a model. The session is cached under the model's name. */
  async #make(name: string, feeds: Record<string, RuntimeTensor>, parts: () => ModelParts): Promise<DeviceTensor[]> {
    const session = await this.#session(name, true, parts);
    try {
      const results = await session.run(feeds, session.outputNames);
      return session.outputNames.map((output) => new DeviceTensor(results[output]!)); // fetched by name
    } catch (error) {
      if (!(error instanceof DeviceFullError) || this.#setAside.length === MAX_SET_ASIDE) throw error;
      this.#sessions.delete(name);
      this.#setAside.push(session);
      throw new DeviceFullError(error.message, false, error);
    }
  }

  #session(name: string, keepsOutputs: boolean, parts: () => ModelParts): Promise<Session> {
    const known = this.#sessions.get(name);
    if (known) return known;
    const opening = openSession(model(parts()), { device: "webgpu", numThreads: 1, keepsOutputs });
    this.#sessions.set(name, opening);
    return opening;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const sessions = [...(await Promise.all(this.#sessions.values())), ...this.#setAside];
    for (const session of sessions) await session[Symbol.asyncDispose]();
    this.#sessions.clear();
    this.#setAside.length = 0;
  }
}

/** Place where a matrix is written, and its source. */
export interface MatrixPair {
  readonly target: DeviceMatrix;
  readonly source: DeviceMatrix;
}

interface ModelParts {
  readonly nodes: readonly NodeParts[];
  readonly inputs: readonly PortParts[];
  readonly outputs: readonly PortParts[];
}

/** A model with every size free. Source: ONNX IR 10, opset 21. */
function model({ nodes, inputs, outputs }: ModelParts): Uint8Array {
  const port = ([name, dtype, rank]: PortParts) => {
    const dim = Array.from({ length: rank }, (_, i) => ({ dimParam: `${name}.${i}` }));
    return { name, type: { tensorType: { elemType: onnxTypeOf(dtype), shape: { dim } } } };
  };
  const node = ([opType, input, output, axis]: NodeParts): OnnxNode => ({
    name: output[0] ?? opType,
    opType,
    domain: "",
    input,
    output,
    attribute: axis === undefined ? [] : [{ name: "axis", type: ATTRIBUTE_TYPES.int, i: axis }],
  });
  const graph = {
    name: "memory",
    node: nodes.map(node),
    initializer: [],
    input: inputs.map(port),
    output: outputs.map(port),
  };
  return encodeModel({ irVersion: 10, producerName: "mosara", graph, opsetImport: [{ domain: "", version: 21 }] });
}
