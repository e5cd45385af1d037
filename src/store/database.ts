/**
 * The LMDB environment: which tables there are, how keys look, and how it is opened for writing or reading.
 * Keys carry the tenant, or are content hashes that all tenants share. Knows nothing of adapters' bytes.
 * Source: measurements of lmdb 3.5, and its README, "Overlapping Sync Options".
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { type Database, type RootDatabase, open } from "lmdb";
import type { AdapterRecord, RecordTarget } from "./adapter-record.ts";

/** The one namespace there is for now; every key of a name, an import or a total carries it. */
export const TENANT = "default";

/** Greater than every character of a name, so `[tenant, LAST]` ends a tenant's keys. */
export const LAST = "\x7f";

/** 2 keeps the targets of a record apart, where its equals find them; records of 1 have them inside and are read as they are. */
const FORMAT_VERSION = 2;
const KNOWN_VERSIONS: readonly unknown[] = [1, FORMAT_VERSION];

/** A record as it is kept. */
export type StoredRecord = Omit<AdapterRecord, "targets"> &
  ({ readonly targetsId: string } | Pick<AdapterRecord, "targets">);

/** What was last imported from a path, under which name. */
export interface ImportRecord {
  readonly generation: string;
  readonly name: string;
  /** What the file looked like from outside when it was read, where that will tell whether it has changed since. */
  readonly state?: string;
}

/** Number of names and bytes of contents. */
export interface Totals {
  readonly names: number;
  readonly bytes: number;
}

/** The tables of a store. */
export interface Tables {
  readonly root: RootDatabase;
  /** [tenant, name] → record. */
  readonly names: Database<StoredRecord, [string, string]>;
  /**
   * SHA-256 of a list of targets → the list. Adapters of one kind share one, which takes 14 kB on a model of 24 layers: to read it with
   * every name would take most of the time. Lists are few and stay.
   */
  readonly targets: Database<readonly RecordTarget[], string>;
  /** generation → the file's bytes. */
  readonly contents: Database<Buffer, string>;
  /** generation → how many names point to it; absent when none does. */
  readonly references: Database<number, string>;
  /** generation → true for contents that no name points to, kept for whoever still runs on them. */
  readonly leftovers: Database<true, string>;
  /** [tenant, SHA-256 of the path] → import. Paths may be longer than a key can be. */
  readonly imports: Database<ImportRecord & { readonly path: string }, [string, string]>;
  /** "formatVersion" → number, "totals" → Totals. */
  readonly meta: Database<number | Totals, string>;
}

/**
 * Opens the tables in `dir`, making them when `isReadOnly` is false.
 * @throws Error when `dir` cannot be used, or was written by a version of the program that laid it out differently.
 */
export function openTables(dir: string, isReadOnly: boolean): Tables {
  const root = openRoot(dir, isReadOnly);
  const table = <V, K extends string | [string, string]>(name: string, encoding: "json" | "binary") =>
    root.openDB<V, K>({ name, encoding });
  const tables: Tables = {
    root,
    names: table("names", "json"),
    targets: table("targets", "json"),
    contents: table("contents", "binary"),
    references: table("references", "json"),
    leftovers: table("leftovers", "json"),
    imports: table("imports", "json"),
    meta: table("meta", "json"),
  };
  const version = tables.meta.get("formatVersion");
  const isKnown = version === undefined ? !isReadOnly : KNOWN_VERSIONS.includes(version);
  if (isKnown && !isReadOnly) tables.meta.putSync("formatVersion", FORMAT_VERSION);
  if (!isKnown)
    throw new Error(
      `the adapter store in ${dir} has layout ${JSON.stringify(version)}, this program knows ${FORMAT_VERSION}; use another --data directory`,
    );
  return tables;
}

/** The contents alone, for a process that only reads. @throws Error when there is no store in `dir`. */
export function openContentsTable(dir: string): Pick<Tables, "root" | "contents"> {
  const root = openRoot(dir, true);
  return { root, contents: root.openDB<Buffer, string>({ name: "contents", encoding: "binary" }) };
}

function openRoot(dir: string, isReadOnly: boolean): RootDatabase {
  if (isReadOnly && !existsSync(join(dir, "data.mdb"))) throw new Error(`there is no adapter store in ${dir}`);
  // noSubdir is guessed from a dot in the name otherwise. Readers are processes here, of which there are few.
  return open({ path: dir, readOnly: isReadOnly, noSubdir: false, maxDbs: 16 });
}
