/**
 * `mosara train --objective dpo` through the built program, on the demo: resuming, methods, report and refusals. Needs
 * dist/.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { decodeAdapter } from "../../src/adapter/adapter-file.ts";
import { type StepLine, readStepLog } from "../../src/train/step-log.ts";
import { trainDemo } from "../helpers/train-demo.ts";

const dir = mkdtempSync(join(tmpdir(), "mosara-preferences-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

function write(name: string, lines: readonly unknown[]): string {
  const path = join(dir, name);
  writeFileSync(path, lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
  return path;
}
/** The three forms in turn: text, messages, OpenAI's. */
function pair(i: number): unknown {
  const [good, bad] = [`${i + 1} comes after ${i}.`, `${i + 2} comes after ${i}, I think.`];
  const messages = [{ role: "user", content: `What comes after ${i}?` }];
  const answer = (content: string) => [{ role: "assistant", content }];
  if (i % 3 === 0) return { prompt: `Number ${i}:`, chosen: ` ${good}`, rejected: ` ${bad}` };
  if (i % 3 === 1) return { messages, chosen: good, rejected: answer(bad) };
  return { input: { messages }, preferred_output: answer(good), non_preferred_output: answer(bad) };
}
const data = write(
  "data.jsonl",
  Array.from({ length: 18 }, (_, i) => pair(i)),
);
const held = write(
  "held.jsonl",
  Array.from({ length: 6 }, (_, i) => pair(40 + i)),
);
const COMMON = ["--objective", "dpo", "--data", data, "--eval", held, "--batch-size", "4", "--eval-every", "4"];

it("learns what is preferred, logs it as TRL does, and resumes after a kill to the same bytes", async () => {
  const [whole, killed] = [join(dir, "whole.mosara"), join(dir, "killed.mosara")];
  const report = join(dir, "report.html");
  const flags = [...COMMON, "--steps", "12", "--save-every", "3", "--lr", "0.05"];
  const first = await trainDemo([...flags, "--out", whole, "--report", report, "--json"]);
  expect(first.code, first.stderr).toBe(0);
  const lines = readStepLog(`${whole}.log.jsonl`);
  const [start, end] = [lines[0]!, lines.at(-1)!];
  expect(start).toEqual({
    step: 0,
    evalLoss: Math.log(2),
    "rewards/chosen": 0,
    "rewards/rejected": 0,
    "rewards/accuracies": 0,
    "rewards/margins": 0,
  });
  expect(end["rewards/accuracies"]).toBe(1);
  expect(JSON.parse(first.stdout)).toMatchObject({ evalLossBase: Math.log(2), evalAccuracy: 1 });
  const step = lines.at(-2) as StepLine;
  expect(step["rewards/margins"]).toBeCloseTo(step["rewards/chosen"]! - step["rewards/rejected"]!, 9);
  expect(readFileSync(report, "utf8")).toMatch(/nats per pair[\s\S]*Pairs in the right order by step/);
  expect(decodeAdapter(readFileSync(whole)).card).toMatchObject({ objective: "dpo", beta: 0.1 });

  const resumed = [...flags, "--out", killed, "--resume"];
  expect((await trainDemo(resumed, { log: `${killed}.log.jsonl`, lines: 8 })).code).toBe(null);
  const last = await trainDemo(resumed);
  expect(last.code, last.stderr).toBe(0);
  expect(readFileSync(killed).equals(readFileSync(whole))).toBe(true);
});

it.each(["sara", "lora", "full"])("trains %s on preferences", async (method) => {
  const out = join(dir, `out-${method}`);
  const { code, stdout, stderr } = await trainDemo([
    ...COMMON,
    "--method",
    method,
    "--steps",
    "4",
    "--out",
    out,
    "--json",
  ]);
  expect(code, stderr).toBe(0);
  const { evalLoss, evalLossBase } = JSON.parse(stdout) as { evalLoss: number; evalLossBase: number };
  expect(evalLossBase).toBe(Math.log(2));
  expect(evalLoss).toBeLessThan(evalLossBase);
});

it.each([
  [{ prompt: "a", completion: "b" }, [], '"completion" does not belong to a preference'],
  [{ prompt: "a", chosen: "b" }, [], '"rejected" is missing'],
  [{ prompt: "a", chosen: "b", rejected: ["c"] }, [], '"prompt" is text and "rejected" is not'],
  [{ prompt: "a", chosen: "b", rejected: "b" }, [], "None of the 0 training examples"],
  [
    { prompt: "a", chosen: "b", rejected: "c" },
    ["--objective", "sft"],
    "Preferences are learnt as pairs, with --objective dpo",
  ],
])("refuses %j %j", async (line, flags, message) => {
  const bad = write("bad.jsonl", [line]);
  const objective = flags.length > 0 ? flags : ["--objective", "dpo"];
  const { code, stderr } = await trainDemo(["--data", bad, "--out", join(dir, "never.mosara"), ...objective]);
  expect(code).toBe(1);
  expect(stderr).toContain(message);
});
