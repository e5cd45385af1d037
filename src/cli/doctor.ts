/**
 * `mosara doctor`: checks whether a server would run well on this machine. One line for each check, with what to do.
 */
import { resolve } from "node:path";
import { type Base, openBase } from "../base/base.ts";
import type { ConfigOf } from "../config/commands.ts";
import { attempt, type Check, ok } from "./doctor/check.ts";
import { baseBytes, checkDraft, checkIsolation } from "./doctor/engine-check.ts";
import { checkClock, checkCpu, checkMemory, checkNode, checkPort } from "./doctor/host-checks.ts";
import { checkKeys } from "./doctor/keys-check.ts";
import { checkDisk, checkReceiptKey, checkStore } from "./doctor/store-checks.ts";
import { Cleanup } from "./shared/cleanup.ts";
import { resolveBase, shippedDemo } from "./shared/resolve-base.ts";

type DoctorConfig = ConfigOf<"doctor">;

/** @returns the exit code: 1 where a check has failed. */
export async function doctor(config: DoctorConfig): Promise<number> {
  await using cleanup = new Cleanup();
  const data = resolve(config.data);
  const checks: Check[] = [];
  const note = async (name: string, check: () => Check | Promise<Check>, mend: string): Promise<void> => {
    const result = await attempt(name, check, mend);
    checks.push(result);
    if (!config.json) process.stdout.write(asLine(result)); // at once, because a large base takes a while
  };
  await note("node", checkNode, "Install the program again.");
  await note("cpu", () => checkCpu(config.threads), "Report this to the developers.");
  await note("clock", checkClock, "Install the program again.");
  if (config.port !== 0) await note("port", () => checkPort(config.host, config.port), "Choose another --port.");
  await note("disk", () => checkDisk(data), "Choose a --data directory that can be written.");
  let base: Base | null = null;
  const openTheBase = async (): Promise<Check> => {
    base = cleanup.use(await openBase(await resolveBase(config.model ?? shippedDemo().model, config)));
    const { architecture, weights, baseId } = base.manifest;
    return ok("base", `${architecture}, ${weights}, ${baseId.slice(0, 8)}`);
  };
  await note("base", openTheBase, "Build the base again.");
  await noteBase(config, base, note);
  const signature = (base as Base | null)?.signature ?? null;
  await note(
    "store",
    () => checkStore(data, signature),
    "If nothing else helps, restore it from a copy, or choose another --data.",
  );
  await note("receipt key", () => checkReceiptKey(data, config.receiptKey), "Name another file with --receipt-key.");
  const { keys } = config;
  if (keys !== null) await note("keys", () => checkKeys(keys), "Name another file with --keys.");
  const isGood = checks.every(({ status }) => status !== "fail");
  if (config.json) process.stdout.write(`${JSON.stringify({ ok: isGood, checks })}\n`);
  return isGood ? 0 : 1;
}

/** The checks that need an opened base. Memory is checked before the engine takes it. */
async function noteBase(
  config: DoctorConfig,
  base: Base | null,
  note: (name: string, check: () => Check | Promise<Check>, mend: string) => Promise<void>,
): Promise<void> {
  const needed = base === null ? null : (await baseBytes(base)) + (config.kvCacheBytes ?? 0);
  const { draftModel } = config;
  if (base !== null && draftModel !== null)
    await note("draft", () => checkDraft(draftModel, base, config), "Leave out --draft-model.");
  await note("memory", () => checkMemory(needed), "Report this to the developers.");
  if (base !== null) await note("isolation", () => checkIsolation(config, base), "Build the base again.");
}

function asLine({ name, status, found, mend }: Check): string {
  const mark = { ok: "ok  ", warn: "WARN", fail: "FAIL" }[status];
  const end = mend === null ? "" : `${found.endsWith(".") ? "" : "."} ${mend}`;
  return `${mark} ${name.padEnd(11)}  ${found}${end}\n`;
}
