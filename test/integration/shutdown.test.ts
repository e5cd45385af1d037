/** How a server ends: what runs is drained, nothing new begins, and no engine process outlives it. */
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, it } from "vitest";
import { readManifest } from "../../src/base/manifest.ts";
import { adapterFile } from "../helpers/models/base-adapters.ts";
import { longLlamaBase } from "../helpers/models/golden-base.ts";
import { childrenOf, isAlive } from "../helpers/processes.ts";
import {
  codeOf,
  complete,
  putAdapter,
  sendAdapter,
  send,
  startServer,
  stream,
  tempDir,
  type TestServer,
  until,
} from "../helpers/server.ts";

let flags: string[];
let file: Uint8Array;
beforeAll(async () => {
  const base = await longLlamaBase(640);
  file = adapterFile(await readManifest(base), { seed: 1 });
  const adapters = tempDir();
  mkdirSync(adapters, { recursive: true });
  writeFileSync(join(adapters, "acme.mosara"), file);
  flags = ["--model", base, "--served-model-name", "base", "--adapters", adapters];
});

/** Streams that run, on the base and on the adapter. */
async function startStreams(server: TestServer, max_tokens = 200) {
  const streams = Array.from({ length: 8 }, (_, i) =>
    stream(server.url, { model: i % 2 === 0 ? "base" : "acme", prompt: [5 + i], max_tokens }),
  );
  await until("the streams", () => streams.every(({ answer }) => answer.numChunks > 0));
  return streams;
}

it("SIGTERM lets streams end whole, refuses what is new with Retry-After, and takes every engine along", async () => {
  const data = join(tempDir(), "data");
  await using server = await startServer([...flags, "--merge", "acme", "--data", data]);
  const engines = childrenOf(server.pid);
  expect(engines).toHaveLength(2);
  expect(readdirSync(join(data, "self-tests"))).toHaveLength(2); // with adapters, and merged
  const streams = await startStreams(server);
  const exit = server.stop();
  await until("not ready", async () => (await fetch(`${server.url}/readyz`)).status === 503);
  const refused = await complete(server.url, { model: "base", prompt: [5] });
  expect(codeOf(refused)).toMatch(/^503 (overloaded|engine_unavailable)$/);
  expect(Number(refused.headers.get("retry-after"))).toBeGreaterThan(0);
  expect((await sendAdapter(server.url, "late", file)).status).toBe(503);
  expect((await fetch(`${server.url}/healthz`)).status).toBe(200);
  for (const { ended } of streams)
    expect(await ended).toMatchObject({ isDone: true, errorCode: null, ids: { length: 200 } });
  expect(await exit).toBe(0);
  for (const pid of engines) expect(isAlive(pid)).toBe(false);
  expect(readdirSync(data)).not.toContain("merged");
});

it("a signal to the whole process group, as a terminal sends it, ends no engine before its answers", async () => {
  await using server = await startServer([...flags, "--merge", "acme"]);
  const streams = await startStreams(server);
  const engines = childrenOf(server.pid);
  for (const pid of [...engines, server.pid]) process.kill(pid, "SIGINT");
  for (const { ended } of streams) expect(await ended).toMatchObject({ isDone: true, errorCode: null });
  expect(await server.exited).toBe(0);
});

it.each(["idle", "busy", "merged"] as const)("SIGKILL leaves no engine behind (%s)", async (state) => {
  const server = await startServer([...flags, ...(state === "merged" ? ["--merge", "acme"] : [])]);
  const engines = childrenOf(server.pid);
  expect(engines).toHaveLength(state === "merged" ? 2 : 1);
  const streams = state === "busy" ? await startStreams(server) : [];
  server.child.kill("SIGKILL");
  await server.exited;
  await Promise.allSettled(streams.map(({ ended }) => ended));
  for (const pid of engines) await until(`the end of engine ${pid}`, () => !isAlive(pid));
});

it("what a killed server had stored is there when the next one starts", async () => {
  const data = join(tempDir(), "data");
  const first = await startServer([...flags, "--data", data]);
  expect((await putAdapter(first.url, "kept", file)).status).toBe(201);
  first.child.kill("SIGKILL");
  await first.exited;
  await using second = await startServer([...flags, "--data", data]);
  await expect(startServer([...flags, "--data", data])).rejects.toThrow(`${data} is in use by another server`);
  const { json } = await send<{ data: { id: string }[] }>(`${second.url}/v1/adapters`, "GET");
  expect(json.data.map(({ id }) => id)).toEqual(["acme", "kept"]);
  expect(readdirSync(join(data, "self-tests"))).toHaveLength(1); // of the first start
  const { json: about } = await send<{ batchInvariant: boolean }>(`${second.url}/version`, "GET");
  expect(about.batchInvariant).toBe(true);
  expect((await complete(second.url, { model: "kept", prompt: [5], max_tokens: 2 })).status).toBe(200);
});

it("a killed engine is replaced again and again, the store untouched", async () => {
  await using server = await startServer(flags);
  const before = await complete(server.url, { model: "acme", prompt: [5], max_tokens: 20 });
  for (let i = 0; i < 3; i++) {
    const [engine] = childrenOf(server.pid);
    process.kill(engine ?? 0, "SIGKILL");
    await until("not ready", async () => (await fetch(`${server.url}/readyz`)).status === 503);
    expect(codeOf(await complete(server.url, { model: "acme", prompt: [5] }))).toBe("503 engine_unavailable");
    await until("ready again", async () => (await fetch(`${server.url}/readyz`)).status === 200);
    const after = await complete(server.url, { model: "acme", prompt: [5], max_tokens: 20 });
    expect(after.json.choices).toEqual(before.json.choices);
  }
});
