/**
 * Approximate merging of adapters that cannot be merged exactly.
 * The mean gate of every router over given sequences replaces the
 * gate of each token. The error is measured on the same sequences.
 */
import { type Adapter, assertFits } from "../../adapter/adapter.ts";
import { withMeanGates } from "../../adapter/merge.ts";
import { AppError } from "../../errors.ts";
import { inlineMadeWeights, serializeGraph } from "../../graph/serialize.ts";
import { PROBE_LOGITS, PROBE_ROWS, buildProbeGraph, gateSum } from "../../model/train/probe-graph.ts";
import { TRAIN_IDS, TRAIN_POSITIONS } from "../../model/train/train-ports.ts";
import { type Session, hostTensorOf, openSession, runtimeTensor } from "../../runtime/ort.ts";
import type { Base } from "../base.ts";
import { fileWeights } from "../file-weights.ts";

export interface MeanGateResult {
  /** An adapter with one head, which merges exactly. */
  readonly adapter: Adapter;
  /** Mean gate [n] of every target. */
  readonly meanGates: ReadonlyMap<string, Float64Array>;
  /** The error of the mean gate, in the logits of the last positions of every sequence. */
  readonly maxAbsLogitDifference: number;
  readonly meanAbsLogitDifference: number;
  readonly tokens: number;
}

// Number of positions compared for each sequence. Logits of a large vocabulary are big, and this many show the error
// well enough.
const MAX_LOGIT_ROWS = 64;

/**
 * @param sequences token ids; each list has at most the length of the model's context
 * @throws {AppError} usage where there is one head, or no sequence to average over; not_mergeable where the base lacks
 * its original weights
 */
export async function mergeByMeanGate(
  base: Base,
  adapter: Adapter,
  sequences: readonly Int32Array[],
  numThreads: number,
): Promise<MeanGateResult> {
  assertFits(adapter, base.signature);
  if (adapter.heads === 1)
    throw new AppError(
      "usage",
      "--mean-gate is for adapters with several heads. This adapter has one head and merges exactly.",
    );
  if (!base.manifest.hasOriginals)
    throw new AppError(
      "not_mergeable",
      `${base.dir} was built with --slim, without the original weights. Build it from the checkpoint again, without --slim.`,
    );
  const used = sequences.filter((ids) => ids.length > 0);
  if (used.length === 0) throw new AppError("usage", "--mean-gate needs at least one example.");
  const sums = new Map(adapter.targets.map((target) => [target.name, new Float64Array(adapter.heads)]));
  const live = await withProbe(base, adapter, numThreads, (probe) =>
    eachSequence(used, async (ids) => {
      const results = await runProbe(probe, ids);
      for (const [name, sum] of sums)
        (results.get(gateSum(name)) ?? []).forEach((gate, i) => (sum[i] = (sum[i] ?? 0) + gate));
      return logitsOf(results);
    }),
  );
  const tokens = used.reduce((count, ids) => count + ids.length, 0);
  const meanGates = new Map([...sums].map(([name, sum]) => [name, sum.map((gate) => gate / tokens)]));
  const merged = withMeanGates(adapter, meanGates);
  const standIn = await withProbe(base, merged, numThreads, (probe) =>
    eachSequence(used, async (ids) => logitsOf(await runProbe(probe, ids))),
  );
  return { adapter: merged, meanGates, tokens, ...difference(live, standIn) };
}

async function eachSequence<T>(sequences: readonly Int32Array[], run: (ids: Int32Array) => Promise<T>): Promise<T[]> {
  const results: T[] = [];
  for (const ids of sequences) results.push(await run(ids));
  return results;
}

function difference(
  live: readonly Float32Array[],
  standIn: readonly Float32Array[],
): { maxAbsLogitDifference: number; meanAbsLogitDifference: number } {
  let [largest, sum, count] = [0, 0, 0];
  live.forEach((logits, i) =>
    logits.forEach((value, at) => {
      const distance = Math.abs(value - (standIn[i]?.[at] ?? NaN));
      largest = Math.max(largest, distance);
      sum += distance;
      count++;
    }),
  );
  return { maxAbsLogitDifference: largest, meanAbsLogitDifference: sum / count };
}

/** Opens the probe graph of an adapter over the base's files. */
async function withProbe<T>(
  base: Base,
  adapter: Adapter,
  numThreads: number,
  use: (probe: Session) => Promise<T>,
): Promise<T> {
  const targets = new Set(adapter.targets.map((target) => target.name));
  const bases = base.bases.filter((basis) => targets.has(basis.name));
  await using weights = await fileWeights(base);
  const graph = buildProbeGraph({ config: base.manifest.config, source: weights.source, adapter, bases });
  await inlineMadeWeights(graph);
  await using probe = await openSession(serializeGraph(graph), { device: "cpu", numThreads, weightsDir: weights.dir });
  return await use(probe);
}

type Results = ReadonlyMap<string, Float32Array>;

function logitsOf(results: Results): Float32Array {
  const logits = results.get(PROBE_LOGITS);
  if (!logits) throw new Error("internal: the probe gave no logits");
  return logits;
}

async function runProbe(probe: Session, ids: Int32Array): Promise<Results> {
  const length = ids.length;
  const int64 = (values: BigInt64Array, shape: readonly number[]) => runtimeTensor("int64", values, shape);
  const numRows = Math.min(length, MAX_LOGIT_ROWS);
  const results = await probe.run(
    {
      [TRAIN_IDS.name]: int64(BigInt64Array.from(ids, BigInt), [1, length]),
      [TRAIN_POSITIONS.name]: int64(BigInt64Array.from(ids.keys(), BigInt), [1, length]),
      [PROBE_ROWS]: int64(
        BigInt64Array.from({ length: numRows }, (_, i) => BigInt(length - numRows + i)),
        [numRows],
      ),
    },
    probe.outputNames,
  );
  return new Map(Object.entries(results).map(([name, value]) => [name, hostTensorOf(value).data as Float32Array]));
}
