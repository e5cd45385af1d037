/**
 * The names of an owner by the generation that they point to. Kept in memory: the names are read when an owner is first
 * asked about, and every later change is noted. Knows nothing of contents.
 */
export class GenerationIndex {
  readonly #byOwner = new Map<string, Map<string, Set<string>>>();

  /** The owner's names that point to the generation. @param read all names of the owner, with their generations */
  namesOf(owner: string, generation: string, read: () => Iterable<readonly [string, string]>): readonly string[] {
    let names = this.#byOwner.get(owner);
    if (names === undefined) {
      names = new Map();
      for (const [name, points] of read()) add(names, name, points);
      this.#byOwner.set(owner, names);
    }
    return [...(names.get(generation) ?? [])];
  }

  /** Notes that a name has pointed to `before`, and points to `after`; undefined: it does not exist. */
  note(owner: string, name: string, before: string | undefined, after: string | undefined): void {
    const names = this.#byOwner.get(owner);
    if (names === undefined) return;
    if (before !== undefined) {
      names.get(before)?.delete(name);
      if (names.get(before)?.size === 0) names.delete(before);
    }
    if (after !== undefined) add(names, name, after);
  }
}

function add(names: Map<string, Set<string>>, name: string, generation: string): void {
  const known = names.get(generation) ?? new Set();
  names.set(generation, known.add(name));
}
