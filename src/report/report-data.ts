/** The input of a report: plain data, collected by the caller. None of it is trusted to be harmless text. */
import type { EvaluationLine, StepLine } from "../train/step-log.ts";

/** A row of a table of facts. */
export interface Fact {
  readonly name: string;
  readonly value: string;
}

export interface Headline {
  /** Held-out loss of the base and of the written state, nats a token; null where no data was held out. */
  readonly evalLossBase: number | null;
  readonly evalLoss: number | null;
  /** Only with preferences: share of held-out pairs whose chosen answer has the greater reward. */
  readonly evalAccuracy?: number;
  /** Only with rewards: mean reward of the last step; held out, of the base and of the written state. */
  readonly trainReward?: number;
  readonly evalRewardBase?: number;
  readonly evalReward?: number;
  /** Number of steps before the best evaluation. */
  readonly bestStep: number | null;
  /** Mean loss of the last steps. */
  readonly trainLoss: number | null;
  readonly numParams: number;
  /** Number of values in the whole base; null where that is not informative. */
  readonly numBaseParams: number | null;
  /** Size of the written file. */
  readonly bytes: number;
  readonly steps: number;
  readonly plannedSteps: number;
}

/** The movement of one trained tensor of a layer. Norms are Euclidean. */
export interface TensorMove {
  /** Name in the file: lambda, v, A, … */
  readonly name: string;
  readonly count: number;
  readonly initialNorm: number;
  readonly finalNorm: number;
  /** Norm of the difference. */
  readonly movedNorm: number;
}

export interface LayerReport {
  /** For example `layers.0.self_attn.q_proj`. */
  readonly name: string;
  /** Directions used, or the rank; null where every weight is trained. */
  readonly k: number | null;
  /** All singular values, greatest first; null where they are not known or do not matter to the method. */
  readonly singularValues: ArrayLike<number> | null;
  readonly tensors: readonly TensorMove[];
}

export interface GateReport {
  /** Mean gate of every head by layer; each list sums to 1. */
  readonly meanGates: ReadonlyMap<string, ArrayLike<number>>;
  /** Number of tokens in the means. */
  readonly tokens: number;
  /** The source of the sequences: "held-out examples". */
  readonly source: string;
}

/** The answers of base and adapter to the same prompt, greedily. */
export interface Sample {
  readonly prompt: string;
  /** The expected answer; null where the example has none. */
  readonly expected: string | null;
  readonly base: string;
  readonly trained: string;
}

export interface ReportData {
  /** For example the adapter's file name. */
  readonly title: string;
  /** "mo-sara", "full", … */
  readonly method: string;
  /** The command line, quoted for a shell. */
  readonly command: string;
  readonly headline: Headline;
  readonly facts: readonly Fact[];
  /** The step log. */
  readonly log: readonly (StepLine | EvaluationLine)[];
  /** Largest norm of the gradients; null: no clipping. */
  readonly clip: number | null;
  readonly layers: readonly LayerReport[];
  /** null where there is no router. */
  readonly gates: GateReport | null;
  readonly samples: readonly Sample[];
  /** Largest number of tokens in an answer. */
  readonly maxAnswerTokens: number;
  /** The reasons why a part is missing or needs care, a sentence each. */
  readonly notes: readonly string[];
}
