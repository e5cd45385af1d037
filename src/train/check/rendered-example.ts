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
  /** Which answer of a pair it is; null: there are no pairs. */
  readonly role: "chosen" | "rejected" | null;
  readonly segments: readonly Segment[];
}

/**
 * The first, the middle and the last of the examples, or all where there are fewer. Special tokens are shown as text.
 * @param arePairs whether two sequences in a row are the answers of a pair, the chosen one first
 */
export function renderThree(
  sequences: readonly EncodedExample[],
  arePairs: boolean,
  tokenizer: Tokenizer,
): readonly RenderedExample[] {
  const roles = arePairs ? (["chosen", "rejected"] as const) : [null];
  const last = sequences.length / roles.length - 1;
  const chosen = [...new Set([0, Math.floor(last / 2), last])];
  return chosen.flatMap((example) =>
    roles.flatMap((role, i) => {
      const one = sequences[example * roles.length + i];
      return one ? [{ file: one.file, line: one.line, role, segments: segmentsOf(one, tokenizer) }] : [];
    }),
  );
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
