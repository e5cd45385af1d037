/** Aliases over HTTP: who gets which target, what is protected, and how they change. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { generationOf } from "../../../src/adapter/adapter-file.ts";
import { createTestApp, fittingAdapter, type TestApp } from "../../helpers/http-app.ts";

const keys = ["acme", "globex"].map((tenant) => ({ tenant, key: `key-of-${tenant}` }));
const as = (tenant: string) => ({ authorization: `Bearer key-of-${tenant}` });
const hash = (seed: number): string => generationOf(fittingAdapter(seed));

let test: TestApp;
beforeEach(async () => {
  test = await createTestApp({ keys, keepGenerations: 2 });
  await test.put("stable", fittingAdapter(1), as("acme"));
  await test.put("next", fittingAdapter(2), as("acme"));
});
afterEach(() => test[Symbol.asyncDispose]());

interface Alias {
  readonly targets: readonly { adapter: string; generation: string; pinned: boolean; weight: number }[];
  readonly error?: { code: string; message: string };
}
const send = async (method: string, path: string, body?: object, headers: Record<string, string> = {}) => {
  const response = await test.app.request(path, {
    method,
    headers: { ...as("acme"), ...headers },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: response.status, json: (await response.json()) as Alias, headers: response.headers };
};
const put = (targets: object, headers: Record<string, string> = {}, name = "live") =>
  send("PUT", `/v1/aliases/${name}`, { targets }, headers);
const codeOf = ({ status, json }: { status: number; json: Alias }) => [status, json.error?.code];
const askAs = async (fields: object, headers: Record<string, string> = {}) => {
  const body = { model: "live", prompt: "hi", max_tokens: 1, ...fields };
  const { status } = await send("POST", "/v1/completions", body, headers);
  expect(status).toBe(200);
  return test.engine.requests.at(-1)?.adapter?.generation;
};
const shareOfNext = async (users: number) => {
  const found: boolean[] = [];
  for (let i = 0; i < users; i++) found.push((await askAs({ user: `user-${i}` })) === hash(2));
  return found;
};

describe("an alias with weights", () => {
  it("gives each user one target, in the shares of the weights, and moves only as many users as it must", async () => {
    await put({ stable: 95, next: 5 });
    const first = await shareOfNext(200);
    const number = first.filter(Boolean).length;
    // Binomial with p = .05: mean 10, standard deviation 3.1. Three of them.
    expect(Math.abs(number - 10)).toBeLessThan(10);
    await put({ next: 20, stable: 80 });
    const second = await shareOfNext(200);
    expect(Math.abs(second.filter(Boolean).length - 40)).toBeLessThan(20);
    expect(first.every((wasNext, i) => !wasNext || second[i])).toBe(true);
  });

  it("draws by the request's id where there is no user, and the log and the header say what was drawn", async () => {
    await put({ stable: 1, next: 1 });
    const ids = Array.from({ length: 64 }, (_, i) => `request-${i}`);
    const draw = async () => {
      const drawn: unknown[] = [];
      for (const id of ids) drawn.push(await askAs({}, { "x-request-id": id }));
      return drawn;
    };
    const drawn = await draw();
    const number = drawn.filter((one) => one === hash(2)).length;
    expect(Math.abs(number - 32)).toBeLessThan(17);
    expect(await draw()).toEqual(drawn);
    const line = test.log.map((text) => JSON.parse(text) as object).findLast((one) => "alias" in one && "path" in one);
    expect(line).toMatchObject({ alias: "live", generation: drawn.at(-1), requestId: ids.at(-1) });
  });

  it("is a model for every API, and names the generation that answered", async () => {
    await put({ "next@-1": 0, next: 1 }).then(({ status }) => expect(status).toBe(404));
    await test.put("next", fittingAdapter(3), as("acme"));
    expect((await put({ "next@-1": 1 })).status).toBe(201);
    const chat = { model: "live", messages: [{ role: "user", content: "hi" }], max_tokens: 1 };
    for (const [path, body] of Object.entries({
      "/v1/chat/completions": chat,
      "/v1/messages": { ...chat, metadata: { user_id: "u" } },
      "/v1/responses": { model: "live", input: "hi" },
      "/v1/embeddings": { model: "live", input: "hi" },
      "/v1/completions": { model: "base", adapter: "live", prompt: "hi" },
    })) {
      const answer = await send("POST", path, body);
      expect([path, answer.status, answer.headers.get("x-mosara-adapter")]).toEqual([path, 200, `next@${hash(2)}`]);
    }
    expect((await send("GET", "/v1/models/live")).status).toBe(200);
  });

  it("is in the list of models once, in the order of names, on every page", async () => {
    await put({ stable: 1 });
    await put({ next: 1 }, {}, "zulu");
    // A shared adapter of the same name, which the alias hides.
    await test.store.namesOf("shared").put("live", fittingAdapter(8));
    const all = ["base", "live", "next", "stable", "zulu"];
    for (const limit of [1, 2, 3, 5, 100]) {
      const found: string[] = [];
      for (let hasMore = true; hasMore;) {
        const after = found.length === 0 ? "" : `&after=${found.at(-1)}`;
        const { json } = await send("GET", `/v1/models?limit=${limit}${after}`);
        const page = json as unknown as { data: { id: string; parent: string | null }[]; has_more: boolean };
        found.push(...page.data.map(({ id }) => id));
        expect(page.data.every(({ id, parent }) => parent === (id === "base" ? null : "base"))).toBe(true);
        hasMore = page.has_more;
      }
      expect([limit, found]).toEqual([limit, all]);
    }
    const others = await send("GET", "/v1/models", undefined, as("globex"));
    expect((others.json as unknown as { data: { id: string }[] }).data.map(({ id }) => id)).toEqual(["base", "live"]);
  });

  it("has one target for one user in all APIs", async () => {
    await put({ stable: 1, next: 1 });
    for (const user of ["a", "b", "c", "d", "e"]) {
      const generation = await askAs({ user });
      const chat = { model: "live", messages: [{ role: "user", content: "hi" }], max_tokens: 1 };
      await send("POST", "/v1/messages", { ...chat, metadata: { user_id: user } });
      expect(test.engine.requests.at(-1)?.adapter?.generation).toBe(generation);
      await send("POST", "/v1/responses", { model: "live", input: "hi", user });
      expect(test.engine.requests.at(-1)?.adapter?.generation).toBe(generation);
    }
  });
});

describe("what an alias stands for", () => {
  it("is an adapter of the same owner, never an alias, and no adapter has the alias' name", async () => {
    await test.put("theirs", fittingAdapter(5), as("globex"));
    await put({ stable: 1 });
    expect(codeOf(await put({ theirs: 1 }, {}, "other"))).toEqual([404, "adapter_not_found"]);
    expect(codeOf(await put({ nobody: 1 }, {}, "other"))).toEqual([404, "adapter_not_found"]);
    expect(codeOf(await put({ live: 1 }, {}, "other"))).toEqual([400, "invalid_request"]);
    expect(codeOf(await put({ live: 1 }))).toEqual([400, "invalid_request"]);
    expect(codeOf(await put({ stable: 1 }, {}, "next"))).toEqual([409, "name_in_use"]);
    const adapter = await test.put("live", fittingAdapter(1), as("acme"));
    expect(adapter.status).toBe(409);
    for (const targets of [{}, { stable: 0 }, { stable: -1 }, { stable: 1, [`stable@${hash(1)}`]: 1, "stable@x": 1 }])
      expect((await put(targets)).status, JSON.stringify(targets)).toBe(400);
  });

  it("is kept: deleting it is refused, a pinned generation outlives the policy, and goes when nothing needs it", async () => {
    await put({ [`stable@${hash(1)}`]: 1, next: 1 });
    for (const seed of [3, 4, 5]) await test.put("stable", fittingAdapter(seed), as("acme"));
    const versions = async () =>
      test.store
        .namesOf("acme")
        .versions("stable")
        .map(({ generation }) => generation);
    expect(await versions()).toEqual([hash(5), hash(4), hash(1)]);
    for (const name of ["stable", "next", `stable@${hash(1)}`]) {
      const refusal = await send("DELETE", `/v1/adapters/${name}`);
      expect([codeOf(refusal), refusal.json.error?.message]).toEqual([
        [409, "generation_in_use"],
        expect.stringContaining("live"),
      ]);
    }
    expect((await send("DELETE", "/v1/aliases/live")).status).toBe(200);
    await test.put("stable", fittingAdapter(6), as("acme"));
    expect(await versions()).toEqual([hash(6), hash(5)]);
    expect(test.store.content(hash(1))).toBeUndefined();
  });

  it("is another tenant's business: nobody else sees, uses or changes it", async () => {
    await put({ stable: 1 });
    const other = as("globex");
    expect((await send("GET", "/v1/aliases/live", undefined, other)).status).toBe(404);
    expect((await send("DELETE", "/v1/aliases/live", undefined, other)).status).toBe(404);
    expect((await send("POST", "/v1/aliases/live/promote", { target: "stable" }, other)).status).toBe(404);
    const use = await send("POST", "/v1/completions", { model: "live", prompt: "hi" }, other);
    expect(codeOf(use)).toEqual([404, "model_not_found"]);
    expect((await send("GET", "/v1/aliases", undefined, other)).json).toEqual({ object: "list", data: [] });
    await test.put("stable", fittingAdapter(7), other);
    expect((await send("PUT", "/v1/aliases/live", { targets: { stable: 1 } }, other)).status).toBe(201);
    expect(await askAs({})).toBe(hash(1));
  });
});

describe("a change of an alias", () => {
  it("promotes and rolls back in one call, under preconditions", async () => {
    const made = await put({ stable: 95, next: 5 }, { "if-none-match": "*" });
    const tag = made.headers.get("etag") ?? "";
    expect(made.status).toBe(201);
    expect((await put({ stable: 1 }, { "if-none-match": "*" })).status).toBe(412);
    const promoted = await send("POST", "/v1/aliases/live/promote", { target: "next" }, { "if-match": tag });
    expect(promoted.json.targets).toMatchObject([{ adapter: "next", generation: hash(2), pinned: false }]);
    const again = await send("POST", "/v1/aliases/live/promote", { target: "stable" }, { "if-match": tag });
    expect(again.status).toBe(412);
    const back = await send(
      "POST",
      "/v1/aliases/live/rollback",
      {},
      { "if-match": promoted.headers.get("etag") ?? "" },
    );
    expect([back.headers.get("etag"), back.json.targets.map(({ weight }) => weight)]).toEqual([tag, [95, 5]]);
    const notModified = await test.app.request("/v1/aliases/live", {
      headers: { ...as("acme"), "if-none-match": tag },
    });
    expect(notModified.status).toBe(304);
    const audit = test.log
      .map((line) => JSON.parse(line) as Record<string, unknown>)
      .filter(({ msg }) => msg === "alias");
    expect(audit.map(({ change }) => change)).toEqual(["created", "promoted", "rolled_back"]);
    expect(audit[1]).toMatchObject({ from: { stable: 95, next: 5 }, to: { next: 1 }, tenant: "acme", owner: "acme" });
  });

  it("happens once, when several callers expect the same tag", async () => {
    const tag = (await put({ stable: 1 })).headers.get("etag") ?? "";
    const tries = Array.from({ length: 8 }, (_, i) => put({ stable: 1, next: i + 1 }, { "if-match": tag }));
    const codes = (await Promise.all(tries)).map(({ status }) => status);
    expect(codes.filter((status) => status === 200)).toHaveLength(1);
    expect(codes.filter((status) => status === 412)).toHaveLength(7);
  });
});
