/** Collects the results of one step, to be sent as one message. Knows nothing of how steps are run. */
import { toWire } from "../../errors.ts";
import type {
  EngineEvent,
  PromptPooled,
  PromptPrefilled,
  PromptScored,
  SequenceFinished,
  StepStats,
  TokenSampled,
} from "../protocol.ts";
import type { ModelRunner } from "../contracts.ts";
import type { StepFacts } from "../step-facts.ts";
import type { Scheduler } from "../scheduling/scheduler.ts";

/** Maximum number of generations in a report. A queue of thousands must not make every step's message long. */
const MAX_NAMED_ADAPTERS = 64;

type StepFinished = Extract<EngineEvent, { type: "step-finished" }>;

export class StepReport {
  readonly added: number[] = [];
  readonly admitted: number[] = [];
  readonly sampled: TokenSampled[] = [];
  readonly prefilled: PromptPrefilled[] = [];
  readonly scored: PromptScored[] = [];
  readonly pooled: PromptPooled[] = [];
  readonly finished: SequenceFinished[] = [];
  readonly #failed: StepFinished["failed"][number][] = [];

  /** Whether a sequence was queued, got a row or ended. If so, the report should not wait for the next step. */
  get isUrgent(): boolean {
    return this.added.length + this.admitted.length + this.finished.length + this.#failed.length > 0;
  }

  fail(id: number, error: unknown): void {
    this.#failed.push({ id, error: toWire(error) });
  }

  toEvent(
    facts: StepFacts,
    scheduler: Scheduler,
    runner: Pick<ModelRunner, "kv" | "adapters" | "prefixes" | "deviceBytes">,
  ): StepFinished {
    const { kv, adapters } = runner;
    const { added, admitted, sampled, prefilled, scored, pooled, finished } = this;
    const prefixes = runner.prefixes?.takeStats() ?? { queries: 0, hits: 0 };
    const cache = adapters?.takeStats() ?? { bytes: 0, hits: 0, misses: 0 };
    const changes = adapters?.takeChanges() ?? { loaded: [], loadSeconds: [], released: [] };
    const stats: StepStats = {
      ...facts,
      numRunning: scheduler.numRunning,
      numWaiting: scheduler.numWaiting,
      ...namedAdapters(scheduler),
      kvUsage: kv.usage(),
      adapterCacheBytes: cache.bytes,
      adapterCacheHits: cache.hits,
      adapterCacheMisses: cache.misses,
      adapterLoadSeconds: changes.loadSeconds,
      prefixQueries: prefixes.queries,
      prefixHits: prefixes.hits,
      deviceBytes: runner.deviceBytes?.() ?? null,
    };
    return {
      type: "step-finished",
      added,
      admitted,
      sampled,
      prefilled,
      scored,
      pooled,
      finished,
      failed: this.#failed,
      loadedAdapters: changes.loaded,
      releasedAdapters: changes.released,
      stats,
    };
  }
}

function namedAdapters(scheduler: Scheduler): Pick<StepStats, "runningAdapters" | "waitingAdapters"> {
  const running = new Set<string>();
  const waiting = new Set<string>();
  for (const sequence of scheduler.sequences()) {
    const generation = sequence.spec.adapter?.generation;
    if (generation === undefined) continue;
    const names = scheduler.isRunning(sequence) ? running : waiting;
    if (names.size < MAX_NAMED_ADAPTERS) names.add(generation);
  }
  return { runningAdapters: [...running], waitingAdapters: [...waiting] };
}
