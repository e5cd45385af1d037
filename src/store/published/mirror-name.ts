/**
 * Makes the local copy of a name as the store has it, in one transaction. The local copy has the current generation and
 * the earlier ones after it, up to the first one that is not here. So `name@-1` is either right or not found.
 */
import { type AdapterRecord, recordOf } from "../adapter-record.ts";
import { type Adapter } from "../../adapter/adapter.ts";
import { LAST } from "../database.ts";
import type { NameParts } from "../adapter-names.ts";
import { OwnerTotals } from "../owner-totals.ts";
import type { OwnedName } from "../tenant.ts";

/** A generation that the name has in the store. */
export interface MirroredGeneration {
  readonly generation: string;
  readonly created: number;
  /** The checked and decoded file; null: it is used only if it is here already. */
  readonly file: { readonly bytes: Buffer; readonly adapter: Adapter } | null;
}

/**
 * @param generations the current one first, then from the newest to the oldest
 * @returns whether it was made; false: the current generation was neither given nor here
 */
export async function mirrorName(
  parts: NameParts,
  owned: OwnedName,
  generations: readonly MirroredGeneration[],
): Promise<boolean> {
  const { tenant, name } = owned;
  const { contents, generations: index, scrubber } = parts;
  const numBytes = generations.reduce((sum, { file }) => sum + (file?.bytes.byteLength ?? 0), 0);
  const change = await parts.transactions.commit(() => {
    const stored = parts.tables.names.get([tenant, name]);
    const before = stored ? [parts.records.whole([tenant, name], stored), ...parts.versions.of(owned)] : [];
    const after = withoutGap(owned, generations, before);
    const [current, ...earlier] = after.map(({ whole }) => whole);
    if (!current) return null;
    const added = after.filter(({ whole }) => before.every(({ generation }) => generation !== whole.generation));
    const dropped = before.filter(({ generation }) => after.every(({ whole }) => whole.generation !== generation));
    for (const { whole, bytes } of added) if (bytes) contents.add(whole.generation, bytes);
    for (const { generation } of before.slice(1)) parts.versions.remove(owned, generation);
    for (const one of earlier.toReversed()) parts.versions.push(one);
    for (const { generation } of dropped) contents.subtract(generation);
    const bytesOf = (all: readonly AdapterRecord[]) => all.reduce((sum, { bytes }) => sum + bytes, 0);
    const isNew = before.length === 0;
    if (isNew) contents.addNames(1);
    const growth = bytesOf([current, ...earlier]) - bytesOf(before);
    new OwnerTotals(tenant, parts.tables, {}).add(isNew ? 1 : 0, growth);
    if (dropped.length > 0) scrubber.mark();
    parts.records.put([tenant, name], current);
    return { added, dropped };
  }, numBytes);
  if (!change) return false;
  const { added, dropped } = change;
  for (const { whole } of added) index.add(tenant, name, whole.generation);
  for (const { generation } of dropped) index.remove(tenant, name, generation);
  await Promise.all(dropped.map(({ generation }) => contents.dropIfUnused(generation)));
  if (dropped.length > 0) scrubber.schedule();
  return true;
}

/** The records until the first generation that is neither given nor here. */
function withoutGap(owned: OwnedName, generations: readonly MirroredGeneration[], before: readonly AdapterRecord[]) {
  const after: { readonly whole: AdapterRecord; readonly bytes: Buffer | null }[] = [];
  for (const { generation, created, file } of generations) {
    const here = before.find((one) => one.generation === generation);
    const made = here ?? (file && recordOf(owned, generation, file.bytes.byteLength, file.adapter));
    if (!made) break;
    const { isEarlier: _, ...record } = made;
    after.push({ whole: { ...record, created, isPublished: true }, bytes: here || !file ? null : file.bytes });
  }
  return after;
}

/** Names that are copies of the store's, from all owners, a page at a time. */
export function publishedPage(parts: NameParts, after: readonly [string, string] | null, limit: number) {
  const range = { ...(after === null ? {} : { start: [...after], exclusiveStart: true }), end: [LAST], limit };
  const entries = Array.from(parts.tables.names.getRange(range as object));
  const published = entries.flatMap(({ key: [tenant, name], value }) =>
    value.isPublished === true ? [{ tenant, name }] : [],
  );
  const last = entries.length < limit ? null : (entries.at(-1)?.key ?? null);
  return { published, next: last };
}
