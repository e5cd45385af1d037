/**
 * Names that move while streams run: every stream ends on the generation it began with, and what is dropped gives its
 * memory back.
 */
import { afterAll, beforeAll, expect, it } from "vitest";
import { generationOf } from "../../../src/adapter/adapter-file.ts";
import { type Manifest, readManifest } from "../../../src/base/manifest.ts";
import { adapterFile } from "../../helpers/models/base-adapters.ts";
import { longLlamaBase } from "../../helpers/models/golden-base.ts";
import {
  codeOf,
  complete,
  metric,
  putAdapter,
  send,
  startServer,
  stream,
  type TestServer,
  until,
  untilIdle,
} from "../../helpers/server.ts";

const NUM_TOKENS = 500;
/** A test machine may be busy with other things. */
const TIMEOUT_MS = 180_000;

let server: TestServer;
let manifest: Manifest;
beforeAll(async () => {
  const base = await longLlamaBase(640);
  manifest = await readManifest(base);
  server = await startServer(["--model", base, "--served-model-name", "base", "--max-num-seqs", "17"]);
});
afterAll(() => server[Symbol.asyncDispose]());

const bytesIn = (tier: "store" | "cache") => metric(server.url, `mosara_adapter_bytes{tier="${tier}"}`);
const short = (file: Uint8Array) => generationOf(file).slice(0, 8);
const bodyOf = (number: number, model: string) => ({
  model,
  prompt: [5 + number, 6, 7],
  max_tokens: NUM_TOKENS,
  ...(number % 2 === 0 ? {} : { temperature: 1, seed: number }),
});

it(
  "replace, delete and re-upload under sixteen streams: each ends on the generation it began with",
  async () => {
    const files = [1, 2, 3].map((seed) => adapterFile(manifest, { seed, heads: seed })) as [
      Uint8Array,
      Uint8Array,
      Uint8Array,
    ];
    const [first, second, third] = files;
    expect((await putAdapter(server.url, "acme", first)).status).toBe(201);
    // Four different requests, each in four streams.
    const streams = Array.from({ length: 16 }, (_, i) => stream(server.url, bodyOf(i % 4, "acme")));
    await until("sixteen streams", () => streams.every(({ answer }) => answer.numChunks > 0));

    expect((await putAdapter(server.url, "acme", second)).status).toBe(200);
    const onSecond = await complete(server.url, { ...bodyOf(0, "acme"), max_tokens: 5 });
    expect(onSecond.json.system_fingerprint.endsWith(short(second))).toBe(true);
    await until(
      "the second generation to go",
      () => bytesIn("store"),
      (bytes) => bytes === first.length + second.length,
    );
    expect((await send(`${server.url}/v1/adapters/acme`, "DELETE")).status).toBe(200);
    expect(codeOf(await complete(server.url, bodyOf(0, "acme")))).toBe("404 model_not_found");
    await until(
      "the second generation to go",
      () => bytesIn("store"),
      (bytes) => bytes === first.length,
    );
    expect((await putAdapter(server.url, "acme", third)).status).toBe(201);
    const onThird = await complete(server.url, { ...bodyOf(0, "acme"), max_tokens: 5 });
    expect(onThird.json.system_fingerprint.endsWith(short(third))).toBe(true);
    const bothBytes = await bytesIn("cache"); // of the first, which runs, and the third
    expect(
      streams.filter(({ answer }) => answer.isDone),
      "streams that ended before the changes did",
    ).toEqual([]);

    for (const { ended } of streams) {
      const answer = await ended;
      expect(answer).toMatchObject({ isDone: true, errorCode: null });
      expect(answer.ids).toHaveLength(NUM_TOKENS);
      expect(answer.fingerprint.endsWith(short(first))).toBe(true);
    }
    await untilIdle(server.url);
    await until(
      "the first generation to go",
      () => bytesIn("store"),
      (bytes) => bytes === third.length,
    );
    const thirdBytes = await until(
      "the cache to shrink",
      () => bytesIn("cache"),
      (bytes) => bytes < bothBytes,
    );

    // Alone, under another name, on the first generation again.
    expect((await putAdapter(server.url, "alone", first)).status).toBe(201);
    const alone: (number[] | undefined)[] = [];
    for (let number = 0; number < 4; number++)
      alone.push((await complete(server.url, bodyOf(number, "alone"))).json.choices[0]?.token_ids);
    for (const [i, { answer }] of streams.entries()) expect(answer.ids, `stream ${i}`).toEqual(alone[i % 4]);
    expect(alone[0]).not.toEqual(onThird.json.choices[0]?.token_ids.slice(0, 5));

    await send(`${server.url}/v1/adapters/alone`, "DELETE");
    await until(
      "the cache to give back what was deleted",
      () => bytesIn("cache"),
      (bytes) => bytes === thirdBytes,
    );
    await send(`${server.url}/v1/adapters/acme`, "DELETE");
    for (const tier of ["store", "cache"] as const)
      await until(
        `an empty ${tier}`,
        () => bytesIn(tier),
        (bytes) => bytes === 0,
      );
  },
  TIMEOUT_MS,
);
