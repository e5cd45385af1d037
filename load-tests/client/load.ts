/**
 * Clients. In a closed loop, each client sends its next request when the last is answered. With open arrivals, requests
 * arrive however busy the server is. The times of a late request count from the moment when it was due. Otherwise a
 * slow server would hide its own delay.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { type PlannedRequest, poissonArrivals } from "./draw.ts";
import { type RequestOutcome, type Target, streamRequest } from "./stream.ts";

/** What came of all requests of a run, in the order in which they were planned. */
export interface LoadRun {
  /** From the first request to the end of the last answer. */
  readonly seconds: number;
  readonly outcomes: readonly RequestOutcome[];
}

/**
 * `numClients` clients at once. Client c sends requests c, c + numClients, …, so that adapters drawn in turn (`each`)
 * stay with their clients.
 */
export async function runClosedLoop(
  target: Target,
  requests: readonly PlannedRequest[],
  numClients: number,
): Promise<LoadRun> {
  const outcomes: RequestOutcome[] = [];
  const client = async (first: number): Promise<void> => {
    for (let index = first; index < requests.length; index += numClients) {
      const request = requests[index];
      if (request) outcomes[index] = await streamRequest(target, request);
    }
  };
  const startedAt = performance.now();
  await Promise.all(Array.from({ length: numClients }, (_, index) => client(index)));
  return { seconds: (performance.now() - startedAt) / 1000, outcomes };
}

/** Requests that arrive as a Poisson process of `ratePerSecond`, drawn by `seed`. */
export async function runOpenLoop(
  target: Target,
  requests: readonly PlannedRequest[],
  { ratePerSecond, seed }: { readonly ratePerSecond: number; readonly seed: number },
): Promise<LoadRun> {
  const startedAt = performance.now();
  const arrivals = poissonArrivals(requests.length, ratePerSecond, seed);
  const pending: Promise<RequestOutcome>[] = [];
  for (const [index, request] of requests.entries()) {
    const dueAt = startedAt + 1000 * (arrivals[index] ?? 0);
    const wait = dueAt - performance.now();
    if (wait > 0) await sleep(wait);
    pending.push(streamRequest(target, request, { dueAt }));
  }
  const outcomes = await Promise.all(pending);
  return { seconds: (performance.now() - startedAt) / 1000, outcomes };
}
