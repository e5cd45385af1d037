/** Names and their values in nested scopes; an inner `set` never changes an outer name, as in Jinja. */
import { JinjaError, Undefined, type Value } from "./values.ts";

export class Scope {
  readonly #names = new Map<string, Value>();
  readonly #parent: Scope | undefined;

  constructor(parent?: Scope) {
    this.#parent = parent;
  }

  /** The value of a name; `Undefined` when no scope has it. */
  get(name: string): Value {
    const own = this.#names.get(name);
    return own === undefined ? this.#outer(name) : own;
  }

  #outer(name: string): Value {
    for (let scope = this.#parent; scope !== undefined; scope = scope.#parent) {
      const value = scope.#names.get(name);
      if (value !== undefined) return value;
    }
    return new Undefined(`'${name}' is undefined`);
  }

  set(name: string, value: Value): void {
    this.#names.set(name, value);
  }

  /** Assigns values to several names. @throws {JinjaError} when their numbers differ. */
  static checkUnpack(wanted: number, found: number): void {
    if (wanted === found) return;
    throw new JinjaError(
      found > wanted
        ? `too many values to unpack (expected ${wanted})`
        : `not enough values to unpack (expected ${wanted}, got ${found})`,
    );
  }
}
