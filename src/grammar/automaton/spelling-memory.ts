/**
 * How one answer has spelled the texts that its grammar forced. An answer spells the names of a second object like
 * those of the first.
 */
import { longestTokens, type TokenTrie } from "./token-trie.ts";

export class SpellingMemory {
  readonly #bytesOf: (id: number) => Uint8Array | null;
  readonly #trie: TokenTrie;
  readonly #tokens: number[] = [];
  /** Number of tokens before a forced text, when it was last met. */
  readonly #metAt = new Map<string, number>();

  constructor(bytesOf: (id: number) => Uint8Array | null, trie: TokenTrie) {
    this.#bytesOf = bytesOf;
    this.#trie = trie;
  }

  read(tokenId: number): void {
    this.#tokens.push(tokenId);
  }

  /**
   * The tokens of a text that comes next: the tokens that spelled it before, or the longest tokens if the text is new.
   */
  spell(text: readonly number[], max: number): readonly number[] {
    if (text.length === 0) return [];
    const key = Buffer.from(text).toString("latin1");
    const before = this.#metAt.get(key);
    this.#metAt.set(key, this.#tokens.length);
    const known = before === undefined ? [] : this.#tokensOf(text, before);
    const numKnown = known.reduce((sum, id) => sum + (this.#bytesOf(id)?.length ?? 0), 0);
    return [...known, ...longestTokens(this.#trie, text.slice(numKnown), max)].slice(0, max);
  }

  /** Tokens of the answer from one place on, as far as they spell the text. */
  #tokensOf(text: readonly number[], from: number): number[] {
    const known: number[] = [];
    let at = 0;
    for (const id of this.#tokens.slice(from)) {
      const bytes = this.#bytesOf(id) ?? [];
      if (bytes.length === 0 || at + bytes.length > text.length) break;
      if (!bytes.every((byte, i) => byte === text[at + i])) break;
      known.push(id);
      at += bytes.length;
    }
    return known;
  }
}
