/** The routers of deploy/, each started by its own script. They differ in what a client sends, and in who answered. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import type { IncomingHttpHeaders } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { Target } from "../client/stream.ts";
import { endWithUs } from "../processes/end-with-us.ts";
import { BASE_NAME } from "./replica.ts";

interface RouterKind {
  readonly script: string;
  /** What a request says beside the prompt. */
  readonly target?: Pick<Target, "api" | "fieldsOf" | "headersOf">;
  /** The response header that names the replica. */
  readonly servedBy: string;
}

const KINDS = {
  haproxy: { script: "deploy/haproxy/start.sh", servedBy: "x-served-by" },
  envoy: { script: "deploy/envoy/start.sh", servedBy: "x-served-by" },
  // It refuses token ids, and models that are no base.
  smg: {
    script: "deploy/smg/start.sh",
    servedBy: "x-smg-routed-worker-id",
    target: {
      api: "text",
      fieldsOf: (adapter) => ({ model: BASE_NAME, ...(adapter === null ? {} : { adapter }) }),
      headersOf: (adapter) => (adapter === null ? {} : { "x-routing-key": adapter }),
    },
  },
} as const satisfies Readonly<Record<string, RouterKind>>;

export type RouterName = keyof typeof KINDS;
export const ROUTER_NAMES = Object.keys(KINDS) as readonly RouterName[]; // keys of the table above

export interface Router extends AsyncDisposable {
  readonly target: Target;
  /** Who answered, in the router's words. */
  readonly servedBy: (headers: IncomingHttpHeaders) => string | null;
}

/** A router cannot be waited for longer than this. */
const START_MS = 60_000;

/** @param addresses `host:port` of each replica. @returns once it answers for a replica */
export async function startRouter(
  name: RouterName,
  addresses: readonly string[],
  { port, statisticsPort, folder }: { port: number; statisticsPort: number; folder: string },
): Promise<Router> {
  const { script, servedBy, target }: RouterKind = KINDS[name];
  const child = spawn(fileURLToPath(new URL(`../../../${script}`, import.meta.url)), addresses, {
    env: {
      ...process.env,
      LISTEN: `127.0.0.1:${port}`,
      STATISTICS: `127.0.0.1:${statisticsPort}`,
      MOSARA_MODEL: BASE_NAME,
      RUN_DIR: folder,
    },
    stdio: ["ignore", "ignore", "pipe"],
    detached: true, // a script may leave a child: the group is ended
  });
  endWithUs(child, true);
  let stderr = "";
  child.stderr.on("data", (data: Buffer) => (stderr = (stderr + data.toString()).slice(-4000)));
  const router = {
    target: { url: `http://127.0.0.1:${port}`, model: BASE_NAME, ...target },
    servedBy: (headers: IncomingHttpHeaders) => headers[servedBy]?.toString() ?? null,
    [Symbol.asyncDispose]: async () => {
      if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
      process.kill(-child.pid, "SIGKILL");
      await once(child, "exit");
    },
  };
  const giveUpAt = performance.now() + START_MS;
  while (!(await answers(router.target.url))) {
    if (child.exitCode !== null || performance.now() > giveUpAt) {
      await router[Symbol.asyncDispose]();
      throw new Error(`${script} does not answer: ${stderr.trim()}`);
    }
    await sleep(50);
  }
  return router;
}

/** Whether a server of the demo answers a request there. */
export async function answers(url: string): Promise<boolean> {
  const body = JSON.stringify({ model: BASE_NAME, prompt: "a", max_tokens: 1 });
  return await fetch(`${url}/v1/completions`, {
    method: "POST",
    body,
    headers: { "content-type": "application/json" },
  }).then(
    async (response) => (await response.text(), response.ok),
    () => false,
  );
}
