/** A sequence as text, as the model sees it, split where the loss begins or ends to count tokens. */
import type { EncodedExample } from "../../data/encode.ts";
import type { ExamplePlace } from "../../data/examples.ts";
import type { Tokenizer } from "../../tokenizer/tokenizer.ts";

export interface Segment {
  readonly text: string;
  /** Whether the loss counts its tokens. */
  readonly isLearnt: boolean;
}

export interface RenderedExample extends ExamplePlace {
  readonly segments: readonly Segment[];
}

/** @returns special tokens as text; the first, the middle and the last of the sequences, or all where there are fewer */
export function renderThree(sequences: readonly EncodedExample[], tokenizer: Tokenizer): readonly RenderedExample[] {
  const last = sequences.length - 1;
  const chosen = [...new Set([0, Math.floor(last / 2), last])].flatMap((i) => sequences[i] ?? []);
  return chosen.map((one) => ({ file: one.file, line: one.line, segments: segmentsOf(one, tokenizer) }));
}

function segmentsOf({ ids, lossMask }: EncodedExample, tokenizer: Tokenizer): readonly Segment[] {
  const ends = Array.from(ids, (_, i) => i + 1).filter(
    (end) => end === ids.length || lossMask[end] !== lossMask[end - 1],
  );
  const segments: Segment[] = [];
  let shown = "";
  for (const end of ends) {
    // The whole is decoded each time, because a tokenizer may treat the first token of a text differently.
    const text = tokenizer.decode(ids.subarray(0, end), { skipSpecialTokens: false });
    segments.push({ text: text.slice(shown.length), isLearnt: lossMask[end - 1] === 1 });
    shown = text;
  }
  return segments;
}
