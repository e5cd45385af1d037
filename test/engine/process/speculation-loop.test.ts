/**
 * Speculation in the engine's loop, on a toy model: the same tokens as without it, and no row waits for another's long
 * drafts.
 */
import { describe, expect, it } from "vitest";
import { GREEDY } from "../../../src/engine/engine.ts";
import { EngineLoop } from "../../../src/engine/process/engine-loop.ts";
import type { EngineEvent, SequenceSpec } from "../../../src/engine/protocol.ts";
import { sequenceSpec } from "../../helpers/engine/sequences.ts";
import { toyGreedy, ToyRunner } from "../../helpers/engine/toy-runner.mjs";

type Finished = Extract<EngineEvent, { type: "step-finished" }>;

/** Runs sequences to their ends. @param late one that comes with the 20th token of the others */
async function run(
  specs: readonly SequenceSpec[],
  maxDraft: number,
  late: SequenceSpec | null = null,
): Promise<{ answers: Map<number, number[]>; ended: number[]; steps: readonly string[] }> {
  const runner = new ToyRunner({});
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
