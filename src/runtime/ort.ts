/**
 * The only file that knows onnxruntime-node. It opens, runs and releases sessions, and converts host tensors to the
 * library's tensors. `run` blocks the calling thread until the graph is done (measured; the binding schedules and then
 * computes).
 */
import "./telemetry-off.ts"; // first, because the library reads the environment when it loads
import * as ort from "onnxruntime-node";
import { type DType, type TypedArray, bytesPerElement } from "../tensor/dtype.ts";
import { type HostTensor, numElements } from "../tensor/host-tensor.ts";
import { type Device, openError, runError } from "./device-errors.ts";

/** A tensor that a session reads or returns. Made once and fed many times, it is read in place at every run. */
export type RuntimeTensor = ort.Tensor;

export interface SessionOptions {
  readonly device: Device;
  readonly numThreads: number;
  /**
   * Whether ONNX Runtime plans reuse of activation memory by shape. Off where shapes vary or memory is scarce. Default
   * false.
   */
  readonly usesMemoryPattern?: boolean;
  /**
   * Whether the runtime keeps weights in the order of its kernels as well. It does so once for each product that reads
   * them. Default: true.
   */
  readonly packsWeights?: boolean;
  /** Directory of the external weights of a model given as bytes. */
  readonly weightsDir?: string;
  /**
   * Whether outputs that are fetched without a given tensor stay on the device. If so, no fetch may name a tensor,
   * because the binding would ignore it.
   */
  readonly keepsOutputs?: boolean;
  /**
   * Inputs that only branches read. A run may omit those of branches that it does not take, because every fed tensor
   * costs about 2 us.
   */
  readonly branchInputs?: readonly string[];
  /** Optimizers of ONNX Runtime that are left out. */
  readonly omittedOptimizers?: readonly string[];
  /** File that receives the optimized graph, for tests. */
  readonly optimizedModelPath?: string;
  /** Prefix of a profile file, for measurements. */
  readonly profilePrefix?: string;
}

/**
 * How long a worker thread spins for its part of the next operator before it sleeps. Waking it takes longer than most
 * operators of a step of few rows. ONNX Runtime's default of several milliseconds keeps the core from other work
 * (docs/log/2026-11.md).
 */
const SPIN_MICROSECONDS = 20;

const ORT_TYPES: Partial<Record<DType, ort.Tensor.Type>> = {
  float32: "float32",
  float16: "float16",
  float64: "float64",
  int64: "int64",
  int32: "int32",
  int8: "int8",
  uint8: "uint8",
  bool: "bool",
};

/**
 * float16 values are raw bits in Uint16Arrays, here as in the native binding. Where the language has a Float16Array
 * (Node 24), onnxruntime-common 1.30 expects one, and the binding then reads an empty tensor. The library decides at
 * the first tensor of a thread. Therefore one tensor is made here while Float16Array is hidden.
 */
function keepHalvesAsBits(): void {
  const known = Object.getOwnPropertyDescriptor(globalThis, "Float16Array");
  if (known === undefined) return;
  Reflect.deleteProperty(globalThis, "Float16Array");
  try {
    void new ort.Tensor("bool", new Uint8Array(1), [1]);
  } finally {
    Object.defineProperty(globalThis, "Float16Array", known);
  }
}
keepHalvesAsBits(); // at import, because a session's result may be the first tensor

/** A tensor over `data`, without a copy. Later runs see later changes of `data`. */
export function runtimeTensor(dtype: DType, data: TypedArray, shape: readonly number[]): RuntimeTensor {
  const type = ORT_TYPES[dtype];
  if (!type) throw new Error(`internal: ${dtype} tensors cannot be fed to a session`);
  return new ort.Tensor(type, data as ort.Tensor.DataType, shape as number[]);
}

/** A session's result as a host tensor, in the same memory. */
export function hostTensorOf(tensor: RuntimeTensor): HostTensor {
  return { dtype: tensor.type as DType, shape: tensor.dims, data: tensor.data as TypedArray };
}

/** Whether a tensor lies in a device's memory. */
function isOnDevice(tensor: RuntimeTensor): boolean {
  return tensor.location === "gpu-buffer";
}

/**
 * The first values of a device's tensor in another shape, without a copy. It must not be used after the tensor is
 * disposed.
 */
export function deviceView(tensor: RuntimeTensor, shape: readonly number[]): RuntimeTensor {
  const dataType = tensor.type as ort.Tensor.GpuBufferDataTypes;
  return ort.Tensor.fromGpuBuffer(tensor.gpuBuffer, { dataType, dims: [...shape] });
}

/** Bytes that were copied between host and device for fed and fetched tensors. */
export interface Traffic {
  toDevice: number;
  toHost: number;
}

export class Session implements AsyncDisposable {
  readonly #session: ort.InferenceSession;
  readonly #device: Device;
  /** Counted since the session was opened; zero on cpu. */
  readonly traffic: Traffic = { toDevice: 0, toHost: 0 };

  constructor(session: ort.InferenceSession, device: Device) {
    this.#session = session;
    this.#device = device;
  }

  /** Names of the inputs that every run needs. */
  get inputNames(): readonly string[] {
    return this.#session.inputNames;
  }

  get outputNames(): readonly string[] {
    return this.#session.outputNames;
  }

  /**
   * Runs the graph once. `fetches` names the wanted outputs. An output that comes with a tensor is written into that
   * tensor's memory.
   * @throws {Error} with ONNX Runtime's message when a node fails.
   * @throws {DeviceFullError} insufficient_memory, which lasts unless the opener of the session knows better
   * @throws {AppError} engine_unavailable: the device is lost, and nothing on it can be used again
   */
  async run(
    feeds: Record<string, RuntimeTensor>,
    fetches: readonly string[] | Record<string, RuntimeTensor | null>,
  ): Promise<Record<string, RuntimeTensor>> {
    if (this.#device === "cpu") return await this.#run(feeds, fetches);
    try {
      const results = await this.#run(feeds, fetches);
      this.traffic.toDevice += hostBytes(feeds);
      this.traffic.toHost += hostBytes(results);
      return results;
    } catch (error) {
      throw runError(this.#device, error);
    }
  }

  async #run(
    feeds: Record<string, RuntimeTensor>,
    fetches: readonly string[] | Record<string, RuntimeTensor | null>,
  ): Promise<Record<string, RuntimeTensor>> {
    return (await this.#session.run(feeds, fetches as ort.InferenceSession.FetchesType)) as Record<
      string,
      RuntimeTensor
    >;
  }

  endProfiling(): void {
    this.#session.endProfiling();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#session.release();
  }
}

function hostBytes(tensors: Record<string, RuntimeTensor>): number {
  const onHost = Object.values(tensors).filter((tensor) => !isOnDevice(tensor));
  return onHost.reduce((sum, { type, dims }) => sum + numElements(dims) * bytesPerElement(type as DType), 0);
}

/**
 * Opens a model: a path (external weights are found beside it) or bytes (in `weightsDir`).
 * @throws {AppError} base_invalid with ONNX Runtime's reason; device_unavailable, saying what to install.
 */
export async function openSession(model: string | Uint8Array, options: SessionOptions): Promise<Session> {
  const native: ort.InferenceSession.SessionOptions = {
    executionProviders: [options.device],
    intraOpNumThreads: options.numThreads,
    interOpNumThreads: 1,
    executionMode: "sequential",
    graphOptimizationLevel: "all",
    enableMemPattern: options.usesMemoryPattern ?? false,
    logSeverityLevel: 4, // failures are thrown as exceptions; the native logger would also write them to stderr
    extra: {
      session: {
        disable_prepacking: options.packsWeights === false ? "1" : "0",
        intra_op: { allow_spinning: "1", spin_duration_us: String(SPIN_MICROSECONDS) },
        ...(options.weightsDir === undefined
          ? {}
          : { model_external_initializers_file_folder_path: options.weightsDir }),
      },
      ...(options.omittedOptimizers
        ? { optimization: { disable_specified_optimizers: options.omittedOptimizers.join(";") } }
        : {}),
    },
    ...(options.keepsOutputs ? { preferredOutputLocation: "gpu-buffer" as const } : {}),
    ...(options.optimizedModelPath ? { optimizedModelFilePath: options.optimizedModelPath } : {}),
    ...(options.profilePrefix ? { enableProfiling: true, profileFilePrefix: options.profilePrefix } : {}),
  };
  try {
    // Two overloads of one function. The compiler needs to know which one is called.
    const session = await (typeof model === "string"
      ? ort.InferenceSession.create(model, native)
      : ort.InferenceSession.create(model, native));
    if (options.branchInputs) omitFromCheck(session, options.branchInputs);
    return new Session(session, options.device);
  } catch (cause) {
    throw openError(options.device, typeof model === "string" ? model : "the model", cause);
  }
}

/**
 * The library requires a tensor for every name in `inputNames` (1.30), whether the run reads it or not. ONNX Runtime
 * itself requires only the tensors that its nodes read. It reports "Missing Input" where a node finds none.
 */
function omitFromCheck(session: ort.InferenceSession, names: readonly string[]): void {
  const omitted = new Set(names);
  Object.defineProperty(session, "inputNames", { value: session.inputNames.filter((name) => !omitted.has(name)) });
}
