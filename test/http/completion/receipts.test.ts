/**
 * Receipts in every API, whole and streamed, over the arithmetic engine. Signatures are checked with the key of the
 * route.
 */
import { createHash, createPublicKey, verify } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { generationOf } from "../../../src/adapter/adapter-file.ts";
import { canonicalJson } from "../../../src/formats/canonical-json.ts";
import { readReceipts } from "../../../src/receipt/read-receipt.ts";
import type { Receipt, Statement } from "../../../src/receipt/receipt.ts";
import { verifyReceipt } from "../../../src/receipt/verify-receipt.ts";
import { createTestApp, fittingAdapter, type TestApp } from "../../helpers/http-app.ts";

let test: TestApp;
let pem: string;
beforeAll(async () => {
  test = await createTestApp();
  await test.put("acme", fittingAdapter(1));
  pem = ((await (await test.app.request("/v1/receipts/key")).json()) as { pem: string }).pem;
});
afterAll(() => test[Symbol.asyncDispose]());

const messages = [{ role: "user", content: "hello" }];
const BODIES = {
  "/v1/completions": { model: "acme", prompt: "hello", max_tokens: 6 },
  "/v1/chat/completions": { model: "acme", messages, max_tokens: 6 },
  "/v1/responses": { model: "acme", input: "hello", max_output_tokens: 6 },
  "/v1/messages": { model: "acme", messages, max_tokens: 6 },
} as const;
const PATHS = Object.keys(BODIES) as (keyof typeof BODIES)[];

function isSigned(statement: string, signature: string): boolean {
  const bytes = Buffer.from(`mosara-receipt-1\n${statement}`);
  return verify(null, bytes, createPublicKey(pem), Buffer.from(signature, "base64url"));
}

/** As the how-to says: each list is its length and its ids, in 32 bits, little-endian. */
function hashOf(lists: readonly (readonly number[])[]): string {
  const bytes = lists.flatMap((list) => [list.length, ...list].flatMap((word) => [word & 255, word >> 8, 0, 0]));
  return createHash("sha256").update(Uint8Array.from(bytes)).digest("hex");
}

async function asked(path: keyof typeof BODIES, fields: object = {}): Promise<Receipt> {
  const response = await test.post(path, { ...BODIES[path], mosara_receipt: true, ...fields });
  return ((await response.json()) as { mosara_receipt: Receipt }).mosara_receipt;
}

describe("the header of a whole answer", () => {
  it.each(PATHS)("is a signed statement, if the request asks for one: %s", async (path) => {
    const body = { ...BODIES[path], seed: 3, temperature: 0.5 };
    const response = await test.post(path, body, { "x-mosara-receipt": "signed" });
    expect(await response.json()).not.toHaveProperty("mosara_receipt");
    const [encoded = "", signature = ""] = response.headers.get("x-mosara-receipt")?.split(".") ?? [];
    const text = Buffer.from(encoded, "base64url").toString();
    expect(isSigned(text, signature)).toBe(true);
    const statement = JSON.parse(text) as Statement;
    expect(text).toBe(canonicalJson(statement));
    expect(statement).toMatchObject({
      request: response.headers.get("x-request-id"),
      adapter: { generation: generationOf(fittingAdapter(1)), placement: "live" },
      sampling: { seed: 3, temperature: 0.5, max_tokens: 6 },
      answers: { count: 1, tokens: 6, logprobs: null },
    });
    expect(response.headers.get("x-mosara-receipt")?.length).toBeLessThan(2500);
  });

  it("is unsigned otherwise, and the server signs it later, unless a byte was changed", async () => {
    const response = await test.post("/v1/completions", BODIES["/v1/completions"]);
    const receipt = response.headers.get("x-mosara-receipt") ?? "";
    const [encoded = "", mark, seal = ""] = receipt.split(".");
    expect(mark).toBe("unsigned");
    const sign = async (asked: string) => await test.post("/v1/receipts/sign", { receipt: asked });
    const { receipt: signed, public_key } = (await (await sign(receipt)).json()) as Record<string, string>;
    const [statement = "", signature = ""] = signed?.split(".") ?? [];
    expect(statement).toBe(encoded);
    expect(isSigned(Buffer.from(encoded, "base64url").toString(), signature)).toBe(true);
    expect(public_key).toMatch(/^[\w-]{43}$/);
    const other = Buffer.from(encoded, "base64url").toString().replace('"tokens":6', '"tokens":7');
    for (const wrong of [
      `${Buffer.from(other).toString("base64url")}.unsigned.${seal}`,
      `${encoded}.unsigned.${seal.slice(0, -2)}AA`,
      `${encoded}.unsigned.`,
      `${encoded}.${seal}`,
      `${receipt}.x`,
      "",
    ])
      expect((await sign(wrong)).status, wrong.slice(-60)).toBe(400);
    expect(() => readReceipts(receipt, "the header")).toThrow(/\/v1\/receipts\/sign/);
  });

  it("is there only for a request that asks, with --receipts asked", async () => {
    await using own = await createTestApp({ receipts: "asked" });
    const body = { model: "base", prompt: "hello", max_tokens: 2 };
    const headerOf = async (headers: Record<string, string>, fields: object) =>
      (await own.post("/v1/completions", { ...body, ...fields }, headers)).headers.has("x-mosara-receipt");
    expect(await headerOf({}, {})).toBe(false);
    expect(await headerOf({ "x-mosara-receipt": "signed" }, {})).toBe(true);
    expect(await headerOf({}, { mosara_receipt: true })).toBe(true);
  });

  it("is not there after an error", async () => {
    const response = await test.post("/v1/completions", { model: "nobody", prompt: "hello" });
    expect([response.status, response.headers.get("x-mosara-receipt")]).toEqual([404, null]);
  });
});

describe("the field", () => {
  it.each(PATHS)("has what a replay needs: %s", async (path) => {
    const { statement, signature, evidence } = await asked(path);
    expect(isSigned(canonicalJson(statement), signature.value)).toBe(true);
    const request = test.engine.requests.at(-1);
    expect(evidence.prompts).toEqual([[...(request?.promptIds ?? [])]]);
    expect(statement.prompts).toEqual({ count: 1, tokens: evidence.prompts[0]?.length, ids: hashOf(evidence.prompts) });
    expect(statement.answers).toMatchObject({ count: 1, tokens: 6, ids: hashOf(evidence.answers) });
    expect(evidence.rules.stop_token_ids).toEqual(request?.stopIds);
    expect(statement.sampling.seed).toBe(request?.sampling.seed);
  });

  it.each(PATHS)("is in the last event of a stream: %s", async (path) => {
    const response = await test.post(path, { ...BODIES[path], mosara_receipt: true, stream: true });
    const events = (await response.text()).split("\n").filter((line) => line.startsWith("data: {"));
    expect(events.filter((event) => event.includes("mosara_receipt"))).toEqual([events.at(-1)]);
    const [receipt] = readReceipts(events.at(-1)?.slice(6) ?? "", "the event");
    expect(isSigned(canonicalJson(receipt?.statement), receipt?.signature ?? "")).toBe(true);
    expect(receipt?.evidence?.answers[0]).toHaveLength(6);
  });

  it("covers every sequence, of which best_of answers a part", async () => {
    const { statement, evidence } = await asked("/v1/completions", { prompt: ["a", "b"], n: 1, best_of: 3, seed: 9 });
    expect([statement.prompts.count, statement.answers.count, evidence.answers.length]).toEqual([2, 6, 6]);
    expect(test.engine.requests.slice(-6).map(({ sampling }) => sampling.seed)).toEqual([9, 10, 11, 9, 10, 11]);
  });

  it("is not signed for another statement or other evidence", async () => {
    const receipt = await asked("/v1/completions");
    const badParts = (change: (copy: Receipt) => void): string[] => {
      const copy = structuredClone(receipt);
      change(copy);
      const [read] = readReceipts(JSON.stringify(copy), "the copy");
      return verifyReceipt(read as NonNullable<typeof read>, receipt.signature.public_key)
        .filter(({ isGood }) => !isGood)
        .map(({ part }) => part);
    };
    expect(badParts(() => {})).toEqual([]);
    expect(badParts(({ statement }) => (statement.sampling.seed += 1))).toEqual(["signature"]);
    expect(badParts(({ evidence }) => evidence.prompts[0]?.push(7))).toEqual(["prompt"]);
    expect(badParts(({ evidence }) => evidence.answers[0]?.pop())).toEqual(["answer"]);
    expect(badParts(({ evidence }) => evidence.rules.stop_token_ids.push(7))).toEqual(["rules"]);
  });
});
