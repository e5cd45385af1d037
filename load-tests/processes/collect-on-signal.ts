/**
 * Loaded into the processes that the soak looks at (`NODE_OPTIONS=--import`), each of their threads: SIGUSR2 collects their garbage, so that what
 * is measured is what is held and not what V8 lets lie for a while, which under load is tens of megabytes.
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
