/** One request to the Hub: token, time limit, retries after temporary faults, and refusals as messages. */
import { setTimeout as sleep } from "node:timers/promises";
import { AppError } from "../errors.ts";
import { type HubName, hubNameText } from "./hub-name.ts";
import type { HubSettings } from "./hub-settings.ts";

const MAX_TRIES = 5;
/** Number of attempts at an address that does not answer at all. */
const MAX_TRIES_ABSENT = 2;
const ABSENT = new Set(["ENOTFOUND", "ECONNREFUSED", "ENETUNREACH", "EHOSTUNREACH"]);
const FIRST_WAIT_MS = 300;
const MAX_WAIT_MS = 10_000;
/** Longest time without an answer, or between two pieces of a file. */
export const SILENCE_MS = 60_000;

/** The Hub could not be reached, or failed several times. */
export class HubUnreachable extends AppError {
  constructor(name: HubName, { endpoint }: HubSettings, cause: unknown) {
    const reason = cause instanceof Error ? (cause.cause instanceof Error ? cause.cause.message : cause.message) : "";
    super(
      "usage",
      `${hubNameText(name)} is not a local path, and cannot be downloaded: ${endpoint} does not answer (${reason}). Check the network and HF_ENDPOINT. Without a network, copy the files here and name their directory or GGUF file.`,
      { cause },
    );
  }
}

/** A fault that may be temporary: the connection broke, or the server is busy. */
class PassingFault extends Error {
  readonly retryAfterMs: number | null;
  readonly maxTries: number;

  constructor(message: string, options: ErrorOptions & { readonly retryAfterMs?: number | null } = {}) {
    super(message, options);
    this.retryAfterMs = options.retryAfterMs ?? null;
    const cause = options.cause instanceof Error ? options.cause.cause : undefined;
    this.maxTries = ABSENT.has((cause as NodeJS.ErrnoException | undefined)?.code ?? "") ? MAX_TRIES_ABSENT : MAX_TRIES;
  }
}

/**
 * Runs `attempt` until it succeeds, at most five times. Faults of the network and answers 408, 429 and 5xx are tried
 * again.
 * @throws {AppError} usage.
 */
export async function withRetries<T>(
  name: HubName,
  settings: HubSettings,
  attempt: () => Promise<T>,
  hasAdvanced: () => boolean = () => false,
): Promise<T> {
  for (let failures = 0; ;) {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof PassingFault)) throw error;
      failures = hasAdvanced() ? 1 : failures + 1; // a download that makes progress is not stuck
      if (failures >= error.maxTries) throw new HubUnreachable(name, settings, error);
      await sleep(error.retryAfterMs ?? Math.min(MAX_WAIT_MS, FIRST_WAIT_MS * 2 ** (failures - 1)));
    }
  }
}

/**
 * Asks the Hub once. Redirects are followed; the token never leaves the Hub's own origin.
 * @throws {PassingFault} @throws {AppError} usage for a repository that is missing, private or gated.
 */
export async function hubFetch(
  name: HubName,
  settings: HubSettings,
  path: string,
  { headers = {}, signal }: { readonly headers?: Record<string, string>; readonly signal: AbortSignal },
): Promise<Response> {
  const authorization = settings.token === null ? {} : { authorization: `Bearer ${settings.token}` };
  let response: Response;
  try {
    response = await fetch(`${settings.endpoint}${path}`, { headers: { ...authorization, ...headers }, signal });
  } catch (error) {
    throw passingFault(error);
  }
  if (response.ok || response.status === 416) return response;
  await response.body?.cancel();
  if (response.status >= 500 || response.status === 429 || response.status === 408) {
    const seconds = Number(response.headers.get("retry-after") ?? NaN);
    const retryAfterMs = Number.isFinite(seconds) ? Math.min(MAX_WAIT_MS, seconds * 1000) : null;
    throw new PassingFault(`status ${response.status}`, { retryAfterMs });
  }
  throw refusal(name, settings, response);
}

/** Treats a fault of the network as temporary. */
export function passingFault(error: unknown): Error {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause.message : (error as Error).message;
  return new PassingFault(cause, { cause: error });
}

function refusal(name: HubName, { endpoint, token }: HubSettings, response: Response): AppError {
  const { repo, revision } = name;
  const code = response.headers.get("x-error-code") ?? "";
  const page = `${endpoint}/${repo}`;
  const withToken = token === null ? " Set HF_TOKEN to a token of an account that may read it." : "";
  if (code === "GatedRepo" || response.status === 403)
    return new AppError(
      "usage",
      `${repo} is gated: its owner requires you to accept terms. Accept them at ${page}, and set HF_TOKEN to a token of that account${token === null ? "" : " (the token that is set may not read it)"}.`,
    );
  if (code === "RevisionNotFound")
    return new AppError("usage", `${repo} has no revision "${revision}". Name a branch, a tag or a commit of ${page}.`);
  if (code === "EntryNotFound")
    return new AppError("usage", `${hubNameText(name)} is listed but cannot be read: ${page} reports it as missing.`);
  if (response.status === 401 || response.status === 404)
    return new AppError(
      "usage",
      `${repo} is neither a local path nor a repository that can be read at ${endpoint}. The repository does not exist, or it is private.${withToken}`,
    );
  return new AppError("usage", `${endpoint} refuses ${hubNameText(name)} with status ${response.status}.`);
}
