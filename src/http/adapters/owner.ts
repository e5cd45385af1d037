/**
 * Whose adapter a change applies to. A name that the caller's tenant has is the tenant's. Otherwise an existing shared
 * name is meant, and a new name becomes the tenant's own. `?tenant=` names the owner explicitly.
 */
import { AppError, quote } from "../../errors.ts";
import { type Caller, maySee } from "../../keys/caller.ts";
import { smallest } from "../../keys/limits.ts";
import type { AdapterRecord } from "../../store/adapter-record.ts";
import type { NameWriter } from "../../store/adapter-names.ts";
import type { NamesQuota } from "../../store/owner-totals.ts";
import type { AliasRecord } from "../../store/aliases/alias-record.ts";
import { type OwnedName, SHARED } from "../../store/tenant.ts";
import type { AppContext, RequestContext } from "../context.ts";
import { invalid } from "../error-response.ts";
import { parseReference } from "../../store/version-reference.ts";
import { refreshAliases, refreshNamed, writerOf } from "./shared-names.ts";
import { findAdapter, findAlias, maySeeAlias, notFoundMessage } from "./find-adapter.ts";

/** @throws {AppError} insufficient_scope: the key's patterns do not allow this name. */
export function assertMayName(caller: Caller, name: string): void {
  if (!maySee(caller, name)) throw outsideOfPatterns(caller, name);
}

/** The quota of the caller's tenant and key in the store. */
export function quotaOf({ meters }: Caller): NamesQuota {
  return { adapters: smallest(meters, "adapters"), bytes: smallest(meters, "bytes") };
}

/**
 * Where a PUT changes `name`, and whose name it is. A caller who may not change a shared adapter gets one of its own.
 */
export async function ownerToPut(
  context: AppContext,
  c: RequestContext,
  name: string,
): Promise<{ readonly owner: string; readonly writer: NameWriter }> {
  const caller = c.get("caller");
  assertMayName(caller, name);
  await refreshNamed(context, caller, name).catch(ignoreDamaged); // a PUT mends it
  const owner = askedOwner(c) ?? findAdapter(context, caller, name)?.tenant ?? caller.tenant;
  if (owner === SHARED && caller.scopes.has("admin")) return { owner, writer: writerOf(context, SHARED) };
  if (askedOwner(c) === SHARED) throw sharedRefusal(name);
  return { owner: caller.tenant, writer: writerOf(context, caller.tenant, quotaOf(caller)) };
}

/**
 * The adapter that a name, or a reference to one of its generations, means for this caller, or with `?tenant=`.
 * @throws {AppError} adapter_not_found, ambiguous_generation, store_unavailable, store_damaged
 */
export async function existingAdapter(context: AppContext, c: RequestContext, text: string): Promise<AdapterRecord> {
  const asked = askedOwner(c);
  const caller = c.get("caller");
  await refreshNamed(context, caller, text, asked);
  const found = asked === undefined ? findAdapter(context, caller, text) : ownedAdapter(context, caller, asked, text);
  if (found) return found;
  throw new AppError("adapter_not_found", notFoundMessage(text));
}

function ownedAdapter({ store }: AppContext, caller: Caller, owner: string, text: string): AdapterRecord | undefined {
  const reference = parseReference(text);
  if (!reference || !maySee(caller, reference.name)) return undefined;
  return store.namesOf(owner).find(reference.name, reference.version);
}

/**
 * The owner of the alias that a PUT makes or replaces.
 * @throws {AppError} insufficient_scope, invalid_request, store_unavailable, store_damaged
 */
export async function aliasOwner(context: AppContext, c: RequestContext, name: string): Promise<string> {
  const caller = c.get("caller");
  await refreshAliases(context, caller, askedOwner(c));
  const owner = askedOwner(c) ?? findAlias(context, caller, name)?.tenant ?? caller.tenant;
  if (owner === SHARED && caller.scopes.has("admin")) return SHARED;
  if (askedOwner(c) === SHARED) throw sharedRefusal(name);
  return caller.tenant;
}

/**
 * The alias that a name means for this caller, or with `?tenant=`.
 * @throws {AppError} alias_not_found, store_unavailable, store_damaged
 */
export async function existingAlias(context: AppContext, c: RequestContext, name: string): Promise<AliasRecord> {
  const asked = askedOwner(c);
  const caller = c.get("caller");
  await refreshNamed(context, caller, name, asked);
  const owned = asked === undefined ? findAlias(context, caller, name) : context.store.aliasesOf(asked).get(name);
  if (owned && maySeeAlias(caller, owned)) return owned;
  throw new AppError("alias_not_found", `There is no alias ${quote(name)}. List them with GET /v1/aliases.`);
}

/** @throws {AppError} insufficient_scope: the adapter or alias is shared, and the caller is no admin. */
export function assertMayChange({ scopes }: Caller, { tenant, name }: OwnedName): void {
  if (tenant === SHARED && !scopes.has("admin")) throw sharedRefusal(name);
}

function outsideOfPatterns({ adapters }: Caller, name: string): AppError {
  return new AppError(
    "insufficient_scope",
    `This key may change only adapters named ${adapters?.join(" or ")}, and ${quote(name)} is none of them. Choose another name or key.`,
  );
}

function sharedRefusal(name: string): AppError {
  return new AppError(
    "insufficient_scope",
    `${quote(name)} is shared by all tenants, and changing it needs the scope "admin", which this key does not have.`,
  );
}

/** @throws {AppError} invalid_request. The tenant of another key is refused like one that does not exist. */
function askedOwner(c: RequestContext): string | undefined {
  const asked = c.req.query("tenant");
  const { tenant } = c.get("caller");
  if (asked === undefined || asked === SHARED || asked === tenant) return asked;
  throw invalid(`"tenant" is ${quote(asked)}, but this key can name only "${tenant}" and "${SHARED}".`, "tenant");
}

function ignoreDamaged(error: unknown): void {
  if (!(error instanceof AppError && error.code === "store_damaged")) throw error;
}
