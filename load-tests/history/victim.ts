/** The server that is killed, over and over, and started again on the same port and data. */
import { type ChildProcess, spawn } from "node:child_process";
import { renameSync, writeFileSync } from "node:fs";
import { endChild, MAIN, untilListening } from "../processes/child.ts";
import { childrenOf } from "../processes/process-memory.ts";

export interface VictimPlace {
  readonly baseDir: string;
  /** The store. */
  readonly data: string;
  readonly keys: string;
  readonly port: number;
}

export class Victim {
  readonly url: string;
  readonly place: VictimPlace;
  #child: ChildProcess | null = null;
  #ready: Promise<void> = Promise.resolve();

  constructor(place: VictimPlace) {
    this.place = place;
    this.url = `http://127.0.0.1:${place.port}`;
  }

  /** Resolves while it is up, and otherwise when it has been started again. */
  get whenReady(): Promise<void> {
    return this.#ready.catch(() => undefined);
  }

  /** @returns once it is ready. @throws {Error} with what it printed, where it ends before */
  async start(): Promise<void> {
    this.#ready = this.#start();
    await this.#ready;
  }

  async #start(): Promise<void> {
    const { baseDir, data, keys, port } = this.place;
    const flags = ["--model", baseDir, "--served-model-name", "demo", "--port", String(port), "--data", data];
    flags.push("--keys", keys, "--threads", "1", "--log-level", "error", "--kv-cache-bytes", "64M");
    const child = spawn(process.execPath, [MAIN, "serve", ...flags], { stdio: ["ignore", "pipe", "pipe"] });
    this.#child = child;
    await untilListening(child);
  }

  /** So that no server is left behind when the run is stopped. */
  killOnSignals(): void {
    for (const signal of ["SIGINT", "SIGTERM"] as const)
      process.once(signal, () => {
        this.#child?.kill("SIGKILL");
        process.exit(1);
      });
  }

  async kill(): Promise<void> {
    if (this.#child !== null) await endChild(this.#child, "SIGKILL");
  }

  /** Kills the engine. The server starts another one. */
  killEngine(): void {
    for (const pid of childrenOf(this.#child?.pid ?? 0)) process.kill(pid, "SIGKILL");
  }

  /** Replaces the file of keys, and tells the server. */
  writeKeys(content: object): void {
    const { keys } = this.place;
    writeFileSync(`${keys}.new`, JSON.stringify(content));
    renameSync(`${keys}.new`, keys);
    this.#child?.kill("SIGHUP");
  }
}
