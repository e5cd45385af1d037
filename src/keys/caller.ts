/** Who sends a request and what that caller may do. Knows nothing of HTTP or of how keys are stored. */

import type { Meter } from "./limits.ts";

/**
 * - use: run models and read adapters
 * - write: add, replace, delete and merge the tenant's adapters
 * - train: run training jobs
 * - metrics: read metrics
 * - admin: change shared adapters too, and see the numbers of all tenants
 */
export const SCOPES = ["use", "write", "train", "metrics", "admin"] as const;

export type Scope = (typeof SCOPES)[number];

export interface Caller {
  /** Limits of the tenant and of the key; empty: there are none. */
  readonly meters: readonly Meter[];
  /** The key's id in the keys file; null: a key of --api-key, or no key is needed. */
  readonly keyId: string | null;
  readonly tenant: string;
  readonly scopes: ReadonlySet<Scope>;
  /** Patterns of the adapters that the key sees; null: all that its tenant sees. */
  readonly adapters: readonly string[] | null;
}

/** Whether the key sees adapters of this name. In a pattern, `*` stands for any text and `?` for one character. */
export function maySee({ adapters }: Pick<Caller, "adapters">, name: string): boolean {
  return adapters === null || adapters.some((pattern) => matches(pattern, name));
}

/** Linear in the product of both lengths, whatever the pattern: a key's owner must not be able to stop the server. */
function matches(pattern: string, name: string): boolean {
  // reached[i]: the pattern so far matches the first i characters.
  let reached = [true, ...Array.from(name, () => false)];
  for (const sign of pattern) {
    const next: boolean[] = [sign === "*" && reached[0] === true];
    for (let i = 0; i < name.length; i++) {
      const consumes = sign === "*" || sign === "?" || sign === name[i];
      next.push((consumes && reached[i] === true) || (sign === "*" && (reached[i + 1] === true || next[i] === true)));
    }
    reached = next;
  }
  return reached[name.length] === true;
}
