/** What is read while it changes: contents that someone holds, and a store that a second process reads. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { encodeAdapter, generationOf } from "../../src/adapter/adapter-file.ts";
import { idOf, madeUpAdapter } from "../helpers/models/adapters.ts";
import { file, dir, store, names, dropped, open, reopen, useStore } from "../helpers/store/adapter-store.ts";

useStore();

describe("acquire", () => {
  it("keeps a replaced and a deleted content until the last release, then reports it", async () => {
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
    // A caller that reads a name and acquires in the same turn must find the content until it releases.
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

  it("reads at once what this one has put, while it continues to write and far beyond the first map", async () => {
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

  it("may be killed while it writes: every name is whole, nothing is left over, and writing continues", async () => {
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
