/**
 * Qualified names to be served merged, and the engine calls that achieve it. A name that moves to another generation is
 * served live until the new generation's engine is ready. Knows the engine and the store, nothing of requests.
 */
import type { MergeReport } from "../adapter/merge-report.ts";
import type { Engine } from "../engine/engine.ts";
import type { AdapterStore } from "../store/adapter-store.ts";

export interface PlacementsOptions {
  readonly engine: Engine;
  readonly store: AdapterStore;
  readonly onMerged: (report: MergeReport) => void;
  /** Called when a merge in the background has failed. The name continues to be served live. */
  readonly onFailed: (name: string, error: unknown) => void;
}

export class Placements {
  readonly #options: PlacementsOptions;
  /** Qualified name → the generation of its merged engine, which may still be starting. */
  readonly #merged = new Map<string, { readonly generation: string; readonly isServing: boolean }>();
  /** Changes run one after another, because a new merge may need the place of the old one. */
  #queue: Promise<unknown> = Promise.resolve();

  constructor(options: PlacementsOptions) {
    this.#options = options;
    options.store.contents.onDropped((generation) => options.engine.dropAdapter(generation));
  }

  /** Number of names served merged. */
  get numMerged(): number {
    return [...this.#merged.values()].filter(({ isServing }) => isServing).length;
  }

  /** The names served merged, with the generation of each. */
  serving(): ReadonlyMap<string, string> {
    return new Map(
      [...this.#merged].flatMap(([name, { generation, isServing }]) => (isServing ? [[name, generation]] : [])),
    );
  }

  /** The placement of a name: merged only while an engine serves its current generation. */
  of(name: string, generation: string): "live" | "merged" {
    const placed = this.#merged.get(name);
    if (placed?.generation !== generation || !placed.isServing) return "live";
    return this.#options.engine.mergedGenerations().has(generation) ? "merged" : "live";
  }

  /** Serves a name merged. @throws {AppError} not_mergeable, insufficient_memory, adapter_not_found. */
  async merge(name: string, generation: string): Promise<MergeReport> {
    return await this.#inOrder(async () => {
      const report = await this.#start(generation);
      this.#merged.set(name, { generation, isServing: true });
      return report;
    });
  }

  /** Serves a name live. */
  async unmerge(name: string): Promise<void> {
    await this.#inOrder(() => this.#stop(name));
  }

  /**
   * Must be called when a name may have moved; updates the placement in the background. `generation` undefined: the
   * name is gone.
   */
  follow(name: string, generation: string | undefined): void {
    const before = this.#merged.get(name)?.generation;
    if (before === undefined || before === generation) return;
    if (generation === undefined) {
      void this.unmerge(name).catch((error: unknown) => this.#options.onFailed(name, error));
      return;
    }
    this.#merged.set(name, { generation, isServing: false });
    const isCurrent = () => this.#merged.get(name)?.generation === generation; // otherwise the name has moved on
    void this.#inOrder(async () => {
      if (!isCurrent()) return;
      await this.#stopUnlessUsed(before);
      await this.#start(generation);
      if (isCurrent()) this.#merged.set(name, { generation, isServing: true });
    }).catch((error: unknown) => {
      if (isCurrent()) this.#merged.delete(name);
      this.#options.onFailed(name, error);
    });
  }

  /** The content must stay while it is being read and while the old engine stops. */
  async #start(generation: string): Promise<MergeReport> {
    const { engine, store, onMerged } = this.#options;
    store.contents.acquire(generation);
    try {
      const report = await engine.merge(generation);
      onMerged(report);
      return report;
    } finally {
      store.contents.release(generation);
    }
  }

  async #stop(name: string): Promise<void> {
    const generation = this.#merged.get(name)?.generation;
    if (generation === undefined) return;
    this.#merged.delete(name);
    await this.#stopUnlessUsed(generation);
  }

  async #stopUnlessUsed(generation: string): Promise<void> {
    const isUsed = [...this.#merged.values()].some((placed) => placed.generation === generation);
    if (!isUsed) await this.#options.engine.unmerge(generation);
  }

  #inOrder<T>(change: () => Promise<T>): Promise<T> {
    const result = this.#queue.then(change);
    this.#queue = result.catch(() => undefined); // the caller receives the error; the next change runs in any case
    return result;
  }
}
