/** Lists the objects of a directory in the order of their keys, and reads only the folders that the page needs. */
import { type Dirent } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { isMissing, versionPath, versionsIn } from "./directory-versions.ts";
import type { ListedObject } from "./object-store.ts";

interface Candidate {
  readonly key: string;
  readonly isFolder: boolean;
}

/** @param prefix with a slash at its end. The rest is as in `ObjectStore.list`. */
export async function listFiles(
  root: string,
  prefix: string,
  { after = "", limit }: { readonly after?: string | undefined; readonly limit: number },
): Promise<{ readonly objects: readonly ListedObject[]; readonly hasMore: boolean }> {
  const objects: ListedObject[] = [];
  const open = candidatesIn(prefix, await entriesOf(join(root, prefix)), after);
  // A folder's key is smaller than the keys in it, so the smallest candidate comes before everything that is not read.
  for (let next = open.shift(); next; next = open.shift()) {
    const path = join(root, next.key);
    const entries = next.isFolder ? await entriesOf(path) : [];
    const versions = next.isFolder ? versionsIn(entries.map(({ name }) => name)) : "file";
    if (versions === null) {
      insert(open, candidatesIn(`${next.key}/`, entries, after));
      continue;
    }
    if (next.key <= after) continue;
    if (objects.length === limit) return { objects, hasMore: true };
    const bytes = await sizeOf(versionPath(path, versions));
    if (bytes !== null) objects.push({ key: next.key, bytes });
  }
  return { objects, hasMore: false };
}

/** The entries that may have keys after `after`, in order. "0" is the character after "/". */
function candidatesIn(prefix: string, entries: readonly Dirent[], after: string): Candidate[] {
  return entries
    .map((entry) => ({ key: `${prefix}${entry.name}`, isFolder: entry.isDirectory() }))
    .filter(({ key, isFolder }) => key > after || (isFolder && `${key}0` > after))
    .toSorted((a, b) => (a.key < b.key ? -1 : 1));
}

/** @param added in order */
function insert(open: Candidate[], added: readonly Candidate[]): void {
  let at = 0;
  for (const one of added) {
    while (at < open.length && (open[at]?.key ?? "") < one.key) at++;
    open.splice(at, 0, one);
  }
}

/** None where the folder was removed meanwhile. */
async function entriesOf(path: string): Promise<readonly Dirent[]> {
  try {
    return await readdir(path, { withFileTypes: true });
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}

/** @returns null: the object was removed meanwhile */
async function sizeOf(path: string): Promise<number | null> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if (isMissing(error)) return null;
    throw error;
  }
}
