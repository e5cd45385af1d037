/**
 * The model that a compressed adapter imitates: the base with the original adapter. Gives its logits of a micro-batch,
 * its losses, and the moments of the inputs of its layers.
 */
import type { Adapter, AdapterTarget } from "../../adapter/adapter.ts";
import { deltaFactors } from "../../adapter/merge.ts";
import { METHODS } from "../../adapter/methods.ts";
import type { Var } from "../../graph/graph.ts";
import { matMul } from "../../graph/ops/linear.ts";
import { slice, transpose } from "../../graph/ops/shaping.ts";
import { type TrainGraphOptions, buildTrainGraph } from "../../model/train/train-graph.ts";
import { ROW_LOSSES } from "../../model/train/train-ports.ts";
import { fromFile } from "../../model/weights.ts";
import { type RuntimeTensor, type Session, hostTensorOf, runtimeTensor } from "../../runtime/ort.ts";
import { toFloat32 } from "../../tensor/host-tensor.ts";
import { batchFeeds } from "../batch-feeds.ts";
import type { MicroBatch, TrainExample } from "../data/batches.ts";
import { LENGTH_MULTIPLE, type TokenCosts } from "../data/layout.ts";
import { SUPERVISED } from "../objective/objective.ts";
import { openTrainGraph, type TrainModelOptions } from "../train-model.ts";
import type { AdaptedLayer } from "../trained-adapter.ts";
import type { LayerMoments } from "./projection.ts";

/** The teacher's answer to a micro-batch: logits float32 [N,V] and losses [N] of its predicted tokens. */
export interface TeacherAnswer {
  readonly logits: RuntimeTensor;
  readonly losses: Float32Array;
}

export interface Teacher extends AsyncDisposable {
  answer(batch: MicroBatch): Promise<TeacherAnswer>;
  /** Moments over all tokens of the examples, by layer: of layers that both adapters change. */
  moments(examples: readonly TrainExample[]): Promise<ReadonlyMap<string, LayerMoments>>;
}

const LOGITS = "teacher.logits";
const gramName = (layer: string): string => `gram.${layer}`;
const inputsName = (layer: string): string => `inputs.${layer}`;

/** @param adapter of a method without bases and heads: lora or sara @param layers those of the compressed adapter */
export async function openTeacher(
  options: TrainModelOptions,
  adapter: Adapter,
  layers: readonly AdaptedLayer[],
): Promise<Teacher> {
  const targets = new Map(adapter.targets.map((target) => [target.name, target]));
  const shared = layers.filter(({ name }) => targets.has(name));
  const parameters = parameterFeeds(adapter);
  const feedsOf = (batch: MicroBatch, packing: TokenCosts | null) => ({
    ...batchFeeds(batch, 1, packing),
    ...SUPERVISED.feeds(batch),
    ...parameters,
  });
  const answering = await openGraph(options, adapter, null);
  const names = shared.flatMap(({ name }) => [gramName(name), inputsName(name)]);
  return {
    answer: async (batch) => {
      const results = await answering.run(feedsOf(batch, options.packing ?? null), [LOGITS, ROW_LOSSES]);
      return { logits: fetched(results, LOGITS), losses: floats(results, ROW_LOSSES) };
    },
    moments: async (examples) => {
      await using observing = await openGraph(options, adapter, shared);
      const sums = new Map<string, Float64Array>();
      for (const example of examples.flatMap(withoutPadding)) {
        const results = await observing.run(feedsOf([example], null), names);
        for (const name of names) addTo(sums, name, floats(results, name));
      }
      return new Map(
        shared.flatMap((layer) => {
          const target = targets.get(layer.name);
          return target ? [[layer.name, momentsOf(adapter, target, layer, sums)]] : [];
        }),
      );
    },
    [Symbol.asyncDispose]: () => answering[Symbol.asyncDispose](),
  };
}

function parameterFeeds({ targets }: Adapter): Record<string, RuntimeTensor> {
  const entries = targets.flatMap(({ name, tensors }) =>
    Object.entries(tensors).map(([key, value]): [string, RuntimeTensor] => [
      `${name}.${key}`,
      runtimeTensor("float32", toFloat32(value), value.shape),
    ]),
  );
  return Object.fromEntries(entries);
}

/** @param observed layers whose moments are outputs, without any padding; null: the logits are */
async function openGraph(
  options: TrainModelOptions,
  { method, heads, router, targets }: Adapter,
  observed: readonly AdaptedLayer[] | null,
): Promise<Session> {
  const wanted = new Map(observed?.map((layer) => [layer.name, layer]));
  const described = targets.map(({ name, dIn, dOut, k, scale }) => {
    return { name, dIn, dOut, k, basis: null, ...(scale === undefined ? {} : { scale }) };
  });
  const graphOptions: TrainGraphOptions = {
    ...options,
    trained: { kind: "adapter", method: METHODS[method], settings: { heads, router }, targets: described },
    hasGradients: false,
    isPacked: observed === null && (options.packing ?? null) !== null,
    observe: (x, { name }) => {
      const layer = wanted.get(name);
      if (layer) outputMoments(x, layer);
    },
  };
  const { graph, logits } = buildTrainGraph(graphOptions);
  if (observed === null) graph.output(logits, LOGITS);
  return await openTrainGraph(graph, options);
}

function outputMoments(x: Var, { name, k, stored }: AdaptedLayer): void {
  if (!stored) throw new Error(`internal: ${name} has no stored basis`);
  const z = matMul(x, slice(fromFile(x.graph, `${name}.V`, stored.right), 1, 0, k));
  x.graph.output(matMul(transpose(z, [1, 0]), z), gramName(name));
  x.graph.output(matMul(transpose(x, [1, 0]), z), inputsName(name));
}

/** The beginning of an example that fills its row exactly, with one token to predict. None where it is too short. */
function withoutPadding({ ids }: TrainExample): readonly TrainExample[] {
  const length = LENGTH_MULTIPLE * Math.floor((ids.length - 1) / LENGTH_MULTIPLE);
  if (length === 0) return [];
  const lossMask = new Uint8Array(length + 1);
  lossMask[length] = 1;
  return [{ ids: ids.subarray(0, length + 1), lossMask, numLossTokens: 1 }];
}

function momentsOf(
  adapter: Adapter,
  target: AdapterTarget,
  { name, k, dIn, dOut }: AdaptedLayer,
  sums: ReadonlyMap<string, Float64Array>,
): LayerMoments {
  const { left, right, k: rank } = deltaFactors(adapter, target, null);
  const inputs = sums.get(inputsName(name)) ?? new Float64Array(dIn * k);
  const cross = matrixProduct(left, matrixProduct(right, inputs, [rank, dIn, k]), [dOut, rank, k]);
  return { gram: sums.get(gramName(name)) ?? new Float64Array(k * k), cross };
}

/** a [rows,inner] · b [inner,columns]. Indices are bounded by the loops, hence `!`. */
function matrixProduct(
  a: Float64Array,
  b: Float64Array,
  [rows, inner, columns]: readonly [number, number, number],
): Float64Array {
  const result = new Float64Array(rows * columns);
  for (let row = 0; row < rows; row++)
    for (let i = 0; i < inner; i++)
      for (let column = 0; column < columns; column++) {
        const at = row * columns + column;
        result[at] = result[at]! + a[row * inner + i]! * b[i * columns + column]!;
      }
  return result;
}

function addTo(sums: Map<string, Float64Array>, name: string, values: Float32Array): void {
  const sum = sums.get(name) ?? new Float64Array(values.length);
  values.forEach((value, i) => (sum[i] = (sum[i] ?? 0) + value));
  sums.set(name, sum);
}

function fetched(results: Readonly<Record<string, RuntimeTensor>>, name: string): RuntimeTensor {
  const tensor = results[name];
  if (!tensor) throw new Error(`internal: ${name} was not fetched`);
  return tensor;
}

function floats(results: Readonly<Record<string, RuntimeTensor>>, name: string): Float32Array {
  return hostTensorOf(fetched(results, name)).data as Float32Array;
}
