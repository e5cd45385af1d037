/** `mosara serve` as a process of its own on a free port, and the load tests' requests to it over HTTP. */
import { spawn } from "node:child_process";
import { join } from "node:path";
import { endChild, MAIN, untilListening } from "./child.ts";

export interface Server extends AsyncDisposable {
  readonly url: string;
  readonly pid: number;
  putAdapter(name: string, bytes: Uint8Array): Promise<void>;
}

/** The name under which the base is served. */
export const BASE_NAME = "bench";

const DEFAULTS = [
  ["--served-model-name", BASE_NAME],
  ["--max-num-seqs", "16"],
  ["--max-model-len", "1024"],
] as const;

/**
 * @param folder a directory for the store, this server's own
 * @param more further flags of `mosara serve`
 * @param env further variables of its environment
 */
export async function startServer(
  baseDir: string,
  folder: string,
  numThreads: number,
  more: readonly string[] = [],
  env: Readonly<Record<string, string>> = {},
): Promise<Server> {
  const flags = ["--model", baseDir, "--port", "0", "--log-level", "error"];
  flags.push("--data", join(folder, "data"), "--threads", String(numThreads), ...more);
  for (const [flag, value] of DEFAULTS) if (!more.includes(flag)) flags.push(flag, value);
  const environment = Object.entries(process.env).filter(([name]) => !name.startsWith("MOSARA_"));
  const child = spawn(process.execPath, [MAIN, "serve", ...flags], {
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...Object.fromEntries(environment), ...env },
  });
  const url = await untilListening(child);
  return {
    url,
    pid: child.pid as number, // it has told its URL
    putAdapter: async (name, bytes) => {
      const response = await fetch(`${url}/v1/adapters/${name}`, { method: "PUT", body: Buffer.from(bytes) });
      await textOf(response);
    },
    [Symbol.asyncDispose]: () => endChild(child, "SIGTERM"),
  };
}

async function textOf(response: Response): Promise<string> {
  const text = await response.text();
  if (response.ok) return text;
  throw new Error(`${response.url} answered ${response.status}: ${text}`);
}
