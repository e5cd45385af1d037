/** `mosara data check` through the built program, on the demo. Needs dist/. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import type { DataReport } from "../../src/cli/data-check/report-text.ts";
import { packageRoot } from "../../src/cli/shared/package-root.ts";

const MAIN = join(packageRoot(), "dist", "mosara", "main.js");
const BASE = join(packageRoot(), "models", "demo");
const dir = mkdtempSync(join(tmpdir(), "mosara-data-check-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

function write(name: string, lines: readonly unknown[]): string {
  const path = join(dir, name);
  writeFileSync(path, lines.map((line) => `${typeof line === "string" ? line : JSON.stringify(line)}\n`).join(""));
  return path;
}
const pair = (i: number, completion = ` is ${i + 1}.`) => ({ prompt: `Number ${i}`, completion });
const chat = {
  messages: [
    { role: "user", content: "Hello" },
    { role: "assistant", content: "Hi!" },
    { role: "user", content: "Two?" },
    { role: "assistant", content: "Two ".repeat(60) },
  ],
};
const data = write("data.jsonl", [pair(0), pair(1), pair(0), chat, { prompt: 3 }, "{", pair(2)]);
const held = write("held.jsonl", [pair(1), pair(2, " is two."), { prompt: "Nr. 9", completion: " is 10." }]);

function check(...args: readonly string[]) {
  return spawnSync(process.execPath, [MAIN, "data", "check", ...args, "--model", BASE], { encoding: "utf8" });
}

it("counts, finds what is repeated, cut and bad, and measures the steps that training would make", () => {
  const flags = ["--eval", held, "--max-length", "40", "--batch-size", "2", "--epochs", "4", "--json"];
  const { status, stdout, stderr } = check(data, ...flags);
  expect(status, stderr).toBe(1); // for the bad lines
  const report = JSON.parse(stdout) as DataReport;
  expect(report.badLines).toHaveLength(2);
  expect(report.badLines[0]).toContain(`${data}, line 5: "prompt" should be a string`);
  expect(report.badLines[1]).toContain(`${data}, line 6: the line is not valid JSON`);
  expect(report.training).toMatchObject({ sequences: 5, overlong: 1, unlearnt: 0, repeated: 1 });
  expect(report.training.repetitions).toEqual([{ file: data, line: 3, of: { file: data, line: 1 } }]);
  expect(report.training.lostTokens).toBe(report.training.lengths.most - 40);
  expect(report.leaks).toEqual({
    leaked: 1,
    leaks: [{ file: held, line: 1, of: { file: data, line: 2 } }],
    samePrompt: 1,
  });
  expect(report.cost).toMatchObject({ steps: 12, evaluations: 13 });
  expect(report.cost!.seconds).toBeGreaterThan(0);
});

it("shows three examples with what is learnt: completions and the assistant's turns, with their end tokens", () => {
  const good = write("good.jsonl", [pair(0), chat, pair(2)]);
  const { status, stdout, stderr } = check(good, "--no-cost");
  expect(status, stderr).toBe(0);
  expect(stdout).toContain(`--- ${good}, line 1\nNumber 0⟦ is 1.<|end|>⟧\n`);
  expect(stdout).toContain("<|user|>Hello<|end|><|assistant|>⟦Hi!<|end|>⟧<|user|>Two?<|end|><|assistant|>⟦Two Two ");
  expect(stdout).not.toContain("minutes");
});

it("shows both answers of preferences", () => {
  const pairs = write("pairs.jsonl", [{ prompt: "Number 0", chosen: " is 1.", rejected: " is 2." }, pair(1)]);
  const { status, stdout } = check(pairs, "--objective", "dpo", "--no-cost");
  expect(status).toBe(1);
  expect(stdout).toContain(`--- ${pairs}, line 1, chosen\nNumber 0⟦ is 1.<|end|>⟧\n`);
  expect(stdout).toContain(`--- ${pairs}, line 1, rejected\nNumber 0⟦ is 2.<|end|>⟧\n`);
  expect(stdout).toContain(`${pairs}, line 2: "completion" does not belong to a preference`);
});
