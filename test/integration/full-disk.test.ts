/**
 * A server whose disk becomes full: what it had is served, changes are refused, and once there is room they are taken
 * again.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readManifest, type Manifest } from "../../src/base/manifest.ts";
import { packageRoot } from "../../src/cli/shared/package-root.ts";
import { adapterFile } from "../helpers/models/base-adapters.ts";
import { codeOf, complete, sendAdapter, send, startServer, type TestServer } from "../helpers/server.ts";
import { smallDisk } from "../helpers/small-disk.ts";

const DEMO = join(packageRoot(), "models", "demo");
const disk = smallDisk(1536);

describe.skipIf(disk === null)("a server whose disk becomes full", () => {
  const ARGS = ["--model", DEMO, "--served-model-name", "demo", "--verify-uploads", "off"];
  ARGS.push("--data", join(disk?.dir ?? "", "data"));
  let server: TestServer;
  let manifest: Manifest;
  beforeAll(async () => {
    manifest = await readManifest(DEMO);
    server = await startServer(ARGS);
  });
  afterAll(async () => {
    await server[Symbol.asyncDispose]();
    disk![Symbol.dispose]();
  });
  const upload = (seed: number) => sendAdapter(server.url, `one-${seed}`, adapterFile(manifest, { seed }));
  const ask = (model: string) => complete(server.url, { model, prompt: "Hello", max_tokens: 4 });
  const count = async () =>
    (await send<{ data: unknown[] }>(`${server.url}/v1/adapters?limit=1000`, "GET")).json.data.length;

  it("refuses what it cannot store, loses nothing, and continues when there is room", async () => {
    expect((await upload(0)).status).toBe(201);
    const before = (await ask("one-0")).json.choices[0]?.token_ids;
    // Without a byte left, lmdb itself could end the process. It writes where the file has room already.
    disk!.fill();
    let numStored = 1;
    let refused = await upload(numStored);
    for (; refused.status === 201; refused = await upload(numStored)) numStored++;
    expect(numStored).toBeGreaterThan(4);
    expect(codeOf(refused)).toBe("507 store_failed");
    expect(refused.text).toMatch(/nothing was changed: .*Its disk may be full/);
    for (let again = 0; again < 8; again++) expect(codeOf(await upload(1000 + again))).toBe("507 store_failed");
    expect((await send(`${server.url}/healthz`, "GET")).status).toBe(200);
    expect(await count()).toBe(numStored);
    expect((await ask("one-0")).json.choices[0]?.token_ids).toEqual(before);
    expect((await ask(`one-${numStored - 1}`)).status).toBe(200);
    expect(codeOf(await ask(`one-${numStored}`))).toBe("404 model_not_found");
    for (let again = 1; again < 4; again++)
      expect((await send(`${server.url}/v1/adapters/one-${again}`, "DELETE")).status).toBe(200);
    expect(await count()).toBe(numStored - 3);

    // A server starts on the full disk, too.
    expect(await server.stop()).toBe(0);
    server = await startServer(ARGS);
    expect(await count()).toBe(numStored - 3);
    expect((await ask("one-0")).json.choices[0]?.token_ids).toEqual(before);
    expect(codeOf(await upload(numStored))).toBe("507 store_failed");

    disk!.empty();
    expect(disk!.resize(65_536)).toBe(true);
    expect((await upload(numStored)).status).toBe(201);
    expect(await count()).toBe(numStored - 2);
    expect((await ask(`one-${numStored}`)).status).toBe(200);
    expect(await server.stop()).toBe(0);
  });

  it.each([0, 8, 64, 512])("does not begin a store where %i KiB are free", async (numLeft) => {
    using small = smallDisk(2048)!;
    const data = join(small.dir, "new");
    mkdirSync(data);
    small.fill(numLeft);
    await expect(startServer(["--model", DEMO, "--data", data])).rejects.toThrow(
      new RegExp(`mosara: The data directory ${data} cannot be used: .*(?:no space left|bytes of its disk are free)`),
    );
  });
});
