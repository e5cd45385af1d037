/** The thread that reads inputs. `campaign.ts` starts it and ends it. */
import { parentPort, workerData } from "node:worker_threads";
import type { RangeOrder, RangeReply, WorkerMemory } from "./campaign.ts";
import { outcomeOf } from "./outcome.ts";
import { Random } from "./inputs/random.ts";
import type { Target } from "./target.ts";
import { targetNamed } from "./targets.ts";

const port = parentPort;
if (port === null) throw new Error("internal: this file is a worker thread");
const current = new Int32Array((workerData as WorkerMemory).run);

/** Most inputs are refused with an error, whose stack nobody reads. It takes a tenth of all time. */
const STACK_LINES = Error.stackTraceLimit;
Error.stackTraceLimit = 0;

port.on("message", (order: RangeOrder) => void run(order));

async function run({ target: name, seed, from, to }: RangeOrder): Promise<void> {
  const target = targetNamed(name);
  let numRead = 0;
  for (let number = from; number < to; number++) {
    Atomics.store(current, 0, number);
    const input = target.makeInput(new Random(seed, number));
    const outcome = await outcomeOf(target, input);
    if (typeof outcome === "object")
      reply({ fault: { target: name, run: number, reason: await reasonOf(target, input, outcome.fault) } });
    else if (outcome === "read") numRead += 1;
  }
  reply({ numRead });
}

/** Reads the input once more, for the places in the code. */
async function reasonOf(target: Target, input: Uint8Array, first: string): Promise<string> {
  Error.stackTraceLimit = STACK_LINES;
  const again = await outcomeOf(target, input);
  Error.stackTraceLimit = 0;
  return typeof again === "object" ? again.fault : first;
}

function reply(message: RangeReply): void {
  port?.postMessage(message);
}
