import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { PairHeap, pairKey } from "../../../src/tokenizer/train/pair-heap.ts";
import { trainBpe } from "../../../src/tokenizer/train/train-bpe.ts";

/** The definition, at its slowest: all pairs counted anew for every merge. */
function slowMerges(
  words: ReadonlyMap<string, number>,
  alphabet: readonly string[],
  numMerges: number,
  minCount: number,
) {
  const ids = new Map(alphabet.map((token, i) => [token, i]));
  let corpus = [...words].map(([word, count]) => [[...word], count] as const);
  const merges: [string, string][] = [];
  while (merges.length < numMerges) {
    const counts = new Map<string, { pair: [string, string]; count: number }>();
    for (const [tokens, count] of corpus)
      for (let i = 1; i < tokens.length; i++) {
        const pair: [string, string] = [tokens[i - 1] ?? "", tokens[i] ?? ""];
        const entry = counts.get(pair.join(" ")) ?? { pair, count: 0 };
        counts.set(pair.join(" "), { pair, count: entry.count + count });
      }
    const rank = ({ pair }: { pair: [string, string] }) => pair.map((token) => ids.get(token) ?? 0) as [number, number];
    const [best] = [...counts.values()].sort((x, y) => {
      const [[a, b], [c, d]] = [rank(x), rank(y)];
      return y.count - x.count || a - c || b - d;
    });
    if (best === undefined || best.count < minCount) break;
    const [left, right] = best.pair;
    const joined = left + right;
    if (!ids.has(joined)) ids.set(joined, ids.size);
    else numMerges += 1; // two ways to one token cost no id
    if (!merges.some(([a, b]) => a === left && b === right)) merges.push([left, right]);
    corpus = corpus.map(([tokens, count]) => {
      const out: string[] = [];
      for (let i = 0; i < tokens.length; i++) {
        const isPair = tokens[i] === left && tokens[i + 1] === right;
        out.push(isPair ? joined : (tokens[i] ?? ""));
        if (isPair) i++;
      }
      return [out, count] as const;
    });
  }
  return merges;
}

describe("trainBpe", () => {
  const alphabet = ["a", "b", "c", "d"];
  const corpora = fc.dictionary(
    fc.string({ unit: fc.constantFrom(...alphabet), minLength: 1, maxLength: 12 }),
    fc.nat(9),
    {
      maxKeys: 12,
      noNullPrototype: true,
    },
  );

  it("merges as the definition says, pair by pair", () => {
    fc.assert(
      fc.property(corpora, fc.integer({ min: 1, max: 3 }), (corpus, minCount) => {
        const words = new Map(Object.entries(corpus));
        const { tokens, merges } = trainBpe(words, alphabet, { vocabSize: 4 + 2 + 20, minCount, numReserved: 2 });
        // The slow one stops by merges; up to there they have to agree.
        const wanted = slowMerges(words, alphabet, 20, minCount);
        const shared = Math.min(merges.length, wanted.length);
        expect(merges.slice(0, shared)).toEqual(wanted.slice(0, shared));
        expect(tokens.length).toBeLessThanOrEqual(24);
        if (tokens.length < 24) expect(merges).toEqual(wanted);
      }),
      { numRuns: 500 },
    );
  });

  it("does not depend on the order of the words", () => {
    const words: [string, number][] = ["abab", "cdcd", "abcd", "dcba", "aaaa"].map((word, i) => [word, 1 + (i % 2)]);
    const options = { vocabSize: 14, minCount: 1, numReserved: 0 };
    expect(trainBpe(new Map(words.toReversed()), alphabet, options)).toEqual(
      trainBpe(new Map(words), alphabet, options),
    );
  });

  it("takes the smaller ids on a tie and leaves rare pairs apart", () => {
    const train = (words: Record<string, number>, minCount: number) =>
      trainBpe(new Map(Object.entries(words)), alphabet, { vocabSize: 100, minCount, numReserved: 1 }).merges;
    expect(train({ cd: 5, ab: 5, ba: 5, ac: 5 }, 1)).toEqual([
      ["a", "b"],
      ["a", "c"],
      ["b", "a"],
      ["c", "d"],
    ]);
    expect(train({ cd: 5, ab: 4 }, 5)).toEqual([["c", "d"]]);
  });
});

describe("the heap of pairs", () => {
  it("gives the highest count first, then the smallest pair", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(3), fc.nat(3), fc.nat(5))), (entries) => {
        const heap = new PairHeap();
        const pushed = entries.map(([a, b, count]) => ({ key: pairKey(a, b), count }));
        for (const { key, count } of pushed) heap.push(key, count);
        const popped = pushed.map(() => heap.pop());
        expect(popped).toEqual(pushed.toSorted((x, y) => y.count - x.count || x.key - y.key));
        expect(heap.pop()).toBeUndefined();
      }),
    );
  });
});
