/** The tokens that may come next in a state: a walk through the tree of the vocabulary, along the automaton's edges. */
import { AppError } from "../../errors.ts";
import type { Automaton, State } from "./automaton.ts";
import type { TokenTrie } from "./token-trie.ts";
// Indices are bounded by the number of nodes, hence `!`.

/** Number of nodes between two readings of the clock. */
const NODES_PER_CHECK = 4096;

/** Number of 32-bit words of a mask. */
const maskWords = (vocabSize: number): number => Math.ceil(vocabSize / 32);

/**
 * @param maxMs longest time of the walk
 * @returns a bit for each id that may come next @throws {AppError} invalid_request for a grammar that is too ambiguous
 * or too slow
 */
export function fillMask(automaton: Automaton, state: State, trie: TokenTrie, maxMs: number): Int32Array {
  const mask = new Int32Array(maskWords(trie.vocabSize));
  const { bytes, depths, ends, tokens, twins, maxDepth } = trie;
  const { classes } = automaton;
  const states: State[] = Array.from({ length: maxDepth + 1 });
  states[0] = state;
  const endsAt = performance.now() + maxMs;
  let numLeft = NODES_PER_CHECK;
  for (let node = 0; node < bytes.length;) {
    const depth = depths[node]!;
    const from = states[depth]!;
    const known = from.next[classes[bytes[node]!]!];
    const next = known === undefined ? automaton.step(from, bytes[node]!) : known;
    if (next === null) node = ends[node]!;
    else {
      states[depth + 1] = next;
      for (let id = tokens[node]!; id >= 0; id = twins[id]!) mask[id >> 5]! |= 1 << (id & 31);
      node++;
    }
    if (--numLeft > 0) continue;
    numLeft = NODES_PER_CHECK;
    if (performance.now() > endsAt)
      throw new AppError("invalid_request", `The grammar needed more than ${maxMs} ms for one token. Make it simpler.`);
  }
  return mask;
}
