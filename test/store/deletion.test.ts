/** What was deleted is nowhere in the bytes of the data directory. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { packageRoot } from "../../src/cli/shared/package-root.ts";
import { encodeAdapter } from "../../src/adapter/adapter-file.ts";
import { type AdapterStore, openAdapterStore } from "../../src/store/adapter-store.ts";
import { madeUpAdapter } from "../helpers/models/adapters.ts";

const COUNT = 12;
const cardOf = (i: number): string => `the words of the card number ${i}, which are ${"private ".repeat(5)}${i}`;
/** Files of several pages with random numbers, so that no piece of one is a piece of another. */
const files = Array.from({ length: COUNT }, (_, i) => {
  const adapter = madeUpAdapter({ method: "lora", dIn: 1000 + 300 * i, dOut: 500 });
  for (const { tensors } of adapter.targets)
    for (const { data } of Object.values(tensors)) for (let at = 0; at < data.length; at++) data[at] = Math.random();
  return encodeAdapter({ ...adapter, card: { data: cardOf(i) } });
});

let dir: string;
let store: AdapterStore;
beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), "mosara-deletion-"));
  store = await openAdapterStore(dir);
});
afterEach(async () => {
  await store.close();
  rmSync(dir, { recursive: true, force: true });
});

/**
 * How many pieces of a file, of 48 bytes each, lie somewhere in the directory. The base id and names of layers are no
 * secrets.
 */
function piecesOf(i: number): number {
  const bytes = Buffer.concat(readdirSync(dir).map((name) => readFileSync(join(dir, name))));
  const file = Buffer.from(files[i] ?? new Uint8Array(0));
  let count = bytes.includes(cardOf(i)) ? 1 : 0;
  for (let at = 600; at + 48 <= file.length; at += 48) if (bytes.includes(file.subarray(at, at + 48))) count++;
  return count;
}

describe("a store that is closed while a content is still held", () => {
  it("is left alone afterwards, and the content goes at the next start", async () => {
    const warnings: string[] = [];
    const onWarning = ({ message }: Error) => void warnings.push(message);
    process.on("warning", onWarning);
    const { record } = await store.namesOf("acme").put("n1", files[0]!);
    store.contents.acquire(record.generation);
    await store.namesOf("acme").delete("n1");
    const closed = store.close();
    store.contents.release(record.generation); // its transaction runs while the store closes
    await closed;
    await sleep(1000); // timers fire in their order, and the scrubber's is shorter
    expect(warnings).toEqual([]);
    process.off("warning", onWarning);
    store = await openAdapterStore(dir);
    await expect.poll(() => piecesOf(0), { timeout: 30_000 }).toBe(0);
  });
});

describe("a deleted alias", () => {
  it("leaves no byte, and neither do the counts of its rule", async () => {
    await store.namesOf("acme").put("n1", encodeAdapter(madeUpAdapter({ seed: 1 })));
    const alias = { tenant: "acme", name: "the-name-of-an-alias" };
    const rule = { maxErrorShare: 0.5, minRequests: 1, windowSeconds: 10 };
    await store.aliasesOf("acme").put(alias.name, { targets: [{ name: "n1", generation: null, weight: 1 }], rule });
    store.errorSamples.note(alias, () => ({ windowSeconds: 10, targets: { "the-counted-target": [] } }));
    await store.errorSamples.flush();
    const isThere = (text: string) => readdirSync(dir).some((name) => readFileSync(join(dir, name)).includes(text));
    const texts = [alias.name, "the-counted-target"];
    expect(texts.map(isThere)).toEqual([true, true]);
    await store.aliasesOf("acme").delete(alias.name);
    await expect.poll(() => texts.map(isThere), { timeout: 30_000 }).toEqual([false, false]);
  });
});

describe("a deleted adapter", () => {
  it("leaves no byte in the data directory, and the others stay whole", async () => {
    const names = store.namesOf("acme");
    for (const [i, file] of files.entries()) await names.put(`n${i}`, file);
    const whole = files.map((_, i) => piecesOf(i));
    expect(Math.min(...whole)).toBeGreaterThan(50); // the search finds what is there
    const gone = [0, 5, 6, COUNT - 1];
    for (const i of gone) await names.delete(`n${i}`);
    await names.put("n3", files[0] ?? new Uint8Array(0)); // 3 is replaced by the deleted 0
    await expect.poll(() => [3, 5, 6, COUNT - 1].map(piecesOf), { timeout: 30_000 }).toEqual([0, 0, 0, 0]);
    expect([1, 2, 4, 7, 8, 9, 10].map(piecesOf)).toEqual([1, 2, 4, 7, 8, 9, 10].map((i) => whole[i]));
    expect(piecesOf(0)).toBe(whole[0]);
  });

  it("is overwritten by the next process, when one is killed right after it has deleted", async () => {
    await store.namesOf("acme").put("n1", files[1] ?? new Uint8Array(0));
    await store.close();
    const script = `
      import { openAdapterStore } from "./dist/src/store/adapter-store.js";
      const store = await openAdapterStore(process.env.STORE);
      await store.namesOf("acme").delete("n1");
      process.kill(process.pid, "SIGKILL");`;
    const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
      cwd: packageRoot(),
      env: { ...process.env, STORE: dir },
      stdio: "inherit",
    });
    expect((await once(child, "exit"))[1]).toBe("SIGKILL");
    expect(piecesOf(1)).toBeGreaterThan(50);
    store = await openAdapterStore(dir);
    await expect.poll(() => piecesOf(1), { timeout: 30_000 }).toBe(0);
  });

  it("is overwritten when the store closes", async () => {
    const names = store.namesOf("acme");
    for (const i of [1, 2]) await names.put(`n${i}`, files[i] ?? new Uint8Array(0));
    await names.delete("n1");
    await store.close();
    store = await openAdapterStore(dir);
    expect(piecesOf(1)).toBe(0);
    expect(piecesOf(2)).toBeGreaterThan(50);
  });

  it("stays while it is held, and goes afterwards", async () => {
    const names = store.namesOf("acme");
    const { record } = await names.put("n1", files[1] ?? new Uint8Array(0));
    store.contents.acquire(record.generation);
    await names.delete("n1");
    expect(piecesOf(1)).toBeGreaterThan(50);
    store.contents.release(record.generation);
    await expect.poll(() => piecesOf(1), { timeout: 30_000 }).toBe(0);
  });
});
