/**
 * Embeddings over HTTP on a real engine: transformers' and peft's vectors by OpenAI's client, isolation, merged
 * placement, prefixes.
 */
import { join } from "node:path";
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { encodeAdapter } from "../../../src/adapter/adapter-file.ts";
import { adapterFromPeft } from "../../../src/adapter/peft.ts";
import { openBase } from "../../../src/base/base.ts";
import { type Manifest, readManifest } from "../../../src/base/manifest.ts";
import { openSafetensors } from "../../../src/formats/safetensors.ts";
import { peftNames } from "../../../src/model/peft-names.ts";
import { readPeftFiles } from "../../../src/store/directory/directory-files.ts";
import { expectAllclose } from "../../helpers/allclose.ts";
import { adapterFile } from "../../helpers/models/base-adapters.ts";
import { builtBase } from "../../helpers/models/bases.ts";
import { EMBEDDINGS_GOLDEN } from "../../helpers/fixtures.ts";
import { llamaCheckpoint } from "../../helpers/models/golden-base.ts";
import { complete, putAdapter, send, startServer, type TestServer, untilIdle } from "../../helpers/server.ts";

let server: TestServer;
let client: OpenAI;
let manifest: Manifest;
beforeAll(async () => {
  const checkpoint = llamaCheckpoint();
  const baseDir = await builtBase(checkpoint);
  await using base = await openBase(baseDir);
  manifest = await readManifest(baseDir);
  server = await startServer(["--model", baseDir, "--served-model-name", "base"]);
  client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: "none", maxRetries: 0 });
  const dir = join(checkpoint, "adapters", "r8-all");
  const adapter = adapterFromPeft(await readPeftFiles(dir, dir, 2 ** 26), base.signature, peftNames(manifest.config));
  await putAdapter(server.url, "r8-all", encodeAdapter(adapter));
  await putAdapter(server.url, "heads", adapterFile(manifest, { heads: 3, seed: 3 }));
  await putAdapter(server.url, "one", adapterFile(manifest, { seed: 1 }));
  await putAdapter(server.url, "two", adapterFile(manifest, { seed: 2 }));
});
afterAll(() => server[Symbol.asyncDispose]());

type Body = Record<string, unknown>;
const embed = async (body: Body): Promise<number[][]> => {
  const { status, json, text } = await send<{ data: { embedding: number[] }[] }>(
    `${server.url}/v1/embeddings`,
    "POST",
    {
      model: "base",
      ...body,
    },
  );
  expect(status, text).toBe(200);
  return json.data.map(({ embedding }) => embedding);
};
const promptOf = (i: number, length: number): number[] =>
  Array.from({ length }, (_, at) => 3 + ((at * 31 + i * 17) % 300));

describe("OpenAI's client", () => {
  it.each([
    ["base", "llama"],
    ["r8-all", "llama.r8-all"],
  ])("gets of %s what transformers and peft compute, as numbers and by its default", async (model, golden) => {
    await using expected = await openSafetensors(join(EMBEDDINGS_GOLDEN, `${golden}.safetensors`));
    for (const prefix of ["", "long_"]) {
      const ids = await expected.read(`${prefix}input_ids`);
      const [numRows, length] = ids.shape as [number, number];
      const input = Array.from({ length: numRows }, (_, row) =>
        Array.from(ids.data.slice(row * length, (row + 1) * length), Number),
      );
      for (const pooling of ["mean", "last"] as const) {
        const values = (await expected.read(`${prefix}${pooling}`)).data as Float32Array;
        const size = values.length / numRows;
        const ask = async (more: object): Promise<number[][]> => {
          const body = { model, input, pooling, ...more };
          const answer = await client.embeddings.create(body);
          expect(answer.usage).toMatchObject({ prompt_tokens: numRows * length, total_tokens: numRows * length });
          return answer.data.map(({ embedding }) => embedding);
        };
        const numbers = await ask({ encoding_format: "float" });
        expect(await ask({})).toEqual(numbers); // the client asks for base64
        for (const [row, vector] of numbers.entries()) {
          const wanted = [...values.subarray(row * size, (row + 1) * size)];
          const norm = Math.hypot(...wanted);
          expectAllclose(
            vector,
            wanted.map((value) => value / norm),
            { atol: 1e-5 },
          );
        }
      }
    }
  });

  it("gets shorter vectors with dimensions, and the texts' own", async () => {
    const input = ["a kettle", "a red kettle", "the order of yesterday"];
    const { data } = await client.embeddings.create({ model: "one", input, dimensions: 5 });
    for (const { embedding } of data)
      expect([embedding.length, Math.hypot(...embedding)]).toEqual([5, expect.closeTo(1, 5)]);
    const alone = await client.embeddings.create({ model: "one", input: input[1]!, dimensions: 5 });
    expect(alone.data[0]?.embedding).toEqual(data[1]?.embedding);
  });
});

describe("a vector", () => {
  it("has the same bits alone and beside any others", async () => {
    const bodies: Body[] = [
      { input: promptOf(1, 70) },
      { input: promptOf(2, 5), model: "heads" },
      { input: promptOf(3, 90), model: "one", pooling: "last" },
      { input: [promptOf(4, 64), promptOf(5, 65)], model: "r8-all" },
      { input: promptOf(6, 33), adapter: { blend: { one: 0.7, two: 0.3 } } },
    ];
    const alone: unknown[] = [];
    for (const body of bodies) {
      alone.push(await embed(body));
      await untilIdle(server.url);
    }
    const talking = Array.from({ length: 6 }, (_, i) =>
      complete(server.url, {
        model: ["base", "one", "heads"][i % 3],
        prompt: promptOf(10 + i, 8),
        max_tokens: 40,
        ignore_eos: true,
      }),
    );
    for (let round = 0; round < 3; round++) expect(await Promise.all(bodies.map(embed))).toEqual(alone);
    for (const { status } of await Promise.all(talking)) expect(status).toBe(200);
  });

  it("is the adapter's own, and of a merged adapter the same as live", async () => {
    const body = { input: promptOf(7, 80), model: "two" };
    const [live] = await embed(body);
    const [base] = await embed({ ...body, model: "base" });
    expect(Math.max(...live!.map((value, i) => Math.abs(value - base![i]!)))).toBeGreaterThan(1e-2);
    const placed = await send(`${server.url}/v1/adapters/two/placement`, "POST", { placement: "merged" });
    expect(placed.status).toBe(200);
    expectAllclose((await embed(body))[0]!, live!, { atol: 1e-5 });
  });

  it("has the same bits with and without a known beginning", async () => {
    const body = { input: promptOf(8, 150).slice(0, 100), pooling: "last" };
    const usageOf = async () =>
      (
        await send<{ usage: { prompt_tokens_details: { cached_tokens: number } } }>(
          `${server.url}/v1/embeddings`,
          "POST",
          {
            model: "base",
            ...body,
          },
        )
      ).json.usage.prompt_tokens_details.cached_tokens;
    const first = await embed(body);
    expect(await usageOf()).toBe(64);
    expect(await embed(body)).toEqual(first);
    const mean = await embed({ ...body, pooling: "mean" });
    expect(await embed({ ...body, pooling: "mean", cache_salt: "other" })).toEqual(mean);
  });
});
