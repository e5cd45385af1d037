/**
 * The store as an engine process sees it: contents by generation, read-only, beside the process that writes.
 * Knows nothing of names, nor of what the bytes mean.
 */
import { openContentsTable } from "./database.ts";

/** What an engine process needs of the store: contents by generation. */
export interface AdapterContents {
  /** The file's bytes, in memory of the caller's own; whatever the server's process has put is found. */
  read(generation: string): Uint8Array | undefined;
  close(): Promise<void>;
}

/** Opens the contents in `dir` for reading beside the process that writes them. @throws Error when there is no store. */
export function openAdapterContents(dir: string): AdapterContents {
  const { root, contents } = openContentsTable(dir);
  return {
    read: (generation) => {
      const found = contents.get(generation);
      if (found) return found;
      // LMDB keeps a snapshot for about a millisecond: what another process has just put may not be in it.
      root.resetReadTxn();
      return contents.get(generation);
    },
    close: () => root.close(),
  };
}
