/**
 * Remembers which blends the engines may have, and the members of each. When an adapter leaves the store, its blends
 * must be dropped too, because they contain its numbers. Knows no weights.
 */
import { LRUCache } from "lru-cache";
import type { AdapterRef } from "../protocol.ts";

/**
 * Maximum number of blends that are remembered. A forgotten blend stays in the engine's caches until other adapters and
 * prompts replace it.
 */
const MAX_BLENDS = 10_000;

export class BlendMembers {
  readonly #members = new LRUCache<string, readonly string[]>({ max: MAX_BLENDS });

  note({ generation, blend }: AdapterRef): void {
    if (blend !== undefined)
      this.#members.set(
        generation,
        blend.map((part) => part.generation),
      );
  }

  /** Returns the blends with this member, and forgets them. */
  take(member: string): readonly string[] {
    const blends = [...this.#members].flatMap(([blend, members]) => (members.includes(member) ? [blend] : []));
    for (const blend of blends) this.#members.delete(blend);
    return blends;
  }
}
