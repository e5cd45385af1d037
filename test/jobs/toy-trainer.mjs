/**
 * A trainer that learns nothing: it speaks the messages of `src/jobs/trainer-messages.ts` and leaves the files of a
 * finished job. Its training data is the path of a file. It waits until that file is there.
 */
import { once } from "node:events";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

process.on("disconnect", () => process.exit());
await once(process, "message");
const gate = readFileSync("training.jsonl", "utf8");
while (!existsSync(gate)) await sleep(5);
for (const name of ["adapter", "adapter.step-1", "adapter.step-2"]) writeFileSync(`${name}.mosara`, "");
writeFileSync("adapter.mosara.log.jsonl", '{"step":1,"loss":1}\n{"step":2,"loss":0.5}\n');
writeFileSync("report.html", "<html></html>");
process.send({ type: "done", steps: 2, trainLoss: 0.5, evalLoss: null }, () => process.disconnect());
