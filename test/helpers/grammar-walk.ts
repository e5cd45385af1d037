/**
 * Walks a grammar at random without a model: a small vocabulary of bytes and of pieces of JSON, and a seeded choice
 * among its tokens.
 */
import { Automaton } from "../../src/grammar/automaton/automaton.ts";
import { Matcher, type Vocabulary } from "../../src/grammar/automaton/matcher.ts";
import { buildNetwork } from "../../src/grammar/automaton/network.ts";
import { buildTrie, packTokens } from "../../src/grammar/automaton/token-trie.ts";
import type { GrammarSpec } from "../../src/grammar/grammar-spec.ts";
import { readGrammar } from "../../src/grammar/read-grammar.ts";
import { nextUint32, seedRandom } from "../../src/tensor/random.ts";

const PIECES = [
  '{"',
  '":',
  '": "',
  '", "',
  '"}',
  "}]",
  "[{",
  "tr",
  "true",
  "null",
  " 1",
  "é",
  "日本",
  "\u{1f600}",
  "abc",
  "00",
  "-1",
  '\\"',
];

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);

/** Every byte, then pieces of several. */
export const VOCABULARY: Vocabulary = vocabularyOf([
  ...Array.from({ length: 256 }, (_, byte) => Uint8Array.of(byte)),
  ...PIECES.map(bytesOf),
]);

export function vocabularyOf(tokens: readonly (Uint8Array | null)[], specials: readonly string[] = []): Vocabulary {
  return { bytesOf: packTokens(tokens), trie: buildTrie(tokens), specials, numSkippedSpaces: 0 };
}

export function automatonOf(spec: GrammarSpec, { specials }: Vocabulary = VOCABULARY): Automaton {
  return new Automaton(buildNetwork(readGrammar(spec), specials));
}

export function matcherOf(spec: GrammarSpec, vocabulary: Vocabulary = VOCABULARY): Matcher {
  return new Matcher(automatonOf(spec, vocabulary), vocabulary);
}

/** Ids whose bit is set. */
export function allowedIds(matcher: Matcher): number[] {
  const mask = matcher.mask();
  return Array.from({ length: mask.length * 32 }, (_, id) => id).filter(
    (id) => (mask[id >> 5]! & (1 << (id & 31))) !== 0,
  );
}

/** A text of the grammar; null where it did not end within the number of tokens. */
export function randomText(
  automaton: Automaton,
  seed: number,
  maxTokens = 600,
  vocabulary = VOCABULARY,
): string | null {
  const matcher = new Matcher(automaton, vocabulary);
  const random = seedRandom(seed);
  const out: Uint8Array[] = [];
  while (!matcher.isComplete && !(matcher.isAccepting && nextUint32(random) / 2 ** 32 < 0.3)) {
    if (out.length === maxTokens) return null;
    const ids = allowedIds(matcher);
    if (ids.length === 0) throw new Error(`a dead end after ${JSON.stringify(Buffer.concat(out).toString())}`);
    const id = ids[Math.floor((nextUint32(random) / 2 ** 32) * ids.length)]!;
    if (!matcher.accept(id)) throw new Error(`token ${id} was allowed, but not accepted`);
    out.push(vocabulary.bytesOf(id)!); // accepted
  }
  return Buffer.concat(out).toString();
}

/** Whether the whole text is of the grammar. */
export function accepts(automaton: Automaton, text: string): boolean {
  let state = automaton.start();
  for (const byte of bytesOf(text)) {
    const next = automaton.step(state, byte);
    if (next === null) return false;
    state = next;
  }
  return state.isAccepting;
}
