/**
 * Which blends the engines may hold, and of which adapters each is made. An adapter that leaves the store takes the blends with it, because
 * its numbers are in them. Knows no weights.
 */
import { LRUCache } from "lru-cache";
import type { AdapterRef } from "../protocol.ts";

/** Most blends that are remembered. A forgotten one stays in the engine's caches until other adapters and prompts push it out. */
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
