/** The tenants, their names and keys, and what is known of each name's writes. */
import { createHash } from "node:crypto";
import type { Operation } from "./operation.ts";

export interface WorldSize {
  readonly tenants: number;
  /** Names of each tenant. All tenants use the same names. */
  readonly names: number;
}

export class World {
  readonly size: WorldSize;
  /** Tenants whose second key is in the file. */
  readonly #guests = new Set<number>();
  /** Content numbers that each register has had, the latest last. */
  readonly #written = new Map<string, number[]>();
  #lastContent = 0;

  constructor(size: WorldSize, operations: readonly Operation[]) {
    this.size = size;
    for (let tenant = 0; tenant < size.tenants; tenant++) this.#guests.add(tenant);
    for (const operation of operations) this.note(operation);
  }

  register(tenant: number, name: number): string {
    return `t${tenant}/a${name}`;
  }

  /** Takes over what an operation of an earlier run has changed. */
  note({ kind, register, content, value }: Operation): void {
    if (kind === "put" && content !== undefined) {
      this.#lastContent = Math.max(this.#lastContent, content);
      const written = this.#written.get(register);
      if (written === undefined) this.#written.set(register, [content]);
      else if (!written.includes(content)) written.push(content);
    }
    if (kind === "change-key") this.setGuest(Number(register.slice("key/t".length)), value === "active");
  }

  newContent(): number {
    return ++this.#lastContent;
  }

  /** A content that the register had before the latest one; undefined: it had none. */
  earlierContent(register: string): number | undefined {
    return this.#written.get(register)?.at(-2);
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
