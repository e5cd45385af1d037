/** The study of compression: what is learnt and what is held out, and how runs become a page. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it, vi } from "vitest";
import { keptOf, renderCompressPage } from "../../scripts/study/compress/page.ts";
import type { CompressStudyResult } from "../../scripts/study/compress/runs.ts";
import { prepareCompressTasks } from "../../scripts/study/compress/tasks.ts";

const dir = mkdtempSync(join(tmpdir(), "mosara-study-compress-"));
afterAll(() => {
  rmSync(dir, { recursive: true, force: true });
  vi.unstubAllEnvs();
});

it("measures on examples that nothing is learnt from", () => {
  const meaning = (name: string) => `name : ${name} | family friendly : yes`;
  const write = (name: string, lines: readonly object[]) =>
    writeFileSync(join(dir, name), lines.map((line) => JSON.stringify(line)).join("\n"));
  write("e2e-train.jsonl", [{ prompt: meaning("A"), completion: "A is nice ." }]);
  const places = ["B", "C", "D", "E"];
  write(
    "e2e-dev.jsonl",
    places.map((name) => ({ prompt: meaning(name), references: [`${name} is nice .`] })),
  );
  vi.stubEnv("MOSARA_DATA", dir);
  const tasks = prepareCompressTasks(join(dir, "work"), dir, { numLoss: 2, numPrompts: 2 });
  expect(tasks.map(({ name, metric }) => [name, metric])).toEqual([
    ["pirate", "exact"],
    ["terse", "exact"],
    ["json", "exact"],
    ["e2e", "bleu"],
    ["classification", "choice"],
  ]);
  const linesOf = (path: string): string[] => readFileSync(path, "utf8").trimEnd().split("\n");
  const classification = tasks.at(-1)!;
  const [loss, metric] = [linesOf(classification.lossFile), linesOf(classification.metricFile)];
  expect([loss.length, metric.length]).toEqual([2, 2]);
  for (const { trainFile, lossFile } of tasks)
    expect(linesOf(lossFile).filter((line) => linesOf(trainFile).includes(line))).toEqual([]);
  const promptOf = (line: string): string => (JSON.parse(line) as { readonly prompt: string }).prompt;
  expect(metric.map(promptOf).filter((prompt) => loss.map(promptOf).includes(prompt))).toEqual([]);
});

const run: CompressStudyResult = {
  model: "demo",
  task: "pirate",
  loraSteps: 90,
  steps: 150,
  batchSize: 8,
  seed: 1,
  originalParams: 33_280,
  originalBytes: 135_680,
  numParams: 5023,
  bytes: 24_502,
  klBase: 0.5426,
  klProjected: 0.4456,
  klCompressed: 0.0004,
  lossBase: 0.5,
  lossOriginal: 0.1,
  lossCompressed: 0.2,
  metric: "exact",
  count: 60,
  baseScore: 0.25,
  original: { value: 1, interval: [1, 1] },
  compressed: { value: 0.95, interval: [0.9, 1] },
  seconds: 12.4,
};

it("shows what a compressed adapter keeps of its original, a table a model", () => {
  expect(keptOf(run)).toBeCloseTo(0.75, 9);
  const texts = { model: "other", task: "e2e", metric: "bleu" };
  const other: CompressStudyResult = { ...run, ...texts, original: { value: 63.26, interval: [58, 68] } };
  const page = renderCompressPage([run, other], "What follows.");
  expect(page).toContain("\n\nWhat follows.\n\n## demo\n\n");
  expect(page).toContain(
    "| pirate, 90 + 150 steps of 8 | 0.5426 | 0.4456 | 0.0004 | 0.5000 | 0.1000 | 0.2000 | 0.750 |",
  );
  expect(page).toContain(
    "| exact, 60 | 0.25 | 1.00 (1.00–1.00) | 0.95 (0.90–1.00) | 33,280 → 5,023 | 135,680 → 24,502 | 5.5 × | 12 |",
  );
  expect(page).toContain("| bleu, 60 | 0.3 | 63.3 (58.0–68.0) |");
});
