/** The thread that reads inputs. `campaign.ts` starts it and ends it. */
import { parentPort, workerData } from "node:worker_threads";
import type { RangeOrder, RangeReply, WorkerMemory } from "./campaign.ts";
import { outcomeOf } from "./outcome.ts";
import { Random } from "./inputs/random.ts";
import { targetNamed } from "./targets.ts";

const port = parentPort;
if (port === null) throw new Error("internal: this file is a worker thread");
const current = new Int32Array((workerData as WorkerMemory).run);

port.on("message", (order: RangeOrder) => void run(order));

async function run({ target: name, seed, from, to }: RangeOrder): Promise<void> {
  const target = targetNamed(name);
  let numRead = 0;
  for (let number = from; number < to; number++) {
    Atomics.store(current, 0, number);
    const outcome = await outcomeOf(target, target.makeInput(new Random(seed, number)));
    if (typeof outcome === "object") reply({ fault: { target: name, run: number, reason: outcome.fault } });
    else if (outcome === "read") numRead += 1;
  }
  reply({ numRead });
}

function reply(message: RangeReply): void {
  port?.postMessage(message);
}
