/**
 * Where a run stands: everything but the numbers trained and the optimiser's, as plain data that survives JSON exactly.
 * Pure: what an evaluation or a step changes, when a run is better than before, when it has got nowhere and when it diverges.
 */

export interface Best {
  /** Steps done. */
  readonly step: number;
  readonly evalLoss: number;
}

export interface RunState {
  /** Steps done. */
  readonly step: number;
  /** Whether an early stop has ended the run. */
  readonly isStopped: boolean;
  /** Evaluation of the base; null without evaluation. */
  readonly baseLoss: number | null;
  /** The best evaluation of a trained state. */
  readonly best: Best | null;
  /** Evaluations since then. */
  readonly numWorse: number;
  readonly firstLoss: number | null;
  /** Losses of the last steps, oldest first. */
  readonly recentLosses: readonly number[];
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
  firstLoss: null,
  recentLosses: [],
  logBytes: 0,
};

/** The state after one more step. */
export function afterStep(state: RunState, loss: number): RunState {
  return {
    ...state,
    step: state.step + 1,
    firstLoss: state.firstLoss ?? loss,
    recentLosses: [...state.recentLosses, loss].slice(-RECENT),
  };
}

/**
 * The state after an evaluation: of the base at step 0, else of what is trained.
 * @param patience evaluations without a gain that end the run; null: none do
 */
export function afterEvaluation(state: RunState, evalLoss: number, patience: number | null): RunState {
  if (state.step === 0) return { ...state, baseLoss: evalLoss };
  if (state.best === null || evalLoss < state.best.evalLoss)
    return { ...state, best: { step: state.step, evalLoss }, numWorse: 0 };
  const numWorse = state.numWorse + 1;
  return { ...state, numWorse, isStopped: patience !== null && numWorse >= patience };
}

/** Mean loss of the last steps. */
export function recentLoss({ recentLosses }: RunState): number | null {
  return recentLosses.length === 0 ? null : recentLosses.reduce((sum, loss) => sum + loss, 0) / recentLosses.length;
}

/** Whether most losses of a whole window lie far above the first: such a run does not come back, as a single bad step does. */
export function isDiverging({ firstLoss, recentLosses }: RunState): boolean {
  if (firstLoss === null || recentLosses.length < RECENT) return false;
  const median = recentLosses.toSorted((a, b) => a - b)[RECENT / 2] ?? 0;
  return median > 1.5 * firstLoss + 1;
}
