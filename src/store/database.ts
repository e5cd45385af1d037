/**
 * The LMDB environment: its tables, the form of keys, and how it is opened for writing or reading. Keys contain the tenant, or are content
 * hashes that all tenants share. Knows nothing of adapters' bytes. Source: measurements of lmdb 3.5, and its README, "Overlapping Sync
 * Options".
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { type Database, type RootDatabase, open } from "lmdb";
import type { AdapterRecord, RecordTarget } from "./adapter-record.ts";

/** The only namespace for now. Every key of a name, an import or a total contains it. */
export const TENANT = "default";

/** Greater than every character of a name, so `[tenant, LAST]` ends a tenant's keys. */
export const LAST = "\x7f";

/**
 * Version 2 stores the targets of a record separately, shared by equal lists. Records of version 1 contain their
 * targets and can still be read.
 */
const FORMAT_VERSION = 2;
const KNOWN_VERSIONS: readonly unknown[] = [1, FORMAT_VERSION];

/** A record in its stored form. */
export type StoredRecord = Omit<AdapterRecord, "targets"> &
  ({ readonly targetsId: string } | Pick<AdapterRecord, "targets">);

/** The last import from a path, and its name. */
export interface ImportRecord {
  readonly generation: string;
  readonly name: string;
  /** State of the file when it was read, if a later state can show whether the file has changed. */
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
   * SHA-256 of a list of targets → the list. Adapters of one kind share one list, which takes 14 kB on a model of 24 layers. Reading it
   * with every name would take most of the time. Lists are few and are never removed.
   */
  readonly targets: Database<readonly RecordTarget[], string>;
  /** generation → the file's bytes. */
  readonly contents: Database<Buffer, string>;
  /** generation → number of names that point to it; absent when none does. */
  readonly references: Database<number, string>;
  /** generation → true for contents without a name, kept for sequences that still use them. */
  readonly leftovers: Database<true, string>;
  /** [tenant, SHA-256 of the path] → import. Paths may be longer than a key can be. */
  readonly imports: Database<ImportRecord & { readonly path: string }, [string, string]>;
  /** "formatVersion" → number, "totals" → Totals. */
  readonly meta: Database<number | Totals, string>;
}

/**
 * Opens the tables in `dir`, creating them when `isReadOnly` is false.
 * @throws Error when `dir` cannot be used, or was written by a program version with another layout.
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
      `the adapter store in ${dir} has layout ${JSON.stringify(version)}, but this program reads ${FORMAT_VERSION}. Use another --data directory`,
    );
  return tables;
}

/** Only the contents, for a process that only reads. @throws Error when there is no store in `dir`. */
export function openContentsTable(dir: string): Pick<Tables, "root" | "contents"> {
  const root = openRoot(dir, true);
  return { root, contents: root.openDB<Buffer, string>({ name: "contents", encoding: "binary" }) };
}

function openRoot(dir: string, isReadOnly: boolean): RootDatabase {
  if (isReadOnly && !existsSync(join(dir, "data.mdb"))) throw new Error(`there is no adapter store in ${dir}`);
  // Without this, LMDB derives noSubdir from a dot in the name. Readers are processes here, of which there are few.
  return open({ path: dir, readOnly: isReadOnly, noSubdir: false, maxDbs: 16 });
}
