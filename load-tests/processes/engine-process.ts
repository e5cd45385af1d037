/** The engine process driven directly, without HTTP and text. A server over it can at best reach the same speed. */
import { EngineClient } from "../../src/engine/server/engine-client.ts";
import { EngineProcesses } from "../../src/engine/server/engine-processes.ts";
import { PLAIN_REQUEST } from "../../src/engine/engine.ts";
import type { GrammarSpec } from "../../src/grammar/grammar-spec.ts";
import type { EngineOptions, StepStats } from "../../src/engine/protocol.ts";
import { engineOptions } from "../engine-settings.ts";
import type { BenchOptions } from "../options.ts";

export interface DirectEngine extends AsyncDisposable {
  /** Runs one greedy sequence without adapter to its end. @returns its number of tokens */
  complete(promptIds: Int32Array, maxTokens: number): Promise<number>;
  /** The same. @returns when each token came, on `performance.now()`'s clock */
  times(promptIds: Int32Array, maxTokens: number, grammar?: GrammarSpec | null): Promise<readonly number[]>;
  /** Hears of every step. @returns what ends that */
  onStep(listener: (stats: StepStats) => void): () => void;
}

/** Starts an engine process and waits until it serves. */
export async function startEngine(
  baseDir: string,
  storeDir: string,
  options: BenchOptions,
  more: Partial<EngineOptions> = {},
): Promise<DirectEngine> {
  let client: EngineClient | null = null;
  const listeners = new Set<(stats: StepStats) => void>();
  await new Promise<void>((resolve, reject) => {
    const settings = { ...engineOptions(baseDir, storeDir, options), maxModelLen: 1024, ...more };
    client = new EngineClient(new EngineProcesses().next(), settings, (event) => {
      if (event.type === "ready") resolve();
      else if (event.type === "exited") reject(event.error);
      else if (event.type === "stats") for (const listener of listeners) listener(event.stats);
    });
  });
  const engine = client as EngineClient | null;
  if (!engine) throw new Error("internal: an engine is ready before it was started");
  let nextId = 0;
  const times = async (
    promptIds: Int32Array,
    maxTokens: number,
    grammar: GrammarSpec | null = null,
  ): Promise<readonly number[]> => {
    const stream = engine.submit(nextId++, { ...PLAIN, promptIds, maxTokens, grammar });
    const at: number[] = [];
    for await (const event of stream) if (event.type === "token") at.push(performance.now());
    return at;
  };
  return {
    complete: async (promptIds, maxTokens) => (await times(promptIds, maxTokens)).length,
    times,
    onStep: (listener) => {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    [Symbol.asyncDispose]: () => engine.stop(10_000),
  };
}

const PLAIN = { ...PLAIN_REQUEST, tenant: "bench" };
