import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { encodeAdapter, generationOf } from "../../../src/adapter/adapter-file.ts";
import { SHARED } from "../../../src/store/tenant.ts";
import { madeUpAdapter } from "../../helpers/models/adapters.ts";
import { fittingAdapter } from "../../helpers/http-app.ts";
import { test, type Adapter, send, get, useAdapters } from "../../helpers/http/adapters.ts";

useAdapters();

const put = async (name: string, bytes: Uint8Array, headers: Record<string, string> = {}) => {
  const response = await test.put(name, bytes, headers);
  return { status: response.status, headers: response.headers, json: (await response.json()) as Adapter };
};

const [one, two] = [fittingAdapter(1), fittingAdapter(2)];

const [first, second] = [generationOf(one), generationOf(two)];

describe("PUT /v1/adapters/{name}", () => {
  it("answers 201 for a new one, 200 for the same and for another, with the generation as ETag", async () => {
    const created = await put("acme", one);
    expect([created.status, created.headers.get("etag")]).toEqual([201, `"${first}"`]);
    expect(created.json).toMatchObject({
      id: "acme",
      object: "adapter",
      generation: first,
      method: "mo-sara",
      heads: 1,
      num_params: 5,
      bytes: one.byteLength,
      base: test.context.base.signature.baseId,
      compatible: true,
      placement: "live",
      card: { method: "mo-sara", seed: 1 },
    });
    expect((await put("acme", one)).status).toBe(200);
    const replaced = await put("acme", two);
    expect([replaced.status, replaced.json.generation]).toEqual([200, second]);
  });

  it("changes nothing when a precondition does not hold", async () => {
    expect((await put("acme", one, { "if-match": "*" })).status).toBe(412);
    expect((await put("acme", one, { "if-none-match": "*" })).status).toBe(201);
    expect((await put("acme", two, { "if-none-match": "*" })).json.error.code).toBe("precondition_failed");
    expect((await put("acme", two, { "if-match": `"${second}"` })).status).toBe(412);
    expect((await put("acme", two, { "if-match": `W/"${first}"` })).status).toBe(412);
    expect((await put("acme", two, { "if-match": "nonsense" })).status).toBe(412);
    expect((await put("acme", two, { "if-none-match": `"${first}"` })).status).toBe(412);
    expect((await get("/v1/adapters/acme")).json.generation).toBe(first);
    expect((await put("acme", two, { "if-match": `"${second}", "${first}"` })).status).toBe(200);
  });

  it("refuses what is too large, before and after it is known how large it is", async () => {
    const large = new Uint8Array(2 ** 20 + 1);
    expect([(await put("acme", large)).status, (await put("acme", large)).json.error.code]).toEqual([
      413,
      "adapter_too_large",
    ]);
    const body = new ReadableStream({ pull: (controller) => controller.enqueue(new Uint8Array(65_536)) });
    const endless = await send("PUT", "/v1/adapters/acme", { body, duplex: "half" } as RequestInit);
    expect([endless.status, endless.json.error.code]).toEqual([413, "adapter_too_large"]);
    const gguf = await put("acme", Buffer.concat([Buffer.from("GGUF"), large]));
    expect([gguf.status, gguf.json.error.message]).toEqual([413, expect.stringContaining("it is a GGUF file")]);
  });

  it("names both ids of an adapter made for another base or basis", async () => {
    const foreign = { ...madeUpAdapter(), baseId: "f".repeat(64) };
    const answer = await put("acme", encodeAdapter(foreign));
    expect([answer.status, answer.json.error.code]).toEqual([400, "adapter_incompatible"]);
    expect(answer.json.error.message).toContain(foreign.baseId);
    expect(answer.json.error.message).toContain(test.context.base.signature.baseId);
    const [target] = madeUpAdapter().targets;
    if (!target) throw new Error("a target is made up");
    const other = await put(
      "acme",
      encodeAdapter({ ...madeUpAdapter(), targets: [{ ...target, basisId: "e".repeat(64) }] }),
    );
    expect(other.json.error.code).toBe("adapter_incompatible");
    expect(other.json.error.message).toContain("e".repeat(64));
    expect(test.store.count()).toBe(0);
  });

  it("refuses whatever is no adapter, and continues", async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), async (bytes) => {
        expect((await put("acme", bytes)).json.error.code).toBe("adapter_invalid");
      }),
      { numRuns: 30 },
    );
    const gguf = await put("acme", Buffer.from("GGUF\x03\0\0\0"));
    expect([gguf.status, gguf.json.error.code]).toEqual([400, "adapter_invalid"]);
    expect(gguf.json.error.message).toMatch(/a GGUF file.*--model/);
    for (const at of [0, 9, one.byteLength - 1]) {
      const cut = await put("acme", one.subarray(0, at));
      expect([cut.status, cut.json.error.code]).toEqual([400, "adapter_invalid"]);
    }
    expect(test.store.count()).toBe(0);
    expect((await put("acme", one)).status).toBe(201);
  });

  it("refuses the served model's own name and names that are none", async () => {
    for (const name of [
      "base",
      "..",
      "a..b",
      "-a",
      "a%2Fb",
      "a%20b",
      "%2e%2e%2fetc",
      "a".repeat(129),
      "ü",
      "a%00b",
      "a:b",
    ]) {
      const answer = await put(name, one);
      // ".." is resolved away by the URL itself.
      expect([400, 404, 405], `${name}: ${answer.status}`).toContain(answer.status);
      expect(["invalid_request", "not_found", "method_not_allowed"]).toContain(answer.json.error.code);
    }
    expect((await put("a".repeat(128), one)).status).toBe(201);
    expect(test.store.count()).toBe(1);
  });
});

describe("reading adapters", () => {
  it("gives one, its bytes, and 304 to who has it already", async () => {
    await put("acme", one);
    const content = await test.app.request("/v1/adapters/acme/content");
    expect(new Uint8Array(await content.arrayBuffer())).toEqual(new Uint8Array(one));
    expect([content.headers.get("etag"), content.headers.get("content-type")]).toEqual([
      `"${first}"`,
      "application/octet-stream",
    ]);
    for (const path of ["/v1/adapters/acme", "/v1/adapters/acme/content"]) {
      expect((await get(path, { "if-none-match": `"x", W/"${first}"` })).status).toBe(304);
      expect((await get(path, { "if-none-match": `"${second}"` })).status).toBe(200);
    }
    expect((await get("/v1/adapters/nobody")).json.error.code).toBe("adapter_not_found");
    expect((await get("/v1/adapters/nobody/content")).status).toBe(404);
  });

  it("lists them by name, page by page", async () => {
    for (const name of ["b", "a", "c"]) await put(name, one);
    const all = await get("/v1/adapters");
    expect([all.json.data.map(({ id }) => id), all.json.has_more]).toEqual([["a", "b", "c"], false]);
    const page = await get("/v1/adapters?limit=2");
    expect([page.json.data.map(({ id }) => id), page.json.has_more]).toEqual([["a", "b"], true]);
    const rest = await get("/v1/adapters?limit=2&after=b");
    expect([rest.json.data.map(({ id }) => id), rest.json.has_more]).toEqual([["c"], false]);
    for (const query of ["limit=0", "limit=x", "limit=10001", "after=.."])
      expect((await get(`/v1/adapters?${query}`)).status).toBe(400);
  });

  it("lists as many as are asked for, whatever lies between them and their number", async () => {
    const names = Array.from({ length: 250 }, (_, i) => `n${String(i).padStart(3, "0")}`);
    await Promise.all(names.map((name) => test.store.namesOf(SHARED).put(name, one)));
    for (const [limit, more] of [
      [1, true],
      [99, true],
      [100, true],
      [101, true],
      [249, true],
      [250, false],
      [10_000, false],
    ] as const) {
      const { json } = await get(`/v1/adapters?limit=${limit}`);
      expect([json.data.map(({ id }) => id), json.has_more]).toEqual([names.slice(0, limit), more]);
      const models = await get(`/v1/models?limit=${limit}&after=base`);
      expect([models.json.data.map(({ id }) => id), models.json.has_more]).toEqual([names.slice(0, limit), more]);
    }
    expect((await get("/v1/adapters?after=n249")).json).toEqual({ object: "list", data: [], has_more: false });
  });

  it("lists those of another base as incompatible; as models they are not there, and asked they refuse", async () => {
    await test.store.namesOf(SHARED).put("foreign", encodeAdapter({ ...madeUpAdapter(), baseId: "f".repeat(64) }));
    await put("acme", one);
    const list = await get("/v1/adapters");
    expect(list.json.data.map(({ id, compatible }) => [id, compatible])).toEqual([
      ["acme", true],
      ["foreign", false],
    ]);
    const models = await get("/v1/models");
    expect(models.json.data.map(({ id }) => id)).toEqual(["base", "acme"]);
    expect((await get("/v1/models/foreign")).status).toBe(404);
    const answer = await test.post("/v1/completions", { model: "foreign", prompt: "x" });
    expect([answer.status, ((await answer.json()) as Adapter).error.code]).toEqual([400, "adapter_incompatible"]);
  });
});

describe("models", () => {
  it("are the base and its adapters, page by page", async () => {
    for (const name of ["b", "a", "c"]) await put(name, one);
    const ids = async (query: string) => {
      const { json } = await get(`/v1/models${query}`);
      return [json.data.map(({ id }) => id), json.has_more];
    };
    expect(await ids("")).toEqual([["base", "a", "b", "c"], false]);
    expect(await ids("?limit=1")).toEqual([["base"], true]);
    expect(await ids("?limit=2")).toEqual([["base", "a"], true]);
    expect(await ids("?after=base&limit=2")).toEqual([["a", "b"], true]);
    expect(await ids("?after=b")).toEqual([["c"], false]);
  });

  it("are found by name and by base:adapter", async () => {
    await put("acme", one);
    expect((await get("/v1/models/base")).json).toMatchObject({
      id: "base",
      object: "model",
      parent: null,
      max_model_len: 512,
    });
    expect((await get("/v1/models/acme")).json).toMatchObject({ id: "acme", parent: "base" });
    expect((await get("/v1/models/base%3Aacme")).json.id).toBe("base:acme");
    for (const id of ["acme/", "/acme", "base/"])
      expect(await get(`/v1/models/${id}`)).toMatchObject({
        status: 404,
        json: { error: { message: expect.stringContaining(`Did you mean GET /v1/models/${id.replace("/", "")}?`) } },
      });
    const missing = await get("/v1/models/nobody");
    expect([missing.status, missing.json.error.code]).toEqual([404, "model_not_found"]);
  });
});

describe("DELETE /v1/adapters/{name}", () => {
  it("removes the name while running requests finish on it", async () => {
    await put("acme", one);
    const slow = test.post("/v1/completions", { model: "acme", prompt: "x", max_tokens: 30, stream: true });
    const response = await slow;
    const removed = await send("DELETE", "/v1/adapters/acme", { headers: { "if-match": `"${first}"` } });
    expect([removed.status, removed.json]).toEqual([200, { id: "acme", object: "adapter", deleted: true }]);
    expect(await response.text()).toMatch(/data: \[DONE\]\n\n$/);
    await expect.poll(() => test.engine.dropped).toEqual([first]);
    expect((await send("DELETE", "/v1/adapters/acme")).json.error.code).toBe("adapter_not_found");
    const later = await test.post("/v1/completions", { model: "acme", prompt: "x" });
    expect(later.status).toBe(404);
  });

  it("keeps it when If-Match names another generation", async () => {
    await put("acme", one);
    expect((await send("DELETE", "/v1/adapters/acme", { headers: { "if-match": `"${second}"` } })).status).toBe(412);
    expect((await get("/v1/adapters/acme")).status).toBe(200);
  });
});

describe("placement", () => {
  const place = (name: string, placement: unknown) =>
    send("POST", `/v1/adapters/${name}/placement`, { body: JSON.stringify({ placement }) });

  it("merges, reports what was measured, and goes back", async () => {
    await put("acme", one);
    const merged = await place("acme", "merged");
    expect([merged.status, merged.json.placement, merged.json.merge]).toEqual([
      200,
      "merged",
      { maxAbsLogitDifference: 0, kl: 0, seconds: 0.1 },
    ]);
    const live = await place("acme", "live");
    expect([live.status, live.json.placement, live.json.merge]).toEqual([200, "live", undefined]);
  });

  it("refuses a second one beyond the cap, and unknown names and words", async () => {
    await put("acme", one);
    await put("other", two);
    await place("acme", "merged");
    const beyond = await place("other", "merged");
    expect([beyond.status, beyond.json.error.code]).toEqual([409, "insufficient_memory"]);
    expect((await place("nobody", "merged")).json.error.code).toBe("adapter_not_found");
    expect((await place("acme", "elsewhere")).json.error.code).toBe("invalid_request");
    expect((await send("POST", "/v1/adapters/acme/placement", { body: '{"placement":"live","x":1}' })).status).toBe(
      400,
    );
  });

  it("refuses several heads, whose gate depends on the token, and adapters of another base", async () => {
    await put("many", encodeAdapter(madeUpAdapter({ heads: 3 })));
    await test.store.namesOf(SHARED).put("foreign", encodeAdapter({ ...madeUpAdapter(), baseId: "f".repeat(64) }));
    const many = await place("many", "merged");
    expect([many.status, many.json.error.code]).toEqual([409, "not_mergeable"]);
    expect((await place("foreign", "merged")).json.error.code).toBe("adapter_incompatible");
    expect(test.engine.mergedGenerations().size).toBe(0);
  });

  it("follows a name that is replaced, serving live until the new engine is there, and ends with its deletion", async () => {
    await put("acme", one);
    await place("acme", "merged");
    await put("acme", two);
    await expect.poll(async () => (await get("/v1/adapters/acme")).json.placement).toBe("merged");
    expect([...test.engine.mergedGenerations()]).toEqual([second]);
    await send("DELETE", "/v1/adapters/acme");
    await expect.poll(() => test.engine.mergedGenerations().size).toBe(0);
  });
});
