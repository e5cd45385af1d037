/**
 * The thread that makes adapters ready, on a real base and store: what is wanted ahead is ready although the engine's own thread had no
 * turn meanwhile, comes once, and is what a sequence then runs with. The thread runs compiled, from dist (`npm test` builds it).
 */
import { execFileSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { afterAll, describe, expect, it } from "vitest";
import { openBase } from "../../../src/base/base.ts";
import { ReadyAdapters } from "../../../src/engine/adapters/adapter-cache.ts";
import type * as Loader from "../../../src/engine/adapters/adapter-loader.ts";
import type * as Supervisor from "../../../src/engine/server/supervisor.ts";
import type { AdapterRow } from "../../../src/engine/adapters/adapter-row.ts";
import { openAdapterStore } from "../../../src/store/adapter-store.ts";
import { adapterFile } from "../../helpers/base-adapters.ts";
import { builtBase } from "../../helpers/bases.ts";
import { fixturesDir } from "../../helpers/fixtures.ts";
import { sequenceRequest } from "../../helpers/sequences.ts";
import { until } from "../../helpers/server.ts";

const compiled = (name: string): string => new URL(`../../../dist/src/engine/${name}.js`, import.meta.url).href;
const { AdapterLoader } = (await import(compiled("adapters/adapter-loader"))) as typeof Loader;
const { createEngine } = (await import(compiled("server/supervisor"))) as typeof Supervisor;

const scratch = mkdtempSync(join(tmpdir(), "mosara-loader-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const baseDir = await builtBase(join(fixturesDir("training"), "base"));
await using base = await openBase(baseDir);
const { layout, signature, manifest } = base;
const storeDir = join(scratch, "store");
await using store = await openAdapterStore(storeDir);
const NUM_ADAPTERS = 4;
const generations: string[] = [];
for (let seed = 1; seed <= NUM_ADAPTERS; seed++)
  generations.push((await store.put(`adapter-${seed}`, adapterFile(manifest, { seed }))).record.generation);
const [first, second, third] = generations as [string, string, string];

/** A loader that is told over a named pipe what is wanted. */
function startLoader(): {
  readonly loader: Loader.AdapterLoader;
  readonly want: (generation: string) => void;
  readonly stop: () => Promise<void>;
} {
  const path = join(mkdtempSync(join(scratch, "pipe-")), "wanted");
  execFileSync("mkfifo", [path]);
  const [reading, writing] = [openSync(path, "r+"), openSync(path, "r+")];
  const loader = new AdapterLoader({ storeDir, layout, signature, maxLiveRank: 64, wantedFd: reading });
  return {
    loader,
    want: (generation) => void writeSync(writing, `${generation}\n`),
    stop: async () => {
      await loader.close(); // which closes its end
      closeSync(writing);
    },
  };
}

describe("the thread that makes adapters ready", () => {
  it("has made ready what is wanted when the engine's thread has its next turn, however long it computed", async () => {
    const { loader, want, stop } = startLoader();
    const cache = new ReadyAdapters(loader.load, 2 ** 30, loader.forget);
    loader.onWanted((row) => cache.offer(row));
    await loader.load({ generation: second }); // it runs
    want(first);
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2000);
    await nextTurn();
    await nextTurn();
    expect(cache.get({ generation: first })).toMatchObject({ generation: first });
    expect(cache.takeStats()).toMatchObject({ hits: 0, misses: 1 });
    await stop();
  });

  it("gives a row once, whoever wants it, until it is forgotten", async () => {
    const { loader, want, stop } = startLoader();
    const given: string[] = [];
    loader.onWanted((row: AdapterRow) => void given.push(row.generation));
    for (const generation of [first, first, "gone", second]) want(generation);
    await until("the second one", () => given.includes(second));
    expect(given).toEqual([first, second]);
    loader.forget(first);
    await loader.load({ generation: third }); // behind it in the same queue
    for (const generation of [third, second, first]) want(generation);
    await until("the first one again", () => given.length === 3);
    expect(given).toEqual([first, second, first]);
    await expect(loader.load({ generation: "gone" })).rejects.toMatchObject({ code: "adapter_not_found" });
    await stop();
  });
});

describe("an engine process", () => {
  it("makes an adapter ready that is wanted before any sequence asks for it", async () => {
    const engine = createEngine({
      engine: {
        baseDir,
        storeDir,
        device: "cpu",
        numThreads: 1,
        maxNumSeqs: 2,
        maxModelLen: 64,
        kvCacheBytes: 2 ** 28,
        adapterCacheBytes: 2 ** 28,
        maxLiveRank: 64,
        maxQueue: 8,
        maxQueueTokens: 1000,
        usesPrefixCache: false,
        requiresBatchInvariance: true,
        takesAdapters: true,
      },
      maxMerged: 0,
      prepareMerged: () => Promise.reject(new Error("nothing is merged here")),
      measureMerge: () => Promise.reject(new Error("nothing is merged here")),
    });
    let last = { adapterCacheBytes: 0, adapterCacheHits: 0, adapterCacheMisses: 0 };
    engine.onStats((stats) => {
      last = stats;
    });
    await engine.whenReady();
    const run = async (adapter: { generation: string } | null): Promise<void> => {
      for await (const event of engine.submit(sequenceRequest([1, 2, 3], { adapter, maxTokens: 1 })))
        expect(event.type).not.toBe("prompt-scored");
    };
    engine.prepareAdapter(first);
    await until("the adapter", async () => {
      await run(null); // its report tells what is held
      return last.adapterCacheBytes > 0;
    });
    expect(last).toMatchObject({ adapterCacheHits: 0, adapterCacheMisses: 0 });
    await run({ generation: first });
    await engine.stop(0);
  });
});
