/** Layer names for readers: the block, and a short but unique name of the module. Pure. */

export interface LayerPlace<T> {
  /** Index of the block. */
  readonly index: number;
  readonly item: T;
}

/** Layers of equal module in different blocks. */
export interface ModuleGroup<T> {
  /** For example `q_proj`. */
  readonly module: string;
  /** Layers by block. */
  readonly places: readonly LayerPlace<T>[];
}

/** Groups names of the form `…layers.<L>.<module>…`. Other names are in no group. */
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
