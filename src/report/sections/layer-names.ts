/** Names of layers for people: which block, and a short name of the module that is still one of a kind. Pure. */

export interface LayerPlace<T> {
  /** Of the block. */
  readonly index: number;
  readonly item: T;
}

/** Layers of equal module in different blocks. */
export interface ModuleGroup<T> {
  /** Such as `q_proj`. */
  readonly module: string;
  /** By block. */
  readonly places: readonly LayerPlace<T>[];
}

/** Groups what is named `…layers.<L>.<module>…`; other names are in none. */
export function groupByModule<T>(items: readonly T[], nameOf: (item: T) => string): readonly ModuleGroup<T>[] {
  const groups = new Map<string, LayerPlace<T>[]>();
  for (const item of items) {
    const [, index, module] = /(?:^|\.)layers\.(\d+)\.(.+)$/.exec(nameOf(item)) ?? [];
    if (index === undefined || module === undefined) continue;
    const places = groups.get(module) ?? [];
    groups.set(module, places);
    places.push({ index: Number(index), item });
  }
  const short = (module: string): string =>
    module
      .replace(/\.weight$/, "")
      .split(".")
      .at(-1) ?? module;
  const isUnique = (module: string): boolean =>
    [...groups.keys()].filter((one) => short(one) === short(module)).length === 1;
  return [...groups].map(([module, places]) => ({
    module: isUnique(module) ? short(module) : module,
    places: places.toSorted((a, b) => a.index - b.index),
  }));
}
