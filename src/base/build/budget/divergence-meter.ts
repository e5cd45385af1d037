/**
 * Measures how far a model's next-token distributions move when some of its weights change. The whole model is in
 * memory as float32. Activations are not rounded, because every layout rounds them in the same blocks.
 */
// Indices are bounded by their loops, hence `!`.
import type { Checkpoint } from "../../../checkpoint/checkpoint.ts";
import { inlineMadeWeights, serializeGraph } from "../../../graph/serialize.ts";
import { DIVERGENCES, EMBEDDED, MEASURED_LOGITS, buildDivergenceGraph } from "../../../model/train/divergence-graph.ts";
import { TEACHER_LOGITS, TRAIN_IDS, TRAIN_POSITIONS } from "../../../model/train/train-ports.ts";
import { EMBEDDING } from "../../../model/weight-names.ts";
import { type RuntimeTensor, hostTensorOf, openSession, runtimeTensor } from "../../../runtime/ort.ts";
import { toFloat32 } from "../../../tensor/host-tensor.ts";
import { readFinite } from "../build-weights.ts";

export interface DivergenceMeter extends AsyncDisposable {
  /** A tensor's values, float32. They must not be changed. */
  readonly valuesOf: (name: string) => Float32Array;
  /**
   * Mean KL divergence from the unchanged model, in nats a position, when some tensors have other values.
   * @param changed these values, by name
   */
  divergenceOf(changed: ReadonlyMap<string, Float32Array>): Promise<number>;
}

/** @param ids one sequence */
export async function openDivergenceMeter(
  checkpoint: Checkpoint,
  ids: readonly number[],
  numThreads: number,
): Promise<DivergenceMeter> {
  const { config, tensors } = checkpoint;
  const shapes = new Map(tensors.map(({ name, shape }) => [name, shape]));
  const values = new Map<string, Float32Array>();
  for (const { name } of tensors) values.set(name, toFloat32(await readFinite(checkpoint, name)));
  const graph = buildDivergenceGraph(config, shapes, ids.length);
  await inlineMadeWeights(graph);
  const session = await openSession(serializeGraph(graph), { device: "cpu", numThreads });
  const feedOf = (name: string, data: Float32Array): RuntimeTensor => runtimeTensor("float32", data, shapes.get(name)!);
  const feeds: Record<string, RuntimeTensor> = {
    [TRAIN_IDS.name]: runtimeTensor("int64", BigInt64Array.from(ids, BigInt), [1, ids.length]),
    [TRAIN_POSITIONS.name]: runtimeTensor("int64", BigInt64Array.from(ids.keys(), BigInt), [1, ids.length]),
    [EMBEDDED]: embeddedRows(values.get(EMBEDDING)!, ids, config.hiddenSize),
    [TEACHER_LOGITS.name]: runtimeTensor("float32", new Float32Array(ids.length * config.vocabSize), [
      ids.length,
      config.vocabSize,
    ]),
  };
  for (const { name } of graph.inputs) if (shapes.has(name)) feeds[name] = feedOf(name, values.get(name)!);
  const { [MEASURED_LOGITS]: logits } = await session.run(feeds, [MEASURED_LOGITS]);
  feeds[TEACHER_LOGITS.name] = logits!; // it was fetched
  return {
    valuesOf: (name) => values.get(name)!,
    divergenceOf: async (changed) => {
      const own = Object.fromEntries([...changed].map(([name, data]) => [name, feedOf(name, data)]));
      const { [DIVERGENCES]: found } = await session.run({ ...feeds, ...own }, [DIVERGENCES]);
      const divergences = hostTensorOf(found!).data as Float32Array; // it was fetched
      return Math.max(0, divergences.reduce((sum, one) => sum + one, 0) / divergences.length);
    },
    [Symbol.asyncDispose]: () => session[Symbol.asyncDispose](),
  };
}

function embeddedRows(table: Float32Array, ids: readonly number[], width: number): RuntimeTensor {
  const rows = new Float32Array(ids.length * width);
  for (const [at, id] of ids.entries()) rows.set(table.subarray(id * width, (id + 1) * width), at * width);
  return runtimeTensor("float32", rows, [ids.length, width]);
}
