/** Ready adapters: kept within bytes, the longest unused go first, and nothing but a fitting adapter gets in. */
import { describe, expect, it } from "vitest";
import type { Adapter, BaseSignature } from "../../../src/adapter/adapter.ts";
import { encodeAdapter } from "../../../src/adapter/adapter-file.ts";
import { openBase } from "../../../src/base/base.ts";
import { ReadyAdapters } from "../../../src/engine/adapters/ready-adapters.ts";
import type { LoadReply } from "../../../src/engine/adapters/adapter-loader.ts";
import type { AdapterRow } from "../../../src/engine/adapters/adapter-row.ts";
import { loadAdapter } from "../../../src/engine/adapters/load-adapter.ts";
import type { AdapterRef } from "../../../src/engine/protocol.ts";
import { toWire } from "../../../src/errors.ts";
import type { AdapterLayout } from "../../../src/model/adapter-layout.ts";
import { idOf, madeUpAdapter } from "../../helpers/models/adapters.ts";
import { builtBase } from "../../helpers/models/bases.ts";
import { fixturesDir } from "../../helpers/fixtures.ts";
import { join } from "node:path";

const baseDir = await builtBase(join(fixturesDir("training"), "base"));

async function opened(): Promise<{ signature: BaseSignature; layout: AdapterLayout }> {
  await using base = await openBase(baseDir);
  return { signature: base.signature, layout: base.layout };
}
const { signature, layout } = await opened();

/** An adapter that fits the base, on its first target. */
function fitting(seed: number, changes: Partial<Adapter> = {}): Adapter {
  const [name, linear] = [...signature.linears].find(([, one]) => one.basisId !== undefined)!; // a base with targets
  const { dIn, dOut, k, basisId } = linear;
  const made = madeUpAdapter({ targetNames: [name], dIn, dOut, k: k!, seed }); // a target has a k
  return {
    ...made,
    baseId: signature.baseId,
    targets: made.targets.map((target) => ({ ...target, basisId: basisId! })), // and an id
    ...changes,
  };
}

class Contents {
  readonly #files = new Map<string, Uint8Array>();
  numReads = 0;

  put(adapter: Adapter): string {
    const bytes = encodeAdapter(adapter);
    const generation = idOf(Buffer.from(bytes).toString("base64"));
    this.#files.set(generation, bytes);
    return generation;
  }

  read(generation: string): Uint8Array | undefined {
    this.numReads++;
    return this.#files.get(generation);
  }
}

interface TestCache {
  readonly cache: ReadyAdapters;
  /** The server orders an adapter ahead, and its row comes. */
  readonly offer: (row: AdapterRow) => void;
  /** Generations that it said it holds no more, in order. */
  readonly forgotten: () => readonly string[];
  /** Asks until it is there. */
  readonly get: (ref: AdapterRef) => Promise<AdapterRow>;
}

function cacheOf(contents: Contents, maxBytes: number): TestCache {
  const outcomeOf = (ref: AdapterRef): LoadReply["outcome"] => {
    try {
      return { row: loadAdapter(ref, contents, { layout, signature, maxLiveRank: 64 }), seconds: 0.25 };
    } catch (error) {
      return { error: toWire(error) };
    }
  };
  const order = (ref: AdapterRef): void =>
    queueMicrotask(() => cache.receive({ generation: ref.generation, isAhead: false, outcome: outcomeOf(ref) }));
  const cache = new ReadyAdapters(order, maxBytes);
  const released: string[] = [];
  const forgotten = (): readonly string[] => {
    released.push(...cache.takeChanges().released);
    return released;
  };
  const offer = (row: AdapterRow): void =>
    cache.receive({ generation: row.generation, isAhead: true, outcome: { row, seconds: 0.5 } });
  const get = async (ref: AdapterRef): Promise<AdapterRow> => {
    const ready = new Promise<void>((resolve) => cache.onReady(resolve));
    const row = cache.get(ref);
    if (row !== null) return row;
    await ready;
    return cache.get(ref)!; // it has just become ready
  };
  return { cache, offer, forgotten, get };
}

describe("the cache of ready adapters", () => {
  it("reads a generation once, and counts hits and misses since it was asked", async () => {
    const contents = new Contents();
    const generation = contents.put(fitting(1));
    const { cache, get } = cacheOf(contents, 2 ** 30);
    const row = await get({ generation });
    expect(await get({ generation })).toBe(row);
    expect(row.generation).toBe(generation);
    expect(contents.numReads).toBe(1);
    expect(cache.takeStats()).toEqual({ bytes: row.bytes, hits: 1, misses: 1 });
    expect(cache.takeStats()).toMatchObject({ hits: 0, misses: 0 });
  });

  it("holds no more than its bytes, and drops what was not used for longest", async () => {
    const contents = new Contents();
    const generations = [1, 2, 3, 4].map((seed) => contents.put(fitting(seed)));
    const size = (await cacheOf(contents, 2 ** 30).get({ generation: generations[0]! })).bytes; // four of them
    const { cache, get: getRow } = cacheOf(contents, 3 * size + size / 2);
    const get = (i: number) => getRow({ generation: generations[i]! }); // as above
    const kept = [await get(0), await get(1), await get(2)];
    await get(0);
    await get(3);
    expect(cache.takeStats().bytes).toBe(3 * size);
    expect(await get(0)).toBe(kept[0]);
    expect(await get(2)).toBe(kept[2]);
    expect(await get(1)).not.toBe(kept[1]);
    expect(await get(1)).toEqual(kept[1]);
    expect(cache.takeStats().bytes).toBeLessThanOrEqual(3.5 * size);
  });

  it.each([0, 1, 100])("serves what does not fit into %i bytes without keeping it", async (maxBytes) => {
    const contents = new Contents();
    const generation = contents.put(fitting(1));
    const { cache, get } = cacheOf(contents, maxBytes);
    expect(await get({ generation })).toEqual(await get({ generation }));
    expect(contents.numReads).toBe(2);
    expect(cache.takeStats()).toEqual({ bytes: 0, hits: 0, misses: 2 });
  });

  it("forgets a dropped generation and its bytes", async () => {
    const contents = new Contents();
    const generation = contents.put(fitting(1));
    const { cache, get } = cacheOf(contents, 2 ** 30);
    await get({ generation });
    cache.drop(generation);
    expect(cache.takeStats().bytes).toBe(0);
    await get({ generation });
    expect(contents.numReads).toBe(2);
  });

  it("takes an inline adapter's bytes from the request, not from the store", async () => {
    const contents = new Contents();
    const adapter = fitting(9);
    const row = await cacheOf(contents, 2 ** 30).get({ generation: "inline", inlineBytes: encodeAdapter(adapter) });
    expect(contents.numReads).toBe(0);
    expect(row.gains.some((values) => values.some((value) => value !== 0))).toBe(true);
  });

  it("refuses what is gone, what is no adapter, and what does not fit, and keeps none of it", async () => {
    const contents = new Contents();
    const { cache, get } = cacheOf(contents, 2 ** 30);
    const code = (ref: AdapterRef): Promise<unknown> =>
      get(ref).then(
        () => "none",
        (error: { code?: string }) => error.code,
      );
    const [target] = fitting(1).targets;
    expect(await code({ generation: "gone" })).toBe("adapter_not_found");
    expect(await code({ generation: "bad", inlineBytes: Uint8Array.of(1, 2, 3) })).toBe("adapter_invalid");
    const unfit: Partial<Adapter>[] = [
      { baseId: idOf("another base") },
      { targets: [{ ...target!, basisId: idOf("another basis") }] }, // it has one
      { targets: [{ ...target!, name: "layers.99.self_attn.q_proj" }] }, // it has one
    ];
    for (const changes of unfit)
      expect(await code({ generation: contents.put(fitting(1, changes)) })).toBe("adapter_incompatible");
    expect(cache.takeStats().bytes).toBe(0);
  });

  it("makes ready ahead what is wanted, a few at a time, and reports to a sequence that came too early", async () => {
    const contents = new Contents();
    const generations = Array.from({ length: 12 }, (_, seed) => contents.put(fitting(seed)));
    const { cache, get } = cacheOf(contents, 2 ** 30);
    for (const generation of [...generations, ...generations]) cache.prepare({ generation });
    await get({ generation: generations[11]! }); // there are twelve
    expect(contents.numReads).toBe(12);
    for (const generation of generations.slice(4, 11)) expect(cache.get({ generation })).not.toBeNull();
    expect(contents.numReads).toBe(12);
    expect(cache.takeStats()).toMatchObject({ hits: 0, misses: 8 });
  });

  it("takes in what comes unasked, and counts its first use as a miss", async () => {
    const contents = new Contents();
    const generation = contents.put(fitting(1));
    const row = loadAdapter({ generation }, contents, { layout, signature, maxLiveRank: 64 });
    const { cache, offer, forgotten } = cacheOf(contents, row.bytes);
    let numReady = 0;
    cache.onReady(() => numReady++);
    offer(row);
    expect(numReady).toBe(1);
    expect([cache.get({ generation }), cache.get({ generation })]).toEqual([row, row]);
    expect(contents.numReads).toBe(1);
    expect(cache.takeStats()).toEqual({ bytes: row.bytes, hits: 1, misses: 1 });
    offer({ ...row, generation: "larger", bytes: row.bytes + 1 });
    expect(cache.takeStats().bytes).toBe(row.bytes);
    expect(forgotten()).toEqual(["larger"]);
  });

  it("holds nothing of 1000 generations that came, were used, and were replaced, and says so of each of them once", async () => {
    const contents = new Contents();
    const whole = contents.put(fitting(1));
    const row = loadAdapter({ generation: whole }, contents, { layout, signature, maxLiveRank: 64 });
    const { cache, offer, forgotten, get } = cacheOf(contents, 20 * row.bytes);
    const generations: string[] = [];
    for (let i = 0; i < 500; i++) {
      generations.push(`unasked-${i}`, contents.put(fitting(i)));
      const [unasked, asked] = generations.slice(-2) as [string, string];
      offer({ ...row, generation: unasked });
      if (i % 2 === 0) await get({ generation: unasked });
      if (i % 3 === 0) await get({ generation: asked });
      else cache.prepare({ generation: asked });
      if (i % 5 === 0) cache.drop(asked); // also while it is being made ready
      if (i >= 30) for (const replaced of generations.slice(-60, -58)) cache.drop(replaced);
    }
    await new Promise((resolve) => setImmediate(resolve)); // what is being made ready
    for (const generation of generations) cache.drop(generation);
    expect(cache.takeStats().bytes).toBe(0);
    expect(forgotten().toSorted()).toEqual(generations.toSorted());
  });
});
