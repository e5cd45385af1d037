/**
 * The store as an engine process sees it: contents by generation, read-only, while another process writes. Knows
 * neither names nor the meaning of the bytes.
 */
import { openContentsTable } from "./database.ts";

/** The part of the store that an engine process needs: contents by generation. */
export interface AdapterContents {
  /** The file's bytes, in the caller's own memory. It also finds contents that the server's process has just put. */
  read(generation: string): Uint8Array | undefined;
  close(): Promise<void>;
}

/** Opens the contents in `dir` for reading, while another process writes them. @throws Error when there is no store. */
export function openAdapterContents(dir: string): AdapterContents {
  const { root, contents } = openContentsTable(dir);
  return {
    read: (generation) => {
      const found = contents.get(generation);
      if (found) return found;
      // LMDB keeps a snapshot for about a millisecond. A content that another process has just put may be missing from
      // it.
      root.resetReadTxn();
      return contents.get(generation);
    },
    close: () => root.close(),
  };
}
