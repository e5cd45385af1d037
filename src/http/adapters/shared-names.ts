/**
 * Where names are looked up and changed when servers share a store (--store). Before a name is looked up, the local
 * copy is made as new as the bound says. Without a shared store, nothing here waits.
 */
import { AppError } from "../../errors.ts";
import { type Caller, maySee } from "../../keys/caller.ts";
import type { AdapterRecord } from "../../store/adapter-record.ts";
import type { NameWriter } from "../../store/adapter-names.ts";
import { isAdapterName } from "../../store/adapter-record.ts";
import type { NamesQuota } from "../../store/owner-totals.ts";
import { SHARED } from "../../store/tenant.ts";
import { parseReference } from "../../store/version-reference.ts";
import type { AppContext } from "../context.ts";

type Shared = Pick<AppContext, "sharedStore">;

/**
 * Makes the local copies of all adapters that a caller may mean by a text as new as the bound says.
 * @param text the name of an adapter, or of one of its generations. Anything else is left alone
 * @param owner the owner that the caller has named; absent: the caller's tenant, and all tenants'
 * @throws {AppError} store_unavailable, store_damaged
 */
export async function refreshNamed(
  { sharedStore }: Shared,
  caller: Pick<Caller, "tenant" | "adapters">,
  text: string,
  owner?: string,
): Promise<void> {
  const reference = parseReference(text);
  if (!sharedStore || !reference || !isAdapterName(reference.name) || !maySee(caller, reference.name)) return;
  const { name, version } = reference;
  const isWhole = version.kind !== "current";
  if (owner !== undefined) await sharedStore.names.refresh({ tenant: owner, name }, isWhole);
  else await sharedStore.names.refreshVisible(caller.tenant, SHARED, name, isWhole);
}

/** Writes new content under names of an owner: to the shared store, if there is one. */
export function writerOf(
  { sharedStore, store }: Shared & Pick<AppContext, "store">,
  owner: string,
  quota: NamesQuota = {},
): NameWriter {
  return sharedStore?.writerOf(owner, quota) ?? store.namesOf(owner, quota);
}

/** Changes an existing name where it is: in the shared store, or on this server alone. */
export function writerOfRecord(
  { sharedStore, store }: Shared & Pick<AppContext, "store">,
  { tenant, isPublished }: AdapterRecord,
): NameWriter {
  return isPublished === true && sharedStore ? sharedStore.writerOf(tenant) : store.namesOf(tenant);
}

/**
 * Aliases are no part of a shared store. One server's alias would be unknown to the others.
 * @throws {AppError} store_read_only
 */
export function assertMayChangeAliases({ sharedStore }: Shared): void {
  if (!sharedStore) return;
  throw new AppError(
    "store_read_only",
    `Aliases cannot be changed while servers share the store ${sharedStore.names.objects.url}, because it has no aliases. Name the adapter or one of its generations instead.`,
  );
}
