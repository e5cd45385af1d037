/**
 * The names that a tenant sees: its own, and the shared ones that none of its own adapters hides. Knows nothing of
 * keys. Source: docs/decisions/server/0016-names-belong-to-tenants.md.
 */
import type { AdapterRecord } from "./adapter-record.ts";
import type { AliasRecord } from "./aliases/alias-record.ts";
import type { ListRange } from "./adapter-names.ts";
import type { AdapterStore } from "./adapter-store.ts";
import { SHARED } from "./tenant.ts";
import { CURRENT, parseReference } from "./version-reference.ts";

/**
 * The tenant's own adapter of this name, otherwise the shared one, in the generation that is meant. A shared name that
 * the tenant's own one hides is hidden with all its generations. Both lookups are always made, so their time is the
 * same.
 * @param text a name, or a reference to one of its generations
 * @throws {AppError} ambiguous_generation
 */
export function findVisible(store: AdapterStore, tenant: string, text: string): AdapterRecord | undefined {
  const { name, version } = parseReference(text) ?? { name: "", version: CURRENT };
  const [own, shared] = [store.namesOf(tenant).get(name), store.namesOf(SHARED).get(name)];
  const hides = store.aliasesOf(tenant).get(name);
  const current = own ?? (hides ? undefined : shared);
  if (!current || version.kind === "current") return current;
  return store.namesOf(current.tenant).find(name, version);
}

/** The tenant's own alias of this name, otherwise the shared one, if no own adapter hides it. */
export function findVisibleAlias(store: AdapterStore, tenant: string, name: string): AliasRecord | undefined {
  const [own, shared] = [store.aliasesOf(tenant).get(name), store.aliasesOf(SHARED).get(name)];
  if (own || !shared) return own;
  return store.namesOf(tenant).get(name) ? undefined : shared;
}

/** The aliases that the tenant sees, in the order of their names. */
export function listVisibleAliases(store: AdapterStore, tenant: string): readonly AliasRecord[] {
  const own = store.aliasesOf(tenant).list();
  const shared = store.aliasesOf(SHARED).list();
  const both = [...own, ...shared.filter(({ name }) => findVisibleAlias(store, tenant, name)?.tenant === SHARED)];
  return both.sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** The adapters with this content that the tenant sees, its own first. */
export function visibleWithGeneration(
  store: AdapterStore,
  tenant: string,
  generation: string,
): readonly AdapterRecord[] {
  return [store.namesOf(tenant), store.namesOf(SHARED)].flatMap((names) => names.withGeneration(generation));
}

/**
 * Up to `limit` records that the tenant sees, in the order of their names.
 * @returns `next`: the name after which the list continues; undefined: it has ended
 * @throws AppError invalid_request (after).
 */
export function listVisible(store: AdapterStore, tenant: string, range: ListRange) {
  const [own, shared] = [store.namesOf(tenant).list(range), store.namesOf(SHARED).list(range)];
  const ownNames = new Set(own.records.map(({ name }) => name));
  const both = [...own.records, ...shared.records.filter(({ name }) => !ownNames.has(name))];
  both.sort((a, b) => (a.name < b.name ? -1 : 1));
  const page = both.slice(0, range.limit);
  const aliases = store.aliasesOf(tenant);
  const records = page.filter((record) => record.tenant === tenant || !aliases.get(record.name));
  const hasMore = own.hasMore || shared.hasMore || both.length > page.length;
  return { records, next: hasMore ? page.at(-1)?.name : undefined };
}
