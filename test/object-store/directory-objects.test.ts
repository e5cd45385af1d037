/** Objects in a directory: conditions between writers, lists, and a directory that hangs, vanishes or is no store. */
import { execFileSync } from "node:child_process";
import {
  constants,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { type FileHandle, open, readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { DirectoryObjects } from "../../src/object-store/directory-objects.ts";
import { RequestPolicy } from "../../src/object-store/request-policy.ts";
import { until } from "../helpers/server.ts";

let base: string;
let root: string;
beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), "mosara-objects-"));
  root = join(base, "store");
  mkdirSync(root);
});
afterEach(() => rmSync(base, { recursive: true, force: true }));

const at = (timeoutMs = 60_000): DirectoryObjects => new DirectoryObjects(root, new RequestPolicy(root, { timeoutMs }));
const read = async (objects: DirectoryObjects, key: string) => {
  const found = await objects.get(key, { maxBytes: 2 ** 20 });
  return typeof found === "string" ? found : { text: Buffer.from(found.bytes).toString(), etag: found.etag };
};
const write = async (objects: DirectoryObjects, key: string, text: string) =>
  await objects.put(key, Buffer.from(text), { ifNoneMatch: "*" });
const codeOf = async (work: Promise<unknown>): Promise<string> =>
  await work.then(
    () => "none",
    (error: unknown) => (error as { code: string }).code,
  );
const close = async (file: FileHandle): Promise<void> => await file.close();
const HOUR_S = 3600;

it("loses no write of many writers, and lets nobody read a part of one", async () => {
  const [writers, increments] = [4, 6];
  await write(at(), "names/a/count", "0");
  const filler = "x".repeat(50_000);
  const increment = async (objects: DirectoryObjects): Promise<void> => {
    for (;;) {
      const found = await read(objects, "names/a/count");
      if (typeof found === "string") throw new Error(found);
      const [count, rest] = found.text.split(" ");
      if (count !== "0") expect(rest).toBe(filler);
      const next = Buffer.from(`${Number(count) + 1} ${filler}`);
      if ((await objects.put("names/a/count", next, { ifMatch: found.etag })) !== "conflict") return;
    }
  };
  // Each writer has a view of its own, as another server has.
  const loops = Array.from({ length: writers }, async () => {
    const objects = at();
    for (let i = 0; i < increments; i++) await increment(objects);
  });
  await Promise.all(loops);
  expect(await read(at(), "names/a/count")).toMatchObject({ text: `${writers * increments} ${filler}` });
});

it("keeps conditions of writes, also on a name that a deleted content had before", async () => {
  const objects = at();
  const first = await write(objects, "names/a/n", "one");
  expect(await write(at(), "names/a/n", "two")).toBe("conflict");
  if (first === "conflict") throw new Error(first);
  const second = await objects.put("names/a/n", Buffer.from("two"), { ifMatch: first.etag });
  expect(second).not.toBe("conflict");
  expect(await objects.put("names/a/n", Buffer.from("three"), { ifMatch: first.etag })).toBe("conflict");
  if (second === "conflict") throw new Error(second);
  const third = await objects.put("names/a/n", Buffer.from("one"), { ifMatch: second.etag });
  expect(third).not.toEqual(first); // equal bytes, and nevertheless another version
  expect(await objects.put("names/a/gone", Buffer.from("x"), { ifMatch: '"1-0"' })).toBe("conflict");
  expect(await objects.get("names/a/n", { maxBytes: 9, etag: third === "conflict" ? "" : third.etag })).toBe(
    "unchanged",
  );
  expect(await codeOf(objects.get("names/a/n", { maxBytes: 2 }))).toBe("adapter_too_large");
  await objects.put("contents/a/n/c", Buffer.from("content"), null);
  await objects.put("contents/a/n/c", Buffer.from("again"), null);
  await objects.put("names/a/n", Buffer.from("mended"), null);
  expect([await read(objects, "contents/a/n/c"), await read(at(), "names/a/n")]).toMatchObject([
    { text: "again" },
    { text: "mended" },
  ]);
  await objects.remove("contents/a/n/c");
  await objects.remove("contents/a/n/c");
  expect(await read(objects, "contents/a/n/c")).toBe("absent");
});

it("lists keys in their order, page by page, as a bucket does", async () => {
  const objects = at();
  const keys = ["names/a/b", "names/a/b-1", "names/a/b.2", "names/a/b0", "names/a/B", "names/ab/b"];
  for (const key of keys) await write(objects, key, key);
  for (const key of ["contents/a/b/1", "contents/a/b-1/1", "contents/a/b/2"])
    await objects.put(key, Buffer.from(key), null);
  for (const [prefix, limit] of [
    ["names/a/", 2],
    ["contents/a/", 1],
    ["names/none/", 9],
  ] as const) {
    const all: { key: string; bytes: number }[] = [];
    for (let after: string | undefined; ;) {
      const page = await objects.list(prefix, { after, limit });
      expect(page.objects.length).toBeLessThanOrEqual(limit);
      all.push(...page.objects);
      if (!page.hasMore) break;
      after = page.objects.at(-1)?.key;
    }
    const wanted = [...keys, "contents/a/b/1", "contents/a/b-1/1", "contents/a/b/2"].filter((key) =>
      key.startsWith(prefix),
    );
    // Keys are ASCII, so the order of UTF-16 is that of bytes.
    expect(all).toEqual(wanted.toSorted().map((key) => ({ key, bytes: key.length })));
  }
});

it("removes what is too old to be needed: versions after an hour, uploads of killed servers after a day", async () => {
  const objects = at();
  for (const text of ["one", "two", "three"]) {
    const found = await read(objects, "names/a/n");
    const condition = typeof found === "string" ? ({ ifNoneMatch: "*" } as const) : { ifMatch: found.etag };
    await objects.put("names/a/n", Buffer.from(text), condition);
    const [version = ""] = readdirSync(join(root, "names/a/n")).toSorted().toReversed();
    const old = Date.now() / 1000 - 2 * HOUR_S;
    if (text === "one") utimesSync(join(root, "names/a/n", version), old, old);
  }
  expect(readdirSync(join(root, "names/a/n")).toSorted()).toEqual(["@2", "@3"]);
  for (const [name, hours] of [
    ["old", 25],
    ["new", 1],
  ] as const) {
    const path = join(root, ".uploads", name);
    writeFileSync(path, "half");
    const then = Date.now() / 1000 - hours * HOUR_S;
    utimesSync(path, then, then);
  }
  await write(at(), "names/a/m", "x");
  expect(readdirSync(join(root, ".uploads"))).toEqual(["new"]);
});

it("holds two threads at most while the file system hangs, and comes back with it", async () => {
  const objects = at(400);
  await write(at(), "names/a/n", "one");
  const stuck = join(root, "names/a/stuck/@1");
  mkdirSync(join(root, "names/a/stuck"));
  execFileSync("mkfifo", [stuck]); // opening it waits for a writer, as a file on a lost mount does for its server
  // Without a reader, nothing is to be let go.
  const letGo = async () => await open(stuck, constants.O_WRONLY | constants.O_NONBLOCK).then(close, () => {});
  try {
    const hanging = [1, 2].map(async () => await codeOf(read(objects, "names/a/stuck")));
    expect(await Promise.all(hanging)).toEqual(["store_unavailable", "store_unavailable"]);
    expect(await codeOf(read(objects, "names/a/n"))).toBe("store_unavailable");
    // Files elsewhere can be read all the same, though Node.js has no more than four threads for them.
    await Promise.all(Array.from({ length: 8 }, async () => await readFile(import.meta.filename)));
    const answer = await until("the directory", async () => {
      await letGo();
      return await read(objects, "names/a/n").catch(() => null);
    });
    expect(answer).toMatchObject({ text: "one" });
  } finally {
    await letGo(); // a thread that hangs would keep this process from ending
  }
});

it("takes no empty mount point for an empty store", async () => {
  const objects = at();
  await write(objects, "names/a/n", "one");
  renameSync(root, `${root}-away`);
  mkdirSync(root);
  expect(await codeOf(read(objects, "names/a/n"))).toBe("store_unavailable");
  expect(await codeOf(write(objects, "names/a/m", "two"))).toBe("store_unavailable");
  expect(readdirSync(root)).toEqual([]);
  rmSync(root, { recursive: true });
  renameSync(`${root}-away`, root);
  expect(await until("the mount", async () => await read(objects, "names/a/n").catch(() => null))).toMatchObject({
    text: "one",
  });
});

it("refuses a directory that is none of its own, and paths out of it", async () => {
  writeFileSync(join(root, "letter.txt"), "Dear John");
  await expect(read(at(), "names/a/n")).rejects.toThrow(/not empty \(letter\.txt\)/);
  expect(await codeOf(write(at(), "names/a/n", "x"))).toBe("store_unavailable");
  expect(existsSync(join(root, "names"))).toBe(false);
  rmSync(root, { recursive: true });
  await expect(read(at(), "names/a/n")).rejects.toThrow(/no such directory/);
  mkdirSync(root);
  for (const key of ["../secret", "names/../../secret", "/etc/passwd", "names/a/@1", "names//n", "names/a/."])
    expect(await codeOf(read(at(), key))).toBe("store_damaged");
});
