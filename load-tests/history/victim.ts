/** The server that is killed, over and over, and started again on the same port and data. */
import { type ChildProcess, spawn } from "node:child_process";
import { renameSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { endChild, MAIN, untilListening } from "../processes/child.ts";
import { endWithUs } from "../processes/end-with-us.ts";
import { childrenOf } from "../processes/process-memory.ts";
import { connectTo, type Send } from "./connection.ts";

export interface VictimPlace {
  readonly baseDir: string;
  /** The store. */
  readonly data: string;
  readonly keys: string;
  readonly port: number;
}

/** Sequences that one batch of the engine can have. */
const ROWS = 32;
/** The server's log line about it. */
const ENGINE_DIED = "an engine process died";
/** Pause between two questions whether an engine serves. */
const POLL_MS = 20;

export class Victim {
  readonly place: VictimPlace;
  readonly send: Send;
  #child: ChildProcess | null = null;
  /** Resolves when an engine serves. null: nobody waits for that. */
  #ready: Promise<void> | null = null;
  /** Last words of the server that runs. */
  #words = "";
  #numEngineKills = 0;
  #problem: string | null = null;

  constructor(place: VictimPlace) {
    this.place = place;
    this.send = connectTo(`http://127.0.0.1:${place.port}`);
  }

  /** Resolves when the server is up and its engine serves. All callers share one series of questions. */
  async whenReady(): Promise<void> {
    this.#ready ??= this.#untilReady().finally(() => (this.#ready = null));
    await this.#ready;
  }

  async #untilReady(): Promise<void> {
    const isReady = () =>
      this.send("/readyz", { key: "" }).then(
        ({ status }) => status === 200,
        () => false,
      );
    while (this.#problem === null && !(await isReady())) await sleep(POLL_MS);
  }

  /** A server or an engine that ended without being killed; null: there was none. */
  get problem(): string | null {
    const numDeaths = this.#words.split(ENGINE_DIED).length - 1;
    if (this.#problem === null && numDeaths > this.#numEngineKills)
      this.#problem = `the engine ended by itself: ${this.#words}`;
    return this.#problem;
  }

  /** @returns once it is ready. @throws {Error} with what it printed, where it ends before */
  async start(): Promise<void> {
    const { baseDir, data, keys, port } = this.place;
    const flags = ["--model", baseDir, "--served-model-name", "demo", "--port", String(port), "--data", data];
    flags.push("--keys", keys, "--threads", "1", "--log-level", "error", "--kv-cache-bytes", "64M");
    flags.push("--max-num-seqs", String(ROWS));
    const child = spawn(process.execPath, [MAIN, "serve", ...flags], { stdio: ["ignore", "pipe", "pipe"] });
    this.#child = child;
    [this.#words, this.#numEngineKills] = ["", 0];
    child.stderr.on("data", (data: Buffer) => {
      if (this.#child === child) this.#words += data.toString(); // an earlier server's last words may come late
    });
    endWithUs(child);
    await untilListening(child);
    child.once("exit", (code, signal) => {
      if (this.#child === child) this.#problem = `the server ended by itself (${code ?? signal}): ${this.#words}`;
    });
  }

  async kill(): Promise<void> {
    const child = this.#child;
    this.#child = null;
    if (child !== null) await endChild(child, "SIGKILL");
  }

  /** Kills the engine. The server starts another one. Waits for it first where it is being started. */
  async killEngine(): Promise<void> {
    await this.whenReady();
    if (this.#problem !== null) return;
    for (const pid of childrenOf(this.#child?.pid ?? 0)) process.kill(pid, "SIGKILL");
    this.#numEngineKills++;
  }

  /** Replaces the file of keys, and tells the server. */
  writeKeys(content: object): void {
    const { keys } = this.place;
    writeFileSync(`${keys}.new`, JSON.stringify(content));
    renameSync(`${keys}.new`, keys);
    this.#child?.kill("SIGHUP");
  }
}
