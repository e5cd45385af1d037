/** llama.cpp's server as a process of its own on a free port. */
import { type ChildProcess, spawn } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import type { Target } from "../client/stream.ts";
import { endChild, freePort } from "../processes/child.ts";
import type { LlamaTools } from "./llama-tools.ts";

export interface LlamaSettings {
  readonly modelPath: string;
  /** LoRA files; a request's adapter is named by its place in this list. */
  readonly loraPaths: readonly string[];
  readonly numThreads: number;
  /** Sequences at once. */
  readonly numSlots: number;
  /** Tokens of a sequence. */
  readonly contextTokens: number;
}

export interface LlamaServer extends AsyncDisposable {
  /** For the clients: nothing of a prompt is reused, an adapter is asked for by the `lora` field. */
  readonly target: Target;
}

/** @throws {Error} with its last words when it ends before it serves */
export async function startLlama({ server }: LlamaTools, settings: LlamaSettings): Promise<LlamaServer> {
  const { modelPath, loraPaths, numThreads, numSlots, contextTokens } = settings;
  const port = await freePort();
  const flags = ["--model", modelPath, "--host", "127.0.0.1", "--port", String(port), "--no-ui"];
  flags.push("--threads", String(numThreads), "--threads-batch", String(numThreads));
  flags.push("--parallel", String(numSlots), "--ctx-size", String(numSlots * contextTokens));
  flags.push("--cache-ram", "0", "--ctx-checkpoints", "0"); // none of it is asked for
  if (loraPaths.length > 0) flags.push("--lora", loraPaths.join(","), "--lora-init-without-apply");
  const child = spawn(server, flags, { stdio: ["ignore", "ignore", "pipe"] });
  let words = "";
  child.stderr.on("data", (text: Buffer) => (words = (words + text.toString()).slice(-4000)));
  const url = `http://127.0.0.1:${port}`;
  try {
    await untilHealthy(url, child);
  } catch (error) {
    await endChild(child, "SIGTERM");
    throw new Error(`${(error as Error).message}\n${words}`, { cause: error });
  }
  const fieldsOf = (adapter: string | null): Record<string, unknown> => ({
    model: "llama.cpp",
    cache_prompt: false,
    ...(loraPaths.length > 0 ? { lora: adapter === null ? [] : [{ id: Number(adapter), scale: 1 }] } : {}),
  });
  return { target: { url, model: "llama.cpp", fieldsOf }, [Symbol.asyncDispose]: () => endChild(child, "SIGTERM") };
}

const START_MS = 180_000;

async function untilHealthy(url: string, child: ChildProcess): Promise<void> {
  let failure: Error | null = null;
  child.on("error", (error) => (failure = error));
  for (const startedAt = performance.now(); performance.now() - startedAt < START_MS; await sleep(200)) {
    if (failure !== null || child.exitCode !== null || child.signalCode !== null)
      throw new Error("llama.cpp's server ended before it served.", { cause: failure });
    const response = await fetch(`${url}/health`).catch(() => null); // refused until it listens, 503 while it loads
    if (response?.ok) return;
  }
  throw new Error(`llama.cpp's server did not serve within ${START_MS / 1000} s.`);
}
