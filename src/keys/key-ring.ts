/**
 * The keys of a server: those of --api-key, and those of the keys file, which may change. Keys are held as SHA-256 and
 * found by it in a map. The time of a lookup may reveal something
 * of the hashes in the map. It reveals nothing of the keys, because a key cannot be computed from its hash.
 */
import { createHash } from "node:crypto";
import { type Caller, SCOPES, type Scope } from "./caller.ts";
import type { KeysFile } from "./keys-file.ts";
import type { Meter } from "./limits.ts";

/** A key of --api-key. */
export interface PlainKey {
  readonly tenant: string;
  readonly key: string;
}

interface HeldKey {
  readonly caller: Caller;
  /** Unix time in milliseconds. */
  readonly expiresAt: number;
}

/** The only tenant of a server without keys. */
const ONLY_TENANT = "default";
const EVERY_SCOPE: ReadonlySet<Scope> = new Set(SCOPES);
/** If other tenants have keys, a key of --api-key cannot change what those tenants use. */
const TENANT_SCOPES: ReadonlySet<Scope> = new Set(SCOPES.filter((scope) => scope !== "admin"));

export class KeyRing {
  readonly #plain: readonly PlainKey[];
  /** By their SHA-256, hex. */
  #keys: ReadonlyMap<string, HeldKey> = new Map();
  #tenants: ReadonlySet<string> = new Set();
  #hasFile = false;

  constructor(plain: readonly PlainKey[]) {
    this.#plain = plain;
    this.#hold({ version: 1, keys: [] });
  }

  /** Replaces the keys of the file. Those of --api-key stay. */
  setFile(file: KeysFile): void {
    this.#hasFile = true;
    this.#hold(file);
  }

  /** Whether requests need no key. A keys file without keys does not open the server. */
  get isOpen(): boolean {
    return this.#keys.size === 0 && !this.#hasFile;
  }

  /** Whether more than one tenant has a key. */
  get hasTenants(): boolean {
    return this.#tenants.size > 1;
  }

  /** Whether a key of this tenant exists. */
  hasTenant(tenant: string): boolean {
    return this.#tenants.has(tenant);
  }

  /** The caller without a key, where no key is needed. Also the operator, who starts the server. */
  get operator(): Caller {
    const [only = ONLY_TENANT] = this.hasTenants ? [] : this.#tenants;
    return { keyId: null, tenant: only, scopes: EVERY_SCOPE, adapters: null, meters: [] };
  }

  /** The caller who presents a key; undefined for an unknown or expired key. @param nowMs Unix time */
  find(key: string, nowMs: number): Caller | undefined {
    const found = this.#keys.get(hashOf(key));
    return found !== undefined && nowMs < found.expiresAt ? found.caller : undefined;
  }

  #hold({ keys: entries, tenants = {} }: KeysFile): void {
    const metersOf = (tenant: string): Meter[] => {
      const limits = Object.hasOwn(tenants, tenant) ? tenants[tenant]?.limits : undefined;
      return limits === undefined ? [] : [{ id: `tenant/${tenant}`, limits }];
    };
    this.#tenants = new Set([...this.#plain, ...entries].map(({ tenant }) => tenant));
    const scopes = this.hasTenants ? TENANT_SCOPES : EVERY_SCOPE;
    const keys = new Map<string, HeldKey>();
    for (const entry of entries) keys.set(entry.sha256, heldOf(entry, metersOf(entry.tenant)));
    // A key of --api-key stays what it is, whatever the file says. Of two equal ones, the first counts.
    for (const { tenant, key } of this.#plain.toReversed())
      keys.set(hashOf(key), {
        caller: { keyId: null, tenant, scopes, adapters: null, meters: metersOf(tenant) },
        expiresAt: Infinity,
      });
    this.#keys = keys;
  }
}

function heldOf(entry: KeysFile["keys"][number], tenantMeters: readonly Meter[]): HeldKey {
  return {
    caller: {
      keyId: entry.id,
      tenant: entry.tenant,
      scopes: new Set(entry.scopes),
      adapters: entry.adapters ?? null,
      meters: [
        ...tenantMeters,
        ...(entry.limits === undefined ? [] : [{ id: `key/${entry.id}`, limits: entry.limits }]),
      ],
    },
    expiresAt: entry.expires === undefined ? Infinity : Date.parse(entry.expires),
  };
}

function hashOf(key: string): string {
  return createHash("sha256").update(key).digest("hex");
}
