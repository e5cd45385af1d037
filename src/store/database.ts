/**
 * The LMDB environment: its tables, the form of keys, and how it is opened for writing or reading. Keys contain the
 * owner, or are content hashes that all owners share. Knows nothing of adapters' bytes. Source: measurements of lmdb
 * 3.5, and its README, "Overlapping Sync Options".
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { type Database, type RootDatabase, open } from "lmdb";
import { quote } from "../errors.ts";
import type { AdapterRecord, RecordTarget } from "./adapter-record.ts";
import type { StoredAlias } from "./aliases/alias-record.ts";
import type { ErrorSample } from "./counts/error-samples.ts";
import { openEnvironment, SETTINGS } from "./lmdb/environment.ts";
import { DEFAULT_TENANT, SHARED } from "./tenant.ts";
import { withoutLooseRejections } from "./lmdb/transactions.ts";
import type { UsageCounts } from "./counts/usage.ts";

/** Greater than every character of a name, so `[owner, LAST]` ends an owner's keys. */
export const LAST = "\x7f";

/**
 * Version 2 stores the targets of a record separately, shared by equal lists. Records of version 1 contain their
 * targets and can still be read. Version 3 has owners of names: `migrateToOwners` converts the earlier ones. Version 4
 * has earlier generations of names and aliases. An earlier program would not count those as references.
 */
const FORMAT_VERSION = 4;
const OWNERLESS_VERSIONS: readonly unknown[] = [1, 2];
const EARLIER_VERSIONS: readonly unknown[] = [1, 2, 3];

const MAX_TABLES = 16;

/** A record in its stored form. Its owner is in its key. */
export type StoredRecord = Omit<AdapterRecord, "targets" | "tenant" | "isEarlier"> &
  ({ readonly targetsId: string } | Pick<AdapterRecord, "targets">);

/** The last import from a path, and its name. */
export interface ImportRecord {
  readonly generation: string;
  readonly name: string;
  /** State of the file when it was read, if a later state can show whether the file has changed. */
  readonly state?: string;
}

/** A number of names, and the bytes of their contents. */
export interface Totals {
  readonly names: number;
  readonly bytes: number;
}

/** The tables of a store. */
export interface Tables {
  readonly root: RootDatabase;
  /** [owner, name] → record. */
  readonly names: Database<StoredRecord, [string, string]>;
  /** [owner, name, number] → an earlier generation of the name. Higher numbers are newer. */
  readonly versions: Database<StoredRecord, [string, string, number]>;
  /** [owner, name] → alias. */
  readonly aliases: Database<StoredAlias, [string, string]>;
  /**
   * SHA-256 of a list of targets → the list. Adapters of one kind share one list, which takes 14 kB on a model of 24
   * layers. Reading it with every name would take most of the time. Lists are few and are never removed.
   */
  readonly targets: Database<readonly RecordTarget[], string>;
  /** generation → the file's bytes. */
  readonly contents: Database<Buffer, string>;
  /** generation → number of names and earlier generations of names that point to it; absent when none does. */
  readonly references: Database<number, string>;
  /** generation → true for contents that nothing points to, kept for sequences that still use them. */
  readonly leftovers: Database<true, string>;
  /** Owner → number of its names, and the sum of the sizes of all their generations' files. */
  readonly tenants: Database<Totals, string>;
  /** [owner, alias] → the counts by which the rule of the alias judges. */
  readonly errorSamples: Database<ErrorSample, [string, string]>;
  /** [tenant, day, adapter] → the counts of use. */
  readonly usage: Database<UsageCounts, [string, string, string]>;
  /** Zeros for pages whose content was deleted; empty except while they are written. */
  readonly scrub: Database<Buffer, number>;
  /** ["shared", SHA-256 of the path] → import. Paths may be longer than a key can be. */
  readonly imports: Database<ImportRecord & { readonly path: string }, [string, string]>;
  /** "formatVersion" → number, "totals" → Totals. */
  readonly meta: Database<number | Totals, string>;
}

/**
 * Opens the tables in `dir`, creating them when `isReadOnly` is false.
 * @throws Error when `dir` cannot be used, or was written by a program version with another layout.
 */
export async function openTables(dir: string, isReadOnly: boolean): Promise<Tables> {
  const root = openRoot(dir, isReadOnly);
  const table = <V, K extends string | number | [string, string] | [string, string, string | number]>(
    name: string,
    encoding: "json" | "binary",
  ) => {
    const opened = root.openDB<V, K>({ name, encoding });
    return isReadOnly ? opened : withoutLooseRejections(opened);
  };
  const tables: Tables = {
    root,
    names: table("names", "json"),
    versions: table("versions", "json"),
    aliases: table("aliases", "json"),
    targets: table("targets", "json"),
    contents: table("contents", "binary"),
    references: table("references", "json"),
    leftovers: table("leftovers", "json"),
    tenants: table("tenants", "json"),
    errorSamples: table("errorSamples", "json"),
    usage: table("usage", "json"),
    scrub: table("scrub", "binary"),
    imports: table("imports", "json"),
    meta: table("meta", "json"),
  };
  try {
    bringToLayout(tables, dir, isReadOnly);
  } catch (error) {
    await root.close();
    throw error;
  }
  return tables;
}

/** Checks the layout of a store, and converts an earlier one. @throws Error as `openTables`. */
function bringToLayout(tables: Tables, dir: string, isReadOnly: boolean): void {
  const version = tables.meta.get("formatVersion");
  const isOld = EARLIER_VERSIONS.includes(version);
  if (isOld && isReadOnly)
    throw new Error(
      `the adapter store in ${dir} has the earlier layout ${quote(version)}. Start the server on it once, which converts it to layout ${FORMAT_VERSION}`,
    );
  const isKnown = version === undefined ? !isReadOnly : isOld || version === FORMAT_VERSION;
  if (!isKnown)
    throw new Error(
      `the adapter store in ${dir} has layout ${quote(version)}, but this program reads ${FORMAT_VERSION}. Use another --data directory`,
    );
  if (!isReadOnly && version !== FORMAT_VERSION)
    tables.root.transactionSync(() => {
      if (OWNERLESS_VERSIONS.includes(version)) migrateToOwners(tables);
      void tables.meta.put("formatVersion", FORMAT_VERSION);
    });
}

/** Only the contents, for a process that only reads. @throws Error when there is no store in `dir`. */
export function openContentsTable(dir: string): Pick<Tables, "root" | "contents"> {
  const root = openRoot(dir, true);
  return { root, contents: root.openDB<Buffer, string>({ name: "contents", encoding: "binary" }) };
}

/**
 * Converts a store of an earlier layout, in which every key began with the same tenant. Its names become shared,
 * because every key of the server could read them. Within a transaction, so a killed process leaves the old layout.
 */
function migrateToOwners({ names, imports, tenants }: Pick<Tables, "names" | "imports" | "tenants">): void {
  const range = { start: [DEFAULT_TENANT, ""], end: [DEFAULT_TENANT, LAST] } satisfies Record<string, [string, string]>;
  let bytes = 0;
  // Lists, because the loops change the tables that they read.
  const records = Array.from(names.getRange(range));
  for (const { key, value } of records) {
    void names.put([SHARED, key[1]], value);
    void names.remove(key);
    bytes += value.bytes;
  }
  if (records.length > 0) void tenants.put(SHARED, { names: records.length, bytes });
  for (const { key, value } of Array.from(imports.getRange(range))) {
    void imports.put([SHARED, key[1]], value);
    void imports.remove(key);
  }
}

function openRoot(dir: string, isReadOnly: boolean): RootDatabase {
  if (!isReadOnly) return openEnvironment(dir, MAX_TABLES);
  if (!existsSync(join(dir, "data.mdb"))) throw new Error(`there is no adapter store in ${dir}`);
  return open({ ...SETTINGS, path: dir, readOnly: true, maxDbs: MAX_TABLES });
}
