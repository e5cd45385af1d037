/**
 * Loaded into the processes that the soak looks at (`NODE_OPTIONS=--import`): SIGUSR2 collects their garbage, so that what is measured is
 * what is held and not what V8 lets lie for a while, which under load is tens of megabytes.
 */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { isMainThread } from "node:worker_threads";

if (isMainThread) {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  process.on("SIGUSR2", () => {
    // The second one takes what the first one's finalisers have let go.
    collect();
    setTimeout(collect, 100).unref();
  });
}
