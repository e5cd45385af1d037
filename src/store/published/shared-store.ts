/** A store that several servers share: the names and aliases in it, and how they are changed. */
import type { ObjectStore } from "../../object-store/object-store.ts";
import type { AdapterStore } from "../adapter-store.ts";
import type { NamesQuota } from "../owner-totals.ts";
import { AliasPublisher } from "./alias-publisher.ts";
import { PublishedAliases } from "./published-aliases.ts";
import { PublishedNames, type PublishedNamesOptions } from "./published-names.ts";
import { Publisher } from "./publisher.ts";

export interface SharedStoreOptions extends PublishedNamesOptions {
  /** Generations of each name that are kept, with the current one. */
  readonly keepGenerations: number;
}

export class SharedStore implements AsyncDisposable {
  readonly names: PublishedNames;
  readonly aliases: PublishedAliases;
  readonly #options: SharedStoreOptions;

  /** @param local holds the copies of the names that this server uses */
  constructor(objects: ObjectStore, local: AdapterStore, options: SharedStoreOptions) {
    this.#options = options;
    this.names = new PublishedNames(objects, local, options);
    this.aliases = new PublishedAliases(objects, local, options);
  }

  /** Changes the names of one owner in the store. @param quota the most that a put may leave there */
  writerOf(tenant: string, quota: NamesQuota = {}): Publisher {
    const { maxAdapterBytes, keepGenerations, onFault = () => {} } = this.#options;
    return new Publisher(tenant, this, quota, { maxAdapterBytes, keepGenerations, onFault });
  }

  /** Changes the aliases of one owner in the store. */
  aliasWriterOf(tenant: string): AliasPublisher {
    return new AliasPublisher(tenant, this.aliases, this.names);
  }

  /** Waits for comparisons that run. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.names.settle(), this.aliases.settle()]);
  }
}
