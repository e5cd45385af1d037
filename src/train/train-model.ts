/**
 * The opened training graph. It computes the gradients of a micro-batch
 * into the flat buffer, or the losses of examples without gradients.
 * Batch sizes may change at every run. The graph for losses is opened when it is first needed.
 */
import { AppError } from "../errors.ts";
import type { Graph } from "../graph/graph.ts";
import { inlineMadeWeights, serializeGraph } from "../graph/serialize.ts";
import { type TrainGraphOptions, buildTrainGraph } from "../model/train/train-graph.ts";
import { LOSS, ROW_LOSSES, TEACHER_LOGITS } from "../model/train/train-ports.ts";
import { MISSING_OPERATORS } from "../runtime/device-errors.ts";
import { type RuntimeTensor, type Session, type SessionOptions, hostTensorOf, openSession } from "../runtime/ort.ts";
import { batchFeeds, batchLayout } from "./batch-feeds.ts";
import type { MicroBatch } from "./data/batches.ts";
import { type TokenCosts, tokensOf } from "./data/layout.ts";
import { type BatchResult, type Objective, SUPERVISED, dividedBy } from "./objective/objective.ts";
import { FlatParameters } from "./flat-parameters.ts";

export interface TrainModelOptions extends Pick<TrainGraphOptions, "config" | "source" | "trained" | "maxPositions"> {
  /** Default: learning from examples. */
  readonly objective?: Objective;
  /** Computes tokens that sequences share once, where it saves these costs. Default null: a row for each sequence. */
  readonly packing?: TokenCosts | null;
  /** Distillation: the teacher's logits of the predicted tokens of a micro-batch, float32 [N,V]. */
  readonly teacherLogits?: (batch: MicroBatch) => Promise<RuntimeTensor>;
  /** The directory of the files that the source and the bases refer to. */
  readonly weightsDir: string;
  readonly device: SessionOptions["device"];
  readonly numThreads: number;
}

export interface TrainModel extends AsyncDisposable {
  readonly parameters: FlatParameters;
  /**
   * Runs a micro-batch forwards and backwards; its gradients replace those in `parameters.gradients`.
   * @param denominator weight of the whole step
   * @returns the micro-batch's shares of the step's means
   */
  gradients(batch: MicroBatch, denominator: number): Promise<BatchResult>;
  /** Sums over a micro-batch, without gradients. */
  sums(batch: MicroBatch): Promise<BatchResult>;
  /** Loss of each predicted token, in the order of the sequences. */
  rowLosses(batch: MicroBatch): Promise<Float32Array>;
  /** Number of tokens that a micro-batch runs through the graph, padding included. */
  tokensIn(batch: MicroBatch): number;
  /** The micro-batch's part of the divisor of the loss: its predicted tokens, or its pairs. */
  weightOf(batch: MicroBatch): number;
}

/** @throws {AppError} device_unavailable where the device cannot train, naming the missing operator */
export async function openTrainModel(options: TrainModelOptions): Promise<TrainModel> {
  const objective = options.objective ?? SUPERVISED;
  const { loss: graphLoss } = objective;
  const { teacherLogits, packing = null } = options;
  const graphOptions = { ...options, isPacked: packing !== null, isDistilled: teacherLogits !== undefined };
  const { graph, parameters: described } = buildTrainGraph({ ...graphOptions, loss: graphLoss });
  assertTrainable(graph, options.device);
  const parameters = new FlatParameters(described);
  const training = await openTrainGraph(graph, options);
  let evaluation: Promise<Session> | null = null;
  const taught = async (batch: MicroBatch): Promise<Record<string, RuntimeTensor>> =>
    teacherLogits ? { [TEACHER_LOGITS.name]: await teacherLogits(batch) } : {};
  const rowLosses = async (batch: MicroBatch): Promise<Float32Array> => {
    // Every objective starts from the losses of supervised learning.
    evaluation ??= openTrainGraph(buildTrainGraph({ ...graphOptions, hasGradients: false }).graph, options);
    const session = await evaluation;
    const feeds = {
      ...batchFeeds(batch, 1, packing),
      ...SUPERVISED.feeds(batch),
      ...(await taught(batch)),
      ...parameters.feeds,
    };
    return floats(await session.run(feeds, [ROW_LOSSES]), ROW_LOSSES);
  };
  return {
    parameters,
    gradients: async (batch, denominator) => {
      const own = { ...objective.feeds(batch), ...(await taught(batch)) };
      const feeds = { ...batchFeeds(batch, denominator, packing), ...own, ...parameters.feeds };
      const isPlain = graphLoss.kind === "labels";
      const wanted = isPlain ? { [LOSS]: null } : { [LOSS]: null, [ROW_LOSSES]: null };
      const results = await training.run(feeds, { ...parameters.fetches, ...wanted });
      const loss = floats(results, LOSS)[0] ?? Number.NaN;
      if (isPlain) return { loss, measures: {} };
      const sums = objective.sums(batch, floats(results, ROW_LOSSES));
      return { loss, measures: dividedBy(sums, denominator).measures };
    },
    sums: async (batch) => objective.sums(batch, await rowLosses(batch)),
    rowLosses,
    tokensIn: (batch) => tokensOf(batchLayout(batch, packing)),
    weightOf: (batch) => objective.weightOf(batch),
    [Symbol.asyncDispose]: async () => {
      await training[Symbol.asyncDispose]();
      await (await evaluation)?.[Symbol.asyncDispose]();
    },
  };
}

function assertTrainable(graph: Graph, device: SessionOptions["device"]): void {
  const missing = new Set(graph.nodes.map(({ op }) => op).filter((op) => MISSING_OPERATORS[device].includes(op)));
  if (missing.size === 0) return;
  throw new AppError(
    "device_unavailable",
    `Training needs the operators ${[...missing].join(", ")}, which ONNX Runtime lacks on ${device}. Train with --device cpu.`,
  );
}

/** A session of a graph that `buildTrainGraph` made. It keeps no second, packed copy of the frozen weights. */
export async function openTrainGraph(
  graph: Graph,
  { weightsDir, device, numThreads }: Pick<TrainModelOptions, "weightsDir" | "device" | "numThreads">,
): Promise<Session> {
  await inlineMadeWeights(graph);
  return openSession(serializeGraph(graph), { device, numThreads, weightsDir, packsWeights: false });
}

function floats(results: Readonly<Record<string, RuntimeTensor>>, name: string): Float32Array {
  const tensor = results[name];
  if (!tensor) throw new Error(`internal: ${name} was not fetched`);
  return hostTensorOf(tensor).data as Float32Array;
}
