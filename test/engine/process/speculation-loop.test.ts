/**
 * Speculation in the engine's loop, on a toy model: the same tokens as without it, and no row waits for another's long
 * drafts.
 */
import { describe, expect, it } from "vitest";
import { GREEDY } from "../../../src/engine/engine.ts";
import { DraftRunner } from "../../../src/engine/process/draft-runner.ts";
import { EngineLoop } from "../../../src/engine/process/engine-loop.ts";
import type { EngineEvent, SequenceSpec } from "../../../src/engine/protocol.ts";
import { sequenceSpec } from "../../helpers/engine/sequences.ts";
import { TOY_VOCAB, toyGreedy, ToyRunner } from "../../helpers/engine/toy-runner.mjs";

type Finished = Extract<EngineEvent, { type: "step-finished" }>;

/** A draft model that is the same function as the base, without its adapters. */
function toyDraft(): { readonly draftModel: DraftRunner; readonly below: ToyRunner } {
  const below = new ToyRunner({ isDraft: true });
  const bytes = { weights: 0, kv: 0 };
  return { below, draftModel: new DraftRunner({ runner: below, guessCost: 0.1, bytes, answerVocabSize: TOY_VOCAB }) };
}

/** Runs sequences to their ends. @param late one that comes with the 20th token of the others */
async function run(
  specs: readonly SequenceSpec[],
  maxDraft: number,
  late: SequenceSpec | null = null,
  runner = new ToyRunner({}),
): Promise<{ answers: Map<number, number[]>; ended: number[]; steps: readonly string[] }> {
  const answers = new Map<number, number[]>();
  const ended: number[] = [];
  const numAll = specs.length + (late === null ? 0 : 1);
  let left = late;
  let onEnd = (): void => {};
  const done = new Promise<void>((resolve) => (onEnd = resolve));
  const note = ({ sampled, finished, failed }: Finished): void => {
    expect(failed).toEqual([]);
    for (const { id, tokenId } of sampled) answers.set(id, [...(answers.get(id) ?? []), tokenId]);
    ended.push(...finished.map(({ id }) => id));
    if (left !== null && [...answers.values()].flat().length >= 20) {
      loop.handle({ type: "sequence-added", sequence: left });
      left = null;
    }
    if (ended.length === numAll) onEnd();
  };
  const limits = { maxNumSeqs: 4, maxQueue: 100, maxQueueTokens: 100_000, maxDraft };
  const loop: EngineLoop = new EngineLoop(runner, limits, (event) => {
    if (event.type === "step-finished") note(event);
  });
  for (const sequence of specs) loop.handle({ type: "sequence-added", sequence });
  const over = loop.run();
  await done;
  loop.handle({ type: "engine-stopped" });
  await over;
  return { answers, ended, steps: runner.steps };
}

/** Says nothing but 5, so that all its drafts are right. */
const MONOTONE = { ...GREEDY, logitBias: [[5, 100]] } as const;

describe("a loop that speculates", () => {
  it("gives the tokens of one that does not, whether drafts are right or wrong", async () => {
    const prompts = [[1, 2, 3, 1, 2, 3, 1, 2], [9, 9, 9], Array.from({ length: 150 }, (_, i) => (i * i) % 11)];
    const specs = prompts.map((prompt, id) => sequenceSpec(id, prompt, { maxTokens: 120 }));
    const monotone = sequenceSpec(3, [4, 4], { maxTokens: 77, sampling: MONOTONE });
    const { answers, steps } = await run([...specs, monotone], 6);
    for (const [id, prompt] of prompts.entries()) expect(answers.get(id)).toEqual(toyGreedy(prompt, null, 120));
    expect(answers.get(3)).toEqual(Array.from({ length: 77 }, () => 5));
    expect(steps.filter((step) => step.startsWith("speculate 3")).length).toBeLessThan(77 / 4);
    for (const id of prompts.keys()) expect(steps.join("\n")).toContain(`speculate ${id} `);
  });

  it("runs each row once at most between two steps of the others", async () => {
    const specs = [0, 1].map((id) => sequenceSpec(id, [id, 7], { maxTokens: 300, sampling: MONOTONE }));
    const plain = sequenceSpec(2, [1, 2, 3], { maxTokens: 30 });
    const { ended, steps } = await run([...specs, plain], 4);
    expect(ended[0]).toBe(2);
    const untilEnd = steps.slice(
      0,
      steps.findLastIndex((step) => /^(decode .*|speculate )2/.test(step)),
    );
    // Between two steps of row 2, decode steps or runs of its own.
    for (const round of untilEnd.join("\n").split(/decode.*|speculate 2.*/)) {
      const ids = [...round.matchAll(/speculate (\d+)/g)].map(([, id]) => id);
      expect(ids).toEqual([...new Set(ids)]);
    }
  });

  it("lets a prompt in while every row has drafts", async () => {
    const first = sequenceSpec(0, [6, 6], { maxTokens: 600, sampling: MONOTONE });
    const late = sequenceSpec(1, [1, 2, 3], { maxTokens: 4 });
    const { ended } = await run([first], 4, late);
    expect(ended).toEqual([1, 0]);
  });
});

describe("a loop with a draft model", () => {
  it("gives the tokens of one without it, whether guesses are right or wrong, and frees its rows", async () => {
    const { draftModel, below } = toyDraft();
    const prompts = [[1, 2, 3], [9], Array.from({ length: 150 }, (_, i) => (i * i) % 11)];
    const right = prompts.map((prompt, id) => sequenceSpec(id, prompt, { maxTokens: 120 }));
    const wrong = sequenceSpec(3, [7, 7], { maxTokens: 60, adapter: { generation: "other" } });
    const runner = new ToyRunner({ draftModel });
    const { answers, steps } = await run([...right, wrong], 6, null, runner);
    for (const [id, prompt] of prompts.entries()) expect(answers.get(id)).toEqual(toyGreedy(prompt, null, 120));
    expect(answers.get(3)).toEqual(toyGreedy([7, 7], "other", 60));
    const numRuns = (id: number): number => steps.filter((step) => step.startsWith(`speculate ${id} `)).length;
    for (const id of prompts.keys()) expect(numRuns(id)).toBeLessThan(120 / 4);
    expect(numRuns(3)).toBeGreaterThan(0); // it tries, and stops
    expect(numRuns(3)).toBeLessThan(60 / 2);
    expect(below.kv.rows).toEqual([]);
  });

  it("reads a long prompt in chunks, while other rows decode", async () => {
    const { draftModel, below } = toyDraft();
    const runner = new ToyRunner({ draftModel });
    /** The steps of both models in their order. */
    const log: string[] = [];
    for (const [name, { steps }] of Object.entries({ draft: below, answer: runner }))
      Object.assign(steps, { push: (step: string) => log.push(`${name}: ${step}`) });
    const long = sequenceSpec(
      0,
      Array.from({ length: 300 }, (_, i) => i % 30),
      { maxTokens: 20 },
    );
    const masked = sequenceSpec(1, [4, 4], { maxTokens: 200, adapter: { generation: "other" } });
    const { answers } = await run([masked, long], 6, null, runner);
    expect(answers.get(0)).toEqual(toyGreedy([...long.promptIds], null, 20));
    const chunks = log.flatMap((step, at) => (/^draft: speculate 0 \d+\+64$/.test(step) ? [at] : []));
    expect(chunks.length).toBe(4); // 256 of 300 tokens; the last 44 come with the first guess
    // The end of one round and the beginning of the next may be two chunks in sequence.
    for (const [i, at] of chunks.slice(2).entries())
      expect(log.slice(chunks[i], at).join("\n")).toMatch(/^answer: (decode .*1|speculate 1)/m);
  });
});
