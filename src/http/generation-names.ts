/**
 * Names of the generations that requests in flight use. The metrics need them, because the engine reports by
 * generation.
 */
export class GenerationNames {
  readonly #names = new Map<string, { name: string; count: number }>();

  /** Registers the name until the returned function is called. */
  hold(generation: string, name: string): () => void {
    const entry = this.#names.get(generation) ?? { name, count: 0 };
    entry.count += 1;
    this.#names.set(generation, entry);
    return () => {
      entry.count -= 1;
      if (entry.count === 0) this.#names.delete(generation);
    };
  }

  /** The name, or the beginning of the generation where no request uses it any more. */
  nameOf(generation: string): string {
    return this.#names.get(generation)?.name ?? generation.slice(0, 12);
  }
}
