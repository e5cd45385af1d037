/**
 * An answer bound to a grammar does not depend on when the news of its end arrives: after the token, or only with the
 * next mask.
 */
import { describe, expect, it } from "vitest";
import type { BoundGrammar, Grammars } from "../../../src/engine/contracts.ts";
import { EngineLoop } from "../../../src/engine/process/engine-loop.ts";
import type { EngineEvent } from "../../../src/engine/protocol.ts";
import { AppError } from "../../../src/errors.ts";
import { sequenceSpec } from "../../helpers/engine/sequences.ts";
import { TOY_VOCAB, ToyRunner } from "../../helpers/engine/toy-runner.mjs";

const NUM_TOKENS = 4;
const STOP_ID = 2;

/**
 * Allows every id, and is complete after four tokens. Where it is late, that is known only without waiting: once the
 * mask is there.
 */
function grammarOf(isLate: boolean): BoundGrammar {
  let numTokens = 0;
  const words = new Int32Array(Math.ceil(TOY_VOCAB / 32)).fill(-1);
  const isComplete = (): boolean => numTokens >= NUM_TOKENS;
  return {
    read: () => void numTokens++,
    mustEnd: (maxWaitMs) => isComplete() && (!isLate || maxWaitMs === 0),
    mask: () => ({ words: isComplete() ? words.slice().fill(0) : words, mayEnd: isComplete() }),
    draft: () => [],
    placesAfter: () => null,
  };
}

async function answer(isLate: boolean, stopIds: readonly number[]): Promise<readonly unknown[]> {
  const grammars: Grammars = { bind: () => grammarOf(isLate), release: () => {}, onReady: () => {} };
  const runner = Object.assign(new ToyRunner({ notFound: (name: string) => new AppError("adapter_not_found", name) }), {
    grammars,
  });
  const events: EngineEvent[] = [];
  let onEnd = (): void => {};
  const ended = new Promise<void>((resolve) => (onEnd = resolve));
  const limits = { maxNumSeqs: 4, maxQueue: 10, maxQueueTokens: 1000 };
  const loop = new EngineLoop(runner, limits, (event) => {
    events.push(event);
    if (event.type === "step-finished" && event.finished.length + event.failed.length > 0) onEnd();
  });
  const done = loop.run();
  const grammar = { kind: "regex", text: ".{4}" } as const;
  loop.handle({
    type: "sequence-added",
    sequence: { ...sequenceSpec(1, [3, 5, 8], { maxTokens: 20, stopIds }), grammar },
  });
  await ended;
  loop.handle({ type: "engine-stopped" });
  await done;
  return events.flatMap((event) =>
    event.type === "step-finished"
      ? [...event.sampled.map(({ tokenId }) => tokenId), ...event.finished.map(({ reason }) => reason), ...event.failed]
      : [],
  );
}

describe("an answer whose grammar is complete", () => {
  it.each([[[STOP_ID]], [[]]])("ends without an end token, early news or late (end tokens %j)", async (stopIds) => {
    const early = await answer(false, stopIds);
    expect(early).toHaveLength(NUM_TOKENS + 1);
    expect(early.at(-1)).toBe("stop");
    expect(await answer(true, stopIds)).toEqual(early);
  });
});
