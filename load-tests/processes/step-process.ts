/**
 * A process that takes training steps on request and stays alive between them, so that several can be measured in
 * turns. The protocol: a number of steps as a line on its stdin, a `StepTurn` as a line of JSON on its stdout.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

/** What some steps took. */
export interface StepTurn {
  /** Wall time. */
  readonly seconds: number;
  /** Processor time of all threads. */
  readonly cpuSeconds: number;
  /** Of each step, before it moved anything. */
  readonly losses: readonly number[];
  /** Most memory that the process had at any time since it began. */
  readonly peakBytes: number;
}

export class StepProcess implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  readonly #command: string;

  /** @param env beside this process's own */
  constructor(command: readonly [string, ...string[]], env: Readonly<Record<string, string>> = {}) {
    const [program, ...args] = command;
    this.#command = command.join(" ");
    const child = spawn(program, args, { stdio: ["pipe", "pipe", "inherit"], env: { ...process.env, ...env } });
    child.on("error", () => {}); // seen as the end of its output
    child.stdin.on("error", () => {}); // likewise
    this.#lines = createInterface(child.stdout)[Symbol.asyncIterator]();
    this.#child = child;
  }

  /** @throws {Error} when the process has ended; what it wrote to stderr says why */
  async take(numSteps: number): Promise<StepTurn> {
    this.#child.stdin?.write(`${numSteps}\n`);
    const line = await this.#lines.next();
    if (line.done) throw new Error(`${this.#command} ended without an answer (see above).`);
    return JSON.parse(line.value) as StepTurn;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { exitCode, signalCode, pid } = this.#child;
    if (pid === undefined || exitCode !== null || signalCode !== null) return;
    this.#child.stdin?.end();
    await once(this.#child, "exit");
  }
}
