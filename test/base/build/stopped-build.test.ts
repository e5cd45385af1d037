/** A build that is killed. The real program is killed in the middle of its work, and is started again. */
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readManifest } from "../../../src/base/manifest.ts";
import { packageRoot } from "../../../src/cli/shared/package-root.ts";
import { TOY_CONFIG, writeCheckpoint } from "../../helpers/models/checkpoints.ts";

const MAIN = join(packageRoot(), "dist", "mosara", "main.js");
const dir = mkdtempSync(join(tmpdir(), "mosara-stopped-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

let checkpoint: string;
beforeAll(async () => {
  const sizes = { hidden_size: 192, intermediate_size: 384, num_hidden_layers: 4, num_attention_heads: 4 };
  checkpoint = await writeCheckpoint(join(dir, "checkpoint"), { ...TOY_CONFIG, ...sizes });
});

const commandOf = (out: string): string[] => [MAIN, "build", checkpoint, "--out", out, "--threshold", "0.5", "--json"];
const build = (out: string) =>
  JSON.parse(
    execFileSync(process.execPath, commandOf(out), { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }),
  ) as {
    readonly numContinued: number;
    readonly targets: readonly unknown[];
  };
const finished = (out: string): string[] =>
  existsSync(`${out}.bases`) ? readdirSync(`${out}.bases`).filter((name) => /^[0-9a-f]+\.safetensors$/.test(name)) : [];

/** Starts a build, and kills it when it has computed some bases. */
async function killedBuild(out: string): Promise<void> {
  const child = spawn(process.execPath, commandOf(out), { stdio: "ignore" });
  const exit = once(child, "exit");
  while (finished(out).length < 3 && child.exitCode === null) await sleep(2);
  child.kill("SIGKILL");
  await exit;
}

describe("a build that was killed", () => {
  it("continues with the bases that it had computed, and makes the same base", { timeout: 120_000 }, async () => {
    const out = join(dir, "base");
    await killedBuild(out);
    expect(existsSync(out)).toBe(false);
    const count = finished(out).length;
    const { numContinued, targets } = build(out);
    expect(numContinued).toBe(count);
    expect(count).toBeLessThan(targets.length);
    expect(existsSync(`${out}.bases`)).toBe(false);
    const whole = join(dir, "whole");
    expect(build(whole).numContinued).toBe(0);
    expect(await readManifest(out)).toEqual(await readManifest(whole));
    const basesOf = (base: string): Buffer => readFileSync(join(base, "bases.safetensors"));
    expect(basesOf(out).equals(basesOf(whole))).toBe(true);
  });

  it("computes a basis again whose file has changed", { timeout: 120_000 }, async () => {
    const out = join(dir, "damaged");
    await killedBuild(out);
    const [first = "", second = ""] = finished(out).map((name) => join(`${out}.bases`, name));
    const bytes = readFileSync(first);
    bytes[bytes.length - 5]! ^= 1; // in the middle of a number
    writeFileSync(first, bytes);
    writeFileSync(second, readFileSync(second).subarray(0, 100));
    const count = finished(out).length;
    expect(build(out).numContinued).toBe(count - 2);
    expect(await readManifest(out)).toEqual(await readManifest(join(dir, "whole")));
  });
});
