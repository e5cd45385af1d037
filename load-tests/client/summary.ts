/** Computes figures from outcomes: rates, percentiles and errors of a run. Pure. */
import { quantile } from "../report/figures.ts";
import type { LoadRun } from "./load.ts";
import type { RequestOutcome } from "./stream.ts";

/** Of a set of milliseconds; NaN where there are none. */
export interface Percentiles {
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
}

export interface LoadSummary {
  readonly seconds: number;
  readonly numRequests: number;
  /** Answered to the end. */
  readonly numAnswered: number;
  /** Generated, by the requests that were answered to the end, prompts' time included. */
  readonly tokensPerSecond: number;
  readonly requestsPerSecond: number;
  readonly firstTokenMs: Percentiles;
  /** Between the pieces of an answer, all answers together. */
  readonly interTokenMs: Percentiles;
  readonly endToEndMs: Percentiles;
  /** How late the clients sent: should be near nothing, or they are the bottleneck. */
  readonly sendDelayMs: Percentiles;
  /** How often each error code came. */
  readonly errors: Readonly<Record<string, number>>;
}

/** The figures of a run; errors count as such and in no time. */
export function summarize({ seconds, outcomes }: LoadRun): LoadSummary {
  const answered = outcomes.filter(({ error }) => error === null);
  const errors: Record<string, number> = {};
  for (const { error } of outcomes) if (error) errors[error.code] = (errors[error.code] ?? 0) + 1;
  return {
    seconds,
    numRequests: outcomes.length,
    numAnswered: answered.length,
    tokensPerSecond: answered.reduce((sum, { numTokens }) => sum + numTokens, 0) / seconds,
    requestsPerSecond: answered.length / seconds,
    firstTokenMs: percentiles(answered.map(({ firstTokenMs }) => firstTokenMs)),
    interTokenMs: percentiles(answered.flatMap(gapsOf)),
    endToEndMs: percentiles(answered.map(({ endMs }) => endMs)),
    sendDelayMs: percentiles(outcomes.map(({ sendDelayMs }) => sendDelayMs)),
    errors,
  };
}

/** Milliseconds between the pieces of an answer. */
function gapsOf({ pieceMs }: RequestOutcome): readonly number[] {
  return pieceMs.slice(1).map((ms, index) => ms - (pieceMs[index] ?? NaN));
}

function percentiles(values: readonly number[]): Percentiles {
  return { p50: quantile(values, 0.5), p90: quantile(values, 0.9), p99: quantile(values, 0.99) };
}

/** @throws {Error} naming the first request that got no whole answer */
export function requireAnswers(run: LoadRun): LoadRun {
  const failed = run.outcomes.find(({ error }) => error !== null);
  if (!failed?.error) return run;
  const { status, code, message } = failed.error;
  throw new Error(`A request (adapter ${failed.request.adapter ?? "none"}) failed: ${status} ${code}: ${message}`);
}
