/**
 * Blends over HTTP on a real engine: the answers of the sum, isolation, prefixes by recipe, and what leaves with a
 * member.
 */
import { afterAll, beforeAll, expect, it } from "vitest";
import { encodeAdapter } from "../../../src/adapter/adapter-file.ts";
import type { Adapter } from "../../../src/adapter/adapter.ts";
import { type Manifest, readManifest } from "../../../src/base/manifest.ts";
import { expectAllclose, maxAbsDifference } from "../../helpers/allclose.ts";
import { adapterFile, adapterFor } from "../../helpers/models/base-adapters.ts";
import { longLlamaBase } from "../../helpers/models/golden-base.ts";
import {
  codeOf,
  complete,
  metric,
  putAdapter,
  send,
  startServer,
  type TestServer,
  until,
  untilIdle,
} from "../../helpers/server.ts";

const PROMPT = Array.from({ length: 150 }, (_, i) => 3 + ((i * 31) % 300));
let server: TestServer;
let manifest: Manifest;
beforeAll(async () => {
  const base = await longLlamaBase(512);
  manifest = await readManifest(base);
  server = await startServer(["--model", base, "--served-model-name", "base", "--max-live-rank", "20"]);
  const { url } = server;
  for (const [i, name] of ["one", "two"].entries()) await putAdapter(url, name, adapterFile(manifest, { seed: i + 1 }));
  await putAdapter(url, "heads", adapterFile(manifest, { heads: 3, seed: 3 }));
  await putAdapter(url, "lora", encodeAdapter(LORA()));
  await putAdapter(url, "lora2", encodeAdapter(LORA(5, 9)));
});
afterAll(() => server[Symbol.asyncDispose]());

const LORA = (seed = 4, rank = 6): Adapter => adapterFor(manifest, { method: "lora", seed, rank });

interface Scored {
  readonly logprobs: readonly number[];
  readonly cached: number;
  /** Ids and log-probabilities, bit for bit. */
  readonly answer: unknown;
}

async function ask(adapter: unknown, more: object = {}): Promise<Scored> {
  const body = { model: "base", adapter, prompt: PROMPT, max_tokens: 4, logprobs: 3, ...more };
  const { status, json, text } = await complete(server.url, body);
  expect(status, text).toBe(200);
  const [choice] = json.choices;
  const usage = json.usage as { prompt_tokens_details?: { cached_tokens: number } };
  return {
    logprobs: (choice?.logprobs?.token_logprobs ?? []).filter((value) => value !== null),
    cached: usage.prompt_tokens_details?.cached_tokens ?? 0,
    answer: [choice?.token_ids, choice?.logprobs],
  };
}
const SCORE = { echo: true, max_tokens: 0, logprobs: 0 };

/** One LoRA adapter whose ranks are those of both, side by side, each with its weight. */
function joined(first: Adapter, second: Adapter, weights: readonly [number, number]): Adapter {
  const targets = first.targets.map((target, at) => {
    const other = second.targets[at]!; // both are on all layers
    const down = [target, other].flatMap(({ tensors }) => [...(tensors["lora_A"]!.data as Float32Array)]);
    const up: number[] = [];
    for (let row = 0; row < target.dOut; row++)
      [target, other].forEach(({ k, scale = 1, tensors }, i) => {
        const values = (tensors["lora_B"]!.data as Float32Array).subarray(row * k, (row + 1) * k);
        up.push(...Array.from(values, (value) => value * scale * weights[i]!));
      });
    const k = target.k + other.k;
    return {
      ...target,
      k,
      scale: 1,
      tensors: {
        lora_A: { dtype: "float32" as const, shape: [k, target.dIn], data: Float32Array.from(down) },
        lora_B: { dtype: "float32" as const, shape: [target.dOut, k], data: Float32Array.from(up) },
      },
    };
  });
  return { ...first, targets };
}

it("answers as the adapter whose update is the sum", async () => {
  await putAdapter(server.url, "joined", encodeAdapter(joined(LORA(), LORA(5, 9), [0.5, -0.25])));
  const wanted = await ask("joined", SCORE);
  const got = await ask({ blend: { lora: 0.5, lora2: -0.25 } }, SCORE);
  expectAllclose(got.logprobs, wanted.logprobs, { atol: 1e-5 });
  expect(maxAbsDifference(got.logprobs, (await ask("lora", SCORE)).logprobs)).toBeGreaterThan(1e-2);
});

it("with all weight on one adapter is that adapter, bit for bit, and goes from one to the other", async () => {
  const [one, two] = [await ask("one", SCORE), await ask("two", SCORE)];
  expect((await ask({ blend: { one: 1, two: 0 } }, SCORE)).answer).toEqual(one.answer);
  const distances: number[] = [];
  for (const share of [0.9, 0.5, 0.1, 0.001]) {
    const { logprobs } = await ask({ blend: { one: share, two: 1 - share } }, SCORE);
    distances.push(maxAbsDifference(logprobs, two.logprobs));
  }
  expect(distances).toEqual(distances.toSorted((a, b) => b - a));
  expect(distances.at(-1)).toBeLessThan(0.05 * maxAbsDifference(one.logprobs, two.logprobs));
});

it("has the same bits alone and beside any others", async () => {
  const adapters = [
    { blend: { one: 0.7, two: 0.3 } },
    null,
    { blend: { heads: 0.5, one: 0.4, lora: 0.2 } },
    "heads",
    { blend: { lora: 0.5, lora2: 0.5 } },
    "two",
  ];
  const askAt = async (i: number) =>
    (await ask(adapters[i % adapters.length], { cache_salt: `s${i}`, temperature: 0.8, seed: i, max_tokens: 12 }))
      .answer;
  const alone: unknown[] = [];
  for (let i = 0; i < 12; i++) {
    alone.push(await askAt(i));
    await untilIdle(server.url);
  }
  const together = await Promise.all(alone.map((_, i) => askAt(i)));
  expect(together).toEqual(alone);
});

it("shares prefixes with the same recipe alone", async () => {
  const blend = { one: 0.25, two: 0.75 };
  const first = await ask({ blend });
  expect(first.cached).toBe(0);
  expect(await ask({ blend: { two: 0.75, one: 0.25 } })).toEqual({ ...first, cached: 128 });
  expect((await ask({ blend: { one: 0.25, two: 0.7500001 } })).cached).toBe(0);
});

it("is refused where ranks add up to more than --max-live-rank, and where two have several heads", async () => {
  await putAdapter(server.url, "heads2", adapterFile(manifest, { heads: 2, seed: 6 }));
  for (const [blend, words] of [
    [{ lora: 0.5, lora2: 0.3, joined: 0.1 }, "--max-live-rank"],
    [{ heads: 0.5, heads2: 0.3 }, "several heads"],
  ] as const) {
    const answer = await complete(server.url, { model: "base", adapter: { blend }, prompt: [5] });
    expect([codeOf(answer), answer.text]).toEqual(["400 not_blendable", expect.stringContaining(words)]);
  }
});

it("leaves the engine with a member that is deleted", async () => {
  const loaded = (): Promise<number> => metric(server.url, "vllm:num_gpu_loaded_lora_adapters");
  await putAdapter(server.url, "passing", adapterFile(manifest, { seed: 30 }));
  const before = await loaded();
  const blend = { one: 0.5, passing: 0.5 };
  await ask({ blend });
  await until("the blend", async () => (await loaded()) === before + 1);
  expect((await ask({ blend })).cached).toBe(128);
  await send(`${server.url}/v1/adapters/passing`, "DELETE");
  await until("its end", async () => (await loaded()) === before);
  await putAdapter(server.url, "passing", adapterFile(manifest, { seed: 30 })); // the same generation again
  expect((await ask({ blend })).cached).toBe(0);
});
