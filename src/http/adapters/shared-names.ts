/**
 * Where names are looked up and changed when servers share a store (--store). Before a name is looked up, the local
 * copy is made as new as the bound says. Without a shared store, nothing here waits.
 */
import { type Caller, maySee } from "../../keys/caller.ts";
import type { AdapterRecord } from "../../store/adapter-record.ts";
import type { NameWriter } from "../../store/adapter-names.ts";
import { isAdapterName } from "../../store/adapter-record.ts";
import type { AliasWriter } from "../../store/aliases/alias-change.ts";
import type { AliasRecord } from "../../store/aliases/alias-record.ts";
import type { NamesQuota } from "../../store/owner-totals.ts";
import { SHARED } from "../../store/tenant.ts";
import { parseReference } from "../../store/version-reference.ts";
import { findVisible, findVisibleAlias } from "../../store/visible-names.ts";
import type { AppContext } from "../context.ts";

type Shared = Pick<AppContext, "sharedStore">;

/** Names of a shared store that are compared at a time. */
export const COMPARED_AT_ONCE = 16;

/**
 * Makes the local copies of all adapters and aliases that a caller may mean by a text as new as the bound says. An
 * alias' adapters are among them.
 * @param text the name of an adapter, of one of its generations, or of an alias. Anything else is left alone
 * @param owner the owner that the caller has named; absent: the caller's tenant, and all tenants'
 * @throws {AppError} store_unavailable, store_damaged
 */
export async function refreshNamed(
  context: Shared & Pick<AppContext, "store">,
  caller: Pick<Caller, "tenant" | "adapters">,
  text: string,
  owner?: string,
): Promise<void> {
  const { sharedStore, store } = context;
  const reference = parseReference(text);
  if (!sharedStore || !reference || !isAdapterName(reference.name) || !maySee(caller, reference.name)) return;
  const { name, version } = reference;
  const isWhole = version.kind !== "current";
  const { names } = sharedStore;
  const [aliases, adapters] = await Promise.allSettled([
    refreshAliases(context, caller, owner),
    owner === undefined
      ? names.refreshVisible(caller.tenant, SHARED, name, isWhole)
      : names.refresh({ tenant: owner, name }, isWhole),
  ]);
  if (adapters.status === "rejected") throw adapters.reason;
  const isAdapter = owner === undefined ? findVisible(store, caller.tenant, name) : store.namesOf(owner).get(name);
  if (isAdapter) return; // whatever the aliases are
  if (aliases.status === "rejected") throw aliases.reason;
  const alias = owner === undefined ? findVisibleAlias(store, caller.tenant, name) : store.aliasesOf(owner).get(name);
  if (alias) await refreshTargets(context, [alias]);
}

/** Makes the local copies of the aliases of a caller as new as the bound says. @throws as `refreshNamed` */
export async function refreshAliases(
  { sharedStore }: Shared,
  { tenant }: Pick<Caller, "tenant">,
  owner?: string,
): Promise<void> {
  const owners = owner === undefined ? [tenant, SHARED] : [owner];
  if (sharedStore) await Promise.all(owners.map(async (one) => await sharedStore.aliases.refresh(one)));
}

/** Makes the local copies of the adapters that aliases stand for as new as the bound says. @throws as `refreshNamed` */
export async function refreshTargets({ sharedStore }: Shared, aliases: readonly AliasRecord[]): Promise<void> {
  if (!sharedStore) return;
  const targets = aliases.flatMap(({ tenant, targets }) => targets.map((target) => ({ ...target, tenant })));
  for (let first = 0; first < targets.length; first += COMPARED_AT_ONCE)
    await Promise.all(
      targets
        .slice(first, first + COMPARED_AT_ONCE)
        .map(
          async ({ tenant, name, generation }) =>
            await sharedStore.names.refresh({ tenant, name }, generation !== null),
        ),
    );
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
 * Changes aliases of an owner: in the shared store, if there is one.
 * @param before the alias as it is. One that only this server has is changed here
 */
export function aliasWriterOf(
  { sharedStore, store }: Shared & Pick<AppContext, "store">,
  owner: string,
  before: AliasRecord | undefined,
): AliasWriter {
  const isLocal = before !== undefined && before.isPublished !== true;
  return sharedStore && !isLocal ? sharedStore.aliasWriterOf(owner) : store.aliasesOf(owner);
}
