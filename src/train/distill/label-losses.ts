/** Losses of the predicted tokens under an adapter in training, whatever it is trained for. */
import { buildTrainGraph } from "../../model/train/train-graph.ts";
import { ROW_LOSSES } from "../../model/train/train-ports.ts";
import { hostTensorOf } from "../../runtime/ort.ts";
import { batchFeeds, lossTokens } from "../batch-feeds.ts";
import type { MicroBatch } from "../data/batches.ts";
import type { FlatParameters } from "../flat-parameters.ts";
import { SUPERVISED } from "../objective/objective.ts";
import { openTrainGraph, type TrainModelOptions } from "../train-model.ts";

/** The mean loss of examples, with the present values of the parameters. */
export async function meanLabelLoss(
  options: TrainModelOptions,
  parameters: FlatParameters,
  batches: readonly MicroBatch[],
): Promise<number> {
  const { packing = null } = options;
  const { graph } = buildTrainGraph({ ...options, isPacked: packing !== null, hasGradients: false });
  await using session = await openTrainGraph(graph, options);
  return await meanLoss(batches, async (batch) => {
    const feeds = { ...batchFeeds(batch, 1, packing), ...SUPERVISED.feeds(batch), ...parameters.feeds };
    const { [ROW_LOSSES]: losses } = await session.run(feeds, [ROW_LOSSES]);
    if (!losses) throw new Error("internal: no losses");
    return hostTensorOf(losses).data as Float32Array;
  });
}

/** @param lossesOf the losses of a micro-batch's predicted tokens */
export async function meanLoss(
  batches: readonly MicroBatch[],
  lossesOf: (batch: MicroBatch) => Promise<Float32Array>,
): Promise<number> {
  let [sum, count] = [0, 0];
  for (const batch of batches) {
    sum += (await lossesOf(batch)).reduce((total, loss) => total + loss, 0);
    count += lossTokens(batch);
  }
  return sum / count;
}
