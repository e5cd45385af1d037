/** What a report is made of: plain data, gathered by the caller. Nothing in it is trusted to be harmless text. */
import type { EvaluationLine, StepLine } from "../train/step-log.ts";

/** A line of a table of facts. */
export interface Fact {
  readonly name: string;
  readonly value: string;
}

export interface Headline {
  /** Held-out loss of the base and of what was written, nats a token; null where nothing was held out. */
  readonly evalLossBase: number | null;
  readonly evalLoss: number | null;
  /** Steps behind which the best evaluation stood. */
  readonly bestStep: number | null;
  /** Mean of the last steps. */
  readonly trainLoss: number | null;
  readonly numParams: number;
  /** Numbers in the whole base; null where that says nothing. */
  readonly numBaseParams: number | null;
  /** Of what was written. */
  readonly bytes: number;
  readonly steps: number;
  readonly plannedSteps: number;
}

/** How far one trained tensor of a layer moved. Norms are Euclidean. */
export interface TensorMove {
  /** As in the file: lambda, v, A, … */
  readonly name: string;
  readonly count: number;
  readonly initialNorm: number;
  readonly finalNorm: number;
  /** Of the difference. */
  readonly movedNorm: number;
}

export interface LayerReport {
  /** Such as `layers.0.self_attn.q_proj`. */
  readonly name: string;
  /** Directions used, or the rank; null where every weight is trained. */
  readonly k: number | null;
  /** All singular values, greatest first; null where they are not known or mean nothing to the method. */
  readonly singularValues: ArrayLike<number> | null;
  readonly tensors: readonly TensorMove[];
}

export interface GateReport {
  /** Mean gate of every head by layer; each list sums to 1. */
  readonly meanGates: ReadonlyMap<string, ArrayLike<number>>;
  /** Tokens that they are means over. */
  readonly tokens: number;
  /** Where the sequences came from: "held-out examples". */
  readonly source: string;
}

/** What base and adapter answered to the same prompt, greedily. */
export interface Sample {
  readonly prompt: string;
  /** What the example wants; null where it does not say. */
  readonly expected: string | null;
  readonly base: string;
  readonly trained: string;
}

export interface ReportData {
  /** Such as the adapter's file name. */
  readonly title: string;
  /** "mo-sara", "full", … */
  readonly method: string;
  /** The command line, quoted for a shell. */
  readonly command: string;
  readonly headline: Headline;
  readonly facts: readonly Fact[];
  /** The step log. */
  readonly log: readonly (StepLine | EvaluationLine)[];
  /** Largest norm of the gradients; null: not clipped. */
  readonly clip: number | null;
  readonly layers: readonly LayerReport[];
  /** null where there is no router. */
  readonly gates: GateReport | null;
  readonly samples: readonly Sample[];
  /** Where their answers are cut. */
  readonly maxAnswerTokens: number;
  /** Why a part is missing or should be read with care, a sentence each. */
  readonly notes: readonly string[];
}
