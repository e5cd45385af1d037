/** Servers of ours behind a router that one of deploy's scripts starts: HAProxy, Envoy or smg. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort } from "../processes/child.ts";
import type { Fleet } from "./fleet.ts";
import type { NetworkNamespace } from "./namespace.ts";
import { Replica } from "./replica.ts";
import { type Router, type RouterName, startRouter } from "./router.ts";

const NUM_REPLICAS = 3;

export interface FleetPlace {
  /** A folder for the fleet's files. */
  readonly folder: string;
  /** The directory of adapters, which all replicas share. */
  readonly adapters: string;
  /** The directory of the store of uploads, which all replicas share. */
  readonly store: string;
}

export class ServerFleet implements Fleet {
  readonly replicas: readonly Replica[];
  readonly #router: Router;
  readonly #starts: Promise<void>[] = [];

  /** @param cable a namespace for the last replica, which can be cut off; null: none */
  static async start(
    name: RouterName,
    { folder, adapters, store }: FleetPlace,
    cable: NetworkNamespace | null,
  ): Promise<ServerFleet> {
    const replicas: Replica[] = [];
    for (let index = 0; index < NUM_REPLICAS; index++) {
      const isCabled = cable !== null && index === NUM_REPLICAS - 1;
      const place = isCabled
        ? { host: cable.host, threads: 1, namespace: cable.name }
        : { host: "127.0.0.1", threads: 1, namespace: null };
      const data = join(folder, `data-${index}`);
      replicas.push(new Replica({ ...place, port: await freePort(), data, adapters, store }));
    }
    try {
      await Promise.all(replicas.map((replica) => replica.start()));
      mkdirSync(join(folder, "router"));
      const ports = { port: await freePort(), statisticsPort: await freePort() };
      const addresses = replicas.map(({ address }) => address);
      return new ServerFleet(
        replicas,
        await startRouter(name, addresses, { ...ports, folder: join(folder, "router") }),
      );
    } catch (error) {
      await Promise.all(replicas.map((replica) => replica.kill()));
      throw error;
    }
  }

  private constructor(replicas: readonly Replica[], router: Router) {
    this.replicas = replicas;
    this.#router = router;
  }

  get target() {
    return this.#router.target;
  }

  get servedBy() {
    return this.#router.servedBy;
  }

  numReady(): number {
    return this.replicas.filter(({ isReady }) => isReady).length;
  }

  async kill(turn: number): Promise<void> {
    const inTurn = this.replicas.map((_, step) => this.replicas[(turn + step) % this.replicas.length]);
    const victim = inTurn.find((one) => one?.isReady);
    if (!victim) return;
    await victim.kill();
    this.#starts.push(victim.start());
  }

  /** Stops a replica when all are ready. */
  async roll(): Promise<number> {
    for (const replica of this.replicas) {
      while (this.numReady() < this.replicas.length) await sleep(50);
      await replica.stop();
      await replica.start();
    }
    return this.replicas.length;
  }

  async settle(): Promise<void> {
    await Promise.all(this.#starts);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#router[Symbol.asyncDispose]();
    await Promise.all(this.replicas.map((replica) => replica.kill()));
  }
}
