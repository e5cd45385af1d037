/**
 * Records in their stored form. The owner and the name are the key. The targets are stored once for all records of a
 * kind. Knows nothing of contents.
 */
import { createHash } from "node:crypto";
import { LRUCache } from "lru-cache";
import type { AdapterRecord, RecordTarget } from "./adapter-record.ts";
import type { StoredRecord, Tables } from "./database.ts";

/** Lists of targets in memory. */
const MAX_KNOWN_TARGETS = 256;

export class StoredRecords {
  readonly #tables: Pick<Tables, "names" | "targets">;
  /** Lists of targets by their hash. Records of one kind share the same object. */
  readonly #knownTargets = new LRUCache<string, readonly RecordTarget[]>({ max: MAX_KNOWN_TARGETS });

  constructor(tables: Pick<Tables, "names" | "targets">) {
    this.#tables = tables;
  }

  /** The record of a key and a stored value. */
  whole([tenant, name]: readonly [string, string], stored: StoredRecord): AdapterRecord {
    if ("targets" in stored) return { ...stored, tenant, name };
    const { targetsId, name: _, ...record } = stored;
    // The spread comes last: V8 takes ten times as long to add properties after one (a list has thousands of records).
    return { tenant, name, targets: this.#targets(targetsId, name), ...record };
  }

  #targets(targetsId: string, name: string): readonly RecordTarget[] {
    const known = this.#knownTargets.get(targetsId);
    if (known) return known;
    const targets = this.#tables.targets.get(targetsId);
    if (!targets) throw new Error(`internal: the store has lost the targets of ${name}`);
    this.#knownTargets.set(targetsId, targets);
    return targets;
  }

  /** Writes a record, and its targets if they are new. Within a transaction. */
  put(key: [string, string], whole: AdapterRecord): void {
    void this.#tables.names.put(key, this.stored(whole));
  }

  /** The stored form of a record. Writes its targets if they are new. Within a transaction. */
  stored(whole: AdapterRecord): StoredRecord {
    const { targets, tenant: _, isEarlier: __, ...record } = whole;
    const targetsId = createHash("sha256").update(JSON.stringify(targets)).digest("hex");
    if (!this.#tables.targets.doesExist(targetsId)) void this.#tables.targets.put(targetsId, targets);
    return { ...record, targetsId };
  }
}
