/**
 * The server's whole engine: the live process and the merged ones. It routes sequences, grants turns, and restarts and
 * stops the processes. Knows no tokens, no adapter contents and no HTTP.
 */
import type { MergeReport } from "../../adapter/merge-report.ts";
import { AppError } from "../../errors.ts";
import { BlendMembers } from "./blend-members.ts";
import { combineStats, NO_STATS } from "./combined-stats.ts";
import { EngineProcesses } from "./engine-processes.ts";
import { EngineUnit, RESTART_POLICY, type RestartPolicy, type UnitEvent, type UnitListener } from "./engine-unit.ts";
import type { Engine, LoadedAdapters, QueueDemand, Readiness, SequenceRequest, SequenceStream } from "../engine.ts";
import { MergedEngines, type MergePorts } from "./merged-engines.ts";
import type { AdapterRef, EngineLimits, EngineOptions, StepStats } from "../protocol.ts";
import { checkSpec } from "../sequence-spec.ts";
import { StepTurns } from "./step-turns.ts";

export interface SupervisorOptions extends MergePorts {
  /** Options of the live engine. A merged engine differs in its directory and accepts no adapters. */
  readonly engine: EngineOptions;
  /** --max-merged. */
  readonly maxMerged: number;
  readonly restartPolicy?: Partial<RestartPolicy>;
  /** Starts the engine's processes. One of them may run already. */
  readonly processes?: EngineProcesses;
}

/** The engine, with methods that only its owner may call. */
export interface SupervisedEngine extends Engine {
  /**
   * Resolves when the live engine serves. @throws {AppError} why its first start failed; restarts continue until
   * `stop`.
   */
  whenReady(): Promise<void>;
  /** Process ids of all engines that were started. */
  pids(): readonly number[];
}

/** Starts the live engine and returns at once. The caller stops it. */
export function createEngine(options: SupervisorOptions): SupervisedEngine {
  return new Supervisor(options);
}

/** Up to this number of waiting sequences, adapters are made ready as soon as a request names them. */
const MAX_WAITING_AHEAD = 8;

class Supervisor implements SupervisedEngine {
  readonly #options: SupervisorOptions;
  readonly #processes: EngineProcesses;
  readonly #turns = new StepTurns<EngineUnit>((unit, command) => unit.send(command));
  readonly #merged: MergedEngines;
  readonly #units = new Set<EngineUnit>();
  readonly #lastStats = new Map<EngineUnit, StepStats>();
  readonly #statsListeners: ((stats: StepStats) => void)[] = [];
  readonly #restartListeners: (() => void)[] = [];
  readonly #live: EngineUnit;
  readonly #blends = new BlendMembers();
  #nextId = 1;
  #stopping: Promise<void> | null = null;

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#processes = options.processes ?? new EngineProcesses();
    this.#live = this.#startUnit(options.engine, null);
    this.#merged = new MergedEngines(
      options.maxMerged,
      options,
      (generation, baseDir) => {
        const { baseDir: tokenizerDir } = options.engine;
        return this.#startUnit({ ...options.engine, baseDir, tokenizerDir, takesAdapters: false }, generation);
      },
      (unit, request) => unit.submit(this.#nextId++, request),
      (request) => this.#live.submit(this.#nextId++, request),
    );
  }

  assertAnyQueueHasRoom(tenant: string): void {
    this.#refuseIfStopping();
    const demand = { tenant, promptTokens: [0] }; // the lengths of its prompts are not known yet
    const refusal = this.#live.refusal(demand);
    if (refusal !== null && [...this.#merged.serving().values()].every((unit) => unit.refusal(demand) !== null))
      throw refusal;
  }

  assertQueueHasRoom(demand: QueueDemand, generation: string | null): void {
    this.#refuseIfStopping();
    const merged = generation === null ? null : this.#merged.servingUnit(generation);
    const refusal = (merged ?? this.#live).refusal(demand);
    if (refusal !== null) throw refusal;
  }

  submit(request: SequenceRequest): SequenceStream {
    this.#refuseIfStopping();
    const limits = this.limits();
    // The engine checks again. The check here saves the message and the wait for the running step.
    if (limits !== null) checkSpec(request, limits);
    const generation = request.adapter?.generation;
    const merged = generation === undefined ? null : this.#merged.servingUnit(generation);
    if (merged !== null) return merged.submit(this.#nextId++, { ...request, adapter: null });
    if (request.adapter !== null) this.#blends.note(request.adapter);
    return this.#live.submit(this.#nextId++, request);
  }

  readiness(): Readiness {
    if (this.#stopping !== null) return { isReady: false, reason: "the server is stopping" };
    return this.#live.readiness();
  }

  limits(): EngineLimits | null {
    return this.#live.limits;
  }

  whenReady(): Promise<void> {
    return this.#live.whenReady();
  }

  pids(): readonly number[] {
    return [...this.#units].flatMap(({ pid }) => pid ?? []);
  }

  mergedGenerations(): ReadonlySet<string> {
    return this.#merged.generations();
  }

  loadedAdapters(): LoadedAdapters {
    return { live: this.#live.loadedAdapters, merged: new Set(this.#merged.serving().keys()) };
  }

  async merge(generation: string): Promise<MergeReport> {
    this.#refuseIfStopping();
    return this.#merged.merge(generation);
  }

  unmerge(generation: string): Promise<void> {
    return this.#merged.unmerge(generation);
  }

  prepareAdapter(ref: AdapterRef): void {
    // If many sequences wait, the adapter might be evicted before its turn. The engine prepares the adapter of the next
    // sequence anyway.
    if (this.#merged.servingUnit(ref.generation) !== null || this.#live.numWaiting > MAX_WAITING_AHEAD) return;
    this.#blends.note(ref);
    this.#live.wantAdapter(ref);
  }

  dropAdapter(generation: string): void {
    for (const dropped of [generation, ...this.#blends.take(generation)])
      this.#live.send({ type: "adapter-dropped", generation: dropped });
  }

  onStats(listener: (stats: StepStats) => void): void {
    this.#statsListeners.push(listener);
  }

  onRestart(listener: () => void): void {
    this.#restartListeners.push(listener);
  }

  stop(timeoutMs: number): Promise<void> {
    this.#stopping ??= this.#stopAll(timeoutMs);
    return this.#stopping;
  }

  async #stopAll(timeoutMs: number): Promise<void> {
    const units = [...this.#units];
    await Promise.all(units.map((unit) => unit.whenIdle(timeoutMs)));
    // A second round over all engines, because a running merge may have started another engine in between.
    await Promise.all([...this.#units].map((unit) => unit.stop()));
  }

  #refuseIfStopping(): void {
    if (this.#stopping === null) return;
    throw new AppError("engine_unavailable", "The server is stopping. Try again later.", { retryAfterSeconds: 1 });
  }

  /** @param generation whose adapter the engine's weights contain; null for the live one. */
  #startUnit(engine: EngineOptions, generation: string | null): EngineUnit {
    this.#refuseIfStopping();
    const policy = { ...RESTART_POLICY, ...this.#options.restartPolicy };
    const listener: UnitListener = (sender, event) => this.#receive(sender, event, generation);
    const unit = new EngineUnit(engine, listener, policy, this.#processes);
    this.#units.add(unit);
    return unit;
  }

  /** @param generation as in `#startUnit` */
  #receive(unit: EngineUnit, event: UnitEvent, generation: string | null): void {
    switch (event.type) {
      case "ready":
        return this.#turns.join(unit);
      case "stats":
        return this.#noteStats(unit, generation === null ? event.stats : namingAdapter(event.stats, generation));
      case "turn-requested":
        return this.#turns.request(unit);
      case "turn-ended":
        return this.#turns.end(unit);
      case "busy-changed":
        return this.#turns.setBusy(unit, event.isBusy);
      case "exited":
        this.#turns.leave(unit);
        this.#noteStats(unit, NO_STATS); // its sequences and its memory are gone
        if (!unit.isStopped) return;
        this.#units.delete(unit);
        this.#lastStats.delete(unit);
        return;
      case "restarted":
        for (const listener of this.#restartListeners) listener();
    }
  }

  #noteStats(unit: EngineUnit, stats: StepStats): void {
    this.#lastStats.set(unit, stats);
    const combined = combineStats(stats, [...this.#lastStats.values()]);
    for (const listener of this.#statsListeners) listener(combined);
  }
}

/** A merged engine accepts no adapter by name, but its sequences still count for its generation. */
function namingAdapter(stats: StepStats, generation: string): StepStats {
  const named = [generation];
  return {
    ...stats,
    distinctAdapters: Math.min(1, stats.rows),
    runningAdapters: stats.numRunning > 0 ? named : [],
    waitingAdapters: stats.numWaiting > 0 ? named : [],
  };
}
