/** The check of isolation: a real engine on this base runs its self-test on this machine. */
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Base } from "../../base/base.ts";
import { Cleanup } from "../shared/cleanup.ts";
import type { EngineFlags } from "../shared/engine-options.ts";
import { startCommandEngine } from "../shared/eval-engine.ts";
import { type Check, failed, ok, warn } from "./check.ts";

export async function checkIsolation(config: EngineFlags, base: Base): Promise<Check> {
  await using cleanup = new Cleanup();
  const engine = await startCommandEngine(config, base, [], cleanup);
  const limits = engine.limits();
  if (limits === null) throw new Error("internal: an engine that is ready has limits");
  const { isBatchInvariant, device, maxNumSeqs } = limits;
  const on = `${base.manifest.weights} on ${device.name}, ${device.attention} attention`;
  if (isBatchInvariant)
    return ok("isolation", `bit-identical alone and in batches of up to ${Math.min(maxNumSeqs, 17)} rows (${on})`);
  const found = `results depend on the other rows of a batch (${on})`;
  const mend = "Build the base with other --weights. Receipts of this server cannot be replayed exactly.";
  return device.name === "cpu" ? failed("isolation", found, mend) : warn("isolation", found, mend);
}

/** Bytes of the files that an engine maps. */
export async function baseBytes({ dir }: Base): Promise<number> {
  const names = await readdir(dir);
  const sizes = await Promise.all(names.map(async (name) => (await stat(join(dir, name))).size));
  return sizes.reduce((sum, size) => sum + size, 0);
}
