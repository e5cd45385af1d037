/**
 * Training on every model fixture, whatever its family: `mosara train` as it is run, then what came out served live by
 * the engine's runner, which has to see the loss that the trainer saw. mo-sara everywhere, the other methods in turn.
 * Needs dist/.
 */
import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, describe, expect, it } from "vitest";
import { decodeAdapter } from "../../src/adapter/adapter-file.ts";
import { METHODS } from "../../src/adapter/methods.ts";
import { packageRoot } from "../../src/cli/shared/package-root.ts";
import { loadExampleEncoder } from "../../src/data/encode.ts";
import { readExamples } from "../../src/data/examples.ts";
import { readStepLog } from "../../src/train/step-log.ts";
import { builtBase } from "../helpers/models/bases.ts";
import { modelCases } from "../helpers/fixtures.ts";
import { logprobsOf, openTestRunner } from "../helpers/engine/runner.ts";

const MAIN = join(packageRoot(), "dist", "mosara", "main.js");
const STEPS = 8;
const scratch = mkdtempSync(join(tmpdir(), "mosara-families-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const data = join(scratch, "data.jsonl");
const lines = Array.from({ length: 8 }, (_, i) => ({ prompt: `No. ${i}:`, completion: " the ferry left." }));
writeFileSync(data, lines.map((line) => `${JSON.stringify(line)}\n`).join(""));

/** The step log of a run that trains on the examples and evaluates on the same ones. */
async function train(model: string, out: string, flags: readonly string[]) {
  const common = ["--data", data, "--eval", data, "--steps", String(STEPS), "--eval-every", String(STEPS)];
  const args = [MAIN, "train", "--model", model, "--out", out, "--threads", "1", "--warmup", "2", ...common, ...flags];
  await promisify(execFile)(process.execPath, args);
  return readStepLog(`${out}.log.jsonl`).flatMap((line) => ("evalLoss" in line ? [line.evalLoss] : []));
}

/** Mean loss of the examples' completions by the serving graph. */
async function servedLoss(baseDir: string, file: string | null): Promise<number> {
  const encoder = await loadExampleEncoder(baseDir);
  await using test = await openTestRunner(baseDir);
  const adapter = file === null ? null : test.ready(decodeAdapter(readFileSync(file)));
  let [sum, count] = [0, 0];
  for (const { ids, lossMask } of (await readExamples([data])).flatMap((example) => encoder.encode(example))) {
    const logprobs = logprobsOf(await test.score([...ids], { adapter }), [...ids], test.runner.vocabSize);
    logprobs.forEach((logprob, t) => {
      if (lossMask[t + 1] !== 1) return;
      sum -= logprob;
      count += 1;
    });
  }
  return sum / count;
}

const others = [...Object.keys(METHODS).filter((method) => method !== "mo-sara"), "full"];

describe.each(modelCases().map((one, i) => ({ ...one, other: others[i % others.length] ?? "full" })))(
  "$name",
  ({ name, dir, other }) => {
    it.each(["mo-sara", other])("learns by %s, and what came out answers as it was trained", async (method) => {
      const base = await builtBase(dir);
      const out = join(scratch, `${name}-${method}`);
      const [before = NaN, after = NaN] = await train(base, out, ["--method", method]);
      expect(after).toBeLessThan(before);
      expect(existsSync(out)).toBe(true);
      const served = method === "full" ? await servedLoss(await builtBase(out), null) : await servedLoss(base, out);
      expect(Math.abs(served - after)).toBeLessThan(1e-4 * Math.max(1, after));
    });
  },
);
