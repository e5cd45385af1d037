import { describe, expect, it } from "vitest";
import type { SequenceEvent } from "../../../src/engine/engine.ts";
import { BufferedSequenceStream } from "../../../src/engine/server/sequence-stream.ts";
import { AppError } from "../../../src/errors.ts";

const token = (tokenId: number): SequenceEvent => ({ type: "token", tokenId, logprob: null });
const END: SequenceEvent = {
  type: "finished",
  reason: "stop",
  queueSeconds: 0,
  adapterSeconds: 0,
  prefillSeconds: 0,
  decodeSeconds: 0,
};

function makeStream(): { stream: BufferedSequenceStream; cancels: () => number } {
  let numCancels = 0;
  return { stream: new BufferedSequenceStream(() => numCancels++), cancels: () => numCancels };
}

async function readAll(stream: BufferedSequenceStream): Promise<SequenceEvent[]> {
  const events: SequenceEvent[] = [];
  for await (const event of stream) events.push(event);
  return events;
}

describe("a sequence stream", () => {
  it("gives everything in order, read early or late, and ends after `finished`", async () => {
    for (const isEarly of [true, false]) {
      const { stream, cancels } = makeStream();
      const early = isEarly ? readAll(stream) : null;
      for (const event of [token(1), token(2), END, token(3)]) stream.push(event);
      expect(await (early ?? readAll(stream))).toEqual([token(1), token(2), END]);
      expect(cancels()).toBe(0);
    }
  });

  it("gives what came before an error, then throws it once", async () => {
    const { stream } = makeStream();
    stream.push(token(1));
    stream.fail(new AppError("engine_unavailable", "gone"));
    stream.push(token(2));
    const reader = stream[Symbol.asyncIterator]();
    expect(await reader.next()).toEqual({ done: false, value: token(1) });
    await expect(reader.next()).rejects.toMatchObject({ code: "engine_unavailable" });
    expect(await reader.next()).toEqual({ done: true, value: undefined });
  });

  it("throws at a reader that waits", async () => {
    const { stream } = makeStream();
    const reading = readAll(stream);
    stream.fail(new AppError("overloaded", "full"));
    await expect(reading).rejects.toMatchObject({ code: "overloaded" });
  });

  it("cancels once when the reader leaves early, and never after the end", async () => {
    const left = makeStream();
    left.stream.push(token(1));
    left.stream.push(token(2));
    for await (const event of left.stream) {
      expect(event).toEqual(token(1));
      break;
    }
    left.stream.cancel();
    expect(left.cancels()).toBe(1);
    expect(await readAll(left.stream)).toEqual([]);
    const ended = makeStream();
    ended.stream.push(END);
    await readAll(ended.stream);
    ended.stream.cancel();
    expect(ended.cancels()).toBe(0);
  });

  it("ends the iteration of a reader that waits when it is cancelled", async () => {
    const { stream, cancels } = makeStream();
    const reading = readAll(stream);
    stream.cancel();
    expect(await reading).toEqual([]);
    expect(cancels()).toBe(1);
  });
});
