/** A watched directory of adapters, its store, and what was reported of it. */
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect } from "vitest";
import { encodeAdapter, generationOf } from "../../../src/adapter/adapter-file.ts";
import { type AdapterDirectory, openAdapterDirectory } from "../../../src/store/directory/adapter-directory.ts";
import type { AdapterNames } from "../../../src/store/adapter-names.ts";
import { type AdapterStore, openAdapterStore } from "../../../src/store/adapter-store.ts";
import type { AdapterDirectoryOptions, DirectoryEvent } from "../../../src/store/directory/directory-options.ts";
import { SHARED } from "../../../src/store/tenant.ts";
import { madeUpAdapter } from "../models/adapters.ts";

export const file = (seed: number): Uint8Array => encodeAdapter(madeUpAdapter({ seed }));

export const generation = (seed: number): string => generationOf(file(seed));

// A new one of each for every test.
export let base: string;
/** The watched directory, below the base. */
export let dir: string;
export let store: AdapterStore;
export let names: AdapterNames;
export let directory: AdapterDirectory | undefined;
export const events: DirectoryEvent[] = [];

/** Watches another directory from the next start on. */
export function moveTo(name: string): void {
  dir = join(base, name);
  mkdirSync(dir);
}

export async function start(options: Partial<AdapterDirectoryOptions> = {}): Promise<void> {
  await directory?.close();
  const onEvent = (event: DirectoryEvent) => events.push(event);
  directory = await openAdapterDirectory(dir, store, { onEvent, debounceMs: 30, ...options });
}

export const write = (fileName: string, bytes: Uint8Array): void => writeFileSync(join(dir, fileName), bytes);

export const told = (): string[] => events.map(({ path, outcome }) => `${outcome} ${path.slice(dir.length + 1)}`);

/** A shared machine may take its time. */
export const eventually = <T>(value: () => T) => expect.poll(value, { timeout: 20_000 });

/** A new directory and a new store for each test. */
export function useAdapterDirectory(): void {
  beforeEach(async () => {
    base = realpathSync(mkdtempSync(join(tmpdir(), "mosara-directory-")));
    moveTo("adapters");
    store = await openAdapterStore(join(base, "data"));
    names = store.namesOf(SHARED);
    events.length = 0;
  });
  afterEach(async () => {
    await directory?.close();
    directory = undefined;
    await store.close();
    rmSync(base, { recursive: true, force: true });
  });
}
