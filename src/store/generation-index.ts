/**
 * The names of an owner by their generations, current and earlier ones. Kept in memory: the names are read when an
 * owner is first asked about, and every later change is noted. Knows nothing of contents.
 */
export class GenerationIndex {
  readonly #byOwner = new Map<string, Map<string, Set<string>>>();

  /** The owner's names that have the generation. @param read all names of the owner, with all their generations */
  namesOf(owner: string, generation: string, read: () => Iterable<readonly [string, string]>): readonly string[] {
    let names = this.#byOwner.get(owner);
    if (names === undefined) {
      names = new Map();
      for (const [name, points] of read()) add(names, name, points);
      this.#byOwner.set(owner, names);
    }
    return [...(names.get(generation) ?? [])];
  }

  /** Notes that a name has a generation, as its current one or as an earlier one. */
  add(owner: string, name: string, generation: string): void {
    const names = this.#byOwner.get(owner);
    if (names !== undefined) add(names, name, generation);
  }

  /** Notes that a name no longer has a generation. */
  remove(owner: string, name: string, generation: string): void {
    const names = this.#byOwner.get(owner);
    names?.get(generation)?.delete(name);
    if (names?.get(generation)?.size === 0) names.delete(generation);
  }
}

function add(names: Map<string, Set<string>>, name: string, generation: string): void {
  const known = names.get(generation) ?? new Set();
  names.set(generation, known.add(name));
}
