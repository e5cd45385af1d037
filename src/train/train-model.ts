/**
 * The opened training graph. It computes the gradients of a micro-batch
 * into the flat buffer, or the losses of examples without gradients.
 * Batch sizes may change at every run. The graph for losses is opened when it is first needed.
 */
import { AppError } from "../errors.ts";
import type { Graph } from "../graph/graph.ts";
import { inlineMadeWeights, serializeGraph } from "../graph/serialize.ts";
import { type TrainGraphOptions, buildTrainGraph } from "../model/train/train-graph.ts";
import { LOSS, ROW_LOSSES } from "../model/train/train-ports.ts";
import { MISSING_OPERATORS } from "../runtime/device-errors.ts";
import { type RuntimeTensor, type Session, type SessionOptions, hostTensorOf, openSession } from "../runtime/ort.ts";
import { batchFeeds } from "./batch-feeds.ts";
import type { MicroBatch } from "./batches.ts";
import { FlatParameters } from "./flat-parameters.ts";

export interface TrainModelOptions extends Pick<TrainGraphOptions, "config" | "source" | "trained" | "maxPositions"> {
  /** The directory of the files that the source and the bases refer to. */
  readonly weightsDir: string;
  readonly device: SessionOptions["device"];
  readonly numThreads: number;
}

export interface TrainModel extends AsyncDisposable {
  readonly parameters: FlatParameters;
  /**
   * Runs a micro-batch forwards and backwards; its gradients replace those in `parameters.gradients`.
   * @param denominator predicted tokens of the whole step
   * @returns the micro-batch's share of the step's loss
   */
  gradients(batch: MicroBatch, denominator: number): Promise<number>;
  /** Sum of the losses of a micro-batch's predicted tokens. */
  lossSum(batch: MicroBatch): Promise<number>;
}

/** @throws {AppError} device_unavailable where the device cannot train, naming the missing operator */
export async function openTrainModel(options: TrainModelOptions): Promise<TrainModel> {
  const { graph, parameters: described } = buildTrainGraph(options);
  assertTrainable(graph, options.device);
  const parameters = new FlatParameters(described);
  const training = await openGraph(graph, options);
  let evaluation: Promise<Session> | null = null;
  return {
    parameters,
    gradients: async (batch, denominator) => {
      const feeds = { ...batchFeeds(batch, denominator), ...parameters.feeds };
      const results = await training.run(feeds, { ...parameters.fetches, [LOSS]: null });
      return floats(results, LOSS)[0] ?? Number.NaN;
    },
    lossSum: async (batch) => {
      evaluation ??= openGraph(buildTrainGraph({ ...options, hasGradients: false }).graph, options);
      const session = await evaluation;
      const results = await session.run({ ...batchFeeds(batch, 1), ...parameters.feeds }, [ROW_LOSSES]);
      return floats(results, ROW_LOSSES).reduce((sum, loss) => sum + loss, 0);
    },
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

async function openGraph(graph: Graph, { weightsDir, device, numThreads }: TrainModelOptions): Promise<Session> {
  await inlineMadeWeights(graph);
  return openSession(serializeGraph(graph), { device, numThreads, weightsDir });
}

function floats(results: Readonly<Record<string, RuntimeTensor>>, name: string): Float32Array {
  const tensor = results[name];
  if (!tensor) throw new Error(`internal: ${name} was not fetched`);
  return hostTensorOf(tensor).data as Float32Array;
}
