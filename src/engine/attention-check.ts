/**
 * Whether a device's attention is right: the model's own kinds of layers, on numbers that are known, held against the CPU's. Prompts
 * in one and in several chunks, whose sizes take the kernels' different ways, then a step of rows of different length.
 */
import type { AttentionPath, DeviceForm } from "../base/device-model.ts";
import { PROBE_INPUT, attentionProbe, probeConfig, probeOutput } from "../base/attention-probe.ts";
import type { Manifest } from "../base/manifest.ts";
import { AppError } from "../errors.ts";
import { INPUT_IDS, LAST_POSITIONS, POSITION_IDS, TOTAL_LENGTH } from "../model/ports.ts";
import { type RuntimeTensor, type Session, hostTensorOf, openSession, runtimeTensor } from "../runtime/ort.ts";
import { type RandomState, nextNormal, seedRandom } from "../tensor/random.ts";
import { HostKvCache } from "./host-kv-cache.ts";
import type { KvCache } from "./kv-cache.ts";

type Config = Manifest["config"];

/** Chunks of three prompts; each row then takes one token more. */
const PROMPTS: readonly (readonly number[])[] = [[5], [64, 64, 37], [64, 1]];
/** Greatest difference of a value: float32 sums in another order, or float16. Wrong kernels were off by 0.03 and more. */
const BOUNDS = { float32: 1e-3, float16: 1e-2 };

/**
 * The first of the ways to compute attention that is right on this device.
 * @param newCache a cache of this device for a shape, in the form's type
 * @throws {AppError} device_unavailable where none is
 */
export async function rightAttention(
  modelConfig: Config,
  form: Omit<DeviceForm, "attention">,
  device: { readonly name: "webgpu" | "cuda"; readonly newCache: (config: Config) => KvCache },
): Promise<AttentionPath> {
  const config = probeConfig(modelConfig);
  const plain: DeviceForm = { attention: "fused", hasHalfAttention: false, hasHalfProducts: false, knowsHalf: true };
  const expected: Float32Array[] = [];
  for await (const values of results(config, await open(config, plain, "cpu"), new HostKvCache(config)))
    expected.push(values);
  const bound = form.hasHalfAttention ? BOUNDS.float16 : BOUNDS.float32;
  const found: string[] = [];
  for (const attention of ["fused", "stepwise"] as const) {
    const session = await open(config, { ...form, attention }, device.name);
    const cache = device.newCache(config);
    let difference = 0;
    let step = 0;
    for await (const values of results(config, session, cache)) {
      difference = Math.max(difference, greatestDifference(values, expected[step++]));
      if (difference > bound) break; // the rest would only take time
    }
    cache.clear();
    if (difference <= bound) return attention;
    found.push(`${attention} by ${difference.toPrecision(2)}`);
  }
  const capped =
    modelConfig.scoreSoftCap === 0 ? "" : " The model caps its scores, which the device's kernel may not know.";
  throw new AppError(
    "device_unavailable",
    `Attention on ${device.name} differs from the CPU's (${found.join(", ")}; allowed ${bound}).${capped} Serve this model with --device cpu.`,
  );
}

async function open(config: Config, form: DeviceForm, device: "cpu" | "webgpu" | "cuda"): Promise<Session> {
  return await openSession(await attentionProbe(config, form), { device, numThreads: 2 });
}

/** What all chunks and the last step give, in their order. Closes the session. */
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
      const { feeds, fetches } = await cache.view(row, 1, past);
      yield* await run(own, config, random, [1, chunk], positions, [past - 1], feeds, fetches);
    }
  }
  const { feeds, fetches } = await cache.view(0, lengths.length, Math.max(...lengths) + 1);
  yield* await run(own, config, random, [lengths.length, 1], lengths, lengths, feeds, fetches);
}

async function run(
  session: Session,
  config: Config,
  random: RandomState,
  shape: readonly [number, number],
  positions: readonly number[],
  lastPositions: readonly number[],
  past: Record<string, RuntimeTensor>,
  present: Record<string, RuntimeTensor>,
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
    ...past,
  };
  const known = Object.fromEntries(Object.entries(feeds).filter(([name]) => session.inputNames.includes(name)));
  const names = Array.from({ length: config.numLayers }, (_, layer) => probeOutput(layer));
  const fetches = { ...present, ...Object.fromEntries(names.map((name) => [name, null])) };
  const fetched = await session.run(known, fetches);
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
