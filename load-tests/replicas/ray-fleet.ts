/**
 * Replicas of Ray Serve on a cluster of this machine, which deploy/ray/start.sh starts. Each replica is a process of
 * Ray that owns a `mosara serve`. Kills meet the server and the replica in turn. Needs `ss` (Debian: iproute2).
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import type { IncomingHttpHeaders } from "node:http";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parse } from "yaml";
import type { Target } from "../client/stream.ts";
import { freePort, MAIN } from "../processes/child.ts";
import { endWithUs } from "../processes/end-with-us.ts";
import type { Fleet } from "./fleet.ts";
import { BASE_DIR, BASE_NAME } from "./replica.ts";
import { answers } from "./router.ts";
import type { FleetPlace } from "./server-fleet.ts";

const ROOT = fileURLToPath(new URL("../../..", import.meta.url));
const NUM_REPLICAS = 3;
/** A cluster, two ingresses and three servers start. A busy machine needs minutes. */
const START_MS = 900_000;
const POLL_MS = 500;

/** A `mosara serve` of a replica. */
interface OwnedServer {
  readonly pid: number;
  /** The replica's process. */
  readonly replica: number;
  readonly isReady: boolean;
}

/** The part of serve.yaml that the load test changes. */
interface ServeConfig {
  http_options: { port: number };
  applications: {
    args: { command: string[]; base: string; flags: string[] };
    deployments: { name: string; num_replicas?: number; autoscaling_config?: unknown }[];
  }[];
}

export class RayFleet implements Fleet {
  readonly target: Target;
  readonly #folder: string;
  readonly #place: FleetPlace;
  readonly #rayPort: number;
  readonly #child: ChildProcess;
  #words = "";

  static async start(place: FleetPlace): Promise<RayFleet> {
    const ports = { port: await freePort(), rayPort: await freePort() };
    const fleet = new RayFleet(place, ports);
    try {
      await fleet.#untilReady();
    } catch (error) {
      await fleet[Symbol.asyncDispose]();
      throw error;
    }
    return fleet;
  }

  private constructor(place: FleetPlace, { port, rayPort }: { port: number; rayPort: number }) {
    this.target = { url: `http://127.0.0.1:${port}`, model: BASE_NAME };
    this.#place = place;
    this.#folder = join(place.folder, "ray");
    mkdirSync(this.#folder);
    this.#rayPort = rayPort;
    const config = this.#writeConfig("error");
    this.#child = spawn(join(ROOT, "deploy/ray/start.sh"), [config], {
      env: { ...process.env, RUN_DIR: this.#folder, RAY_PORT: String(rayPort) },
      stdio: ["ignore", "pipe", "pipe"],
      detached: true, // the group is ended
    });
    endWithUs(this.#child, true);
    for (const stream of [this.#child.stdout, this.#child.stderr])
      stream?.on("data", (data: Buffer) => (this.#words = (this.#words + data.toString()).slice(-4000)));
  }

  servedBy(headers: IncomingHttpHeaders): string | null {
    return headers["x-served-by"]?.toString() ?? null;
  }

  numReady(): number {
    return this.#ready().length;
  }

  async kill(turn: number): Promise<void> {
    const ready = this.#ready();
    const victim = ready[turn % ready.length];
    if (victim) process.kill(turn % 2 === 0 ? victim.pid : victim.replica, "SIGKILL");
  }

  /** Deploys the application with another flag. Ray then replaces the replicas in turn. */
  async roll(): Promise<number> {
    const before = new Set(this.#servers().map(({ replica }) => replica));
    const update = spawn(
      "serve",
      ["run", "--non-blocking", "--address", `127.0.0.1:${this.#rayPort}`, this.#writeConfig("warn")],
      {
        cwd: ROOT,
        env: {
          ...process.env,
          RAY_AUTH_MODE: "token",
          RAY_AUTH_TOKEN_PATH: join(this.#folder, "token"),
          PYTHONPATH: ROOT,
        },
        stdio: "ignore",
      },
    );
    endWithUs(update);
    await once(update, "exit");
    const areReplaced = (): boolean =>
      this.numReady() === NUM_REPLICAS && this.#servers().every(({ replica }) => !before.has(replica));
    while (!areReplaced()) await sleep(POLL_MS);
    return NUM_REPLICAS;
  }

  async settle(): Promise<void> {
    while (this.numReady() < NUM_REPLICAS) await sleep(POLL_MS);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const child = this.#child;
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill("SIGTERM"); // its trap ends the cluster
    await once(child, "exit");
  }

  async #untilReady(): Promise<void> {
    const giveUpAt = performance.now() + START_MS;
    while (this.numReady() < NUM_REPLICAS || !(await answers(this.target.url))) {
      const { exitCode, signalCode } = this.#child;
      if (exitCode !== null || signalCode !== null || performance.now() > giveUpAt)
        throw new Error(`deploy/ray/start.sh does not answer: ${this.#words.trim()}`);
      await sleep(POLL_MS);
    }
  }

  /** deploy/ray/serve.yaml with a fixed number of replicas. @returns its path */
  #writeConfig(logLevel: string): string {
    const config = parse(readFileSync(join(ROOT, "deploy/ray/serve.yaml"), "utf8")) as ServeConfig;
    config.http_options.port = Number(new URL(this.target.url).port);
    for (const { args, deployments } of config.applications) {
      const { adapters, store } = this.#place;
      const flags = ["--model", BASE_DIR, "--served-model-name", BASE_NAME, "--adapters", adapters, "--store", store];
      flags.push("--threads", "1", "--kv-cache-bytes", "128M", "--log-level", logLevel);
      Object.assign(args, { command: [process.execPath, MAIN], base: BASE_NAME, flags });
      for (const deployment of deployments.filter(({ autoscaling_config }) => autoscaling_config !== undefined)) {
        delete deployment.autoscaling_config;
        deployment.num_replicas = NUM_REPLICAS;
      }
    }
    const path = join(this.#folder, "serve.json");
    writeFileSync(path, JSON.stringify(config)); // JSON is YAML
    return path;
  }

  #ready(): readonly OwnedServer[] {
    return this.#servers().filter(({ isReady }) => isReady);
  }

  /** Processes whose copies of adapters are in this fleet's folder. */
  #servers(): readonly OwnedServer[] {
    const mark = `--data\0${join(this.#folder, "servers")}/`;
    const { stdout } = spawnSync("ss", ["-ltnpH"], { encoding: "utf8" });
    const listening = new Set(Array.from((stdout ?? "").matchAll(/pid=(\d+)/g), ([, pid]) => Number(pid)));
    return readdirSync("/proc")
      .filter((entry) => /^\d+$/.test(entry))
      .map(Number)
      .toSorted((a, b) => a - b)
      .flatMap((pid) => {
        const { command, parent } = processOf(pid);
        return command.includes(mark) ? [{ pid, replica: parent, isReady: listening.has(pid) }] : [];
      });
  }
}

/** Its command, with a NUL after each argument. Both are empty if it has ended. */
function processOf(pid: number): { readonly command: string; readonly parent: number } {
  try {
    const parent = Number(/^PPid:\t(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);
    return { command: readFileSync(`/proc/${pid}/cmdline`, "utf8"), parent };
  } catch (error) {
    if (existsSync(`/proc/${pid}`)) throw error;
    return { command: "", parent: NaN };
  }
}
