/** A store in a directory of its own, opened anew for each test. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach } from "vitest";
import { encodeAdapter } from "../../../src/adapter/adapter-file.ts";
import type { AdapterNames } from "../../../src/store/adapter-names.ts";
import { type AdapterStore, openAdapterStore } from "../../../src/store/adapter-store.ts";
import { SHARED } from "../../../src/store/tenant.ts";
import { madeUpAdapter } from "../models/adapters.ts";

/** Files that differ in every number. */
export const file = (seed: number): Uint8Array => encodeAdapter(madeUpAdapter({ seed }));

// A new one of each for every test.
export let dir: string;
export let store: AdapterStore;
/** The names of one owner. */
export let names: AdapterNames;
/** Generations whose contents were dropped. */
export let dropped: string[];

export async function open(options: Parameters<typeof openAdapterStore>[1] = {}): Promise<void> {
  store = await openAdapterStore(dir, options);
  names = store.namesOf(SHARED);
  dropped = [];
  store.contents.onDropped((generation) => dropped.push(generation));
}

export async function reopen(): Promise<void> {
  await store.close();
  await open();
}

/** A new store for each test. */
export function useStore(): void {
  beforeEach(async () => {
    // A dot in the name: LMDB takes such a path for a file unless told otherwise.
    dir = mkdtempSync(join(tmpdir(), "mosara-store.v1-"));
    await open();
  });
  afterEach(async () => {
    await store.close();
    rmSync(dir, { recursive: true, force: true });
  });
}
