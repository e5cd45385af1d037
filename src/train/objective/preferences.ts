/**
 * Learning from preferences (DPO): pairs of answers, of which one is preferred. Holds the log-probabilities that the
 * reference gives to every pair. The reference is the model at the start of the run. Source: Rafailov et al. 2023,
 * arXiv 2305.18290; see model/train/preference-loss.ts.
 */
import { PAIR_SIGNS, REFERENCE_MARGINS } from "../../model/train/train-ports.ts";
import { type RuntimeTensor, runtimeTensor } from "../../runtime/ort.ts";
import { lossTokens } from "../batch-feeds.ts";
import { type MicroBatch, type TrainExample, sequencesOf } from "../data/batches.ts";
import { type BatchResult, NOTHING, type Objective, plus } from "./objective.ts";

/** Log-probabilities of the two answers of a pair. */
interface PairLogps {
  readonly chosen: number;
  readonly rejected: number;
}

export class Preferences implements Objective {
  readonly loss: { readonly kind: "preferences"; readonly beta: number };
  readonly #references = new Map<TrainExample, PairLogps>();

  constructor(beta: number) {
    this.loss = { kind: "preferences", beta };
  }

  /** Keeps the reference's log-probabilities of pairs. @param logps those of `logpsOf`, for all of them in order */
  refer(pairs: readonly TrainExample[], logps: Float32Array): void {
    if (logps.length !== 2 * pairs.length)
      throw new Error(`internal: ${logps.length} reference values for ${pairs.length} pairs`);
    // Two values for each pair.
    pairs.forEach((pair, i) => this.#references.set(pair, { chosen: logps[2 * i]!, rejected: logps[2 * i + 1]! }));
  }

  /** Every pair counts the same, whatever its length. */
  weightOf(batch: MicroBatch): number {
    return batch.length;
  }

  feeds(batch: MicroBatch): Record<string, RuntimeTensor> {
    const [numPairs, numRows] = [batch.length, lossTokens(batch)];
    const signs = new Float32Array(numPairs * numRows);
    let row = 0;
    sequencesOf(batch).forEach(({ numLossTokens }, i) => {
      const start = Math.floor(i / 2) * numRows + row;
      signs.fill(i % 2 === 0 ? -1 : 1, start, start + numLossTokens);
      row += numLossTokens;
    });
    const margins = Float32Array.from(batch, (pair) => {
      const { chosen, rejected } = this.#referenceOf(pair);
      return chosen - rejected;
    });
    return {
      [PAIR_SIGNS.name]: runtimeTensor("float32", signs, [numPairs, numRows]),
      [REFERENCE_MARGINS.name]: runtimeTensor("float32", margins, [numPairs]),
    };
  }

  sums(batch: MicroBatch, rowLosses: Float32Array): BatchResult {
    const logps = logpsOf(batch, rowLosses);
    return batch
      .map((pair, i) => this.#resultOf(pair, { chosen: logps[2 * i]!, rejected: logps[2 * i + 1]! })) // two for each pair
      .reduce((sum, one) => plus(sum, one), NOTHING);
  }

  #resultOf(pair: TrainExample, { chosen, rejected }: PairLogps): BatchResult {
    const reference = this.#referenceOf(pair);
    const { beta } = this.loss;
    const [good, bad] = [beta * (chosen - reference.chosen), beta * (rejected - reference.rejected)];
    const margin = good - bad;
    return {
      loss: Math.max(0, -margin) + Math.log1p(Math.exp(-Math.abs(margin))), // log(1 + e^−margin), without overflow
      measures: {
        "rewards/chosen": good,
        "rewards/rejected": bad,
        "rewards/accuracies": margin > 0 ? 1 : 0,
        "rewards/margins": margin,
      },
    };
  }

  #referenceOf(pair: TrainExample): PairLogps {
    const found = this.#references.get(pair);
    if (!found) throw new Error("internal: a pair without a reference");
    return found;
  }
}

/** Log-probabilities of the sequences of pairs, summed over their predicted tokens: chosen, rejected, chosen, … */
export function logpsOf(batch: MicroBatch, rowLosses: Float32Array): Float32Array {
  let row = 0;
  const sums = sequencesOf(batch).map(({ numLossTokens }) => {
    let sum = 0;
    for (const end = row + numLossTokens; row < end; row++) sum -= rowLosses[row]!; // as many as predicted tokens
    return sum;
  });
  return Float32Array.from(sums);
}
