/** Counts and times of one sequence, for the metrics and the log. */
import type { SequenceEvent } from "../../engine/engine.ts";
import type { FinishedReason } from "../../metrics/table.ts";
import type { AppContext } from "../context.ts";
import type { GenerationRequest } from "./generation.ts";

/** The facts of a request that its sequences' records hold. */
type MeteredRequest = Pick<GenerationRequest, "target" | "tenant" | "record" | "prompts" | "n" | "arrivedAt">;

export class SequenceMeter {
  times: Omit<Extract<SequenceEvent, { type: "finished" }>, "type" | "reason"> | null = null;
  readonly #context: AppContext;
  readonly #request: MeteredRequest;
  readonly #promptTokens: number;
  readonly #isFirstOfPrompt: boolean;
  readonly #isFirst: boolean;
  #firstTokenSeconds: number | null = null;
  #numTokens = 0;
  #lastAt = 0;

  constructor(context: AppContext, request: MeteredRequest, index: number) {
    this.#context = context;
    this.#request = request;
    this.#promptTokens = request.prompts[Math.floor(index / request.n)]?.length ?? 0;
    this.#isFirstOfPrompt = index % request.n === 0;
    this.#isFirst = index === 0;
  }

  token(): void {
    const { metrics } = this.#context;
    const now = performance.now();
    if (this.#numTokens === 0) {
      this.#firstTokenSeconds = (now - this.#request.arrivedAt) / 1000;
      metrics.recordFirstToken(this.#firstTokenSeconds);
    } else metrics.recordTokenGap((now - this.#lastAt) / 1000);
    metrics.recordGeneratedToken();
    this.#numTokens += 1;
    this.#lastAt = now;
  }

  end(finishedReason: FinishedReason): void {
    const { tenant, target } = this.#request;
    const promptTokens = this.#isFirstOfPrompt ? this.#promptTokens : 0; // as `usage` counts them
    this.#context.store.usage.add(tenant, target.usageName, {
      requests: this.#isFirst ? 1 : 0,
      promptTokens,
      generationTokens: this.#numTokens,
    });
    this.#request.record.add({
      promptTokens,
      tokens: this.#numTokens,
      finishReason: finishedReason,
      firstTokenSeconds: this.#firstTokenSeconds,
      endedAt: Date.now(),
      times: this.times,
    });
    if (target.chosen && finishedReason !== "abort")
      this.#context.rollouts.ended(target.chosen, finishedReason === "error");
    this.#context.metrics.recordRequest({
      adapter: target.label,
      tenant,
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
