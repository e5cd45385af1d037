/**
 * The keys of a server. Keys are held and compared as SHA-256. Every key is compared with every request, in constant
 * time, so the time of an answer does not reveal which key was similar.
 */
import { createHash, timingSafeEqual } from "node:crypto";
import { type Caller, SCOPES, type Scope } from "./caller.ts";

/** A key of --api-key. */
export interface PlainKey {
  readonly tenant: string;
  readonly key: string;
}

interface HeldKey {
  readonly sha256: Buffer;
  readonly caller: Caller;
}

/** The only tenant of a server without keys. */
const ONLY_TENANT = "default";
const EVERY_SCOPE: ReadonlySet<Scope> = new Set(SCOPES);
/** A key of --api-key cannot change what other tenants use. */
const TENANT_SCOPES: ReadonlySet<Scope> = new Set(SCOPES.filter((scope) => scope !== "admin"));

export class KeyRing {
  readonly #keys: readonly HeldKey[];
  readonly #tenants: ReadonlySet<string>;

  constructor(plain: readonly PlainKey[]) {
    this.#tenants = new Set(plain.map(({ tenant }) => tenant));
    const scopes = this.hasTenants ? TENANT_SCOPES : EVERY_SCOPE;
    this.#keys = plain.map(({ tenant, key }) => ({ sha256: hashOf(key), caller: { tenant, scopes } }));
  }

  /** Whether requests need no key. */
  get isOpen(): boolean {
    return this.#keys.length === 0;
  }

  /** Whether more than one tenant has a key. */
  get hasTenants(): boolean {
    return this.#tenants.size > 1;
  }

  /** The caller without a key, where no key is needed. Also the operator, who starts the server. */
  get operator(): Caller {
    const [only = ONLY_TENANT] = this.hasTenants ? [] : this.#tenants;
    return { tenant: only, scopes: EVERY_SCOPE };
  }

  /** The caller who presents a key; undefined for an unknown key. */
  find(key: string): Caller | undefined {
    const hash = hashOf(key);
    let found: Caller | undefined;
    for (const { sha256, caller } of this.#keys) if (timingSafeEqual(sha256, hash)) found ??= caller;
    return found;
  }
}

function hashOf(key: string): Buffer {
  return createHash("sha256").update(key).digest();
}
