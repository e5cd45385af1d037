/**
 * Runs targets for ranges of runs, on a thread that can be ended. The thread writes the number of its run into
 * shared memory. A run that takes too much processor time, fills the heap or throws a foreign error is a fault.
 */
import { Worker } from "node:worker_threads";
import { MAX_HEAP_MIB, type Target } from "./target.ts";

const WATCH_MS = 250;

export interface Fault {
  readonly target: string;
  readonly run: number;
  readonly reason: string;
}

/** Orders of the thread. */
export interface RangeOrder {
  readonly target: string;
  readonly seed: number;
  readonly from: number;
  readonly to: number;
}

/** Replies of the thread: a fault, or that the range is done, with the number of inputs that were not refused. */
export type RangeReply = { readonly fault: Fault } | { readonly numRead: number };

export interface RangeResult {
  readonly faults: readonly Fault[];
  /** Inputs that were read without an error, as far as their thread lived. */
  readonly numRead: number;
}

export interface WorkerMemory {
  /** One 32-bit integer: the run that is being read. */
  readonly run: SharedArrayBuffer;
}

/** Reads inputs on a thread, which is started again after a fault has ended it. */
export class FuzzThread {
  readonly #run = new Int32Array(new SharedArrayBuffer(4));
  #worker: Worker | null = null;

  /** Runs `from` to `to`, not included. A fault ends nothing: the next run follows. */
  async runRange(order: RangeOrder, { maxSeconds }: Target): Promise<RangeResult> {
    const faults: Fault[] = [];
    let from = order.from;
    while (from < order.to) {
      const ended = await this.#runUntilEnded({ ...order, from }, maxSeconds, (fault) => faults.push(fault));
      if (typeof ended === "number") return { faults, numRead: ended };
      this.close();
      faults.push(ended);
      from = ended.run + 1;
    }
    return { faults, numRead: 0 };
  }

  close(): void {
    void this.#worker?.terminate();
    this.#worker = null;
  }

  /** @returns the fault that ended the thread, or the number of inputs that were read */
  #runUntilEnded(order: RangeOrder, maxSeconds: number, onFault: (fault: Fault) => void): Promise<Fault | number> {
    const run = this.#run;
    Atomics.store(run, 0, order.from - 1); // it is being started
    const worker = (this.#worker ??= startWorker({ run: run.buffer as SharedArrayBuffer }));
    return new Promise((resolve) => {
      let watched = { run: -1, cpuSeconds: 0 };
      const end = (result: Fault | number) => {
        clearInterval(watch);
        worker.off("message", onReply).off("error", onError);
        resolve(result);
      };
      const endWith = (reason: string) =>
        end({ target: order.target, run: Math.max(order.from, Atomics.load(run, 0)), reason });
      // Processor time, not time: a busy machine is no fault. Only this thread computes.
      const watch = setInterval(() => {
        const current = Atomics.load(run, 0);
        if (current !== watched.run || current < order.from) watched = { run: current, cpuSeconds: cpuSeconds() };
        else if (cpuSeconds() - watched.cpuSeconds > maxSeconds) endWith(`it took more than ${maxSeconds} s`);
      }, WATCH_MS);
      const onReply = (reply: RangeReply) => ("fault" in reply ? onFault(reply.fault) : end(reply.numRead));
      const onError = (error: Error) => endWith(`it ended the thread: ${error.message}`);
      worker.on("message", onReply).on("error", onError);
      worker.postMessage(order);
    });
  }
}

function startWorker(workerData: WorkerMemory): Worker {
  return new Worker(new URL("./fuzz-worker.js", import.meta.url), {
    workerData,
    resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MIB },
  });
}

function cpuSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}
