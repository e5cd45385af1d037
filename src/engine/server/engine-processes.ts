/**
 * Starts engine processes. One can be started ahead: it loads its code while the server still finds out with which
 * options it shall run. `engine-client.ts` speaks with them.
 */
import { type ChildProcess, fork } from "node:child_process";
import { entryUrl } from "../../program-files.ts";

const ENTRY = entryUrl("engine/process/engine-process");

/**
 * V8 flags of the engine process. Every step triggers collections of a heap of a few MB, because fetched results come
 * in new external memory. Helper threads cost such a collection more than they save, especially when the cores are
 * busy. Few new objects survive, so V8's two young halves of 16 MB in each thread only cost memory and longer pauses:
 * docs/log/2026-11.md. Flags of the server's own command line follow these, and override them.
 */
const ENGINE_NODE_FLAGS = ["--single-threaded-gc", "--max-semi-space-size=2"];
/**
 * Blocks of 32 kB and more return to the system when they are freed. By default glibc raises that size with the blocks
 * it sees, and keeps free memory between small blocks. After some thousand adapters, this was a fifth of the process
 * (docs/log/2026-11.md). Values already in the environment take precedence.
 */
const ENGINE_MALLOC = { MALLOC_MMAP_THRESHOLD_: "32768", MALLOC_TRIM_THRESHOLD_: "131072" };

export class EngineProcesses implements Disposable {
  readonly #entry: URL;
  #ahead: ChildProcess | null = null;

  /** @param entry another child entry, for tests */
  constructor(entry: URL = ENTRY) {
    this.#entry = entry;
  }

  /** Starts the process that the next call of `next` returns. @returns its id; undefined if it cannot be started */
  startAhead(): number | undefined {
    this.#ahead ??= this.#fork();
    this.#ahead.on("error", () => {}); // `next` then starts another one, whose errors are reported
    return this.#ahead.pid;
  }

  /** A process whose first message has to be `engine-started`. The caller ends it. */
  next(): ChildProcess {
    const ahead = this.#ahead;
    this.#ahead = null;
    return ahead?.connected === true ? ahead : this.#fork();
  }

  /** Ends the process that was started ahead and that nobody has taken. */
  [Symbol.dispose](): void {
    this.#ahead?.kill("SIGKILL");
    this.#ahead = null;
  }

  #fork(): ChildProcess {
    // The child's stdout is sent to our stderr, because our stdout is only for results.
    return fork(this.#entry, {
      serialization: "advanced",
      stdio: ["ignore", 2, 2, "ipc", "pipe"],
      execArgv: [...ENGINE_NODE_FLAGS, ...process.execArgv],
      env: { ...ENGINE_MALLOC, ...process.env },
    });
  }
}
