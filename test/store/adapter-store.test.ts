import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { open as openLmdb } from "lmdb";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { encodeAdapter, generationOf } from "../../src/adapter/adapter-file.ts";
import { openAdapterContents } from "../../src/store/adapter-contents.ts";
import type { AdapterNames } from "../../src/store/adapter-names.ts";
import { assertAdapterName } from "../../src/store/adapter-record.ts";
import { type AdapterStore, openAdapterStore } from "../../src/store/adapter-store.ts";
import { SHARED } from "../../src/store/tenant.ts";
import { fixtureAdapters, idOf, madeUpAdapter } from "../helpers/models/adapters.ts";

/** Files that differ in every number. */
const file = (seed: number): Uint8Array => encodeAdapter(madeUpAdapter({ seed }));

let dir: string;
let store: AdapterStore;
/** The names of one owner. */
let names: AdapterNames;
let dropped: string[];

async function open(): Promise<void> {
  store = await openAdapterStore(dir);
  names = store.namesOf(SHARED);
  dropped = [];
  store.contents.onDropped((generation) => dropped.push(generation));
}

async function reopen(): Promise<void> {
  await store.close();
  await open();
}

beforeEach(async () => {
  // A dot in the name: LMDB takes such a path for a file unless told otherwise.
  dir = mkdtempSync(join(tmpdir(), "mosara-store.v1-"));
  await open();
});
afterEach(async () => {
  await store.close();
  rmSync(dir, { recursive: true, force: true });
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

  it("are read where a store of an earlier layout has them, which goes on as one of this", async () => {
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
  it("creates, replaces and leaves alone, and tells which", async () => {
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
    store = await openAdapterStore(dir, { maxBytes: 100 });
    names = store.namesOf(SHARED);
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

describe("acquire", () => {
  it("keeps a replaced and a deleted content until the last release, then tells", async () => {
    const { record } = await names.put("a", file(1));
    store.contents.acquire(record.generation);
    store.contents.acquire(record.generation);
    await names.put("a", file(2));
    expect(store.content(record.generation)).toEqual(Buffer.from(file(1)));
    store.contents.release(record.generation);
    expect(store.content(record.generation)).toBeDefined();
    expect([dropped, store.totalBytes()]).toEqual([[], file(1).length + file(2).length]);
    store.contents.release(record.generation);
    await expect.poll(() => dropped, { timeout: 20_000 }).toEqual([record.generation]);
    expect(store.content(record.generation)).toBeUndefined();
    expect(store.totalBytes()).toBe(file(2).length);
  });

  it("drops nothing that a name points to", async () => {
    const { record } = await names.put("a", file(1));
    store.contents.acquire(record.generation);
    store.contents.release(record.generation);
    await reopen();
    expect(store.content(record.generation)).toBeDefined();
  });

  it("keeps a content that was deleted and put again meanwhile", async () => {
    const { record } = await names.put("a", file(1));
    store.contents.acquire(record.generation);
    await names.delete("a");
    await names.put("b", file(1));
    store.contents.release(record.generation);
    await reopen();
    expect(store.content(record.generation)).toBeDefined();
    expect(store.totalBytes()).toBe(file(1).length);
  });

  it("refuses what is gone, and a release too many", async () => {
    expect(() => store.contents.acquire(idOf("x"))).toThrowError(
      expect.objectContaining({ code: "adapter_not_found" }),
    );
    const { record } = await names.put("a", file(1));
    expect(() => store.contents.release(record.generation)).toThrow(/more often/);
  });

  it("either holds a content that is being removed or refuses it", async () => {
    const turn = () => new Promise((resolve) => setImmediate(resolve));
    for (let i = 0; i < 200; i++) {
      const { generation } = (await names.put("a", file(i))).record;
      const deleting = names.delete("a");
      while (names.get("a")) await turn();
      for (let wait = i % 50; wait > 0; wait--) await turn(); // the removal takes its course meanwhile
      try {
        store.contents.acquire(generation);
      } catch {
        continue;
      }
      await deleting;
      await new Promise((resolve) => setTimeout(resolve, 2));
      expect(store.content(generation)).toBeDefined();
      store.contents.release(generation);
    }
  });

  it("never loses a content to a change that runs beside it", async () => {
    // Whoever reads a name and acquires in the same turn must find the content until it releases.
    let isDone = false;
    const changes = (async () => {
      for (let i = 0; i < 150; i++) {
        if (i % 5 === 4) await names.delete("a");
        else await names.put("a", file(i % 3));
      }
      isDone = true;
    })();
    let numHeld = 0;
    const reader = async () => {
      while (!isDone) {
        const record = names.get("a");
        if (record) {
          store.contents.acquire(record.generation);
          numHeld++;
          await new Promise((resolve) => setTimeout(resolve, numHeld % 4));
          expect(store.content(record.generation)).toBeDefined();
          store.contents.release(record.generation);
        }
        await new Promise((resolve) => setImmediate(resolve));
      }
    };
    await Promise.all([changes, reader(), reader(), reader()]);
    expect(numHeld).toBeGreaterThan(10);
    await reopen();
    expect(store.totalBytes()).toBe(names.list({ limit: 9 }).records.reduce((sum, { bytes }) => sum + bytes, 0));
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

/**
 * A script in a process of its own (it imports what `npm run build` made); `ask` writes a line and waits for the next
 * one printed.
 */
function run(script: string): { child: ChildProcess; ask: (line: string) => Promise<string> } {
  const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
    cwd: fileURLToPath(new URL("../..", import.meta.url)),
    env: { ...process.env, STORE: dir },
    stdio: ["pipe", "pipe", "inherit"],
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const ask = async (line: string): Promise<string> => {
    child.stdin.write(`${line}\n`);
    return String((await lines.next()).value);
  };
  return { child, ask };
}

describe("a second process", () => {
  const reader = `
    import { createInterface } from "node:readline";
    import { createHash } from "node:crypto";
    import { openAdapterContents } from "./dist/src/store/adapter-contents.js";
    const contents = openAdapterContents(process.env.STORE);
    for await (const line of createInterface({ input: process.stdin })) {
      const [generation, waits] = line.split(" ");
      let bytes = contents.read(generation);
      // All in one turn, in which LMDB would keep to one snapshot.
      for (const end = Date.now() + 5000; waits && !bytes && Date.now() < end; ) bytes = contents.read(generation);
      console.log(bytes ? createHash("sha256").update(bytes).digest("hex") : "none");
    }`;

  it("reads at once what this one has put, while it goes on writing and far beyond the first map", async () => {
    await names.put("first", file(1));
    const { child, ask } = run(reader);
    expect(await ask(generationOf(file(1)))).toBe(generationOf(file(1)));
    const waiting = ask(`${generationOf(file(2))} wait`);
    await new Promise((resolve) => setTimeout(resolve, 100));
    await names.put("waited-for", file(2));
    expect(await waiting).toBe(generationOf(file(2)));
    for (let i = 3; i < 40; i++) {
      const bytes = encodeAdapter(madeUpAdapter({ method: "lora", dIn: 40_000, dOut: 10_000, seed: i })); // 400 kB
      expect(await ask(generationOf(bytes))).toBe("none");
      const { record } = await names.put(`n${i}`, bytes);
      const putting = names.put("other", file(i));
      expect(await ask(record.generation)).toBe(record.generation);
      await putting;
    }
    child.kill();
    await once(child, "exit");
  });

  const writer = `
    import { openAdapterStore } from "./dist/src/store/adapter-store.js";
    import { encodeAdapter } from "./dist/src/adapter/adapter-file.js";
    const store = await openAdapterStore(process.env.STORE);
    const names = store.namesOf("shared");
    const make = (seed) => encodeAdapter({ method: "lora", baseId: "a".repeat(64), heads: 1, router: "none", card: {}, targets: [{
      name: "layers.0.mlp.up_proj", dIn: 4000, dOut: 3000, k: 2, scale: 1, tensors: {
        lora_A: { dtype: "float32", shape: [2, 4000], data: Float32Array.from({ length: 8000 }, (_, i) => Math.sin(seed + i)) },
        lora_B: { dtype: "float32", shape: [3000, 2], data: new Float32Array(6000) } } }] });
    for (let i = 0; ; i++) {
      await Promise.all(Array.from({ length: 8 }, (_, j) => names.put("n" + (i + j) % 12, make(i * 8 + j))));
      if (i % 3 === 2) await names.delete("n" + (i + 1) % 12);
      console.log(i);
    }`;

  it("may be killed while it writes: every name is whole, nothing is left over, and writing goes on", async () => {
    for (let round = 0; round < 4; round++) {
      await store.close();
      const { child, ask } = run(writer);
      await ask("");
      await new Promise((resolve) => setTimeout(resolve, 150 + round * 61));
      child.kill("SIGKILL");
      await once(child, "exit");
      await open();
      const { records } = names.list({ limit: 100 });
      expect(records.length).toBeGreaterThan(0);
      for (const { generation, bytes } of records) {
        const content = store.content(generation) as Uint8Array;
        expect([content.length, generationOf(content)]).toEqual([bytes, generation]);
      }
      expect(store.count()).toBe(records.length);
      expect(store.totalBytes()).toBe(records.reduce((sum, { bytes }) => sum + bytes, 0));
      await names.put("after", file(round));
    }
  });
});
