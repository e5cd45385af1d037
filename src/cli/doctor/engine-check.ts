/** The check of isolation: a real engine on this base runs its self-test on this machine. */
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Base } from "../../base/base.ts";
import { Cleanup } from "../shared/cleanup.ts";
import type { EngineFlags } from "../shared/engine-options.ts";
import { startCommandEngine } from "../shared/eval-engine.ts";
import { resolveDraft } from "../shared/resolve-draft.ts";
import { type Check, failed, ok, warn } from "./check.ts";

/** A draft model of more weights, relative to the base, seldom pays. */
const MAX_DRAFT_SHARE = 0.5;

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

/** Whether a draft model can guess for this base. @throws {AppError} usage: its tokens are others */
export async function checkDraft(model: string, base: Base, flags: Parameters<typeof resolveDraft>[2]): Promise<Check> {
  const { manifest } = await resolveDraft(model, base.dir, flags);
  const { architecture, weights, baseId } = manifest;
  const found = `${architecture}, ${weights}, ${baseId.slice(0, 8)}, the tokens of the base`;
  const share = manifest.parameters / base.manifest.parameters;
  if (share <= MAX_DRAFT_SHARE) return ok("draft", found);
  return warn("draft", `${found}, ${Math.round(100 * share)} % of its weights`, "A smaller model guesses faster.");
}

/** Bytes of the files that an engine maps. */
export async function baseBytes({ dir }: Base): Promise<number> {
  const names = await readdir(dir);
  const sizes = await Promise.all(names.map(async (name) => (await stat(join(dir, name))).size));
  return sizes.reduce((sum, size) => sum + size, 0);
}
