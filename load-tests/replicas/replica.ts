/** One of several servers behind a router: it is killed, stopped and started again on the same address and data. */
import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { endChild, MAIN, untilListening } from "../processes/child.ts";
import { endWithUs } from "../processes/end-with-us.ts";

export const BASE_DIR = fileURLToPath(new URL("../../../models/demo", import.meta.url));

/** The name under which the base is served. */
export const BASE_NAME = "demo";

export interface ReplicaPlace {
  readonly host: string;
  readonly port: number;
  /** The replica's own store. */
  readonly data: string;
  /** The directory of adapters, which all replicas share. */
  readonly adapters: string;
  /** The directory of the store of uploads, which all replicas share. */
  readonly store: string;
  readonly threads: number;
  /** Name of the network namespace in which it runs; null: the machine's own. */
  readonly namespace: string | null;
}

export class Replica implements AsyncDisposable {
  readonly place: ReplicaPlace;
  #child: ChildProcess | null = null;
  #isReady = false;

  constructor(place: ReplicaPlace) {
    this.place = place;
  }

  get address(): string {
    return `${this.place.host}:${this.place.port}`;
  }

  /** It has said that it is ready, and was neither stopped nor killed since. */
  get isReady(): boolean {
    return this.#isReady;
  }

  /** @returns once it is ready. @throws {Error} with what it printed, where it ends before */
  async start(): Promise<void> {
    const { host, port, data, adapters, store, threads, namespace } = this.place;
    const flags = ["--model", BASE_DIR, "--served-model-name", BASE_NAME, "--host", host, "--port", String(port)];
    flags.push("--data", data, "--adapters", adapters, "--threads", String(threads), "--log-level", "error");
    flags.push("--kv-cache-bytes", "128M", "--store", store);
    const command = [process.execPath, MAIN, "serve", ...flags];
    const [program = "", ...args] = namespace === null ? command : ["ip", "netns", "exec", namespace, ...command];
    const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"] });
    this.#child = child;
    endWithUs(child);
    await untilListening(child);
    this.#isReady = true;
  }

  /** Ends it at once, without a word to anybody. */
  async kill(): Promise<void> {
    await this.#end("SIGKILL");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }

  /** Asks it to stop. Its running requests may finish. */
  async stop(): Promise<void> {
    await this.#end("SIGTERM");
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    this.#isReady = false;
    if (this.#child !== null) await endChild(this.#child, signal);
  }
}
