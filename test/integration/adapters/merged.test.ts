/**
 * Merged placement over HTTP: an engine whose weights contain the adapter answers as the live one does, and comes and
 * goes under load.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { generationOf } from "../../../src/adapter/adapter-file.ts";
import { type Manifest, readManifest } from "../../../src/base/manifest.ts";
import { expectAllclose, maxAbsDifference } from "../../helpers/allclose.ts";
import { adapterFile } from "../../helpers/models/base-adapters.ts";
import { longLlamaBase } from "../../helpers/models/golden-base.ts";
import { childrenOf, isAlive } from "../../helpers/processes.ts";
import {
  type Answer,
  codeOf,
  complete,
  metric,
  putAdapter,
  send,
  startServer,
  stream,
  tempDir,
  type TestServer,
  until,
} from "../../helpers/server.ts";

const SAMPLE = [5, 6, 7, 8, 9, 10, 200, 13, 21];
let server: TestServer;
let manifest: Manifest;
const files: Record<string, Uint8Array> = {};
beforeAll(async () => {
  const base = await longLlamaBase(640);
  manifest = await readManifest(base);
  files.one = adapterFile(manifest, { seed: 1 });
  files.two = adapterFile(manifest, { seed: 2 });
  files.sara = adapterFile(manifest, { method: "sara", seed: 3 });
  files.heads = adapterFile(manifest, { heads: 3, seed: 4 });
  const adapters = tempDir();
  mkdirSync(adapters, { recursive: true });
  for (const [name, file] of Object.entries(files)) writeFileSync(join(adapters, `${name}.mosara`), file);
  const flags = ["--model", base, "--served-model-name", "base", "--adapters", adapters, "--merge", "one"];
  server = await startServer([...flags, "--data", join(tempDir(), "data")]);
});
afterAll(() => server[Symbol.asyncDispose]());

const place = (name: string, placement: "live" | "merged"): Promise<Answer> =>
  send(`${server.url}/v1/adapters/${name}/placement`, "POST", { placement });
const placementOf = async (name: string) => (await send(`${server.url}/v1/adapters/${name}`, "GET")).json.placement;
const scoresOf = async (model: string, url = server.url): Promise<number[]> => {
  const { json } = await complete(url, { model, prompt: SAMPLE, max_tokens: 0, echo: true, logprobs: 0 });
  return json.choices[0]?.logprobs?.token_logprobs.slice(1) ?? [];
};
const numEngines = () => childrenOf(server.pid).length;

it("is there from the start, answers as live does, and can be left and entered while requests run", async () => {
  expect([await placementOf("one"), numEngines()]).toEqual(["merged", 2]);
  const merged = await scoresOf("one");
  for (const other of ["base", "two"]) expect(maxAbsDifference(await scoresOf(other), merged)).toBeGreaterThan(1e-3);

  const bodies = Array.from({ length: 6 }, (_, i) => ({
    model: ["one", "two", "base"][i % 3],
    prompt: [5 + i, 6, 7],
    max_tokens: 300,
  }));
  const before = bodies.map((body) => stream(server.url, body));
  await until("the streams", () => before.every(({ answer }) => answer.numChunks > 0));
  // Its running requests end on the merged engine; new ones are live at once.
  const leaving = place("one", "live");
  await until("live", async () => (await placementOf("one")) === "live");
  expectAllclose(await scoresOf("one"), merged, { atol: 1e-4 });
  for (const { ended } of before)
    expect(await ended).toMatchObject({ isDone: true, errorCode: null, ids: { length: 300 } });
  expect((await leaving).status).toBe(200);
  await until("the merged engine's end", () => numEngines() === 1);
  expectAllclose(await scoresOf("one"), merged, { atol: 1e-4 });

  const during = bodies.map((body) => stream(server.url, body));
  await until("the streams", () => during.every(({ answer }) => answer.numChunks > 0));
  const { status, json } = await place("one", "merged");
  expect([status, json.placement]).toEqual([200, "merged"]);
  const { maxAbsLogitDifference, kl, seconds } = json.merge as Record<string, number>;
  expect(maxAbsLogitDifference).toBeLessThan(1e-3);
  expect(Math.abs(kl ?? NaN)).toBeLessThan(1e-6);
  expect(seconds).toBeGreaterThan(0);
  for (const { ended } of during)
    expect(await ended).toMatchObject({ isDone: true, errorCode: null, ids: { length: 300 } });
  expect(await scoresOf("one")).toEqual(merged); // the same engine again, bit for bit
  expect(await metric(server.url, 'mosara_adapters{placement="merged"}')).toBe(1);
  // Greedy answers agree with those of the live placement.
  for (const [i, { answer }] of during.entries())
    expect(answer.ids.slice(0, 5)).toEqual(before[i]?.answer.ids.slice(0, 5));
});

it("is refused beyond --max-merged, and for what cannot be merged", async () => {
  expect(codeOf(await place("two", "merged"))).toBe("409 insufficient_memory");
  expect(codeOf(await place("heads", "merged"))).toBe("409 not_mergeable");
  expect(codeOf(await place("nobody", "merged"))).toBe("404 adapter_not_found");
  expect(codeOf(await send(`${server.url}/v1/adapters/one/placement`, "POST", { placement: "elsewhere" }))).toBe(
    "400 invalid_request",
  );
  expect([await placementOf("two"), await placementOf("heads"), numEngines()]).toEqual(["live", "live", 2]);
});

it("follows its name: a PUT is served live until its engine is ready", async () => {
  const second = adapterFile(manifest, { seed: 11 });
  const put = await putAdapter(server.url, "one", second);
  expect([put.status, put.json.placement]).toEqual([200, "live"]);
  const answer = await complete(server.url, { model: "one", prompt: [5], max_tokens: 3 });
  expect(answer.json.system_fingerprint.endsWith(generationOf(second).slice(0, 8))).toBe(true);
  const live = await scoresOf("one");
  await until("the new engine", async () => (await placementOf("one")) === "merged");
  expectAllclose(await scoresOf("one"), live, { atol: 1e-4 });
  await until("the old engine's end", () => numEngines() === 2);

  // What cannot be merged is served live, and gives its place free.
  expect((await putAdapter(server.url, "one", adapterFile(manifest, { heads: 2, seed: 12 }))).status).toBe(200);
  await until("the engine's end", () => numEngines() === 1);
  expect(await placementOf("one")).toBe("live");
  expect((await complete(server.url, { model: "one", prompt: [5], max_tokens: 3 })).status).toBe(200);
});

it("has the cache's type of the server: with an int8 cache both placements answer nearly as without", async () => {
  const exact = await scoresOf("two");
  const flags = ["--model", await longLlamaBase(640), "--served-model-name", "base", "--kv-cache-dtype", "int8"];
  await using rounded = await startServer([...flags, "--data", join(tempDir(), "int8")]);
  expect((await putAdapter(rounded.url, "two", files.two!)).status).toBe(201);
  const live = await scoresOf("two", rounded.url);
  const { status, json } = await send(`${rounded.url}/v1/adapters/two/placement`, "POST", { placement: "merged" });
  expect([status, json.placement]).toEqual([200, "merged"]);
  expect(Math.abs((json.merge as Record<string, number>).kl ?? NaN)).toBeLessThan(1e-3);
  const merged = await scoresOf("two", rounded.url);
  for (const scores of [live, merged]) {
    // An engine with a float32 cache would differ by less than 1e-4, as the tests above show.
    expect(maxAbsDifference(scores, exact)).toBeGreaterThan(1e-4);
    // The weights of this model are random and large, which multiplies every difference. Up to 0.12 was seen.
    expectAllclose(scores, exact, { atol: 0.5 });
  }
});

it("takes SARA and LoRA adapters, and a deleted one takes its engine along", async () => {
  const live = await scoresOf("sara");
  expect((await place("sara", "merged")).status).toBe(200);
  expectAllclose(await scoresOf("sara"), live, { atol: 1e-4 });
  expect((await send(`${server.url}/v1/adapters/sara`, "DELETE")).status).toBe(200);
  await until("the engine's end", () => numEngines() === 1);
  expect(codeOf(await complete(server.url, { model: "sara", prompt: [5] }))).toBe("404 model_not_found");
  expect((await place("two", "merged")).status).toBe(200);
});

it("continues live when its engine is killed, and comes back", async () => {
  const merged = await scoresOf("two");
  const [, engine] = childrenOf(server.pid);
  process.kill(engine ?? 0, "SIGKILL");
  await until("a restart", async () => (await metric(server.url, "mosara_engine_restarts_total")) === 1);
  await until("two engines", () => numEngines() === 2);
  expectAllclose(await scoresOf("two"), merged, { atol: 1e-4 });
  expect((await fetch(`${server.url}/readyz`)).status).toBe(200);
});

it("ends with the server, however that ends", async () => {
  const engines = childrenOf(server.pid);
  expect(engines).toHaveLength(2);
  server.child.kill("SIGKILL");
  await server.exited;
  for (const pid of engines) await until(`the end of engine ${pid}`, () => !isAlive(pid));
});
