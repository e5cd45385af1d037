/** `adapter: {"sha256": …}`: an adapter that was sent once is found again by its hash, by its tenant alone. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { generationOf } from "../../../src/adapter/adapter-file.ts";
import { SHARED } from "../../../src/store/tenant.ts";
import { createTestApp, fittingAdapter, type TestApp } from "../../helpers/http-app.ts";

const SIZE = fittingAdapter(0).byteLength;
const hashOf = (seed: number): string => generationOf(fittingAdapter(seed));
const base64Of = (seed: number): string => Buffer.from(fittingAdapter(seed)).toString("base64");

const BODIES = {
  "/v1/completions": { prompt: "hello", max_tokens: 4 },
  "/v1/chat/completions": { messages: [{ role: "user", content: "hello" }], max_tokens: 4 },
  "/v1/embeddings": { input: "hello" },
};

let test: TestApp;
beforeAll(async () => {
  const keys = ["acme", "globex"].map((tenant) => ({ tenant, key: tenant }));
  test = await createTestApp({ keys, inlineCacheBytes: 2 * SIZE + 10 });
});
afterAll(() => test[Symbol.asyncDispose]());

async function ask(tenant: string, adapter: object, path = "/v1/completions") {
  const fields = BODIES[path as keyof typeof BODIES];
  const body = { model: "base", ...fields, adapter };
  const response = await test.post(path, body, { authorization: `Bearer ${tenant}` });
  const json = (await response.json()) as { error?: { code: string; param: string; message: string } };
  return { status: response.status, error: json.error };
}
const generationAsked = () => test.engine.requests.at(-1)?.adapter?.generation;

describe("an adapter by its hash", () => {
  it.each(["/v1/completions", "/v1/chat/completions", "/v1/embeddings"])(
    "answers after data was sent: %s",
    async (path) => {
      expect((await ask("acme", { data: base64Of(1) })).status).toBe(200);
      expect((await ask("acme", { sha256: hashOf(1).toUpperCase() }, path)).status).toBe(200);
      expect(generationAsked()).toBe(hashOf(1));
      expect(test.engine.requests.at(-1)?.adapter?.inlineBytes).toEqual(fittingAdapter(1));
    },
  );

  it("is unknown to another tenant, sent or stored, and the error says what to send", async () => {
    await ask("acme", { data: base64Of(2) });
    await test.put("mine", fittingAdapter(3), { authorization: "Bearer acme" });
    const before = test.engine.requests.length;
    for (const seed of [2, 3, 99]) {
      const { status, error } = await ask("globex", { sha256: hashOf(seed) });
      expect([status, error?.code, error?.param]).toEqual([404, "adapter_unknown", "adapter"]);
      expect(error?.message.replace(hashOf(seed), "")).toBe(
        (await ask("globex", { sha256: hashOf(99) })).error?.message.replace(hashOf(99), ""),
      );
      expect(error?.message).toContain('"data"');
    }
    expect(test.engine.requests).toHaveLength(before);
  });

  it("is found in the tenant's own store and among the shared ones, until it is replaced or deleted", async () => {
    const acme = { authorization: "Bearer acme" };
    await test.store.namesOf(SHARED).put("common", fittingAdapter(5));
    await test.put("own", fittingAdapter(6), acme);
    for (const seed of [5, 6]) {
      expect((await ask("acme", { sha256: hashOf(seed) })).status).toBe(200);
      expect(generationAsked()).toBe(hashOf(seed));
    }
    expect((await ask("globex", { sha256: hashOf(5) })).status).toBe(200);
    await test.put("own", fittingAdapter(7), acme);
    expect((await ask("acme", { sha256: hashOf(6) })).error?.code).toBe("adapter_unknown");
    expect((await ask("acme", { sha256: hashOf(7) })).status).toBe(200);
    await test.app.request("/v1/adapters/own", { method: "DELETE", headers: acme });
    expect((await ask("acme", { sha256: hashOf(7) })).error?.code).toBe("adapter_unknown");
  });

  it("is forgotten when newer ones fill the tenant's memory, and another tenant's stay", async () => {
    await ask("globex", { data: base64Of(20) });
    for (const seed of [21, 22, 23]) await ask("acme", { data: base64Of(seed) });
    const known = [];
    for (const seed of [21, 22, 23]) known.push((await ask("acme", { sha256: hashOf(seed) })).status);
    expect(known).toEqual([404, 200, 200]);
    expect((await ask("globex", { sha256: hashOf(20) })).status).toBe(200);
  });

  it.each([
    [{ sha256: "abc" }, "invalid_request"],
    [{ sha256: hashOf(1), data: base64Of(1) }, "invalid_request"],
    [{ sha256: hashOf(1), blend: { a: 1 } }, "invalid_request"],
    [{ sha256: null }, "invalid_request"],
  ])("is refused as %j", async (adapter, code) => {
    const { status, error } = await ask("acme", adapter);
    expect([status, error?.code]).toEqual([400, code]);
  });
});
