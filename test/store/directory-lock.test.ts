/** One server a data directory; what a dead one has left behind blocks nobody. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { lockDirectory } from "../../src/store/directory-lock.ts";

const scratch = mkdtempSync(join(tmpdir(), "mosara-lock-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));
const newDir = (): string => mkdtempSync(join(scratch, "d-"));
const lockOf = (dir: string): string => join(dir, "server.lock");
const inUse = expect.objectContaining({ code: "usage", message: expect.stringContaining("in use by another server") });
/** What the file says, with some of it changed. */
const forge = (dir: string, changes: object): void => {
  const text = readFileSync(lockOf(dir), "utf8");
  writeFileSync(lockOf(dir), JSON.stringify({ ...(JSON.parse(text) as object), ...changes }));
};

describe("a data directory", () => {
  it("is one server's until it lets go, and nothing of the lock is left", async () => {
    const dir = join(newDir(), "made", "by it");
    const lock = await lockDirectory(dir);
    await expect(lockDirectory(dir)).rejects.toEqual(inUse);
    await lock[Symbol.asyncDispose]();
    await (await lockDirectory(dir))[Symbol.asyncDispose]();
    expect(readdirSync(dir)).toEqual([]);
  });

  it("goes to one of many that want it at once", async () => {
    for (const isAbandoned of [false, true]) {
      const dir = newDir();
      if (isAbandoned) writeFileSync(lockOf(dir), "half writ");
      const results = await Promise.allSettled(Array.from({ length: 12 }, () => lockDirectory(dir)));
      expect(results.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    }
  });

  it("is free again when its process was killed, even where another process has the id by now", async () => {
    const child = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"], { stdio: "ignore" });
    const dir = newDir();
    await using first = await lockDirectory(dir);
    forge(dir, { pid: child.pid, start: "" });
    // Started at another time.
    if (process.platform === "linux") await (await lockDirectory(dir))[Symbol.asyncDispose]();
    child.kill("SIGKILL");
    await once(child, "exit");
    writeFileSync(lockOf(dir), JSON.stringify({ pid: child.pid, host: "", start: "", id: "" }));
    forge(dir, { host: hostname() });
    await (await lockDirectory(dir))[Symbol.asyncDispose]();
    expect(first).toBeDefined();
  });

  it("of a server on another machine is its own as long as that one says so", { timeout: 20_000 }, async () => {
    const dir = newDir();
    await using first = await lockDirectory(dir); // touches the file every two seconds
    forge(dir, { host: "elsewhere" });
    await expect(lockDirectory(dir)).rejects.toEqual(inUse);
    const dead = newDir();
    writeFileSync(lockOf(dead), readFileSync(lockOf(dir)));
    utimesSync(lockOf(dead), 1, 1);
    await (await lockDirectory(dead))[Symbol.asyncDispose]();
    expect(first).toBeDefined();
  });

  it("that cannot be written is reported as such", async () => {
    const file = join(newDir(), "file");
    writeFileSync(file, "");
    await expect(lockDirectory(file)).rejects.toMatchObject({ code: "usage", message: expect.stringContaining(file) });
  });
});
