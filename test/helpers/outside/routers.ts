/** The routers of deploy/, each started by its own script before given servers. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { packageRoot } from "../../../src/cli/shared/package-root.ts";
import { send, tempDir, until } from "../server.ts";
import { freePort, type RunningProgram, startProgram } from "./programs.ts";

export type RouterName = "haproxy" | "envoy" | "smg";

export interface DeployedRouter extends AsyncDisposable {
  readonly url: string;
}

/**
 * @param addresses `host:port` of the servers, which it calls replica-1, replica-2, …
 * @returns once it sees all of them up
 */
export async function startDeployedRouter(name: RouterName, addresses: readonly string[]): Promise<DeployedRouter> {
  const [port, statisticsPort, dir] = [await freePort(), await freePort(), tempDir()];
  const settings = [`LISTEN=127.0.0.1:${port}`, `STATISTICS=127.0.0.1:${statisticsPort}`, `RUN_DIR=${dir}`];
  const script = join(packageRoot(), "deploy", name, "start.sh");
  const program = startProgram("env", [...settings, "MOSARA_MODEL=demo", script, ...addresses], dir);
  const statistics = `http://127.0.0.1:${statisticsPort}`;
  const names = addresses.map((_, index) => `replica-${index + 1}`);
  if (name === "haproxy") await untilHaproxySees(program, `${statistics}/`, names);
  else if (name === "envoy") await untilEnvoySees(program, statistics, names);
  else await untilSmgSees(program, `http://127.0.0.1:${port}`, join(dir, "control-plane-key"), addresses);
  return { url: `http://127.0.0.1:${port}`, [Symbol.asyncDispose]: () => program[Symbol.asyncDispose]() };
}

/** Waits until HAProxy's statistics say that the named servers are up, and that their last check was answered. */
export async function untilHaproxySees(
  haproxy: RunningProgram,
  statistics: string,
  names: readonly string[],
): Promise<void> {
  // A server counts as up until its first check has ended: L7OK says that the check was answered.
  const stateOf = async (name: string) => {
    assertRuns(haproxy);
    const csv = await send(`${statistics};csv`, "GET").catch(() => null);
    const [header = [], ...rows] = (csv?.text ?? "").split("\n").map((line) => line.replace(/^# /, "").split(","));
    const row = rows.find(([, own]) => own === name);
    return [row?.[header.indexOf("status")], row?.[header.indexOf("check_status")]];
  };
  for (const name of names)
    await until(
      `${name} to be up`,
      () => stateOf(name),
      ([status, check]) => status === "UP" && check?.endsWith("L7OK") === true,
    );
}

interface EnvoyClusters {
  readonly cluster_statuses: readonly { readonly name: string; readonly host_statuses?: readonly EnvoyHost[] }[];
}
interface EnvoyHost {
  readonly hostname: string;
  /** A flag that is not set is left out. */
  readonly health_status: { readonly failed_active_health_check?: true; readonly pending_active_hc?: true };
}

async function untilEnvoySees(envoy: RunningProgram, admin: string, names: readonly string[]): Promise<void> {
  const namesUp = async () => {
    assertRuns(envoy);
    const answer = await send<EnvoyClusters>(`${admin}/clusters?format=json`, "GET").catch(() => null);
    const hosts = answer?.json?.cluster_statuses.find(({ name }) => name === "replicas")?.host_statuses ?? [];
    return hosts
      .filter(({ health_status: status }) => !status.failed_active_health_check && !status.pending_active_hc)
      .map(({ hostname }) => hostname);
  };
  await until("Envoy to see the servers up", namesUp, (up) => names.every((name) => up.includes(name)));
}

interface SmgWorkers {
  readonly workers: readonly { readonly url: string; readonly is_healthy: boolean }[];
}

async function untilSmgSees(
  smg: RunningProgram,
  url: string,
  keyFile: string,
  addresses: readonly string[],
): Promise<void> {
  const urlsUp = async () => {
    assertRuns(smg);
    const ask = async () => {
      const headers = { authorization: `Bearer ${readFileSync(keyFile, "utf8")}` };
      return await send<SmgWorkers>(`${url}/workers`, "GET", undefined, { headers });
    };
    const workers = (await ask().catch(() => null))?.json?.workers ?? [];
    return workers.filter((worker) => worker.is_healthy).map((worker) => worker.url);
  };
  await until("smg to see the servers up", urlsUp, (up) => addresses.every((one) => up.includes(`http://${one}`)));
}

function assertRuns({ child, output }: RunningProgram): void {
  if (child.exitCode !== null) throw new Error(`The router ended: ${output()}`);
}
