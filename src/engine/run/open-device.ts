/**
 * Everything that an engine needs from its device: the opened model in the device's form, the KV cache in its memory,
 * resident adapter inputs, and the facts that are reported to the server. The rest of the engine knows no devices.
 */
import { CPU_FORM, type DeviceForm, type ModelBytes, deviceModel } from "../../device-graph/device-form.ts";
import type { Manifest } from "../../base/manifest.ts";
import { AppError } from "../../errors.ts";
import { DeviceMemory, type DeviceTensor } from "../../runtime/device-memory.ts";
import { type RuntimeTensor, type Session, openSession, runtimeTensor } from "../../runtime/ort.ts";
import { UNNEEDED_OPTIMIZERS } from "../../runtime/unneeded-optimizers.ts";
import { rightAttention } from "./attention-check.ts";
import { DeviceKvCache } from "../kv/device-kv-cache.ts";
import { HostKvCache } from "../kv/host-kv-cache.ts";
import type { CacheShape, KvCache } from "../kv/kv-cache.ts";
import { openDeviceReader } from "./device-logits.ts";
import { hostReader, wholeRowReader } from "./host-logits.ts";
import type { LogitReader } from "./logit-reader.ts";
import type { DeviceBytes, DeviceFacts, EngineOptions } from "../protocol.ts";
import { ResidentFeeds } from "../adapters/resident-feeds.ts";
import type { StepFeeds } from "../adapters/step-feeds.ts";

export interface OpenDevice extends AsyncDisposable {
  readonly facts: DeviceFacts;
  readonly session: Session;
  readonly cache: KvCache;
  readonly reader: LogitReader;
  /** The adapter inputs, kept in the memory that the session reads. */
  keepFeeds(host: StepFeeds): StepFeeds;
  /** Device memory in use now; null where the device is the host. */
  bytes(): DeviceBytes | null;
}

type Options = Pick<EngineOptions, "baseDir" | "device" | "numThreads" | "kvCacheBytes" | "kvCacheDtype">;

/**
 * Opens the model of a base directory on a device.
 * @throws {AppError} usage, device_unavailable, insufficient_memory, base_invalid
 */
export async function openDevice(options: Options, manifest: Manifest): Promise<OpenDevice> {
  const hasInt8Cache = options.kvCacheDtype === "int8";
  if (hasInt8Cache && options.device !== "cpu")
    throw new AppError(
      "usage",
      `--kv-cache-dtype int8 needs --device cpu, but --device is ${options.device}. Omit --kv-cache-dtype on this device.`,
    );
  if (options.device === "webgpu") return await openWebgpu(options, manifest);
  if (options.device === "cuda") return await openCuda(options, manifest);
  const form = { ...cpuForm(options, manifest), hasInt8Cache };
  const { session } = await openModel(options, form);
  const cache = new HostKvCache(manifest.config, hasInt8Cache ? "int8" : "float32");
  return withHostMemory(session, cache, hostReader(manifest.config.vocabSize), {
    facts: { name: "cpu", attention: form.attention, precision: "float32", isCacheResident: true },
    bytes: () => null,
  });
}

/** ONNX Runtime counts a thread of a CPU with two kinds of cores as this many. */
const PARTS_PER_THREAD = 4;

/**
 * Where a batch has fewer heads than there are threads, the fused kernel divides long rows among threads (ONNX Runtime
 * 1.30). A row's bits would then depend on the number of rows. The stepwise path never divides a row.
 */
function cpuForm({ numThreads }: Options, { config }: Manifest): DeviceForm {
  const attention = PARTS_PER_THREAD * numThreads > config.numHeads ? "stepwise" : "fused";
  return { ...CPU_FORM, attention };
}

/** A session whose cache, adapter inputs and logits are in the host's memory. */
function withHostMemory(
  session: Session,
  cache: KvCache,
  reader: LogitReader,
  told: Pick<OpenDevice, "facts" | "bytes">,
): OpenDevice {
  return {
    ...told,
    session,
    cache,
    reader,
    keepFeeds: (host) => host,
    [Symbol.asyncDispose]: () => session[Symbol.asyncDispose](),
  };
}

async function openWebgpu(options: Options, manifest: Manifest): Promise<OpenDevice> {
  const { config } = manifest;
  const memory = new DeviceMemory();
  const knowsHalf = await memory.supportsHalf();
  const isHalf = manifest.weights === "float16" && knowsHalf;
  const halves = { hasHalfAttention: isHalf, hasHalfProducts: isHalf, knowsHalf };
  const known = { writesCache: true, readsLogits: false, hasInt8Cache: false, ...halves };
  const precision = isHalf ? "float16" : "float32";
  const newCache = (shape: CacheShape): DeviceKvCache =>
    new DeviceKvCache(shape, { memory, dtype: precision, maxBytes: options.kvCacheBytes });
  const attention = await rightAttention(config, known, { name: "webgpu", newCache });
  const { session, bytes } = await openModel(options, { ...known, attention });
  const cache = newCache(config);
  let values: DeviceTensor | null = null; // grows to the largest step seen
  const logits = async (numRows: number): Promise<RuntimeTensor> => {
    if (numRows === 0) return runtimeTensor("float32", new Float32Array(0), [0, config.vocabSize]);
    if ((values?.shape[0] ?? 0) < numRows) {
      values?.free();
      values = null;
      values = await memory.zeros("float32", [numRows, config.vocabSize]);
    }
    return values!.as([numRows, config.vocabSize]); // made above
  };
  const reader = await openDeviceReader(config.vocabSize, { device: "webgpu", numThreads: 1 }, logits);
  const kept: ResidentFeeds[] = [];
  return {
    facts: { name: "webgpu", attention, precision, isCacheResident: true },
    session,
    cache,
    reader,
    keepFeeds: (host) => {
      const feeds = new ResidentFeeds(host, memory);
      kept.push(feeds);
      return feeds;
    },
    bytes: () => ({ ...bytes, kv: cache.bytes, adapters: kept.reduce((sum, feeds) => sum + feeds.bytes, 0) }),
    [Symbol.asyncDispose]: async () => {
      cache.clear();
      values?.free();
      await session[Symbol.asyncDispose]();
      await reader[Symbol.asyncDispose]();
      await memory[Symbol.asyncDispose]();
    },
  };
}

/**
 * The binding keeps nothing on a CUDA device between two runs. The cache is therefore in host memory, and is copied to
 * and from the device in every step.
 */
async function openCuda(options: Options, manifest: Manifest): Promise<OpenDevice> {
  const { config } = manifest;
  // Attention on CUDA supports only float16.
  const hasHalfProducts = manifest.weights === "float16";
  const halves = { hasHalfAttention: true, hasHalfProducts, knowsHalf: true };
  const known = { writesCache: false, readsLogits: false, hasInt8Cache: false, ...halves };
  const newCache = (shape: CacheShape): HostKvCache => new HostKvCache(shape, "float16");
  const attention = await rightAttention(config, known, { name: "cuda", newCache });
  const { session, bytes } = await openModel(options, { ...known, attention });
  // Reading logits inside the graph has been tested only on the CPU. ArgMax and Compress on other devices treat ties
  // and empty batches differently.
  return withHostMemory(session, newCache(config), wholeRowReader(config.vocabSize), {
    facts: { name: "cuda", attention, precision: "float16", isCacheResident: false },
    bytes: () => ({ ...bytes, kv: 0, adapters: 0 }),
  });
}

async function openModel(
  { baseDir, device, numThreads }: Options,
  form: DeviceForm,
): Promise<{ session: Session; bytes: ModelBytes }> {
  const { model, bytes, branchInputs } = await deviceModel(baseDir, form);
  const optimizers = device === "cpu" ? { omittedOptimizers: UNNEEDED_OPTIMIZERS } : {};
  const session = await openSession(model, { device, numThreads, weightsDir: baseDir, branchInputs, ...optimizers });
  return { session, bytes };
}
