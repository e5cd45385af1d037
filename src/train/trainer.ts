/**
 * The training loop: micro-batches → gradients → one step of the optimiser; evaluations, the best state, saving and stopping.
 * Everything it does is a function of the state it starts from, so a run that goes on from a saved state ends in the same bits.
 * Knows nothing of files and methods: where a state is kept and what is printed is the caller's.
 */
import { AppError } from "../errors.ts";
import { lossTokens } from "./batch-feeds.ts";
import type { BatchSource, MicroBatch } from "./batches.ts";
import { AdamW, globalNorm } from "./optimizer.ts";
import { type RunState, afterEvaluation, afterStep, isDiverging } from "./run-state.ts";
import { type Schedule, learningRateAt } from "./schedule.ts";
import type { EvaluationLine, StepLine } from "./step-log.ts";
import type { TrainModel } from "./train-model.ts";

export interface TrainerOptions {
  readonly schedule: Schedule;
  readonly weightDecay: number;
  /** Largest global norm of the gradients; null: not clipped. */
  readonly clip: number | null;
  /** Held-out micro-batches; none: no evaluation. */
  readonly evaluation: readonly MicroBatch[];
  /** Steps between evaluations; the last step is always followed by one. */
  readonly evalEvery: number;
  /** Steps between saves. */
  readonly saveEvery: number;
  /** Evaluations without a gain that end the run. */
  readonly patience: number | null;
}

/** What the loop asks of its surroundings. */
export interface TrainerPorts {
  log(line: StepLine | EvaluationLine): void;
  /** Keeps the state, so that the run can go on from it. */
  save(): Promise<void>;
  /** Whether somebody wants the run to end after this step. */
  shouldStop(): boolean;
}

export class Trainer {
  readonly model: TrainModel;
  readonly optimizer: AdamW;
  /** Values of the best evaluation; null until there is one. */
  bestValues: Float32Array | null = null;
  state: RunState;
  readonly #batches: BatchSource;
  readonly #options: TrainerOptions;
  readonly #sum: Float32Array | null;

  /** The model's parameters hold the values to start from; so does the optimiser once a caller has filled it. */
  constructor(model: TrainModel, batches: BatchSource, options: TrainerOptions, state: RunState) {
    const { length } = model.parameters;
    this.model = model;
    this.optimizer = new AdamW(length);
    this.state = state;
    this.#batches = batches;
    this.#options = options;
    this.#sum = batches.at(0).length > 1 ? new Float32Array(length) : null;
  }

  get isDone(): boolean {
    return this.state.isStopped || this.state.step >= this.#options.schedule.steps;
  }

  /**
   * Trains until the end, an early stop or somebody's wish to stop; saved at the end in every case.
   * @throws {AppError} training_failed when the loss diverges; what was saved before stays
   */
  async run(ports: TrainerPorts): Promise<void> {
    const { evaluation, evalEvery, saveEvery, schedule } = this.#options;
    const isEvaluated = evaluation.length > 0;
    if (isEvaluated && this.state.baseLoss === null && this.state.step === 0) await this.#evaluate(ports);
    while (!this.isDone) {
      ports.log(await this.step());
      const { step } = this.state;
      const isLast = step === schedule.steps;
      if (isEvaluated && (isLast || step % evalEvery === 0)) await this.#evaluate(ports);
      const mustEnd = this.isDone || ports.shouldStop();
      if (mustEnd || step % saveEvery === 0) await ports.save();
      if (mustEnd) return;
      await new Promise(setImmediate); // signals are heard between steps
    }
  }

  /** One step of the optimiser. @throws {AppError} training_failed; nothing has moved then */
  async step(): Promise<StepLine> {
    const start = performance.now();
    const { parameters } = this.model;
    const { schedule, weightDecay, clip } = this.#options;
    const { step } = this.state;
    const batches = this.#batches.at(step);
    const loss = await this.#gradients(batches);
    const gradNorm = globalNorm(parameters.gradients);
    const learningRate = learningRateAt(schedule, step);
    assertAlive(loss, gradNorm, step, schedule);
    this.optimizer.update(parameters.values, parameters.gradients, step, gradNorm, { learningRate, weightDecay, clip });
    this.state = afterStep(this.state, loss);
    if (isDiverging(this.state))
      throw diverged(`the loss rose from ${this.state.firstLoss} to ${loss}`, step, schedule);
    const tokens = batches.flat().reduce((sum, { ids }) => sum + ids.length, 0);
    const tokensPerSecond = Math.round((tokens * 10_000) / (performance.now() - start)) / 10;
    return { step: step + 1, loss, lr: learningRate, gradNorm, tokens, tokensPerSecond };
  }

  /** Mean loss of the predicted tokens of held-out examples. */
  async evaluate(): Promise<number> {
    let sum = 0;
    let count = 0;
    for (const batch of this.#options.evaluation) {
      sum += await this.model.lossSum(batch);
      count += lossTokens(batch);
    }
    return sum / count;
  }

  /** Loss and gradients of a step: sums over its micro-batches, over the count of all their tokens. */
  async #gradients(batches: readonly MicroBatch[]): Promise<number> {
    const { gradients } = this.model.parameters;
    const denominator = batches.reduce((sum, batch) => sum + lossTokens(batch), 0);
    if (this.#sum === null || batches.length === 1) return await this.model.gradients(batches[0] ?? [], denominator);
    const sum = this.#sum.fill(0);
    let loss = 0;
    for (const batch of batches) {
      loss += await this.model.gradients(batch, denominator);
      for (let i = 0; i < sum.length; i++) sum[i] = (sum[i] as number) + (gradients[i] as number); // i is below both lengths
    }
    gradients.set(sum);
    return loss;
  }

  async #evaluate(ports: TrainerPorts): Promise<void> {
    const evalLoss = await this.evaluate();
    const { step } = this.state;
    if (!Number.isFinite(evalLoss))
      throw diverged(`the evaluation loss became ${evalLoss}`, step, this.#options.schedule);
    ports.log({ step, evalLoss });
    this.state = afterEvaluation(this.state, evalLoss, this.#options.patience);
    if (step > 0 && this.state.best?.step === step) this.bestValues = this.model.parameters.values.slice();
  }
}

/** Above this a loss cannot go with gradients of exactly 0, as one of perfect predictions does. */
const LEARNED_LOSS = 1e-3;

/** Values far out of range need not show as NaN: norms and softmax bound them, and what is left is a model that hears nothing. */
function assertAlive(loss: number, gradNorm: number, step: number, schedule: Schedule): void {
  if (!Number.isFinite(loss)) throw diverged(`the loss became ${loss}`, step, schedule);
  if (!Number.isFinite(gradNorm)) throw diverged(`the gradient's norm became ${gradNorm}`, step, schedule);
  if (gradNorm === 0 && loss > LEARNED_LOSS)
    throw diverged(`all gradients vanished at a loss of ${loss}`, step, schedule);
}

function diverged(what: string, step: number, { peak, warmupSteps }: Schedule): AppError {
  return new AppError(
    "training_failed",
    `Training diverged at step ${step + 1}: ${what}. Nothing was written; lower --lr (${peak}; try ${Number((peak / 3).toPrecision(2))}) or raise --warmup (${warmupSteps} steps), and begin again without --resume.`,
  );
}
