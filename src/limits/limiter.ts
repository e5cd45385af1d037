/** Makes the leases of requests. All of them count in the same counters. */
import type { Caller } from "../keys/caller.ts";
import { Lease, type OnRefused, type Running } from "./lease.ts";
import { WindowCounters } from "./window-counters.ts";

export class Limiter {
  readonly #counters = new WindowCounters();
  readonly #running: Running = new Map();

  /** A lease for one request, which counts nothing yet. */
  lease({ meters }: Pick<Caller, "meters">, onRefused: OnRefused): Lease {
    return new Lease(meters, this.#counters, this.#running, onRefused);
  }
}
