/**
 * A draft model over HTTP. The base is the demo with layers that change nothing, so the demo guesses what it says. The
 * answers are those of a server without a draft model, and a row's bits do not depend on other rows.
 */
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { growCheckpoint } from "../../../load-tests/inputs/grown-checkpoint.ts";
import { readManifest } from "../../../src/base/manifest.ts";
import { resolveServedDraft } from "../../../src/cli/shared/resolve-draft.ts";
import { packageRoot } from "../../../src/cli/shared/package-root.ts";
import type { Receipt } from "../../../src/receipt/receipt.ts";
import { adapterFile } from "../../helpers/models/base-adapters.ts";
import { builtBase } from "../../helpers/models/bases.ts";
import { llamaCheckpoint } from "../../helpers/models/golden-base.ts";
import {
  complete,
  type Completion,
  metric,
  mosara,
  putAdapter,
  send,
  startServer,
  tempDir,
  type TestServer,
  untilIdle,
} from "../../helpers/server.ts";

const DEMO = join(packageRoot(), "models", "demo");
/** Longer than a chunk, so that the draft model reads it in parts. */
const LONG = "I am Dana, and I ask about my order 4821. ".repeat(9);

const REQUESTS = [
  { prompt: LONG },
  { prompt: "Hello, ", temperature: 1, seed: 3, n: 2 },
  { prompt: LONG, temperature: 0.8, top_p: 0.9, seed: 4 },
  { prompt: "I ask for my ", temperature: 0.9, top_k: 20, seed: 6, frequency_penalty: 0.4, bad_words: ["kettle"] },
  { prompt: "Once more, ", repetition_penalty: 1.3, min_tokens: 20, logit_bias: { 300: 1.5 } },
  { prompt: "Hello, ", model: "strong", temperature: 0.8, seed: 8 },
  { prompt: LONG, model: "low-rank" },
  { prompt: "As JSON: ", structured_outputs: { regex: "[a-z ]{5,40}" } },
].map((request) => ({ model: "base", max_tokens: 24, temperature: 0, logprobs: 1, ignore_eos: true, ...request }));

let base: string;
let plain: TestServer;
let drafting: TestServer;
beforeAll(async () => {
  base = await builtBase(await growCheckpoint(DEMO, join(tempDir(), "grown"), 10), { targets: ["q_proj"] });
  const flags = ["--model", base, "--served-model-name", "base"];
  const guesses = ["--draft-model", DEMO, "--speculative-tokens", "6", "--receipts", "all"];
  [plain, drafting] = await Promise.all([startServer(flags), startServer([...flags, ...guesses])]);
  const manifest = await readManifest(base);
  for (const { url } of [plain, drafting]) {
    await putAdapter(url, "strong", adapterFile(manifest, { seed: 1 }));
    await putAdapter(url, "low-rank", adapterFile(manifest, { method: "lora", rank: 4, seed: 2 }));
  }
});
afterAll(async () => {
  await plain[Symbol.asyncDispose]();
  await drafting[Symbol.asyncDispose]();
});

async function ask(url: string, body: object): Promise<Completion["choices"]> {
  const { status, json, text } = await complete(url, body);
  expect(status, text).toBe(200);
  return json.choices;
}

/** Tokens that the draft model guesses while requests run, and those of them that are chosen. */
async function increments(work: () => Promise<unknown>): Promise<readonly number[]> {
  const names = ["mosara_draft_tokens_total", "mosara_draft_accepted_tokens_total"];
  const read = (): Promise<number[]> =>
    Promise.all(names.map((name) => metric(drafting.url, `${name}{source="model"}`)));
  await untilIdle(drafting.url);
  const before = await read();
  await work();
  await untilIdle(drafting.url);
  return (await read()).map((value, i) => value - (before[i] ?? NaN));
}

describe("a draft model", () => {
  it("changes no token, with any sampling and with adapters, and is right where it is the same function", async () => {
    let [numGuesses, numRight] = [0, 0];
    for (const request of REQUESTS) {
      const one = await ask(plain.url, request);
      let other: typeof one = [];
      const [numDrafted = NaN, numAccepted = NaN] = await increments(async () => {
        other = await ask(drafting.url, request);
      });
      const facts = (choices: typeof one) => choices.map(({ text, finish_reason: reason }) => [text, reason]);
      expect(facts(other), JSON.stringify(request)).toEqual(facts(one));
      if ("structured_outputs" in request) expect(numDrafted).toBe(0);
      if (request.model !== "base") continue;
      numGuesses += numDrafted;
      numRight += numAccepted;
    }
    expect(numGuesses).toBeGreaterThan(15);
    // A token may differ where rounding decides the draw: the two models divide the text into other runs.
    expect(numRight).toBeGreaterThan(0.8 * numGuesses);
  });

  it("gives the same bits alone and in a batch, whatever the prefix caches hold", async () => {
    const alone = [];
    for (const request of REQUESTS) alone.push(await ask(drafting.url, request));
    expect(await Promise.all(REQUESTS.map((request) => ask(drafting.url, request)))).toEqual(alone);
    const salted = await Promise.all(REQUESTS.map((one) => ask(drafting.url, { ...one, cache_salt: "other" })));
    expect(salted).toEqual(alone);
  });

  it("states its memory and its time", async () => {
    const { parameters } = await readManifest(DEMO);
    expect(await metric(drafting.url, 'mosara_draft_model_bytes{kind="weights"}')).toBeGreaterThan(parameters);
    expect(await metric(drafting.url, 'mosara_draft_model_bytes{kind="kv"}')).toBeGreaterThan(0);
    expect(await metric(drafting.url, "mosara_draft_model_seconds_total")).toBeGreaterThan(0);
    expect(await metric(plain.url, 'mosara_draft_model_bytes{kind="weights"}')).toBe(0);
    expect(drafting.printed.stderr).toMatch(/"weightBytes":\d+,"kvCacheBytes":\d+,"guessCost":0\.\d+.*a draft model/);
  });

  it("is named in receipts, and replays need it", async () => {
    const body = { ...REQUESTS[0], temperature: 0.8, seed: 11, mosara_receipt: true };
    const { status, json, text } = await complete(drafting.url, body);
    expect(status, text).toBe(200);
    const receipt = (json as unknown as { readonly mosara_receipt: Receipt }).mosara_receipt;
    expect(receipt.statement.sampling.draft_model?.id).toBe((await readManifest(DEMO)).baseId);
    const path = join(tempDir(), "receipt.json");
    writeFileSync(path, JSON.stringify(receipt));
    const [good, without] = await Promise.all([
      mosara("replay", path, "--model", base, "--draft-model", DEMO),
      mosara("replay", path, "--model", base),
    ]);
    expect(good.code, good.stdout + good.stderr).toBe(0);
    expect(without.code).toBe(1);
    expect(without.stdout).toContain("Name it as --draft-model");
  });
});

describe("an int8 cache", () => {
  it("has the guesses of text and of a draft model: they change no token, and bits are those alone", async () => {
    const flags = ["--model", base, "--served-model-name", "base", "--kv-cache-dtype", "int8"];
    const guesses = ["--draft-model", DEMO, "--speculative-tokens", "6"];
    await using without = await startServer(flags);
    await using guessing = await startServer([...flags, ...guesses]);
    const requests = [LONG, "red kettle, blue kettle, ".repeat(4)].map((prompt) => ({ ...REQUESTS[0], prompt }));
    const alone: Completion["choices"][] = [];
    for (const request of requests) {
      const [expected] = await ask(without.url, request);
      const choices = await ask(guessing.url, request);
      expect(choices[0]?.text, JSON.stringify(request)).toBe(expected?.text);
      alone.push(choices);
    }
    expect(await Promise.all(requests.map((request) => ask(guessing.url, request)))).toEqual(alone);
    await untilIdle(guessing.url);
    for (const source of ["text", "model"])
      expect(await metric(guessing.url, `mosara_draft_accepted_tokens_total{source="${source}"}`)).toBeGreaterThan(0);
    expect((await send(`${guessing.url}/version`, "GET")).json).toMatchObject({ kvCacheDtype: "int8" });
  });
});

describe("a draft model that cannot guess", () => {
  it("is refused: other tokens, no speculation, another device", async () => {
    const good = { draftModel: DEMO, speculativeTokens: 4, device: "cpu", cache: tempDir() } as const;
    await expect(resolveServedDraft(good, base)).resolves.toMatchObject({ dir: DEMO });
    const other = { ...good, draftModel: await builtBase(llamaCheckpoint()) };
    await expect(resolveServedDraft(other, base)).rejects.toThrow(
      /needs the tokenizer of the base, but it has \d+ tokens, and the base has \d+\. Name a smaller model/,
    );
    await expect(resolveServedDraft({ ...good, draftModel: otherWords() }, base)).rejects.toThrow(
      /but its token 301 is "♞", and the base's is ".+"\. Name a smaller model of the same family\./,
    );
    await expect(resolveServedDraft({ ...good, speculativeTokens: 0 }, base)).rejects.toThrow(
      "Add --speculative-tokens 8.",
    );
    await expect(resolveServedDraft({ ...good, device: "webgpu" }, base)).rejects.toThrow("needs --device cpu");
  });
});

/** The demo with another word in its vocabulary. */
function otherWords(): string {
  const dir = join(tempDir(), "words");
  cpSync(DEMO, dir, { recursive: true });
  const file = join(dir, "tokenizer.json");
  const json = JSON.parse(readFileSync(file, "utf8")) as {
    model: { vocab: Record<string, number>; merges: unknown[] };
  };
  const { vocab } = json.model;
  const word = Object.keys(vocab).find((one) => vocab[one] === 301) ?? "";
  delete vocab[word];
  vocab["♞"] = 301;
  const isOfWord = (merge: unknown): boolean => {
    const [left = "", right = ""] = typeof merge === "string" ? merge.split(" ") : (merge as string[]);
    return [left, right, left + right].includes(word);
  };
  json.model.merges = json.model.merges.filter((merge) => !isOfWord(merge));
  writeFileSync(file, JSON.stringify(json));
  return dir;
}
