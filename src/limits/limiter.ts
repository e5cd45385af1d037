/** Makes the leases of requests. All of them count in the same counters. */
import { randomUUID } from "node:crypto";
import type { Caller } from "../keys/caller.ts";
import type { Counters } from "./counters.ts";
import { Lease, type OnRefused } from "./lease.ts";

export class Limiter {
  readonly #counters: Counters;
  /** Keeps the runs of this server apart from those of others, and from those of its own earlier processes. */
  readonly #server = randomUUID();
  #numLeases = 0;

  constructor(counters: Counters) {
    this.#counters = counters;
  }

  /** A lease for one request, which counts nothing yet. */
  lease({ meters }: Pick<Caller, "meters">, onRefused: OnRefused): Lease {
    this.#numLeases += 1;
    return new Lease(`${this.#server}/${this.#numLeases}`, meters, this.#counters, onRefused);
  }
}
