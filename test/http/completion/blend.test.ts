/**
 * Blends over HTTP: what the engine is asked for, whose generation answers, what is held meanwhile, and what is refused
 * by name.
 */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { encodeAdapter, generationOf } from "../../../src/adapter/adapter-file.ts";
import { madeUpAdapter } from "../../helpers/models/adapters.ts";
import { createTestApp, fittingAdapter, type TestApp, type TestAppOptions } from "../../helpers/http-app.ts";

let test: TestApp;
async function start(options: TestAppOptions = {}): Promise<void> {
  test = await createTestApp(options);
  for (const [i, name] of ["a", "b", "c"].entries()) await test.put(name, fittingAdapter(i + 1));
  await test.put("same-as-a", fittingAdapter(1));
  for (const [i, name] of ["wide", "wider"].entries())
    await test.put(name, encodeAdapter(madeUpAdapter({ heads: 2 + i, seed: 10 + i })));
}
beforeEach(() => start());
afterEach(() => test[Symbol.asyncDispose]());

const [a, b, c] = [1, 2, 3].map((seed) => generationOf(fittingAdapter(seed))) as [string, string, string];
const ask = async (body: object, path = "/v1/completions") => {
  const asked = path !== "/v1/completions" ? { messages: [{ role: "user", content: "hello" }] } : { prompt: "hello" };
  const response = await test.post(path, { model: "base", max_tokens: 2, ...asked, ...body });
  const json = (await response.json()) as {
    system_fingerprint: string;
    error?: { code: string; param: string; message: string };
  };
  return { status: response.status, json, ref: test.engine.requests.at(-1)?.adapter };
};
const blended = (blend: unknown, path?: string) => ask({ adapter: { blend } }, path);

describe("a blend", () => {
  it("reaches the engine as generations with weights, under a generation of its own, in chats and completions", async () => {
    for (const path of ["/v1/completions", "/v1/chat/completions"]) {
      const { status, json, ref } = await blended({ a: 0.7, b: 0.3 }, path);
      expect(status).toBe(200);
      const parts = [
        { generation: a, weight: 0.7 },
        { generation: b, weight: 0.3 },
      ];
      expect(ref?.blend).toEqual(parts.toSorted((one, other) => (one.generation < other.generation ? -1 : 1)));
      expect(ref?.generation).toMatch(/^[0-9a-f]{64}$/);
      expect([a, b]).not.toContain(ref?.generation);
      expect(json.system_fingerprint.endsWith(`_${ref?.generation.slice(0, 8)}`)).toBe(true);
    }
  });

  it("is accepted where another API becomes a chat request", async () => {
    const { status, ref } = await blended({ a: 0.7, b: 0.3 }, "/v1/messages");
    expect([status, ref?.blend?.length]).toEqual([200, 2]);
  });

  it("has the generation of its sum: the order, 0 and another name of the same content make none", async () => {
    const generationFor = async (blend: object) => (await blended(blend)).ref?.generation;
    const wanted = await generationFor({ a: 0.5, b: 0.25 });
    for (const blend of [
      { b: 0.25, a: 0.5 },
      { a: 0.5, b: 0.25, c: 0 },
      { a: 0.25, "same-as-a": 0.25, b: 0.25 },
    ])
      expect(await generationFor(blend)).toBe(wanted);
    for (const blend of [{ a: 0.5, b: 0.5 }, { a: 0.5, c: 0.25 }, { a: 0.5 }, { a: -0.5, b: 0.25 }, { a: 0 }])
      expect(await generationFor(blend)).not.toBe(wanted);
  });

  it("of one adapter with the weight 1 is that adapter", async () => {
    for (const blend of [{ a: 1 }, { a: 1, b: 0 }, { a: 0.5, "same-as-a": 0.5 }])
      expect((await blended(blend)).ref).toEqual({ generation: a });
  });

  it("ends where any of its members ends", async () => {
    const withEnds = (seed: number, endTokenIds: number[]) =>
      encodeAdapter({ ...madeUpAdapter({ seed }), endTokenIds });
    await test.put("ends", withEnds(20, [7, 9]));
    await test.put("ends-too", withEnds(21, [5, 9]));
    await blended({ ends: 0.5, "ends-too": 0.5 });
    expect(test.engine.requests.at(-1)?.stopIds).toEqual(expect.arrayContaining([5, 7, 9]));
  });

  it("holds its members' contents until it has ended, and no longer", async () => {
    await test[Symbol.asyncDispose]();
    await start({ stepMs: 50 });
    const { body } = await test.post("/v1/completions", {
      model: "base",
      prompt: "hello",
      stream: true,
      max_tokens: 400, // it is cancelled before
      adapter: { blend: { a: 0.5, b: 0.5 } },
    });
    for (const name of ["b", "c"]) await test.app.request(`/v1/adapters/${name}`, { method: "DELETE" });
    expect([test.store.content(b), test.store.content(c)]).toEqual([expect.anything(), undefined]);
    await body?.cancel();
    await expect.poll(() => test.store.content(b)).toBeUndefined();
    await expect.poll(() => test.engine.dropped).toContain(b);
    const refused = await blended({ a: 0.5, b: 0.5 });
    expect([refused.status, refused.json.error?.code]).toEqual([404, "adapter_not_found"]);
  });

  it("is in the log and the metrics under its generation and one label", async () => {
    const { ref } = await blended({ a: 0.7, b: 0.3 });
    const line = test.log.map((one) => JSON.parse(one) as object).at(-1);
    expect(line).toMatchObject({ adapter: "_blend", generation: ref?.generation, blend: { a: 0.7, b: 0.3 } });
    const metrics = await (await test.app.request("/metrics")).text();
    expect(metrics).toMatch(/mosara_adapter_requests_total\{.*adapter="_blend".*\} 1/);
  });
});

describe("a blend is refused", () => {
  it.each([
    [{ blend: { a: 0.5, nobody: 0.5 } }, 404, "adapter_not_found", "adapter.blend.nobody"],
    [{ blend: { "../a": 1 } }, 404, "adapter_not_found", "adapter.blend.../a"],
    [{ blend: {} }, 400, "invalid_request", "adapter.blend"],
    [{ blend: { a: "0.5" } }, 400, "invalid_request", "adapter"],
    [{ blend: { a: 2e6 } }, 400, "invalid_request", "adapter.blend.a"],
    [{ blend: { a: null } }, 400, "invalid_request", "adapter"],
    [{ blend: ["a", "b"] }, 400, "invalid_request", "adapter"],
    [
      { blend: Object.fromEntries("abcdefghi".split("").map((name) => [name, 1])) },
      400,
      "invalid_request",
      "adapter.blend",
    ],
    [{ blend: { a: 1 }, data: "AAAA" }, 400, "invalid_request", "adapter"],
    [{ blend: { wide: 0.5, wider: 0.5 } }, 400, "not_blendable", "adapter"],
  ])("%j: %i %s", async (adapter, status, code, param) => {
    const { status: got, json } = await ask({ adapter });
    expect([got, json.error?.code, json.error?.param]).toEqual([status, code, param]);
  });

  it("with weights that JSON cannot hold as finite numbers", async () => {
    const body = '{"model":"base","prompt":"x","adapter":{"blend":{"a":1e999}}}';
    expect((await test.post("/v1/completions", body)).status).toBe(400);
  });

  it("beside another name, and says which", async () => {
    const { status, json } = await ask({ model: "c", adapter: { blend: { a: 1 } } });
    expect([status, json.error?.message]).toEqual([400, expect.stringContaining('"c"')]);
  });

  it("with the names of the adapters that cannot be blended", async () => {
    const { json } = await blended({ wide: 0.5, a: 0.2, wider: 0.5 });
    expect(json.error?.message).toMatch(/"wider?" and "wider?" have several heads/);
    expect((await blended({ wide: 0.5, a: 0.5 })).status).toBe(200);
  });
});
