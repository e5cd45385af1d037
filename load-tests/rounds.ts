/** Measures several variants in turns (A B C, C B A, …), so that a slow moment of the machine slows all of them. */

/** Something that can be measured again and again. */
export interface Variant {
  readonly name: string;
  /** One sample, e.g. tokens/s. */
  readonly measure: () => Promise<number>;
  /** What the first round, which does not count, does instead of measuring: less, where measuring is long. */
  readonly warmUp?: () => Promise<unknown>;
}

/** One sample a round for each variant, after one round that does not count. @returns samples by name. */
export async function measureInTurns(
  variants: readonly Variant[],
  numRounds: number,
): Promise<(name: string) => readonly number[]> {
  const samples = new Map(variants.map(({ name }) => [name, [] as number[]]));
  for (let round = -1; round < numRounds; round++)
    for (const { name, measure, warmUp } of round % 2 === 0 ? variants : [...variants].reverse()) {
      if (round < 0) await (warmUp ?? measure)();
      else samples.get(name)?.push(await measure());
    }
  return (name) => {
    const found = samples.get(name);
    if (!found) throw new Error(`internal: nothing named "${name}" was measured`);
    return found;
  };
}

/** Seconds that `work` takes. */
export async function secondsOf(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return (performance.now() - start) / 1000;
}
