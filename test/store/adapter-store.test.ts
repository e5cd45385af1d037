import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { open as openLmdb } from "lmdb";
import { describe, expect, it } from "vitest";
import { encodeAdapter, generationOf } from "../../src/adapter/adapter-file.ts";
import { openAdapterContents } from "../../src/store/adapter-contents.ts";
import { assertAdapterName } from "../../src/store/adapter-record.ts";
import { openAdapterStore } from "../../src/store/adapter-store.ts";
import { fixtureAdapters, idOf, madeUpAdapter } from "../helpers/models/adapters.ts";
import { file, dir, store, names, dropped, open, reopen, useStore } from "../helpers/store/adapter-store.ts";

useStore();

it("makes its directory, and those above it", async () => {
  const missing = join(dir, "not", "there", "yet");
  await using made = await openAdapterStore(missing);
  expect([made.count(), existsSync(join(missing, "data.mdb"))]).toEqual([0, true]);
});

describe("names", () => {
  it("may be what the reference says and nothing else", async () => {
    for (const name of ["a", "0", "acme-support", "A.b_c-9", `x${"y".repeat(127)}`]) assertAdapterName(name);
    const bad = ["", ".a", "-a", "_a", "a..b", "a/b", "../a", "a b", "a\n", "ä", "a\0", `x${"y".repeat(128)}`, "a%2f"];
    for (const name of bad) {
      expect(() => assertAdapterName(name), name).toThrowError(expect.objectContaining({ code: "invalid_request" }));
      await expect(names.put(name, file(1))).rejects.toMatchObject({ code: "invalid_request" });
      expect(names.get(name)).toBeUndefined();
    }
    expect(store.count()).toBe(0);
  });
});

describe("targets", () => {
  it("are kept once for all records of a kind", async () => {
    await names.put("a", file(1));
    await names.put("b", file(2));
    await names.put("c", encodeAdapter(madeUpAdapter({ seed: 3, dOut: 77 })));
    await reopen();
    const { records } = names.list({ limit: 10 });
    expect(records.map(({ targets }) => targets[0]?.dOut)).toEqual([expect.any(Number), expect.any(Number), 77]);
    expect(records[1]?.targets).toBe(records[0]?.targets);
    expect(names.get("b")?.targets).toBe(records[0]?.targets);
  });

  it("are read where a store of an earlier layout has them, which continues as one of this", async () => {
    const { record } = await names.put("a", file(1));
    await store.close();
    const root = openLmdb({ path: dir, noSubdir: false, maxDbs: 16 });
    const table = root.openDB({ name: "names", encoding: "json" });
    await table.put(["default", "a"], record);
    await table.remove(["shared", "a"]);
    await root.openDB({ name: "targets", encoding: "json" }).clearAsync();
    await root.openDB({ name: "meta", encoding: "json" }).put("formatVersion", 1);
    await root.close();
    await open();
    expect(names.get("a")).toEqual(record);
    await names.put("b", file(2));
    await reopen();
    expect(names.list({ limit: 5 }).records.map(({ targets }) => targets)).toEqual([record.targets, record.targets]);
  });
});

describe("put", () => {
  it("creates, replaces and leaves alone, and reports which", async () => {
    const first = await names.put("a", file(1));
    expect(first.outcome).toBe("created");
    expect(first.record.generation).toBe(generationOf(file(1)));
    expect(await names.put("a", file(1))).toEqual({
      record: first.record,
      outcome: "unchanged",
      replaced: first.record.generation,
    });
    const second = await names.put("a", file(2));
    expect(second.outcome).toBe("replaced");
    expect(names.get("a")).toEqual(second.record);
    expect(store.content(second.record.generation)).toEqual(Buffer.from(file(2)));
    expect(store.content(first.record.generation)).toBeUndefined();
    expect(dropped).toEqual([first.record.generation]);
  });

  it("keeps a record of every training fixture that says what the adapter is", async () => {
    for (const [slug, adapter] of await fixtureAdapters()) {
      const bytes = encodeAdapter(adapter);
      const { record } = await names.put(slug, bytes);
      expect(record).toMatchObject({ name: slug, method: adapter.method, heads: adapter.heads, bytes: bytes.length });
      expect(record.targets.map((t) => [t.name, t.k, t.dIn, t.dOut, t.basisId])).toEqual(
        adapter.targets.map((t) => [t.name, t.k, t.dIn, t.dOut, t.basisId]),
      );
      expect(Math.abs(record.created - Date.now() / 1000)).toBeLessThan(60);
    }
    const before = names.list({ limit: 100 });
    await reopen();
    expect(names.list({ limit: 100 })).toEqual(before);
  });

  it("refuses a broken or too large file and leaves the old one serving", async () => {
    const { record } = await names.put("a", file(1));
    await expect(names.put("a", file(2).subarray(1))).rejects.toMatchObject({ code: "adapter_invalid" });
    await store.close();
    await open({ maxBytes: 100 });
    await expect(names.put("a", file(2))).rejects.toMatchObject({ code: "adapter_too_large" });
    expect(names.get("a")).toEqual(record);
    expect(store.totalBytes()).toBe(file(1).length);
  });

  it("takes the bytes as they were when it was called", async () => {
    const bytes = file(1);
    const putting = names.put("a", bytes);
    bytes.fill(0);
    const { record } = await putting;
    expect(store.content(record.generation)).toEqual(Buffer.from(file(1)));
  });

  it("hands out bytes that the caller may change", async () => {
    const { record } = await names.put("a", file(1));
    store.content(record.generation)?.fill(0);
    expect(store.content(record.generation)).toEqual(Buffer.from(file(1)));
  });

  it("changes nothing when a precondition does not hold", async () => {
    const failed = { code: "precondition_failed" };
    await expect(names.put("a", file(1), { ifMatch: idOf("x") })).rejects.toMatchObject(failed);
    await expect(names.put("a", file(1), { ifMatch: "*" })).rejects.toMatchObject(failed);
    const { record } = await names.put("a", file(1), { ifNoneMatch: "*" });
    await expect(names.put("a", file(2), { ifNoneMatch: "*" })).rejects.toMatchObject(failed);
    await expect(names.put("a", file(1), { ifNoneMatch: "*" })).rejects.toMatchObject(failed);
    await expect(names.put("a", file(2), { ifMatch: idOf("x") })).rejects.toMatchObject(failed);
    await expect(names.delete("a", { ifMatch: idOf("x") })).rejects.toMatchObject(failed);
    expect(names.get("a")).toEqual(record);
    expect((await names.put("a", file(2), { ifMatch: record.generation })).outcome).toBe("replaced");
    expect((await names.put("a", file(3), { ifMatch: "*" })).outcome).toBe("replaced");
  });

  it("lets exactly one of many writers with the same precondition win", async () => {
    const seeds = Array.from({ length: 40 }, (_, i) => i + 1);
    const creating = await Promise.allSettled(seeds.map((seed) => names.put("a", file(seed), { ifNoneMatch: "*" })));
    expect(creating.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    const ifMatch = names.get("a")?.generation ?? "";
    const others = seeds.filter((seed) => generationOf(file(seed)) !== ifMatch);
    const swapping = await Promise.allSettled(others.map((seed) => names.put("a", file(seed), { ifMatch })));
    expect(swapping.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    expect([store.count(), store.totalBytes()]).toEqual([1, file(1).length]);
  });
});

describe("delete", () => {
  it("removes the name, then the content, and says what is not there", async () => {
    const { record } = await names.put("a", file(1));
    expect(await names.delete("a", { ifMatch: record.generation })).toEqual(record);
    expect(names.get("a")).toBeUndefined();
    expect([store.count(), store.totalBytes(), dropped]).toEqual([0, 0, [record.generation]]);
    await expect(names.delete("a")).rejects.toMatchObject({ code: "adapter_not_found" });
    await expect(names.delete("a", { ifMatch: record.generation })).rejects.toMatchObject({
      code: "adapter_not_found",
    });
  });

  it("keeps a content as long as another name points to it", async () => {
    const { record } = await names.put("a", file(1));
    await names.put("b", file(1));
    expect([store.count(), store.totalBytes()]).toEqual([2, file(1).length]);
    await names.delete("a");
    expect(store.content(record.generation)).toBeDefined();
    await names.put("b", file(2));
    expect(store.content(record.generation)).toBeUndefined();
    expect(dropped).toEqual([record.generation]);
  });
});

describe("list", () => {
  it("pages through all names in their order, whatever the page", async () => {
    const all = Array.from({ length: 60 }, (_, i) => ["b", "B", "a.", "a-", "a", "9", "z_"][i % 7] + String(i * 7));
    await Promise.all(all.map((name, i) => names.put(name, file(i % 5))));
    const sorted = all.toSorted((a, b) => (a < b ? -1 : 1));
    for (const limit of [1, 7, 59, 60, 1000]) {
      const found: string[] = [];
      for (let after: string | undefined, hasMore = true; hasMore; after = found.at(-1)) {
        const page = names.list(after === undefined ? { limit } : { limit, after });
        found.push(...page.records.map(({ name }) => name));
        hasMore = page.hasMore;
      }
      expect(found).toEqual(sorted);
    }
    expect(names.list({ limit: 5, after: "a" }).records[0]?.name).toBe(sorted.find((name) => name > "a"));
    expect(names.list({ limit: 5, after: "zz" })).toEqual({ records: [], hasMore: false });
    expect(() => names.list({ limit: 5, after: "../a" })).toThrowError(
      expect.objectContaining({ code: "invalid_request" }),
    );
  });
});

describe("import records", () => {
  it("are kept by path, however long, and can be noted with a put", async () => {
    const long = `/${"d/".repeat(2000)}x.mosara`;
    await store.imports.set(long, { generation: idOf("1"), name: "x" });
    const { record } = await names.put("a", file(1), {}, { path: "/in/a.mosara" });
    await reopen();
    expect(store.imports.get(long)).toEqual({ generation: idOf("1"), name: "x" });
    expect(store.imports.get("/in/a.mosara")).toEqual({ generation: record.generation, name: "a" });
    expect(
      store.imports
        .page()
        .imported.map(({ path }) => path)
        .toSorted(),
    ).toEqual([long, "/in/a.mosara"].toSorted());
    await store.imports.remove(long);
    expect(store.imports.get(long)).toBeUndefined();
  });
});

describe("opening", () => {
  it("removes contents that were held when the process ended, and counts what is left", async () => {
    const { record } = await names.put("a", file(1));
    store.contents.acquire(record.generation);
    await names.put("a", file(2));
    await reopen();
    expect(store.content(record.generation)).toBeUndefined();
    expect([store.count(), store.totalBytes()]).toEqual([1, file(2).length]);
  });

  it("for reading alone needs a store, and changes nothing", async () => {
    const empty = mkdtempSync(join(tmpdir(), "mosara-store-"));
    await expect(openAdapterStore(join(empty, "none"), { readOnly: true })).rejects.toThrow(/no adapter store/);
    expect(() => openAdapterContents(join(empty, "none"))).toThrow(/no adapter store/);
    expect(existsSync(join(empty, "none"))).toBe(false);
    rmSync(empty, { recursive: true });
  });
});
