/**
 * The processes that the soak measures load this file in each of their threads (`NODE_OPTIONS=--import`). SIGUSR2 then
 * collects their garbage. The measurement then shows only memory in use. Under load, V8 leaves tens of megabytes of
 * garbage uncollected.
 */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { isMainThread } from "node:worker_threads";

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;
const collectTwice = (): void => {
  collect();
  setTimeout(collect, 100).unref(); // takes what the first one's finalisers have let go
};
const toThreads = new BroadcastChannel("collect-garbage"); // signals come to the main thread alone
toThreads.unref();
if (isMainThread)
  process.on("SIGUSR2", () => {
    toThreads.postMessage(null);
    collectTwice();
  });
else toThreads.onmessage = collectTwice;
