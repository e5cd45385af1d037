/** Counts and times of one sequence, for the metrics. */
import type { SequenceEvent } from "../../engine/engine.ts";
import type { FinishedReason } from "../../metrics/table.ts";
import type { AppContext } from "../context.ts";
import type { GenerationRequest } from "./generation.ts";

export class SequenceMeter {
  times: Omit<Extract<SequenceEvent, { type: "finished" }>, "type" | "reason"> | null = null;
  readonly #context: AppContext;
  readonly #request: GenerationRequest;
  readonly #promptTokens: number;
  #numTokens = 0;
  #lastAt = 0;

  constructor(context: AppContext, request: GenerationRequest, index: number) {
    this.#context = context;
    this.#request = request;
    this.#promptTokens = request.prompts[Math.floor(index / request.n)]?.length ?? 0;
  }

  token(): void {
    const { metrics } = this.#context;
    const now = performance.now();
    if (this.#numTokens === 0) metrics.recordFirstToken((now - this.#request.arrivedAt) / 1000);
    else metrics.recordTokenGap((now - this.#lastAt) / 1000);
    metrics.recordGeneratedToken();
    this.#numTokens += 1;
    this.#lastAt = now;
  }

  end(finishedReason: FinishedReason): void {
    this.#context.metrics.recordRequest({
      adapter: this.#request.target.adapterName,
      finishedReason,
      promptTokens: this.#promptTokens,
      generationTokens: this.#numTokens,
      totalSeconds: (performance.now() - this.#request.arrivedAt) / 1000,
      queueSeconds: this.times?.queueSeconds ?? null,
      prefillSeconds: this.times?.prefillSeconds ?? null,
      decodeSeconds: this.times?.decodeSeconds ?? null,
    });
  }
}
