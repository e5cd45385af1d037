/**
 * The thread that makes adapters ready, on a real base and store: what is wanted ahead is ready although the engine's
 * own thread had no turn meanwhile, comes once, and is what a sequence then runs with. The thread runs compiled, from
 * dist (`npm test` builds it).
 */
import { execFileSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { afterAll, describe, expect, it } from "vitest";
import { openBase } from "../../../src/base/base.ts";
import { ReadyAdapters } from "../../../src/engine/adapters/ready-adapters.ts";
import type { LoadReply } from "../../../src/engine/adapters/adapter-loader.ts";
import type * as Loader from "../../../src/engine/adapters/adapter-loader.ts";
import type * as Supervisor from "../../../src/engine/server/supervisor.ts";
import { wantedLine } from "../../../src/engine/wanted-line.ts";
import { openAdapterStore } from "../../../src/store/adapter-store.ts";
import { SHARED } from "../../../src/store/tenant.ts";
import { adapterFile } from "../../helpers/models/base-adapters.ts";
import { builtBase } from "../../helpers/models/bases.ts";
import { fixturesDir } from "../../helpers/fixtures.ts";
import { sequenceRequest } from "../../helpers/engine/sequences.ts";
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
  generations.push(
    (await store.namesOf(SHARED).put(`adapter-${seed}`, adapterFile(manifest, { seed }))).record.generation,
  );
const [first, second, third] = generations as [string, string, string];

/** A loader with a named pipe in the server's place. */
function startLoader(): {
  readonly loader: Loader.AdapterLoader;
  readonly want: (generation: string) => void;
  readonly stop: () => Promise<void>;
} {
  const path = join(mkdtempSync(join(scratch, "pipe-")), "wanted");
  execFileSync("mkfifo", [path]);
  const [reading, writing] = [openSync(path, "r+"), openSync(path, "r+")];
  const loader = new AdapterLoader({
    storeDir,
    layout,
    signature,
    maxLiveRank: 64,
    wantedFd: reading,
  });
  return {
    loader,
    want: (generation) => void writeSync(writing, wantedLine({ generation })),
    stop: async () => {
      await loader[Symbol.asyncDispose](); // which closes its end
      closeSync(writing);
    },
  };
}

/** A reply without its numbers. */
const textOf = ({ generation, isAhead, outcome }: LoadReply): string =>
  `${isAhead ? "ahead" : "ordered"} ${generation} ${"row" in outcome ? "row" : outcome.error.code}`;

describe("the thread that makes adapters ready", () => {
  it("has made ready what is wanted when the engine's thread has its next turn, however long it computed", async () => {
    const { loader, want, stop } = startLoader();
    const cache = new ReadyAdapters(loader.order, 2 ** 30);
    loader.onReply((reply) => cache.receive(reply));
    cache.prepare({ generation: second });
    await until("the thread to run", () => cache.takeChanges().loaded.length > 0);
    want(first);
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2000);
    await nextTurn();
    await nextTurn();
    expect(cache.get({ generation: first })).toMatchObject({ generation: first });
    expect(cache.takeStats()).toMatchObject({ hits: 0, misses: 1 });
    await stop();
  });

  it("replies once to orders of both ways that come before the reply is read, and again to later ones", async () => {
    const { loader, want, stop } = startLoader();
    const replies: string[] = [];
    loader.onReply((reply) => void replies.push(textOf(reply)));
    for (const generation of [first, first, "gone", second]) want(generation);
    await until("the second one", () => replies.length === 3);
    expect(replies).toEqual([`ahead ${first} row`, "ahead gone adapter_not_found", `ahead ${second} row`]);
    loader.order({ generation: third });
    loader.order({ generation: third });
    await until("the third one", () => replies.length === 4);
    for (const generation of [third, second, first]) want(generation); // the third's reply may not have been read yet
    await until("the first one again", () => replies.length === 6);
    expect(replies.slice(3)).toEqual([`ordered ${third} row`, `ahead ${second} row`, `ahead ${first} row`]);
    loader.order({ generation: "gone" });
    await until("the failure", () => replies.length === 7);
    expect(replies[6]).toBe("ordered gone adapter_not_found");
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
        maxDraft: 0,
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
    engine.prepareAdapter({ generation: first });
    await until("the adapter", async () => {
      await run(null); // its report says what is held
      return last.adapterCacheBytes > 0;
    });
    expect(last).toMatchObject({ adapterCacheHits: 0, adapterCacheMisses: 0 });
    await run({ generation: first });
    await engine.stop(0);
  });
});
