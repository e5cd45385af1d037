/**
 * The engines whose weights contain one adapter each. They are started on request, up to a maximum, and found by
 * generation when a sequence is routed. Knows nothing of names. The code that constructs it decides how an adapter is
 * merged and measured.
 */
import type { MergeReport } from "../../adapter/merge-report.ts";
import { AppError } from "../../errors.ts";
import type { EngineUnit } from "./engine-unit.ts";
import type { SequenceRequest, SequenceStream } from "../engine.ts";

export type Submit = (request: SequenceRequest) => SequenceStream;

export interface MergePorts {
  /** Merges an adapter into a base directory. @throws {AppError} not_mergeable, adapter_not_found. */
  readonly prepareMerged: (generation: string) => Promise<string>;
  /**
   * Compares both placements of a generation. `live` accepts requests with the adapter, `merged` the same requests
   * without it.
   */
  readonly measureMerge: (generation: string, live: Submit, merged: Submit) => Promise<MergeReport>;
}

interface MergedEngine {
  unit: EngineUnit | null;
  /** Sequences are routed to it. */
  isServing: boolean;
  /** The engine is being stopped. */
  isLeaving: boolean;
  readonly merging: Promise<MergeReport>;
}

export class MergedEngines {
  readonly #maxMerged: number;
  readonly #ports: MergePorts;
  readonly #startUnit: (generation: string, baseDir: string) => EngineUnit;
  readonly #submitTo: (unit: EngineUnit, request: SequenceRequest) => SequenceStream;
  readonly #submitLive: Submit;
  readonly #engines = new Map<string, MergedEngine>();

  constructor(
    maxMerged: number,
    ports: MergePorts,
    startUnit: (generation: string, baseDir: string) => EngineUnit,
    submitTo: (unit: EngineUnit, request: SequenceRequest) => SequenceStream,
    submitLive: Submit,
  ) {
    this.#maxMerged = maxMerged;
    this.#ports = ports;
    this.#startUnit = startUnit;
    this.#submitTo = submitTo;
    this.#submitLive = submitLive;
  }

  /** Generations whose engine serves or is being started. */
  generations(): ReadonlySet<string> {
    return new Set([...this.#engines].filter(([, engine]) => !engine.isLeaving).map(([generation]) => generation));
  }

  /** The engine that serves a generation now, or null. */
  servingUnit(generation: string): EngineUnit | null {
    const engine = this.#engines.get(generation);
    return engine?.isServing === true && engine.unit?.isReady === true ? engine.unit : null;
  }

  /** All that serve now, by generation. */
  serving(): ReadonlyMap<string, EngineUnit> {
    const serving = new Map<string, EngineUnit>();
    for (const generation of this.#engines.keys()) {
      const unit = this.servingUnit(generation);
      if (unit !== null) serving.set(generation, unit);
    }
    return serving;
  }

  /** @throws {AppError} insufficient_memory beyond the maximum, and the errors of the ports. */
  merge(generation: string): Promise<MergeReport> {
    const known = this.#engines.get(generation);
    if (known !== undefined && !known.isLeaving) return known.merging;
    if (known !== undefined || this.#engines.size >= this.#maxMerged)
      throw new AppError(
        "insufficient_memory",
        `A merged adapter needs a full copy of the model, and ${this.#engines.size} of ${this.#maxMerged} copies (--max-merged) are in use. Place another adapter live first.`,
      );
    const started = performance.now();
    const engine: MergedEngine = {
      unit: null,
      isServing: false,
      isLeaving: false,
      // The engine is in the map before its first step runs.
      merging: Promise.resolve().then(() => this.#bringUp(generation, engine, started)),
    };
    this.#engines.set(generation, engine);
    return engine.merging;
  }

  async #bringUp(generation: string, engine: MergedEngine, startedMs: number): Promise<MergeReport> {
    const refuseIfLeaving = (): void => {
      if (engine.isLeaving)
        throw new AppError("engine_unavailable", "The adapter was placed live while it was being merged.");
    };
    try {
      const baseDir = await this.#ports.prepareMerged(generation);
      refuseIfLeaving();
      const unit = this.#startUnit(generation, baseDir);
      engine.unit = unit;
      await unit.whenReady();
      const submitMerged: Submit = (request) => this.#submitTo(unit, { ...request, adapter: null });
      const report = await this.#ports.measureMerge(generation, this.#submitLive, submitMerged);
      refuseIfLeaving();
      engine.isServing = true;
      return { ...report, seconds: (performance.now() - startedMs) / 1000 };
    } catch (error) {
      engine.isLeaving = true;
      await engine.unit?.stop();
      this.#engines.delete(generation);
      throw error;
    }
  }

  /** Routes new sequences to another engine, lets running sequences end, then ends the process. */
  async unmerge(generation: string): Promise<void> {
    const engine = this.#engines.get(generation);
    if (engine === undefined) return;
    const isUp = engine.isServing;
    engine.isServing = false;
    engine.isLeaving = true;
    if (!isUp) {
      if (engine.unit !== null) await engine.unit.stop(); // ends the wait for it
      await engine.merging.catch(() => {}); // reported to the caller that asked for it
      return;
    }
    await engine.unit?.whenIdle(Infinity);
    await engine.unit?.stop();
    this.#engines.delete(generation);
  }
}
