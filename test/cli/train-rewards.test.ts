/**
 * `mosara train --objective reward` through the built program, on the demo: learning, exact log-probabilities,
 * resuming, a grader that is a program, and refusals. Needs dist/.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { decodeAdapter } from "../../src/adapter/adapter-file.ts";
import { methodFlags } from "../../src/cli/train/flags.ts";
import { startGraderProgram } from "../../src/cli/train/grader-program.ts";
import { parseCommand } from "../../src/config/parse.ts";
import type { RewardPrompt } from "../../src/data/reward-prompts.ts";
import { type StepLine, readStepLog } from "../../src/train/step-log.ts";
import { DEMO_BASE, trainDemo } from "../helpers/train-demo.ts";

const dir = mkdtempSync(join(tmpdir(), "mosara-rewards-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

function write(name: string, text: string): string {
  writeFileSync(join(dir, name), text);
  return join(dir, name);
}
/** Word problems, which the demo answers with a number. */
function problems(name: string, from: number, count: number): string {
  const line = (i: number): string => {
    const content = `Dunla has ${i} coins. Dunla gets ${(i % 7) + 2} more. How many coins are there now?`;
    return `${JSON.stringify({ messages: [{ role: "user", content }], answer: i + (i % 7) + 2 })}\n`;
  };
  return write(name, Array.from({ length: count }, (_, i) => line(from + i)).join(""));
}
const data = problems("data.jsonl", 3, 18);
const held = problems("held.jsonl", 21, 6);
/** Tens end with 0, and a space follows. */
const TENS = {
  type: "string_check",
  name: "tens",
  operation: "like",
  input: "{{ sample.output_text }}",
  reference: "0 ",
};
const grader = write("tens.json", JSON.stringify(TENS));
const COMMON = ["--objective", "reward", "--data", data, "--group-size", "6", "--max-answer-tokens", "16"];

it(
  "learns a form that no example shows, and resumes after a kill to the same bytes",
  { timeout: 400_000 },
  async () => {
    const [whole, killed] = [join(dir, "whole.mosara"), join(dir, "killed.mosara")];
    const shape = ["--batch-size", "6", "--steps", "6", "--eval-every", "6", "--save-every", "2"];
    const flags = [...COMMON, "--grader", grader, "--eval", held, ...shape];
    const first = await trainDemo([...flags, "--out", whole, "--json"]);
    expect(first.code, first.stderr).toBe(0);
    const { evalRewardBase, evalReward } = JSON.parse(first.stdout) as Record<string, number>;
    expect(evalRewardBase).toBeLessThan(0.3);
    expect(evalReward).toBeGreaterThan(evalRewardBase! + 0.3); // another processor rounds, and so samples, otherwise
    const steps = readStepLog(`${whole}.log.jsonl`).filter((line): line is StepLine => "loss" in line);
    expect(steps).toHaveLength(6);
    // The engine decodes with a cache, the trainer computes whole rows: they round differently, and no more than that.
    // The unit is the distance between two float32 numbers of the size of this model's logits, 8 to 16.
    const unit = 2 ** -20;
    for (const line of steps) {
      expect(line["sampling/sampling_logp_difference/mean"]).toBeLessThan(4 * unit);
      expect(line["sampling/sampling_logp_difference/max"]).toBeLessThan(64 * unit);
    }
    expect(steps.every((line) => line["completions/mean_length"]! <= 16)).toBe(true);
    expect(decodeAdapter(readFileSync(whole)).card).toMatchObject({ objective: "reward", groupSize: 6 });

    const resumed = [...flags, "--out", killed, "--resume"];
    expect((await trainDemo(resumed, { log: `${killed}.log.jsonl`, lines: 4 })).code).toBe(null);
    const last = await trainDemo(resumed);
    expect(last.code, last.stderr).toBe(0);
    expect(readFileSync(killed).equals(readFileSync(whole))).toBe(true);
  },
);

const lacking = write("lacking.json", JSON.stringify({ ...TENS, reference: "{{ item.goal }}" }));
const answered = write("answered.jsonl", '{"messages": [{"role": "assistant", "content": "a"}]}\n');
it("refuses lines that it cannot grade before the first step", async () => {
  const cases: readonly (readonly [readonly string[], string])[] = [
    [["--grader", lacking], "data.jsonl, line 1: the grader reads item.goal, which the line does not have"],
    [["--grader", grader, "--data", answered], 'answered.jsonl, line 1: "messages" ends with an answer'],
  ];
  const out = join(dir, "never.mosara");
  const ends = await Promise.all(cases.map(([flags]) => trainDemo([...COMMON, ...flags, "--out", out])));
  ends.forEach(({ code, stderr }, i) => {
    expect(code).not.toBe(0);
    expect(stderr).toContain(cases[i]?.[1]);
  });
  expect(existsSync(`${out}.log.jsonl`)).toBe(false);
});

describe("a program as the grader", () => {
  const prompt = { example: {}, item: { answer: 18 }, file: "data.jsonl", line: 1 } as unknown as RewardPrompt;
  const answers = ["18 coins", "17"].map((text) => ({ prompt, text }));

  it("is asked for each answer, in order", async () => {
    const program = `
      require("readline").createInterface({ input: process.stdin }).on("line", (line) => {
        const { item, sample } = JSON.parse(line);
        console.log(sample.output_text.includes(item.answer) ? 1 : 0.25);
      })`;
    await using grading = startGraderProgram(`"${process.execPath}" ${write("grade.cjs", program)}`);
    expect(await grading.grade(answers)).toEqual([1, 0.25]);
    expect(await grading.grade(answers.toReversed())).toEqual([0.25, 1]);
  });

  it.each([
    ["exit", "it ended after 0 of 2 answers"],
    ["cat", "It has to write one number a line"],
    ["no-such-program-here", "it ended after 0 of 2 answers"],
  ])("fails where %j does not answer", async (command, message) => {
    await using grading = startGraderProgram(command);
    await expect(grading.grade(answers)).rejects.toThrow(message);
  });
});

it.each([
  [[], "needs either --grader <file.json> or --grader-program"],
  [["--grader", grader, "--method", "full"], "trains adapters"],
  [["--grader", grader, "--trust", "0.3"], "--trust bounds a step by its loss"],
  [["--grader", grader, "--objective", "sft"], "--grader is for --objective reward"],
])("refuses the flags %j", (flags, message) => {
  const args = ["--model", DEMO_BASE, "--out", "a.mosara", "--data", data, "--objective", "reward", ...flags];
  expect(() => methodFlags(parseCommand("train", args, {}))).toThrow(message);
});
