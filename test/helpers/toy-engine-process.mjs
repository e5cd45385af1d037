/**
 * Entry of an engine process with the toy model: everything but the model is the real thing, from dist (`npm test` builds it).
 * `baseDir` carries the toy's options as JSON, besides `openMs` and `failsWhile`, a path that makes opening fail while it exists.
 */
import { existsSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { hostEngine } from "../../dist/src/engine/process/engine-host.js";
import { AppError } from "../../dist/src/errors.js";
import { ToyRunner } from "./toy-runner.mjs";

hostEngine(async ({ baseDir, maxNumSeqs, takesAdapters }) => {
  const { openMs = 0, failsWhile = null, ...options } = JSON.parse(baseDir);
  await sleep(openMs);
  if (failsWhile !== null && existsSync(failsWhile)) throw new AppError("base_invalid", "toy: the base is broken");
  if (takesAdapters !== !options.generation) throw new Error("toy: a merged engine has its adapter in its weights");
  const notFound = (generation) => new AppError("adapter_not_found", `No adapter ${generation}.`);
  return new ToyRunner({ numRows: maxNumSeqs, notFound, ...options });
});
