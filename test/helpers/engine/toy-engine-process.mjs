/**
 * Entry of an engine process with the toy model: everything but the model is the real thing, from dist (`npm test`
 * builds it). `baseDir` carries the toy's options as JSON, besides `openMs` and `failsWhile`, a path that makes opening
 * fail while it exists. Where `storeDir` names a store, the real loader thread is started on it, as the real runner
 * does, and closed with the toy.
 */
import { existsSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { AdapterLoader } from "../../../dist/src/engine/adapters/adapter-loader.js";
import { hostEngine } from "../../../dist/src/engine/process/engine-host.js";
import { WANTED_FD } from "../../../dist/src/engine/protocol.js";
import { AppError } from "../../../dist/src/errors.js";
import { ToyRunner } from "./toy-runner.mjs";

function startLoader(storeDir) {
  const layout = { groups: [], lowRank: [], totalK: 0 };
  const signature = { baseId: "", linears: new Map() };
  return new AdapterLoader({ storeDir, layout, signature, maxLiveRank: 1, wantedFd: WANTED_FD });
}

/** The toy, whose loader is closed with it. */
class ToyWithLoader extends ToyRunner {
  constructor(options, loader) {
    super(options);
    this.loader = loader;
  }
  async close() {
    await super.close();
    await this.loader?.[Symbol.asyncDispose]();
  }
}

hostEngine(async ({ baseDir, storeDir, maxNumSeqs, takesAdapters }) => {
  const { openMs = 0, failsWhile = null, ...options } = JSON.parse(baseDir);
  const loader = takesAdapters && storeDir !== "" ? startLoader(storeDir) : null;
  await sleep(openMs);
  if (failsWhile !== null && existsSync(failsWhile)) throw new AppError("base_invalid", "toy: the base is broken");
  if (takesAdapters !== !options.generation) throw new Error("toy: a merged engine has its adapter in its weights");
  const notFound = (generation) => new AppError("adapter_not_found", `No adapter ${generation}.`);
  return new ToyWithLoader({ numRows: maxNumSeqs, notFound, ...options }, loader);
});
