/**
 * Learning from rewards: answers of the model's own, each with its advantage over the others to the same prompt. Holds
 * no answers: a micro-batch brings them. Source: see model/train/reward-loss.ts.
 */
import { ADVANTAGES, SAMPLED_LOGPROBS } from "../../model/train/train-ports.ts";
import { type RuntimeTensor, runtimeTensor } from "../../runtime/ort.ts";
import { lossTokens } from "../batch-feeds.ts";
import type { MicroBatch, Rollout } from "../data/batches.ts";
import type { BatchResult, Objective } from "./objective.ts";

/** Added to the deviation of a group that advantages are divided by, as in TRL. */
const DEVIATION_EPSILON = 1e-4;

export class Rewards implements Objective {
  readonly loss: { readonly kind: "rewards"; readonly clip: number };

  /** @param clip ε */
  constructor(clip: number) {
    this.loss = { kind: "rewards", clip };
  }

  /** Every token counts the same, whatever the length of its answer. */
  weightOf(batch: MicroBatch): number {
    return lossTokens(batch);
  }

  feeds(batch: MicroBatch): Record<string, RuntimeTensor> {
    const count = lossTokens(batch);
    const advantages = new Float32Array(count);
    const logprobs = new Float32Array(count);
    let row = 0;
    for (const { rollout, numLossTokens } of batch) {
      const { advantage, logprobs: own } = assertRollout(rollout, numLossTokens);
      advantages.fill(advantage, row, row + numLossTokens);
      logprobs.set(own, row);
      row += numLossTokens;
    }
    return {
      [ADVANTAGES.name]: runtimeTensor("float32", advantages, [count]),
      [SAMPLED_LOGPROBS.name]: runtimeTensor("float32", logprobs, [count]),
    };
  }

  sums(batch: MicroBatch, rowLosses: Float32Array): BatchResult {
    const { clip } = this.loss;
    let [loss, difference, largest, row] = [0, 0, 0, 0];
    for (const { rollout, numLossTokens } of batch) {
      const { advantage, logprobs } = assertRollout(rollout, numLossTokens);
      for (const logprob of logprobs) {
        const move = -(rowLosses[row++] ?? Number.NaN) - logprob;
        const ratio = Math.exp(move);
        loss -= Math.min(ratio * advantage, Math.min(Math.max(ratio, 1 - clip), 1 + clip) * advantage);
        difference += Math.abs(move);
        largest = Math.max(largest, Math.abs(move));
      }
    }
    return {
      loss,
      measures: {
        "sampling/sampling_logp_difference/mean": difference,
        "sampling/sampling_logp_difference/max": largest,
      },
    };
  }
}

function assertRollout(rollout: Rollout | undefined, numLossTokens: number): Rollout {
  if (rollout?.logprobs.length === numLossTokens) return rollout;
  throw new Error("internal: an answer without the log-probabilities of its tokens");
}

/** Mean and standard deviation of the rewards of a group. */
export interface GroupScore {
  readonly mean: number;
  /** With the divisor n − 1, as in TRL. */
  readonly deviation: number;
}

export function scoreGroup(rewards: readonly number[]): GroupScore {
  const [first = Number.NaN] = rewards;
  if (rewards.every((reward) => reward === first)) return { mean: first, deviation: 0 }; // exactly, without rounding
  const mean = rewards.reduce((sum, reward) => sum + reward, 0) / rewards.length;
  const squares = rewards.reduce((sum, reward) => sum + (reward - mean) ** 2, 0);
  return { mean, deviation: Math.sqrt(squares / Math.max(1, rewards.length - 1)) };
}

/**
 * (reward − mean) / deviation of each answer of a group; 0 where all rewards are equal. Source: GRPO, arXiv 2402.03300.
 */
export function advantagesOf(rewards: readonly number[]): readonly number[] {
  const { mean, deviation } = scoreGroup(rewards);
  return rewards.map((reward) => (reward - mean) / (deviation + DEVIATION_EPSILON));
}
