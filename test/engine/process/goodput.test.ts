/**
 * What an engine still gets done when more comes than it can answer, on a virtual clock: the real scheduler, with the
 * costs of steps of load-tests/results/9baf418.md. Requests are worth nothing after their deadlines, four times what
 * one takes with all rows busy.
 */
import { describe, expect, it } from "vitest";
import { AppError } from "../../../src/errors.ts";
import { Scheduler } from "../../../src/engine/scheduling/scheduler.ts";
import { Sequence } from "../../../src/engine/scheduling/sequence.ts";
import { sequenceSpec } from "../../helpers/engine/sequences.ts";
import { ToyRunner } from "../../helpers/engine/toy-runner.mjs";

const LIMITS = { maxNumSeqs: 16, maxQueue: 64, maxQueueTokens: 1e9 };
const PROMPT = Array.from({ length: 16 }, () => 1);
const PER_CLIENT = 6;

function createRandom(seed: number): () => number {
  let state = seed;
  return () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
}

interface Load {
  readonly seed: number;
  /** null: 16 clients that wait for their answers. */
  readonly ratePerMs: number | null;
  readonly arrivalMs: number;
  readonly patienceMs: number;
  /** max_tokens of every request; null: as many as it generates. */
  readonly maxTokens: number | null;
}

class Simulation {
  readonly #load: Load;
  readonly #random: () => number;
  readonly #scheduler = new Scheduler(LIMITS, new ToyRunner({ numRows: 16, maxTokens: 1e9, maxModelLen: 1e6 }).kv);
  /** Tokens to generate and time of arrival, by id. */
  readonly #requests = new Map<number, { readonly length: number; readonly cameAt: number }>();
  #now = 0;
  #numTokens = 0;
  #numSent = 0;
  #lastAt = 0;
  readonly #times: number[] = [];

  constructor(load: Load) {
    this.#load = load;
    this.#random = createRandom(load.seed);
  }

  run() {
    const arrivals = this.#arrivals();
    if (this.#load.ratePerMs === null) for (let i = 0; i < LIMITS.maxNumSeqs; i++) this.#send(0);
    for (;;) {
      while ((arrivals[0] ?? Infinity) <= this.#now) this.#send(arrivals.shift() ?? 0);
      this.#admit();
      if (this.#step()) continue;
      if (arrivals[0] === undefined) break;
      this.#now = arrivals[0];
    }
    const sorted = this.#times.toSorted((a, b) => a - b);
    const numAnswered = sorted.length;
    return {
      tokensPerMs: this.#numTokens / this.#lastAt,
      requestsPerMs: numAnswered / this.#lastAt,
      p50: sorted[numAnswered >> 1] ?? NaN,
    };
  }

  #arrivals(): number[] {
    const { ratePerMs, arrivalMs } = this.#load;
    const all: number[] = [];
    for (let at = 0; ratePerMs !== null && at < arrivalMs; at -= Math.log(1 - this.#random()) / ratePerMs) all.push(at);
    return all;
  }

  #send(cameAt: number): void {
    const length = 6 + Math.floor(this.#random() * 19);
    const { maxTokens, ratePerMs, patienceMs } = this.#load;
    const deadlineMs = ratePerMs === null ? null : cameAt + patienceMs;
    const spec = sequenceSpec(++this.#numSent, PROMPT, { maxTokens: maxTokens ?? length, deadlineMs });
    this.#requests.set(spec.id, { length, cameAt });
    try {
      this.#scheduler.add(new Sequence(spec, this.#now), this.#now);
      this.#admit();
    } catch (error) {
      if (!(error instanceof AppError)) throw error; // refused
      this.#lastAt = this.#now;
    }
  }

  #admit(): void {
    for (const sequence of this.#scheduler.overdue(this.#now)) this.#scheduler.remove(sequence);
    for (let next = this.#scheduler.takeAdmissible(); next; next = this.#scheduler.takeAdmissible()) {
      this.#scheduler.start(next, this.#now);
      next.markAdmitted(this.#now);
    }
  }

  #step(): boolean {
    const plan = this.#scheduler.plan();
    if (plan === null) return false;
    const noise = 0.8 + 0.4 * this.#random();
    if (plan.phase === "decode") {
      this.#scheduler.noteDecoded();
      this.#now += (30 + 10.4 * plan.sequences.length) * noise;
      for (const sequence of plan.sequences) this.#token(sequence);
      return true;
    }
    const { sequence, chunk } = plan;
    const ms = (40 + 5.3 * chunk.length) * noise;
    this.#now += ms;
    this.#scheduler.notePrefilled(sequence, chunk, ms / 1000);
    sequence.markPrefilled(this.#now);
    if (!this.#token(sequence)) this.#scheduler.startDecoding(sequence);
    return true;
  }

  /** @returns whether it was the last one */
  #token(sequence: Sequence): boolean {
    sequence.append(2);
    const { length, cameAt } = this.#requests.get(sequence.id)!; // sent by us
    if (sequence.numOutputTokens < length) return false;
    this.#scheduler.noteFinished(sequence, sequence.finished("length", this.#now));
    this.#scheduler.remove(sequence);
    this.#numTokens += length;
    this.#times.push(this.#now - cameAt);
    this.#lastAt = this.#now;
    if (this.#load.ratePerMs === null && this.#numSent < PER_CLIENT * LIMITS.maxNumSeqs) this.#send(this.#now);
    return true;
  }
}

const IDLE: Load = { seed: 1, ratePerMs: null, arrivalMs: 0, patienceMs: Infinity, maxTokens: null };

describe.each([2, 5, 10])("goodput at %d times what an engine can", (factor) => {
  it.each([null, 200])("is within a tenth of its peak (max_tokens %s)", (maxTokens) => {
    const peak = new Simulation(IDLE).run();
    const ratios = [1, 2, 3, 4, 5].map((seed) => {
      const load = { arrivalMs: 8 * peak.p50, patienceMs: 4 * peak.p50, ratePerMs: factor * peak.requestsPerMs };
      return new Simulation({ ...load, seed, maxTokens }).run().tokensPerMs / peak.tokensPerMs;
    });
    const mean = ratios.reduce((sum, ratio) => sum + ratio, 0) / ratios.length;
    expect(mean).toBeGreaterThan(0.9);
  });
});
