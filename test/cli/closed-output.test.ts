/** A reader that has gone is no failure: a training run whose output nobody reads any more still writes its adapter. */
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, it } from "vitest";

const scratch = mkdtempSync(join(tmpdir(), "mosara-closed-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));
const root = fileURLToPath(new URL("../../", import.meta.url));

it("continues when its output is closed", async () => {
  const data = join(scratch, "data.jsonl");
  const out = join(scratch, "out.mosara");
  const examples = Array.from({ length: 8 }, (_, i) => JSON.stringify({ prompt: `Say ${i}.`, completion: ` ${i}` }));
  writeFileSync(data, `${examples.join("\n")}\n`);
  const model = join(root, "models", "demo");
  const args = ["train", "--model", model, "--data", data, "--out", out, "--steps", "3", "--json"];
  const child = spawn(process.execPath, [join(root, "dist", "mosara", "main.js"), ...args], { stdio: "pipe" });
  child.stdout.destroy();
  child.stderr.destroy();
  const code = await new Promise((resolve) => child.on("close", resolve));
  expect([code, existsSync(out)]).toEqual([0, true]);
});
