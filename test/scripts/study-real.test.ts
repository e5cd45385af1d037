/** The study on real models: what is learnt and what is held out, and how runs become a page. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { gainOf, realTables, renderRealPage } from "../../scripts/study/real/page.ts";
import type { RealResult } from "../../scripts/study/real/runs.ts";
import { DEFAULTS, LORA_EVERYWHERE, SARA_EQUAL, settingsOf } from "../../scripts/study/real/settings.ts";
import { prepareRealTasks } from "../../scripts/study/real/tasks.ts";
import { REFERENCE } from "../../scripts/study/settings.ts";

const dir = mkdtempSync(join(tmpdir(), "mosara-study-real-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

interface Line {
  readonly messages: readonly { readonly role: string; readonly content: string }[];
  readonly answer?: string;
  readonly references?: readonly string[];
}
const linesOf = (path: string): readonly Line[] =>
  readFileSync(path, "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Line);
const promptsOf = (path: string): readonly string[] => linesOf(path).map(({ messages }) => messages[0]!.content);

describe("the tasks", () => {
  const long = "x".repeat(1000);
  const choices = (name: string, kind: string, answer: string) =>
    [long, ...Array.from({ length: 9 }, (_, i) => `${name} ${i}?`)].map((prompt) => ({ prompt, answer, kind }));
  const data = {
    "e2e-train": [{ prompt: "name : A", completion: "A is a place ." }],
    "e2e-dev": [{ prompt: "name : B", references: ["B is a place .", "There is B ."] }],
    "boolq-dev": choices("boolq", "true-false", "true"),
    "ARC-Easy-dev": choices("easy", "answer", "answer2"),
    "ARC-Challenge-dev": choices("challenge", "answer", "answer1"),
    "openbookqa-dev": choices("open", "answer", "answer4"),
    "mawps-train": Array.from({ length: 8 }, (_, i) => ({ prompt: `sum ${i}`, completion: `${i}+1 = ${i + 1}.` })),
    "AddSub-dev": [{ prompt: "add", answer: "4", kind: "number" }],
    "MultiArith-dev": [{ prompt: "multiply", answer: "6", kind: "number" }],
  };
  for (const [name, lines] of Object.entries(data))
    writeFileSync(join(dir, `${name}.jsonl`), lines.map((line) => JSON.stringify(line)).join("\n"));
  const tasks = prepareRealTasks(dir, dir, { numLoss: 4, numPlaces: 1, numQuestions: 3 });

  it("groups the sets as the paper does", () => {
    expect(tasks.map(({ name, sets }) => [name, sets.map((set) => `${set.name} ${set.metric}`)])).toEqual([
      ["E2E", ["E2E bleu"]],
      ["commonsense", ["boolq choice", "ARC-Easy choice"]],
      ["math", ["AddSub number", "MultiArith number"]],
    ]);
  });

  it("learns no question that is measured, and leaves long ones out", () => {
    for (const { trainFile, lossFile, sets } of tasks) {
      const learnt = promptsOf(trainFile);
      const measured = [lossFile, ...sets.map(({ metricFile }) => metricFile)].flatMap(promptsOf);
      expect(learnt.length).toBeGreaterThan(0);
      expect(measured.filter((prompt) => learnt.includes(prompt))).toEqual([]);
      expect([...learnt, ...measured]).not.toContain(long);
    }
    expect(promptsOf(tasks[1]!.trainFile)).toHaveLength(6 + 6 + 9 + 9);
  });

  it("writes conversations: with an answer to learn, or with what an answer is compared with", () => {
    expect(linesOf(tasks[0]!.lossFile)[0]!.messages.at(-1)).toEqual({ role: "assistant", content: "B is a place ." });
    expect(linesOf(tasks[0]!.sets[0]!.metricFile)[0]!.references).toHaveLength(2);
    expect(linesOf(tasks[2]!.sets[0]!.metricFile)[0]).toMatchObject({ answer: "4", kind: "number" });
  });
});

describe("the settings", () => {
  it("are found by their name, or by a part of names", () => {
    expect(settingsOf(REFERENCE).map(({ name }) => name)).toEqual([REFERENCE]);
    expect(settingsOf(`${REFERENCE}, rate`).map(({ rate }) => rate)).toEqual([0.003, 0.03]);
    expect(() => settingsOf("DoRA")).toThrow(`no setting's name has DoRA. They are: ${DEFAULTS};`);
  });
});

describe("the page", () => {
  const run = (setting: string, task: string, loss: number, of: Partial<RealResult> = {}): RealResult => ({
    model: "small",
    task,
    setting,
    steps: 60,
    batchSize: 4,
    seed: 1,
    baseId: "b",
    parameters: 1,
    numParams: 1000,
    bytes: 4100,
    baseLoss: 3,
    loss,
    firstLoss: 3,
    peakLoss: 2,
    scores: [{ set: task, metric: "bleu", count: 30, base: 5, value: 60, interval: [50, 70] }],
    seconds: 10,
    ...of,
  });
  const runs = [
    run(REFERENCE, "E2E", 1),
    run(SARA_EQUAL, "E2E", 1.03),
    run(DEFAULTS, "E2E", 1.08, { numParams: 100, peakLoss: 9 }),
    run(LORA_EVERYWHERE, "E2E", 0.5),
    run(DEFAULTS, "math", 2),
  ];

  it("measures every drop of the loss by the reference's on the same group", () => {
    expect(gainOf(runs, "E2E", DEFAULTS)?.mean).toBeCloseTo(0.96, 9);
    expect(gainOf(runs, "E2E", DEFAULTS, LORA_EVERYWHERE)?.mean).toBeCloseTo(0.768, 9);
    expect(gainOf(runs, "math", DEFAULTS)).toBeNull();
  });

  it("takes the mean of the seeds, and shows their range and every run", () => {
    const seeds = [
      ...runs,
      run(REFERENCE, "E2E", 1.2, { seed: 2 }),
      run(DEFAULTS, "E2E", 1.5, { seed: 2, scores: [{ ...runs[0]!.scores[0]!, value: 50 }] }),
    ];
    const { mean, range, numSeeds } = gainOf(seeds, "E2E", DEFAULTS)!;
    expect([mean, ...range, numSeeds]).toEqual(
      [1.71 / 1.9, 1.5 / 1.9, 1.92 / 1.9, 2].map((value) => expect.closeTo(value, 9)),
    );
    const page = renderRealPage(seeds, "");
    expect(page).toContain("near LoRA r=8, q,v | E2E | 0.900 (0.789–1.011) | 100 : 1,000 | does not hold (0.95) |");
    expect(page).toContain(`| ${DEFAULTS} | 100 | 4,100 | 0.900 (0.789–1.011) |  |  | 55.0 |`);
    expect(page).toContain(`| ${DEFAULTS} | E2E | 2 | 3.000 → 1.500 |`);
  });

  it("says which claims hold, which run collapsed, and what was not run", () => {
    const page = renderRealPage(runs, "What follows.");
    expect(page).toContain("What follows.");
    expect(page).toContain("| SARA ≥ LoRA at equal numbers | E2E | 0.985 | 1,000 : 1,000 | holds |");
    expect(page).toContain("| Mo-SARA (defaults) near LoRA r=8, q,v | E2E | 0.960 | 100 : 1,000 | holds |");
    expect(page).toMatch(/near LoRA r=8, all linear \| E2E \| 0\.768 \| 100 : 1,000 \| does not hold \(0\.95\) \|/);
    expect(page).toContain("| E2E 60.0 (50.0–70.0, 30) | 10 | collapsed |");
    expect(page).toContain(`- ${DEFAULTS}: commonsense\n- ${REFERENCE}: commonsense, math\n`);
    expect(page).toContain("- Mo-SARA n=1, all linear, m=0.25: all\n");
  });

  it("gives another page the table of each model, and nothing where nothing was run", () => {
    expect(realTables(runs).join("\n")).toContain(`| ${REFERENCE} | 1,000 | 4,100 | 1.000 |  |  | 60.0 |`);
    expect(realTables([])).toEqual([]);
  });
});
