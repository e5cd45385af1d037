/** Prompt lookup: what follows the earlier text that agrees best with the end. */
import { describe, expect, it } from "vitest";
import { PromptLookup } from "../../src/engine/prompt-lookup.ts";

const afterReading = (...ids: number[]): PromptLookup => {
  const [last = 0, ...before] = ids.toReversed();
  const lookup = new PromptLookup(before.reverse());
  lookup.read(last);
  return lookup;
};

describe("a prompt lookup", () => {
  it.each([
    ["nothing while less than two tokens have come before", [7, 1, 2, 3, 7], [], [], 0],
    ["what followed the last two tokens", [1, 2, 3, 4, 9, 1, 2], [], [3, 4, 9], 2],
    ["what followed the latest of equal matches", [1, 2, 3, 8, 1, 2, 4, 8, 1, 2], [], [4, 8, 1], 3],
    ["what followed the longest match", [5, 1, 2, 3, 6, 1, 2, 4, 5, 1, 2], [], [3, 6, 1], 3],
    ["a period beyond its end", [4, 5, 4, 5], [], [4, 5, 4], 2],
    ["one token over and over", [0, 8, 8, 8], [], [8, 8, 8], 2],
    ["what follows tokens that are taken for granted", [1, 2, 3, 4, 9, 1], [2, 3], [4, 9, 1], 3],
    ["nothing after tokens that are new", [1, 2, 3], [2, 4], [], 0],
  ])("drafts %s", (_, ids, begun, drafted, matchLength) => {
    const lookup = afterReading(...ids);
    expect(lookup.draft(3, begun)).toEqual({ ids: drafted, matchLength });
    expect(lookup.draft(3, begun)).toEqual({ ids: drafted, matchLength }); // nothing was read
    expect(lookup.draft(1, begun)).toEqual({ ids: drafted.slice(0, 1), matchLength });
    expect(lookup.draft(0, begun)).toEqual({ ids: [], matchLength });
  });
});
