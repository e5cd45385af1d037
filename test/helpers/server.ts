/**
 * The built program as outsiders have it: processes, ready lines, requests, streams, metrics. Needs dist/ (npm test
 * builds it). Waiting is always for a condition, never for a time.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { packageRoot } from "../../src/cli/shared/package-root.ts";

const MAIN = join(packageRoot(), "dist", "mosara", "main.js");
/** Generous: a test machine may be busy; nothing waits longer than its condition needs. */
const TIMEOUT_MS = 240_000;

const scratch = mkdtempSync(join(tmpdir(), "mosara-integration-"));
process.on("exit", () => rmSync(scratch, { recursive: true, force: true }));

/** A directory of its own, removed at the end. */
export const tempDir = (): string => mkdtempSync(join(scratch, "d-"));

/** Longest pause between two reads of a condition. */
const MAX_PAUSE_MS = 50;

/**
 * Resolves with the first value that `read` gives and `isDone` accepts. The pauses between reads are a twentieth of the
 * wait so far: reading as often as possible would take a core from the program that is waited for. @throws after four
 * minutes, with the last value.
 */
export async function until<T>(
  what: string,
  read: () => T | Promise<T>,
  isDone: (value: T) => boolean = Boolean,
): Promise<T> {
  const startedAt = performance.now();
  for (;;) {
    const value = await read();
    if (isDone(value)) return value;
    const waitedMs = performance.now() - startedAt;
    if (waitedMs > TIMEOUT_MS) throw new Error(`waited in vain for ${what}; last: ${JSON.stringify(value)}`);
    await sleep(Math.min(MAX_PAUSE_MS, Math.max(2, waitedMs / 20)));
  }
}

/** A command run to its end. */
export async function mosara(...args: string[]): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const program = start(args, {});
  const code = await program.exited;
  return { code, ...program.printed };
}

interface Program {
  readonly child: ChildProcess;
  readonly printed: { stdout: string; stderr: string };
  /** Its exit code; null when a signal ended it. */
  readonly exited: Promise<number | null>;
}

function start(args: readonly string[], { cwd, env = {} }: Pick<ServeOptions, "cwd" | "env">): Program {
  const child = spawn(process.execPath, [MAIN, ...args], {
    env: { ...process.env, ...env },
    ...(cwd === undefined ? {} : { cwd }),
    stdio: ["ignore", "pipe", "pipe"],
  });
  const printed = { stdout: "", stderr: "" };
  child.stdout.on("data", (data: Buffer) => (printed.stdout += data.toString()));
  child.stderr.on("data", (data: Buffer) => (printed.stderr += data.toString()));
  return { child, printed, exited: new Promise((resolve) => child.on("close", resolve)) };
}

export interface ServeOptions {
  /** Where it runs; without it, it runs here, with a store of its own. */
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** A running server; disposing of it ends it with its engines. */
export interface TestServer extends Program, AsyncDisposable {
  readonly url: string;
  readonly pid: number;
  /** SIGTERM, and the exit code. */
  stop(): Promise<number | null>;
}

/**
 * Starts `mosara serve` on a free port and waits for its ready line. With one thread unless told otherwise: the models
 * are tiny, and threads that wait for each other in a loop take the cores from the tests that run beside.
 * @throws with what it printed when it ends before.
 */
export async function startServer(args: readonly string[], options: ServeOptions = {}): Promise<TestServer> {
  const data = args.includes("--data") || options.cwd !== undefined ? [] : ["--data", tempDir()];
  const threads = args.includes("--threads") ? [] : ["--threads", "1"];
  const program = start(["serve", "--port", "0", ...data, ...threads, ...args], options);
  const { child, printed, exited } = program;
  let hasExited = false;
  void exited.then(() => (hasExited = true));
  const url = await until(
    "the ready line",
    () => /^mosara listening on (https?:\/\/\S+)\n/m.exec(printed.stdout)?.[1] ?? (hasExited ? "exited" : ""),
  ).catch((error: unknown) => {
    child.kill("SIGKILL");
    throw error;
  });
  if (url === "exited") throw new Error(`the server ended before it was ready: ${printed.stderr}`);
  return {
    ...program,
    url,
    pid: child.pid as number, // it has printed something
    stop: async () => {
      child.kill("SIGTERM");
      return await exited;
    },
    [Symbol.asyncDispose]: async () => {
      child.kill("SIGKILL");
      await exited;
    },
  };
}

/** An answer of any route. `json` is null where the body is none. */
export interface Answer<T = Record<string, unknown>> {
  readonly status: number;
  readonly json: T;
  readonly text: string;
  readonly headers: Headers;
}

/** A request with a JSON body (or, given a string or bytes, that body). */
export async function send<T = Record<string, unknown>>(
  url: string,
  method: string,
  body?: unknown,
  init: RequestInit = {},
): Promise<Answer<T>> {
  const isRaw = body === undefined || typeof body === "string" || body instanceof Uint8Array;
  const response = await fetch(url, {
    method,
    ...(body === undefined ? {} : { body: (isRaw ? body : JSON.stringify(body)) as NonNullable<RequestInit["body"]> }),
    ...init,
  });
  const text = await response.text();
  let json: unknown = null;
  try {
    json = JSON.parse(text);
  } catch {
    // Plain text.
  }
  return { status: response.status, json: json as T, text, headers: response.headers };
}

/** The error code of an answer, after its status: `404 model_not_found`. */
export function codeOf({ status, json }: Answer<unknown>): string {
  const code = (json as { error?: { code?: string } } | null)?.error?.code;
  return code === undefined ? String(status) : `${status} ${code}`;
}

export interface Completion {
  readonly model: string;
  readonly system_fingerprint: string;
  readonly choices: {
    readonly text: string;
    readonly finish_reason: string;
    readonly token_ids: number[];
    readonly logprobs: { readonly token_logprobs: number[]; readonly top_logprobs: object[] } | null;
  }[];
  readonly usage: { readonly prompt_tokens: number; readonly completion_tokens: number };
}

/** POST /v1/completions, not streamed: greedy, ids returned, unless `body` says otherwise. */
export function complete(url: string, body: object, init: RequestInit = {}): Promise<Answer<Completion>> {
  const defaults = { temperature: 0, ignore_eos: true, return_token_ids: true };
  return send<Completion>(`${url}/v1/completions`, "POST", { ...defaults, ...body }, init);
}

/** What a stream has brought so far. */
export interface StreamedAnswer {
  status: number;
  readonly ids: number[];
  fingerprint: string;
  /** Events with tokens so far. */
  numChunks: number;
  /** `performance.now()` of the first one. */
  firstAt: number | null;
  /** It ended with [DONE]. */
  isDone: boolean;
  /** Code of the error that ended it, or that came in its place. */
  errorCode: string | null;
}

/** The same, streamed. `answer` fills while `ended` is pending; `ended` never rejects unless the connection breaks. */
export function stream(
  url: string,
  body: object,
  init: RequestInit = {},
): { answer: StreamedAnswer; ended: Promise<StreamedAnswer> } {
  const answer: StreamedAnswer = {
    status: 0,
    ids: [],
    fingerprint: "",
    numChunks: 0,
    firstAt: null,
    isDone: false,
    errorCode: null,
  };
  const ended = readStream(url, body, init, answer);
  ended.catch(() => {}); // a caller that waits for it gets the error
  return { answer, ended };
}

async function readStream(url: string, body: object, init: RequestInit, answer: StreamedAnswer) {
  const defaults = { temperature: 0, ignore_eos: true, return_token_ids: true, stream: true };
  const payload = JSON.stringify({ ...defaults, ...body });
  const response = await fetch(`${url}/v1/completions`, { method: "POST", body: payload, ...init });
  answer.status = response.status;
  if (response.status !== 200 || response.body === null) {
    answer.errorCode = ((await response.json()) as { error: { code: string } }).error.code;
    return answer;
  }
  const decoder = new TextDecoder();
  let rest = "";
  for await (const bytes of response.body) {
    const events = (rest + decoder.decode(bytes, { stream: true })).split("\n\n");
    rest = events.pop() ?? "";
    for (const event of events) takeEvent(event.replace(/^data: /, ""), answer);
  }
  return answer;
}

function takeEvent(data: string, answer: StreamedAnswer): void {
  if (data === "[DONE]") {
    answer.isDone = true;
    return;
  }
  const chunk = JSON.parse(data) as Partial<Completion> & { error?: { code: string } };
  if (chunk.error) answer.errorCode = chunk.error.code;
  if (chunk.system_fingerprint !== undefined) answer.fingerprint = chunk.system_fingerprint;
  const ids = chunk.choices?.[0]?.token_ids ?? [];
  if (ids.length === 0) return;
  answer.ids.push(...ids);
  answer.numChunks += 1;
  answer.firstAt ??= performance.now();
}

/** Every sample of /metrics by its name and labels as printed, without the label `model_name`. */
export async function readMetrics(url: string, init: RequestInit = {}): Promise<Map<string, number>> {
  const { text } = await send(`${url}/metrics`, "GET", undefined, init);
  const samples = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return new Map(
    samples.map((line) => {
      const at = line.lastIndexOf(" ");
      const name = line
        .slice(0, at)
        .replace(/model_name="[^"]*",?/, "")
        .replace(",}", "}")
        .replace("{}", "");
      return [name, Number(line.slice(at + 1))];
    }),
  );
}

/** One sample. @throws when it is not there. */
export async function metric(url: string, name: string): Promise<number> {
  const value = (await readMetrics(url)).get(name);
  if (value === undefined) throw new Error(`no metric ${name}`);
  return value;
}

/** Resolves when the server has nothing to do: no request runs or waits, no row is in use. */
export async function untilIdle(url: string): Promise<void> {
  const names = ["vllm:num_requests_running", "vllm:num_requests_waiting", "vllm:kv_cache_usage_perc"];
  const read = async () => {
    const metrics = await readMetrics(url);
    return names.map((name) => metrics.get(name));
  };
  await until("an idle server", read, (values) => values.every((value) => value === 0));
}

/** PUT of an adapter, whatever the answer. */
export function sendAdapter(url: string, name: string, bytes: Uint8Array, headers: Record<string, string> = {}) {
  return send(`${url}/v1/adapters/${name}`, "PUT", bytes, { headers });
}

/** PUT of an adapter. @throws Error with the answer, when the server refuses it. */
export async function putAdapter(...upload: Parameters<typeof sendAdapter>) {
  const answer = await sendAdapter(...upload);
  if (answer.status >= 300) throw new Error(`PUT of ${upload[1]}: ${answer.status} ${answer.text}`);
  return answer;
}
