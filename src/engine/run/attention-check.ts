/**
 * Checks a device's attention. It compares the model's own kinds of layers with the CPU's results, on known numbers.
 * Prompts have one chunk or several, with sizes that select the different paths of the kernels. A step with rows of
 * different lengths follows.
 */
import { type AttentionPath, CPU_FORM, type DeviceForm } from "../../device-graph/device-form.ts";
import { PROBE_INPUT, attentionProbe, probeConfig, probeOutput } from "../../device-graph/attention-probe.ts";
import type { Manifest } from "../../base/manifest.ts";
import { AppError } from "../../errors.ts";
import { INPUT_IDS, LAST_POSITIONS, POSITION_IDS, TOTAL_LENGTH } from "../../model/ports.ts";
import type { Device } from "../../runtime/device-errors.ts";
import { type RuntimeTensor, type Session, hostTensorOf, openSession, runtimeTensor } from "../../runtime/ort.ts";
import { type RandomState, nextNormal, seedRandom } from "../../tensor/random.ts";
import { HostKvCache } from "../kv/host-kv-cache.ts";
import type { KvCache, KvView } from "../kv/kv-cache.ts";

type Config = Manifest["config"];

/** Chunks of three prompts; then each row gets one more token. */
const PROMPTS: readonly (readonly number[])[] = [[5], [64, 64, 37], [64, 1]];
/** Attention kernels, the fastest first, and the operators that they consist of. */
const WAYS: Readonly<Record<AttentionPath, string>> = {
  fused: "GroupQueryAttention",
  stepwise: "GroupQueryAttention with smooth_softmax",
  plain: "ScatterElements, MatMul and Softmax",
};
/**
 * Greatest allowed difference of a value: for float32 sums in another order, and for float16. Wrong kernels differed by
 * 0.03 and more.
 */
const BOUNDS = { float32: 1e-3, float16: 1e-2 };

/** A place to try a form of attention. */
interface Place {
  readonly name: Device;
  /** A cache in that place for a shape, in the form's type. */
  readonly newCache: (config: Config) => KvCache;
}

/**
 * The first attention kernel that gives correct results on this device.
 * @throws {AppError} device_unavailable where none does, with the operators that each kernel uses
 */
export async function rightAttention(
  config: Config,
  form: Omit<DeviceForm, "attention">,
  device: Place,
): Promise<AttentionPath> {
  const expected = await expectedAttention(config);
  const bound = form.hasHalfAttention ? BOUNDS.float16 : BOUNDS.float32;
  const found: string[] = [];
  for (const [attention, operators] of Object.entries(WAYS) as [AttentionPath, string][]) {
    const problem = await attentionProblem(config, { ...form, attention }, device, expected, bound);
    if (problem === null) return attention;
    found.push(`${operators} ${problem}`);
  }
  throw new AppError(
    "device_unavailable",
    `No attention kernel computes this model correctly on ${device.name} (${found.join("; ")}; the largest allowed difference from the CPU is ${bound}). Serve the model with --device cpu.`,
  );
}

/** The CPU's results for the probe. */
export async function expectedAttention(config: Config): Promise<readonly Float32Array[]> {
  const probe = probeConfig(config);
  const expected: Float32Array[] = [];
  const session = await open(probe, CPU_FORM, "cpu");
  for await (const values of results(probe, session, new HostKvCache(probe))) expected.push(values);
  return expected;
}

/**
 * Describes the fault of attention in this form at this place; null: there is none. @param bound greatest difference
 * allowed
 */
export async function attentionProblem(
  config: Config,
  form: DeviceForm,
  place: Place,
  expected: readonly Float32Array[],
  bound: number = BOUNDS.float32,
): Promise<string | null> {
  const probe = probeConfig(config);
  const cache = place.newCache(probe);
  try {
    let step = 0;
    for await (const values of results(probe, await open(probe, form, place.name), cache)) {
      const difference = greatestDifference(values, expected[step++]);
      // The remaining chunks would only take time.
      if (difference > bound) return `is off by ${difference.toPrecision(2)}`;
    }
    return null;
  } catch (error) {
    // A kernel that the device cannot run is a reason to try the next one. A device that is lost or full is not.
    if (error instanceof AppError && error.code !== "base_invalid") throw error;
    return `fails: ${(error as Error).message}`;
  } finally {
    cache.clear();
  }
}

async function open(config: Config, form: DeviceForm, device: Device): Promise<Session> {
  return await openSession(await attentionProbe(config, form), { device, numThreads: 2 });
}

/** Results of all chunks and of the last step, in order. Closes the session. */
async function* results(config: Config, session: Session, cache: KvCache): AsyncGenerator<Float32Array> {
  await using own = session;
  const random = seedRandom(7);
  const lengths = PROMPTS.map((chunks) => chunks.reduce((sum, chunk) => sum + chunk, 0));
  cache.ensure(PROMPTS.length, Math.max(...lengths) + 1);
  for (const [row, chunks] of PROMPTS.entries()) {
    let past = 0;
    for (const chunk of chunks) {
      const positions = Array.from({ length: chunk }, (_, i) => past + i);
      past += chunk;
      yield* await run(own, config, random, [1, chunk], positions, [past - 1], await cache.view(row, 1, past));
    }
  }
  const rows = await cache.view(0, lengths.length, Math.max(...lengths) + 1);
  yield* await run(own, config, random, [lengths.length, 1], lengths, lengths, rows);
}

async function run(
  session: Session,
  config: Config,
  random: RandomState,
  shape: readonly [number, number],
  positions: readonly number[],
  lastPositions: readonly number[],
  rows: KvView,
): Promise<readonly Float32Array[]> {
  const numRows = shape[0] * shape[1];
  const width = (config.numHeads + 2 * config.numKvHeads) * config.headSize;
  const qkv = Float32Array.from({ length: numRows * width }, () => nextNormal(random));
  const int64 = (values: readonly number[]): RuntimeTensor =>
    runtimeTensor("int64", BigInt64Array.from(values, BigInt), shape);
  const feeds: Record<string, RuntimeTensor> = {
    [INPUT_IDS.name]: int64(positions.map(() => 0)),
    [POSITION_IDS.name]: int64(positions),
    [LAST_POSITIONS.name]: runtimeTensor("int32", Int32Array.from(lastPositions), [lastPositions.length]),
    [TOTAL_LENGTH.name]: runtimeTensor("int32", Int32Array.of(Math.max(...lastPositions) + 1), []),
    [PROBE_INPUT]: runtimeTensor("float32", qkv, [numRows, width]),
    ...rows.feeds,
  };
  const known = Object.fromEntries(Object.entries(feeds).filter(([name]) => session.inputNames.includes(name)));
  const names = Array.from({ length: config.numLayers }, (_, layer) => probeOutput(layer));
  const fetches = { ...rows.fetches, ...Object.fromEntries(names.map((name) => [name, null])) };
  const fetched = await session.run(known, fetches);
  rows.keep?.(fetched, lastPositions);
  return names.map((name) => (hostTensorOf(fetched[name]!).data as Float32Array).slice()); // fetched by name
}

/** Infinite where a value is not a number. */
function greatestDifference(values: Float32Array, expected: Float32Array | undefined): number {
  let greatest = 0;
  values.forEach((value, i) => {
    const difference = Math.abs(value - (expected?.[i] ?? NaN));
    greatest = difference >= 0 ? Math.max(greatest, difference) : Infinity;
  });
  return greatest;
}
