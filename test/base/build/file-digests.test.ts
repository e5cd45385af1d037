/** Digests of large files are noted, and no change of a file goes unseen. */
import { createHash } from "node:crypto";
import {
  appendFileSync,
  mkdtempSync,
  openSync,
  readdirSync,
  rmSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { closeSync, readFileSync, renameSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, it } from "vitest";
import { fileDigest } from "../../../src/base/build/file-digests.ts";

const dir = mkdtempSync(join(tmpdir(), "mosara-digests-"));
const [path, cache] = [join(dir, "model.gguf"), join(dir, "cache")];
const notes = join(cache, "digests");
const sha256 = (file: string): string => createHash("sha256").update(readFileSync(file)).digest("hex");
const digest = async (file = path): Promise<string> => (await fileDigest(file, cache)).toString("hex");

beforeAll(async () => {
  writeFileSync(path, Buffer.alloc(2 ** 20 + 5, 7));
  await sleep(2100); // a younger file is not noted
});
afterAll(() => rmSync(dir, { recursive: true }));

it("notes the digest of a large file, and takes it from the note", async () => {
  expect(await digest()).toBe(sha256(path));
  const [note = ""] = readdirSync(notes);
  expect(readFileSync(join(notes, note), "utf8")).toContain(sha256(path));
  const forged = "0".repeat(64);
  writeFileSync(join(notes, note), readFileSync(join(notes, note), "utf8").replace(sha256(path), forged));
  expect(await digest()).toBe(forged);
  renameSync(path, `${path}.moved`);
  renameSync(`${path}.moved`, path); // which changes its ctime, so it is read again
  expect(await digest()).toBe(sha256(path));
});

it("reads a damaged note's file again", async () => {
  for (const note of readdirSync(notes)) writeFileSync(join(notes, note), "1 2");
  expect(await digest()).toBe(sha256(path));
});

it("sees bytes that were changed in place, with the size and the time of before", async () => {
  const { atime, mtime } = statSync(path);
  const before = await digest();
  const file = openSync(path, "r+");
  writeSync(file, "other", 3);
  closeSync(file);
  utimesSync(path, atime, mtime);
  expect(await digest()).toBe(sha256(path));
  expect(await digest()).not.toBe(before);
});

it("notes nothing of a file that has just changed, nor of a small one", async () => {
  const [young, small] = [join(dir, "young"), join(dir, "small")];
  writeFileSync(young, Buffer.alloc(2 ** 20));
  writeFileSync(small, "x");
  const known = readdirSync(notes).length;
  expect([await digest(young), await digest(small)]).toEqual([sha256(young), sha256(small)]);
  appendFileSync(young, "x");
  expect(await digest(young)).toBe(sha256(young));
  expect(readdirSync(notes)).toHaveLength(known);
});
