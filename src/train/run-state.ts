/**
 * The progress of a run, as plain data that survives JSON exactly. The trained numbers and the optimiser's are
 * elsewhere. Pure: how a step or an evaluation changes the state, and when a run improves, stagnates or diverges.
 */
import type { RewardMeasures } from "./step-log.ts";

export interface Best {
  /** Steps done. */
  readonly step: number;
  readonly evalLoss: number;
  /** Only with preferences and rewards. */
  readonly measures?: RewardMeasures;
}

export interface RunState {
  /** Steps done. */
  readonly step: number;
  /** Whether early stopping has ended the run. */
  readonly isStopped: boolean;
  /** Evaluation of the base; null without evaluation. */
  readonly baseLoss: number | null;
  /** The best evaluation of a trained state. */
  readonly best: Best | null;
  /** Number of evaluations since the best one. */
  readonly numWorse: number;
  /** Without evaluation: the lowest mean of recent losses, and its step. */
  readonly calm: { readonly step: number; readonly loss: number } | null;
  readonly firstLoss: number | null;
  /** Losses of the last steps, oldest first. */
  readonly recentLosses: readonly number[];
  /** Lowest median of a whole window of losses so far. */
  readonly lowestLoss: number | null;
  /** Length of the step log. */
  readonly logBytes: number;
}

const RECENT = 20;

export const INITIAL_STATE: RunState = {
  step: 0,
  isStopped: false,
  baseLoss: null,
  best: null,
  numWorse: 0,
  calm: null,
  firstLoss: null,
  recentLosses: [],
  lowestLoss: null,
  logBytes: 0,
};

/** The state after one more step. */
export function afterStep(state: RunState, loss: number): RunState {
  const recentLosses = [...state.recentLosses, loss].slice(-RECENT);
  const median = medianOf(recentLosses);
  return {
    ...state,
    step: state.step + 1,
    firstLoss: state.firstLoss ?? loss,
    recentLosses,
    lowestLoss: median === null ? state.lowestLoss : Math.min(state.lowestLoss ?? median, median),
  };
}

/**
 * The state after an evaluation: of the base at step 0, otherwise of the trained values.
 * @param patience evaluations without improvement that end the run; null: none do
 */
export function afterEvaluation(
  state: RunState,
  evalLoss: number,
  patience: number | null,
  measures: RewardMeasures = {},
): RunState {
  if (state.step === 0) return { ...state, baseLoss: evalLoss };
  const extra = Object.keys(measures).length === 0 ? {} : { measures };
  if (state.best === null || evalLoss < state.best.evalLoss)
    return { ...state, best: { step: state.step, evalLoss, ...extra }, numWorse: 0 };
  const numWorse = state.numWorse + 1;
  return { ...state, numWorse, isStopped: patience !== null && numWorse >= patience };
}

/** Mean loss of the last steps. */
export function recentLoss({ recentLosses }: RunState): number | null {
  return recentLosses.length === 0 ? null : recentLosses.reduce((sum, loss) => sum + loss, 0) / recentLosses.length;
}

/** The state after a check without evaluation. */
export function afterWatch(state: RunState): RunState {
  const loss = recentLoss(state);
  if (loss === null || (state.calm !== null && loss >= state.calm.loss)) return state;
  return { ...state, calm: { step: state.step, loss } };
}

/**
 * The reason for the judgement that the loss has risen permanently, not only in a single bad step; null: it has not.
 * Most losses of a whole window are then far above the first loss, or far above the best window.
 */
export function divergence(state: RunState): { readonly from: number; readonly to: number } | null {
  const { firstLoss, lowestLoss, recentLosses } = state;
  const to = medianOf(recentLosses);
  if (firstLoss === null || lowestLoss === null || to === null) return null;
  if (to > 1.5 * firstLoss + 1) return { from: firstLoss, to };
  return to > 3 * lowestLoss + 1 ? { from: lowestLoss, to } : null;
}

/** null until the window is full. */
function medianOf(recentLosses: readonly number[]): number | null {
  return recentLosses.length < RECENT ? null : (recentLosses.toSorted((a, b) => a - b)[RECENT / 2] ?? null);
}
