/**
 * A server whose disk becomes full: what it had is served, changes are refused, and once there is room they are taken
 * again.
 */
import { spawnSync } from "node:child_process";
import { appendFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readManifest, type Manifest } from "../../src/base/manifest.ts";
import { packageRoot } from "../../src/cli/shared/package-root.ts";
import { adapterFile } from "../helpers/models/base-adapters.ts";
import { codeOf, complete, sendAdapter, send, startServer, tempDir, type TestServer } from "../helpers/server.ts";

const DEMO = join(packageRoot(), "models", "demo");
const disk = tempDir();
/** Linux, as root: nothing else gives a test a disk of its own. */
const mount = (...args: string[]) => spawnSync("mount", args, { stdio: "ignore" }).status === 0;
const isMounted = mount("-t", "tmpfs", "-o", "size=1536k", "tmpfs", disk);
if (!isMounted) console.warn("No file system can be mounted: the test of a full disk is skipped.");

describe.skipIf(!isMounted)("a server whose disk becomes full", () => {
  let server: TestServer;
  let manifest: Manifest;
  beforeAll(async () => {
    manifest = await readManifest(DEMO);
    const args = ["--model", DEMO, "--served-model-name", "demo", "--data", join(disk, "data")];
    server = await startServer([...args, "--verify-uploads", "off"]);
  });
  afterAll(async () => {
    await server[Symbol.asyncDispose]();
    spawnSync("umount", [disk]);
  });
  const upload = (seed: number) => sendAdapter(server.url, `one-${seed}`, adapterFile(manifest, { seed }));
  const ask = (model: string) => complete(server.url, { model, prompt: "Hello", max_tokens: 4 });
  const filler = join(disk, "filler");
  const fillUp = () => {
    writeFileSync(filler, "");
    try {
      for (;;) appendFileSync(filler, new Uint8Array(1024));
    } catch (error) {
      expect((error as NodeJS.ErrnoException).code).toBe("ENOSPC");
    }
  };
  const count = async () =>
    (await send<{ data: unknown[] }>(`${server.url}/v1/adapters?limit=1000`, "GET")).json.data.length;

  it("refuses what it cannot store, loses nothing, and continues when there is room", async () => {
    expect((await upload(0)).status).toBe(201);
    const before = (await ask("one-0")).json.choices[0]?.token_ids;
    let numStored = 1;
    let refused = await upload(numStored);
    for (; refused.status === 201; refused = await upload(numStored)) numStored++;
    expect(codeOf(refused)).toBe("507 store_failed");
    expect(refused.text).toMatch(/nothing was changed: .*Its disk may be full/);
    for (let again = 0; again < 3; again++) expect(codeOf(await upload(1000 + again))).toBe("507 store_failed");
    expect((await send(`${server.url}/healthz`, "GET")).status).toBe(200);
    expect(await count()).toBe(numStored);
    expect((await ask("one-0")).json.choices[0]?.token_ids).toEqual(before);
    expect((await ask(`one-${numStored - 1}`)).status).toBe(200);
    expect(codeOf(await ask(`one-${numStored}`))).toBe("404 model_not_found");
    // Without a byte left, lmdb itself could end the process. It is not asked.
    fillUp();
    for (let again = 0; again < 8; again++) {
      expect(codeOf(await upload(2000 + again))).toBe("507 store_failed");
      expect(codeOf(await send(`${server.url}/v1/adapters/one-${again}`, "DELETE"))).toBe("507 store_failed");
    }
    expect(await count()).toBe(numStored);
    rmSync(filler);

    expect(mount("-o", "remount,size=64m", disk)).toBe(true);
    expect((await upload(numStored)).status).toBe(201);
    expect(await count()).toBe(numStored + 1);
    expect((await ask(`one-${numStored}`)).status).toBe(200);
    expect(await server.stop()).toBe(0);
  });
});
