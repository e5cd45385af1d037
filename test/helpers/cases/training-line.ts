/** A line of training data: the text that its ids stand for, and the part that the loss counts; or the refusal. */
import { expect } from "vitest";
import { loadExampleEncoder } from "../../../src/data/encode.ts";
import { parseExample } from "../../../src/data/examples.ts";
import { type CheckpointSpec, writeCaseCheckpoint } from "../models/case-checkpoint.ts";

interface TrainingLineCase {
  readonly checkpoint: CheckpointSpec;
  /** A text is the line as it stands, where JavaScript would write its numbers otherwise. */
  readonly line: unknown;
  readonly right:
    | { readonly refused: string }
    | { readonly text: string; readonly ids: readonly number[]; readonly learnt: string };
}

export async function check(value: unknown): Promise<void> {
  const { checkpoint, line, right } = value as TrainingLineCase;
  const text = typeof line === "string" ? line : JSON.stringify(line);
  const encoder = await loadExampleEncoder(writeCaseCheckpoint(checkpoint));
  const encode = () => encoder.encode(parseExample(text, "d.jsonl", 3));
  if ("refused" in right)
    return expect(encode).toThrow(
      expect.objectContaining({ code: "data_invalid", message: expect.stringContaining(right.refused) }),
    );
  const [encoded, ...others] = encode();
  expect(others).toEqual([]);
  const { ids = new Int32Array(), lossMask = new Uint8Array() } = encoded ?? {};
  expect([...ids]).toEqual(right.ids);
  const decode = (some: Iterable<number>) => encoder.tokenizer.decode(some, { skipSpecialTokens: false });
  expect(decode(ids)).toBe(right.text);
  expect(decode([...ids].filter((_, i) => lossMask[i] === 1))).toBe(right.learnt);
}
