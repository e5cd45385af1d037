/**
 * Owners of names. A name belongs to one tenant, or to `shared`. Every tenant may read a shared name. Two owners may
 * use the same name for different adapters. Knows nothing of LMDB or keys. Source:
 * docs/decisions/server/0016-names-belong-to-tenants.md.
 */

/** The owner of the names that all tenants may use. No tenant may have this name. */
export const SHARED = "shared";

/** The only tenant of a server without keys. */
export const DEFAULT_TENANT = "default";

const TENANT = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

/** Whether a tenant may have this name. */
export function isTenantName(name: string): boolean {
  return TENANT.test(name) && name !== SHARED;
}

/** A name and its owner: a tenant, or `shared`. */
export interface OwnedName {
  readonly tenant: string;
  readonly name: string;
}

/** A name and its owner as one text, such as `acme/pirate`. No other name has the same text. */
export function qualifiedName({ tenant, name }: OwnedName): string {
  return `${tenant}/${name}`;
}

/** The parts of a text that `qualifiedName` made. */
export function partsOfQualifiedName(text: string): OwnedName {
  const slash = text.indexOf("/");
  return { tenant: text.slice(0, slash), name: text.slice(slash + 1) };
}
