/** The tenants, their names and keys, and what is known of each name's writes. */
import { createHash } from "node:crypto";
import type { Content } from "./contents.ts";
import type { Operation } from "./operation.ts";

export interface WorldSize {
  readonly tenants: number;
  /** Names of each tenant. All tenants use the same names. */
  readonly names: number;
}

/** Contents of a register that are remembered: as many as a server keeps generations by default. */
const NUM_KEPT = 3;
/** One name in so many has aliases. */
const ALIASED_EVERY = 8;

export class World {
  readonly size: WorldSize;
  /** Registers of the aliases that are known to follow their adapter. */
  readonly followers = new Set<string>();
  /** Tenants whose second key is in the file. */
  readonly #guests = new Set<number>();
  /** The last contents that each register has had, the latest last. */
  readonly #written = new Map<string, Content[]>();
  /** The number of the content of each generation. */
  readonly #numbers = new Map<string, number>();
  #lastContent = 0;

  constructor(size: WorldSize) {
    this.size = size;
    for (let tenant = 0; tenant < size.tenants; tenant++) this.#guests.add(tenant);
  }

  /** Takes over what an operation has changed. */
  note({ kind, register, content: number, value: generation, outcome }: Operation): void {
    if (kind === "change-key") this.setGuest(Number(register.slice("key/t".length)), generation === "active");
    if (number === undefined || generation === null) return;
    this.#lastContent = Math.max(this.#lastContent, number);
    this.#numbers.set(generation, number);
    if (outcome === "refused") return;
    const others = (this.#written.get(register) ?? []).filter((one) => one.number !== number);
    this.#written.set(register, [...others, { number, generation }].slice(-NUM_KEPT));
  }

  newContent(): number {
    return ++this.#lastContent;
  }

  /** The last contents of a register, the latest last. */
  contentsOf(register: string): readonly Content[] {
    return this.#written.get(register) ?? [];
  }

  /** The number of a generation's content; undefined: nobody has written it. */
  numberOf(generation: string): number | undefined {
    return this.#numbers.get(generation);
  }

  hasGuest(tenant: number): boolean {
    return this.#guests.has(tenant);
  }

  setGuest(tenant: number, isActive: boolean): void {
    if (isActive) this.#guests.add(tenant);
    else this.#guests.delete(tenant);
  }

  /** The file of keys. */
  keysFile(): object {
    const entry = (tenant: number, key: string, scopes: readonly string[]) => ({
      id: key,
      sha256: createHash("sha256").update(key).digest("hex"),
      tenant: `t${tenant}`,
      scopes,
    });
    const keys = Array.from({ length: this.size.tenants }, (_, tenant) => [
      entry(tenant, ownKey(tenant), ["use", "write"]),
      ...(this.#guests.has(tenant) ? [entry(tenant, guestKey(tenant), ["use"])] : []),
    ]);
    return { version: 1, keys: keys.flat() };
  }
}

export const ownKey = (tenant: number) => `own-key-of-${tenant}`;
export const guestKey = (tenant: number) => `guest-key-of-${tenant}`;

/** A name of a tenant, and its aliases. */
export class Place {
  readonly tenant: number;
  readonly adapter: string;
  /** Stands for generations of the adapter. */
  readonly alias: string;
  /** Stands for the adapter, whichever generation it has. */
  readonly follower: string;
  readonly hasAliases: boolean;

  constructor(tenant: number, number: number) {
    this.tenant = tenant;
    this.adapter = `a${number}`;
    this.alias = `l${number}`;
    this.follower = `f${number}`;
    this.hasAliases = number % ALIASED_EVERY === 0;
  }

  /** The register of one of its names. */
  register(name: string): string {
    return `t${this.tenant}/${name}`;
  }
}
