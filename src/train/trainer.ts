/**
 * The training loop: micro-batches → gradients → one step of the optimiser; evaluations, the best state, saving and
 * stopping. The loop is a function of its initial state only, so a run that resumes from a saved state is
 * bit-identical. Knows nothing of files and methods. The caller decides where a state is kept and which messages are
 * printed.
 */
import { type MicroBatch, type StepSource, sequencesOf } from "./data/batches.ts";
import { type DivergedError, diverged, faultOf } from "./divergence.ts";
import { type BatchResult, NOTHING, dividedBy, plus } from "./objective/objective.ts";
import { AdamW } from "./optimizer.ts";
import { type RunState, afterEvaluation, afterStep, afterWatch, divergence } from "./run-state.ts";
import { type Schedule, learningRateAt } from "./schedule.ts";
import type { EvaluationLine, RewardMeasures, StepLine } from "./step-log.ts";
import type { TrainModel } from "./train-model.ts";

export interface TrainerOptions {
  readonly schedule: Schedule;
  readonly weightDecay: number;
  /** Largest global norm of the gradients; null: no clipping. */
  readonly clip: number | null;
  /** Largest share of the loss that a step may promise to remove; null: no bound. */
  readonly trust: number | null;
  /** Held-out micro-batches, or another way to measure the present values; none: no evaluation. */
  readonly evaluation: readonly MicroBatch[] | (() => Promise<BatchResult>);
  /** Steps between evaluations; the last step is always followed by one. */
  readonly evalEvery: number;
  /** Steps between saves. */
  readonly saveEvery: number;
  /** Steps after which the present values are kept; absent: none. */
  readonly keptSteps?: readonly number[];
  /** Evaluations without improvement that end the run. */
  readonly patience: number | null;
}

/** The functions of the caller that the loop needs. */
export interface TrainerPorts {
  log(line: StepLine | EvaluationLine): void;
  /** Keeps the state, so that the run can resume from it. */
  save(): Promise<void>;
  /** Keeps the present values beside the result. Absent where `keptSteps` is. */
  keep?(): Promise<void>;
  /** Whether the run should end after this step. */
  shouldStop(): boolean;
}

export class Trainer {
  readonly model: TrainModel;
  readonly optimizer: AdamW;
  /** Values of the best evaluation; without evaluation those of the lowest training loss. null until there are any. */
  bestValues: Float32Array | null = null;
  state: RunState;
  readonly #source: StepSource;
  readonly #options: TrainerOptions;
  /** Sum of gradients over micro-batches; null until a step has several. */
  #sum: Float32Array | null = null;

  /**
   * The model's parameters hold the initial values. A caller that resumes a run fills the optimiser too.
   * @param units factor on the learning rate for each number; null: 1 for all
   */
  constructor(
    model: TrainModel,
    source: StepSource,
    options: TrainerOptions,
    state: RunState,
    units: Float32Array | null = null,
  ) {
    const { length } = model.parameters;
    this.model = model;
    this.optimizer = new AdamW(length, units);
    this.state = state;
    this.#source = source;
    this.#options = options;
  }

  /** The result of the run: the best evaluation's values, or the last ones where no data was held out. */
  get resultValues(): Float32Array {
    return (this.state.best && this.bestValues) ?? this.model.parameters.values;
  }

  /** Means over the last step of the source, which a run with rewards has. */
  get measures(): RewardMeasures {
    return this.#source.measures ?? {};
  }

  get isDone(): boolean {
    return this.state.isStopped || this.state.step >= this.#options.schedule.steps;
  }

  /**
   * Trains until the end, an early stop or a requested stop. The state is saved at the end in every case.
   * @throws {DivergedError} the previous save stays, and `bestValues` are from before the divergence
   */
  async run(ports: TrainerPorts): Promise<void> {
    const { evaluation, evalEvery, saveEvery, keptSteps = [], schedule } = this.#options;
    const isEvaluated = typeof evaluation === "function" || evaluation.length > 0;
    if (isEvaluated && this.state.baseLoss === null && this.state.step === 0) await this.#evaluate(ports);
    while (!this.isDone) {
      ports.log(await this.step());
      const { step } = this.state;
      const isLast = step === schedule.steps;
      if (isLast || step % evalEvery === 0) await (isEvaluated ? this.#evaluate(ports) : this.#watch());
      if (keptSteps.includes(step)) await ports.keep?.();
      const mustEnd = this.isDone || ports.shouldStop();
      if (mustEnd || step % saveEvery === 0) await ports.save();
      if (mustEnd) return;
      await new Promise(setImmediate); // signals are handled between steps
    }
  }

  /** One step of the optimiser. @throws {DivergedError} */
  async step(): Promise<StepLine> {
    const start = performance.now();
    const { parameters } = this.model;
    const { schedule, weightDecay, clip, trust } = this.#options;
    const { step } = this.state;
    const batches = await this.#source.at(step);
    const { loss, measures } = await this.#gradients(batches);
    const gradNorm = this.optimizer.norm(parameters.gradients);
    const fault = faultOf(loss, gradNorm);
    if (fault !== null) throw this.#diverged(fault, step);
    const sizes = { learningRate: learningRateAt(schedule, step), weightDecay, clip, trust };
    const given = { loss, gradients: parameters.gradients, norm: gradNorm };
    const lr = this.optimizer.update(parameters.values, given, step, sizes);
    this.state = afterStep(this.state, loss);
    const rise = divergence(this.state);
    if (rise) throw this.#diverged(`the loss rose from ${rise.from} to ${rise.to}`, step);
    const tokens = sequencesOf(batches.flat()).reduce((sum, { ids }) => sum + ids.length, 0);
    const tokensPerSecond = Math.round((tokens * 10_000) / (performance.now() - start)) / 10;
    return { step: step + 1, loss, lr, gradNorm, tokens, tokensPerSecond, ...this.measures, ...measures };
  }

  /** Means over held-out examples: of the loss of predicted tokens, or over pairs. */
  async evaluate(): Promise<BatchResult> {
    const { evaluation } = this.#options;
    if (typeof evaluation === "function") return await evaluation();
    let sum = NOTHING;
    let count = 0;
    for (const batch of evaluation) {
      sum = plus(sum, await this.model.sums(batch));
      count += this.model.weightOf(batch);
    }
    return dividedBy(sum, count);
  }

  /** Loss and gradients of a step: sums over its micro-batches, divided by the weight of all of them. */
  async #gradients(batches: readonly MicroBatch[]): Promise<BatchResult> {
    const { gradients } = this.model.parameters;
    const denominator = batches.reduce((sum, batch) => sum + this.model.weightOf(batch), 0);
    if (batches.length <= 1) return await this.model.gradients(batches[0] ?? [], denominator);
    const sum = (this.#sum ??= new Float32Array(gradients.length)).fill(0);
    let result = NOTHING;
    for (const batch of batches) {
      result = plus(result, await this.model.gradients(batch, denominator));
      // I is below both lengths.
      for (let i = 0; i < sum.length; i++) sum[i] = (sum[i] as number) + (gradients[i] as number);
    }
    gradients.set(sum);
    return result;
  }

  async #evaluate(ports: TrainerPorts): Promise<void> {
    const { loss: evalLoss, measures } = await this.evaluate();
    const { step } = this.state;
    if (!Number.isFinite(evalLoss)) throw this.#diverged(`the evaluation loss became ${evalLoss}`, step - 1);
    ports.log({ step, evalLoss, ...measures });
    this.state = afterEvaluation(this.state, evalLoss, this.#options.patience, measures);
    if (step > 0 && this.state.best?.step === step) this.bestValues = this.model.parameters.values.slice();
  }

  /** Without evaluation: remembers the best state of the training so far, in case the run diverges later. */
  #watch(): void {
    this.state = afterWatch(this.state);
    if (this.state.calm?.step === this.state.step) this.bestValues = this.model.parameters.values.slice();
  }

  #diverged(what: string, step: number): DivergedError {
    return diverged(what, step, this.#options.schedule, this.#options.trust);
  }
}
