/**
 * Generations of adapters over HTTP: addressed, listed, deleted and rolled back, in every route that names an adapter.
 */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { generationOf } from "../../../src/adapter/adapter-file.ts";
import { createTestApp, fittingAdapter, type TestApp } from "../../helpers/http-app.ts";

const keys = ["acme", "globex"].map((tenant) => ({ tenant, key: `key-of-${tenant}` }));
const as = (tenant: string) => ({ authorization: `Bearer key-of-${tenant}` });
const hash = (seed: number): string => generationOf(fittingAdapter(seed));

let test: TestApp;
beforeEach(async () => {
  test = await createTestApp({ keys, keepGenerations: 3 });
  for (const seed of [1, 2, 3]) await test.put("a", fittingAdapter(seed), as("acme"));
  await test.put("a", fittingAdapter(9), as("globex"));
});
afterEach(() => test[Symbol.asyncDispose]());

const send = async (method: string, path: string, body?: object, headers: Record<string, string> = {}) => {
  const response = await test.app.request(path, {
    method,
    headers: { ...as("acme"), ...headers },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  const json = text.startsWith("{") ? (JSON.parse(text) as Record<string, unknown>) : {};
  return { status: response.status, json, headers: response.headers };
};
const errorOf = ({ json }: { json: Record<string, unknown> }) => json.error as { code: string; message: string };
const usedGeneration = () => test.engine.requests.at(-1)?.adapter?.generation;

const chat = { messages: [{ role: "user", content: "hello" }], max_tokens: 2 };
const BODIES: Readonly<Record<string, object>> = {
  "/v1/completions": { prompt: "hello", max_tokens: 2 },
  "/v1/chat/completions": chat,
  "/v1/messages": chat,
  "/v1/responses": { input: "hello", max_output_tokens: 2 },
  "/v1/embeddings": { input: "hello" },
};

describe("a generation", () => {
  it.each(Object.entries(BODIES))("answers under its reference: %s", async (path, body) => {
    for (const [model, seed] of [
      ["a", 3],
      ["a@-1", 2],
      ["a@-2", 1],
      ["base:a@-1", 2],
      [`a@${hash(1).slice(0, 12)}`, 1],
      [`a@${hash(3).toUpperCase()}`, 3],
    ] as const) {
      const answer = await send("POST", path, { model, ...body });
      expect([model, answer.status, usedGeneration()]).toEqual([model, 200, hash(seed)]);
      expect(answer.headers.get("x-mosara-adapter")).toBe(`a@${hash(seed)}`);
    }
    const unknown = await send("POST", path, { model: "a@-3", ...body });
    expect([unknown.status, errorOf(unknown).message]).toEqual([404, expect.stringContaining("/versions")]);
  });

  it("is named in a stream's header, the receipt, the log and the metrics", async () => {
    const model = `a@${hash(2).slice(0, 8)}`;
    const body = { model, prompt: "hello", max_tokens: 2, stream: true, mosara_receipt: true };
    const response = await test.post("/v1/completions", body, as("acme"));
    expect(response.headers.get("x-mosara-adapter")).toBe(`a@${hash(2)}`);
    expect(await response.text()).toContain(`"generation":"${hash(2)}"`);
    const lines = test.log.map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(lines.find(({ msg, path }) => msg === "request" && path === "/v1/completions")).toMatchObject({
      adapter: "a",
      generation: hash(2),
    });
    expect(await test.metrics.render()).toContain(
      `mosara_adapter_version_requests_total{adapter="a",tenant="acme",generation="${hash(2).slice(0, 12)}",finished_reason="length"} 1`,
    );
  });

  it("is a member of a blend, beside another generation of the same name", async () => {
    const answer = await send("POST", "/v1/completions", {
      model: "base",
      prompt: "hello",
      adapter: { blend: { a: 0.75, "a@-1": 0.25 } },
    });
    expect(answer.status).toBe(200);
    const parts = test.engine.requests.at(-1)?.adapter?.blend ?? [];
    expect(new Map(parts.map(({ generation, weight }) => [generation, weight]))).toEqual(
      new Map([
        [hash(3), 0.75],
        [hash(2), 0.25],
      ]),
    );
  });

  it("is listed with its facts, got, downloaded, and found by its hash", async () => {
    const list = await send("GET", "/v1/adapters/a/versions");
    expect(list.json.data).toMatchObject(
      [3, 2, 1].map((seed) => ({
        id: "a",
        generation: hash(seed),
        current: seed === 3,
        bytes: fittingAdapter(seed).length,
        created: expect.any(Number),
        card: expect.any(Object),
      })),
    );
    expect((await send("GET", "/v1/adapters/a@-1")).json.generation).toBe(hash(2));
    expect((await send("GET", "/v1/models/a@-1")).json.id).toBe("a@-1");
    const content = await test.app.request("/v1/adapters/a@-2/content", { headers: as("acme") });
    expect(Buffer.from(await content.arrayBuffer()).equals(fittingAdapter(1))).toBe(true);
    const byHash = { model: "base", prompt: "hello", adapter: { sha256: hash(1) } };
    expect([(await send("POST", "/v1/completions", byHash)).status, usedGeneration()]).toEqual([200, hash(1)]);
  });

  it("is deleted alone, but not while the name points to it", async () => {
    const current = await send("DELETE", `/v1/adapters/a@${hash(3)}`);
    expect([current.status, errorOf(current).code]).toEqual([409, "generation_in_use"]);
    expect((await send("DELETE", "/v1/adapters/a@-1", undefined, { "if-match": `"${hash(1)}"` })).status).toBe(412);
    expect((await send("DELETE", "/v1/adapters/a@-1", undefined, { "if-match": `"${hash(2)}"` })).status).toBe(200);
    expect((await send("GET", "/v1/adapters/a@-1")).json.generation).toBe(hash(1));
    expect(test.store.content(hash(2))).toBeUndefined();
    expect((await send("DELETE", "/v1/models/a@-1")).status).toBe(200);
    expect((await send("GET", "/v1/adapters/a")).json.generation).toBe(hash(3));
  });

  it("cannot be written, placed or misspelt", async () => {
    const put = await test.put("a@-1", fittingAdapter(4), as("acme"));
    expect([put.status, await put.text()]).toEqual([400, expect.stringContaining("generations never change")]);
    expect((await send("POST", "/v1/adapters/a@-1/placement", { placement: "merged" })).status).toBe(400);
    for (const name of ["a@", "a@x", "a@-0", "a@1@2"])
      expect((await send("GET", `/v1/adapters/${name}`)).status, name).toBe(400);
    expect((await send("POST", "/v1/adapters/a@-1/rollback", {})).status).toBe(400);
  });

  it("of another tenant is like one that nobody has, even with its whole hash", async () => {
    for (const name of [`a@${hash(9)}`, `a@${hash(9).slice(0, 6)}`]) {
      expect((await send("GET", `/v1/adapters/${name}`)).status).toBe(404);
      const answer = await send("POST", "/v1/completions", { model: name, prompt: "hello" });
      expect([answer.status, errorOf(answer).code]).toEqual([404, "model_not_found"]);
    }
    expect((await send("POST", "/v1/adapters/a/rollback", { to: hash(9) })).status).toBe(404);
    const versions = await send("GET", "/v1/adapters/a/versions", undefined, as("globex"));
    expect((versions.json.data as object[]).length).toBe(1);
  });
});

describe("a rollback", () => {
  it("points the name to an earlier generation, and back", async () => {
    const first = await send("POST", "/v1/adapters/a/rollback", { to: "-1" });
    expect([first.status, first.json.generation, first.headers.get("etag")]).toEqual([200, hash(2), `"${hash(2)}"`]);
    await send("POST", "/v1/completions", { model: "a", prompt: "hello" });
    expect(usedGeneration()).toBe(hash(2));
    expect((await send("POST", "/v1/adapters/a/rollback", {})).json.generation).toBe(hash(3));
    expect((await send("POST", "/v1/adapters/a/rollback", { to: hash(1).slice(0, 10) })).json.generation).toBe(hash(1));
    expect(test.log.filter((line) => line.includes('"rolled_back"'))).toHaveLength(3);
    expect((await send("POST", "/v1/adapters/a/rollback", { to: "x" })).status).toBe(400);
  });

  it("happens once, when several callers expect the same generation", async () => {
    const tries = Array.from({ length: 6 }, () =>
      send("POST", "/v1/adapters/a/rollback", {}, { "if-match": `"${hash(3)}"` }),
    );
    const codes = (await Promise.all(tries)).map(({ status }) => status);
    expect(codes.toSorted((a, b) => a - b)).toEqual([200, 412, 412, 412, 412, 412]);
    expect((await send("GET", "/v1/adapters/a")).json.generation).toBe(hash(2));
  });
});
