import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { encodeAdapter, generationOf } from "../../src/adapter/adapter-file.ts";
import { type AdapterStore, openAdapterStore } from "../../src/store/adapter-store.ts";
import { SHARED } from "../../src/store/tenant.ts";
import { parseReference } from "../../src/store/version-reference.ts";
import { findVisible, visibleWithGeneration } from "../../src/store/visible-names.ts";
import { madeUpAdapter } from "../helpers/models/adapters.ts";

const file = (seed: number): Uint8Array => encodeAdapter(madeUpAdapter({ seed }));
const hash = (seed: number): string => generationOf(file(seed));
const back = (steps: number) => ({ kind: "back", steps }) as const;
const prefix = (text: string) => ({ kind: "prefix", prefix: text }) as const;

let dir: string;
let store: AdapterStore;
const reopen = async (keepGenerations: number): Promise<void> => {
  await store.close();
  store = await openAdapterStore(dir, { keepGenerations });
};
beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), "mosara-versions-"));
  store = await openAdapterStore(dir, { keepGenerations: 3 });
});
afterEach(async () => {
  await store.close();
  rmSync(dir, { recursive: true, force: true });
});

const kept = (name = "a", owner = "acme"): readonly string[] =>
  store
    .namesOf(owner)
    .versions(name)
    .map(({ generation }) => generation);
async function putAll(seeds: readonly number[], name = "a", owner = "acme"): Promise<void> {
  for (const seed of seeds) await store.namesOf(owner).put(name, file(seed));
}

describe("generations of a name", () => {
  it("are kept as many as the policy says, the newest first; older contents are gone, also after a restart", async () => {
    await putAll([1, 2, 3, 4, 5]);
    expect(kept()).toEqual([hash(5), hash(4), hash(3)]);
    await reopen(3);
    expect(kept()).toEqual([hash(5), hash(4), hash(3)]);
    expect([1, 2, 3, 4, 5].map((seed) => store.content(hash(seed)) !== undefined)).toEqual([
      false,
      false,
      true,
      true,
      true,
    ]);
    expect(store.totalBytes()).toBe([3, 4, 5].reduce((sum, seed) => sum + file(seed).length, 0));
    expect([store.count(), store.namesOf("acme").totals().names]).toEqual([1, 1]);
  });

  it("are fewer after the next change, when the policy keeps fewer", async () => {
    await putAll([1, 2, 3]);
    await reopen(1);
    await putAll([4]);
    expect(kept()).toEqual([hash(4)]);
    expect(store.totalBytes()).toBe(file(4).length);
  });

  it("appear once each: content that returns moves to the front", async () => {
    await putAll([1, 2, 1, 1, 2]);
    expect(kept()).toEqual([hash(2), hash(1)]);
    expect(store.namesOf("acme").totals().bytes).toBe(file(1).length + file(2).length);
    await store.namesOf("acme").delete("a");
    expect([store.totalBytes(), store.count(), store.namesOf("acme").totals().bytes]).toEqual([0, 0, 0]);
    expect(kept()).toEqual([]);
    await putAll([3]);
    expect(kept()).toEqual([hash(3)]);
  });

  it("give way to the quota of bytes, the oldest first, and the current one never does", async () => {
    const names = store.namesOf("acme", { bytes: file(1).length * 2.5 });
    for (const seed of [1, 2, 3]) await names.put("a", file(seed));
    expect(kept()).toEqual([hash(3), hash(2)]);
    await expect(names.put("b", file(4))).rejects.toMatchObject({ code: "quota_exceeded" });
    expect(kept()).toEqual([hash(3), hash(2)]);
    expect(names.totals()).toEqual({ names: 1, bytes: file(2).length + file(3).length });
  });

  it("share contents with other names and owners, and live until the last of them is gone", async () => {
    await putAll([1, 2]);
    await putAll([1], "a", "globex");
    await store.namesOf("acme").delete("a");
    expect([store.content(hash(1)), store.content(hash(2))].map((found) => found !== undefined)).toEqual([true, false]);
    expect(kept("a", "globex")).toEqual([hash(1)]);
  });
});

describe("a name", () => {
  it("is rolled back in one step, under a precondition, and forward again", async () => {
    await putAll([1, 2, 3]);
    const names = store.namesOf("acme");
    await expect(names.restore("a", back(1), { ifMatch: hash(2) })).rejects.toMatchObject({
      code: "precondition_failed",
    });
    expect(await names.restore("a", back(1), { ifMatch: hash(3) })).toMatchObject({
      outcome: "replaced",
      replaced: hash(3),
      record: { generation: hash(2) },
    });
    expect(kept()).toEqual([hash(2), hash(3), hash(1)]);
    await names.restore("a", back(1));
    expect(kept()).toEqual([hash(3), hash(2), hash(1)]);
    await names.restore("a", prefix(hash(1).slice(0, 20)));
    expect(kept()).toEqual([hash(1), hash(3), hash(2)]);
    expect(await names.restore("a", prefix(hash(1)))).toMatchObject({ outcome: "unchanged" });
    await expect(names.restore("a", back(3))).rejects.toMatchObject({ code: "adapter_not_found" });
    await expect(names.restore("b", back(1))).rejects.toMatchObject({ code: "adapter_not_found" });
    await reopen(3);
    expect(kept()).toEqual([hash(1), hash(3), hash(2)]);
  });

  it("is rolled back by one of several callers that expect the same generation", async () => {
    await putAll([1, 2]);
    const tries = Array.from({ length: 8 }, () => store.namesOf("acme").restore("a", back(1), { ifMatch: hash(2) }));
    const results = await Promise.allSettled(tries);
    expect(results.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    expect(kept()).toEqual([hash(1), hash(2)]);
  });

  it("loses one earlier generation alone, but not its current one", async () => {
    await putAll([1, 2, 3]);
    const names = store.namesOf("acme");
    await names.deleteVersion("a", prefix(hash(2)), { ifMatch: hash(2) });
    expect(kept()).toEqual([hash(3), hash(1)]);
    expect(store.content(hash(2))).toBeUndefined();
    await expect(names.deleteVersion("a", prefix(hash(3)))).rejects.toMatchObject({ code: "generation_in_use" });
    await expect(names.deleteVersion("a", prefix(hash(2)))).rejects.toMatchObject({ code: "adapter_not_found" });
  });
});

describe("a reference", () => {
  it("means the beginning of a generation in hex, or a number of steps back, and nothing else", () => {
    expect(parseReference("a")).toEqual({ name: "a", version: { kind: "current" } });
    expect(parseReference("a@-2")).toEqual({ name: "a", version: back(2) });
    expect(parseReference("a@0AF")).toEqual({ name: "a", version: prefix("0af") });
    for (const text of ["a@", "a@-0", "a@-", "a@x", "a@b@c", `a@${"0".repeat(65)}`, "a@-01", "a@ -1"])
      expect(parseReference(text), text).toBeUndefined();
  });

  it("that is the beginning of several generations is refused, and names them all", async () => {
    const seeds = Array.from({ length: 17 }, (_, seed) => seed); // one more than there are first characters
    const isTwin = (seed: number) => seeds.some((other) => other < seed && hash(other)[0] === hash(seed)[0]);
    const two = seeds.find(isTwin) ?? 0;
    const one = seeds.find((seed) => hash(seed)[0] === hash(two)[0]) ?? 0;
    await putAll([one, two]);
    const find = () => findVisible(store, "acme", `a@${hash(one).charAt(0)}`);
    expect(find).toThrow(expect.objectContaining({ code: "ambiguous_generation" }));
    expect(find).toThrow(new RegExp(`(?=.*${hash(one)})(?=.*${hash(two)})`));
    expect(findVisible(store, "acme", `a@${hash(one)}`)?.generation).toBe(hash(one));
  });

  it("means the tenant's own name where it has one, with all generations, and the shared one otherwise", async () => {
    await putAll([1, 2], "a", SHARED);
    await putAll([3, 4], "a", "acme");
    expect(findVisible(store, "acme", "a@-1")?.generation).toBe(hash(3));
    expect(findVisible(store, "acme", `a@${hash(1)}`)).toBeUndefined();
    expect(findVisible(store, "globex", "a@-1")?.generation).toBe(hash(1));
    expect(findVisible(store, "globex", `a@${hash(3)}`)).toBeUndefined();
    expect(visibleWithGeneration(store, "globex", hash(3))).toEqual([]);
    expect(visibleWithGeneration(store, "acme", hash(3))).toMatchObject([{ name: "a", isEarlier: true }]);
    await store.namesOf("acme").deleteVersion("a", back(1));
    expect(visibleWithGeneration(store, "acme", hash(3))).toEqual([]);
  });
});
