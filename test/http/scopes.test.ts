/**
 * Every route × method × scope × tenant. A new route takes part by itself: its type demands a scope, and a request that
 * the key's scopes do not allow must be refused before anything else is looked at.
 */
import { createHash } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { allRoutes } from "../../src/http/app.ts";
import { REQUEST_EXAMPLES } from "../../src/http/request-examples.ts";
import { SCOPES, type Scope } from "../../src/keys/caller.ts";
import type { KeyEntry } from "../../src/keys/keys-file.ts";
import { SHARED } from "../../src/store/tenant.ts";
import { createTestApp, fittingAdapter, type TestApp } from "../helpers/http-app.ts";

const TENANTS = ["acme", "globex"];
const routes = allRoutes("0");
const keyOf = (tenant: string, scopes: readonly Scope[]): string => `${tenant}:${scopes.join("+")}`;
const entryOf = (tenant: string, scopes: readonly Scope[], adapters?: string[]): KeyEntry => {
  const key = `${keyOf(tenant, scopes)}${adapters?.join() ?? ""}`;
  const sha256 = createHash("sha256").update(key).digest("hex");
  return { id: key.replaceAll(/[:+*]/g, "-"), sha256, tenant, scopes: [...scopes], ...(adapters ? { adapters } : {}) };
};
/** Each scope alone, and all but one. */
const SETS: readonly (readonly Scope[])[] = [
  ...SCOPES.map((scope) => [scope]),
  ...SCOPES.map((scope) => SCOPES.filter((other) => other !== scope)),
];

const ALL_BUT_METRICS = SCOPES.filter((scope) => scope !== "metrics");

/** Every documented body that names adapters or aliases, with one name in the place of all of its own. */
function bodiesWithNames() {
  return Object.entries(REQUEST_EXAMPLES).flatMap(([route, example]) => {
    const [method = "", path = ""] = route.split(" ");
    const text = JSON.stringify(example);
    const names = /"(pirate|formal|demo)"/g;
    // A job names its base alone. The routes that load read a file of the operator, and name what they make.
    if (!names.test(text) || /fine_tuning|\/load_lora|\/loras$/.test(path)) return [];
    const withName = (name: string) => text.replace(names, JSON.stringify(name)).replace(names, '"base"');
    return [[method, path.replaceAll(/\{(\w+)\}/g, ":$1"), withName] as const];
  });
}

let test: TestApp;
beforeAll(async () => {
  test = await createTestApp();
  test.context.keys.setFile({
    version: 1,
    keys: [
      ...TENANTS.flatMap((tenant) => SETS.map((scopes) => entryOf(tenant, scopes))),
      entryOf("acme", ["use", "write"], ["team-*"]),
    ],
  });
  await test.store.namesOf(SHARED).put("common", fittingAdapter(1));
  for (const [i, tenant] of TENANTS.entries()) {
    await test.store.namesOf(tenant).put(`of-${tenant}`, fittingAdapter(2 + i));
    const targets = [{ name: `of-${tenant}`, generation: null, weight: 1 }];
    await test.store.aliasesOf(tenant).put(`alias-of-${tenant}`, { targets });
  }
});
afterAll(async () => await test[Symbol.asyncDispose]());

const ask = async (method: string, path: string, key?: string, body?: string | Uint8Array) =>
  await test.app.request(path, {
    method: method.toUpperCase(),
    headers: { ...(key === undefined ? {} : { authorization: `Bearer ${key}` }), "content-type": "application/json" },
    ...(body === undefined ? {} : { body: typeof body === "string" ? body : Buffer.from(body) }),
  });
/** A path of the route; the parameter is a name that exists for nobody. */
const pathOf = (path: string, name = "nobody"): string => path.replaceAll(/:\w+(\{[^}]*\})?/g, name);
const errorOf = async (response: Response) =>
  ((await response.json()) as { error?: { code: string; message: string } }).error;

describe("every route", () => {
  it.each(routes.map((route) => [route.method, route.path, route.scope] as const))(
    "%s %s needs the scope %s, whichever tenant asks",
    async (method, path, scope) => {
      const unknown = await Promise.all([ask(method, pathOf(path)), ask(method, pathOf(path), "wrong")]);
      if (scope !== "none") expect(unknown.map(({ status }) => status)).toEqual([401, 401]);
      // The files of the pages have a parameter, so a path that names none of them needs a key, as unknown paths do.
      else if (!path.includes(":")) expect(unknown.map(({ status }) => status)).not.toContain(401);
      for (const tenant of TENANTS)
        for (const scopes of SETS) {
          const isAllowed = scope === "none" || scope === "any" || scopes.includes(scope);
          const answer = await ask(method, pathOf(path), keyOf(tenant, scopes));
          expect([scopes, answer.status === 403]).toEqual([scopes, !isAllowed]);
          if (isAllowed) continue;
          const { code, message } = (await errorOf(answer)) ?? {};
          // Anthropic's routes have no field for the code.
          if (!path.startsWith("/v1/messages")) expect(code).toBe("insufficient_scope");
          expect(message).toContain(`the scope "${scope}"`);
        }
    },
  );

  it("answers no other method than its own, with any key", async () => {
    const paths = [...new Set(routes.map(({ path }) => path))];
    for (const path of paths) {
      // /v1/adapters/residency is also a path of the routes of one adapter.
      const matches = (pattern: string) =>
        pattern === path || new RegExp(`^${pattern.replace(/:[a-z]+(\{[^}]*\})?/g, "[^/:]+")}$`).test(path);
      const known = new Set<string>(routes.filter((route) => matches(route.path)).map(({ method }) => method));
      for (const method of ["get", "post", "put", "delete", "patch"].filter((one) => !known.has(one)))
        for (const key of [keyOf("acme", ["use"]), keyOf("acme", ["admin"])])
          expect([method, path, (await ask(method, pathOf(path), key)).status]).toEqual([method, path, 405]);
    }
  });

  it.each(routes.filter(({ path }) => /:(name|id)/.test(path)).map((route) => [route.method, route.path] as const))(
    "%s %s answers for another tenant's adapter or alias as for one that nobody has",
    async (method, path) => {
      const body =
        method === "put" ? "no adapter" : method === "post" ? JSON.stringify({ placement: "live" }) : undefined;
      for (const [tenant = "", other = ""] of [TENANTS, TENANTS.toReversed()])
        for (const kind of ["of-", "alias-of-"]) {
          const answers = await Promise.all(
            [kind + other, `${kind}nobody`].map(async (name) => {
              const answer = await ask(method, pathOf(path, name), keyOf(tenant, ALL_BUT_METRICS), body);
              return [answer.status, (await answer.text()).replaceAll(name, "NAME")];
            }),
          );
          expect(answers[0]).toEqual(answers[1]);
          expect(answers[0]?.[0]).toBe(method === "put" ? 400 : 404);
        }
    },
  );

  it.each(bodiesWithNames())("%s %s finds no name of another tenant in a body", async (method, path, withName) => {
    for (const [tenant = "", other = ""] of [TENANTS, TENANTS.toReversed()]) {
      const inPath = method === "put" ? `new-of-${tenant}` : `alias-of-${tenant}`;
      const answerTo = async (form: string, owner: string) => {
        const body = withName(form.replace("OWNER", owner));
        const answer = await ask(method, pathOf(path, inPath), keyOf(tenant, ALL_BUT_METRICS), body);
        const text = (await answer.text()).replaceAll(owner, "OWNER").replaceAll(/"(id|request_id)":"[^"]*"/g, "");
        return [answer.status, text] as const;
      };
      for (const form of ["of-OWNER", "alias-of-OWNER", "of-OWNER@-1", "base:of-OWNER"])
        expect(await answerTo(form, other)).toEqual(await answerTo(form, "nobody"));
      // The name alone decides: the tenant's own one is found.
      const [[own], [foreign]] = [await answerTo("of-OWNER", tenant), await answerTo("of-OWNER", other)];
      expect([[200, 201, 409].includes(own), foreign]).toEqual([true, 404]); // 409: an alias stands for it
    }
  });
});

describe("a key with patterns of adapters", () => {
  const key = `${keyOf("acme", ["use", "write"])}team-*`;

  it("sees and changes only adapters of these names", async () => {
    expect((await ask("put", "/v1/adapters/team-a", key, fittingAdapter(7))).status).toBe(201);
    const refusal = await ask("put", "/v1/adapters/other", key, fittingAdapter(7));
    expect([refusal.status, await errorOf(refusal)]).toMatchObject([
      403,
      { code: "insufficient_scope", message: expect.stringContaining("team-*") },
    ]);
    const { data } = (await (await ask("get", "/v1/adapters", key)).json()) as { data: { id: string }[] };
    expect(data.map(({ id }) => id)).toEqual(["team-a"]);
    for (const name of ["of-acme", "common", "of-nobody"])
      for (const [method, path] of [
        ["get", "/v1/adapters/"],
        ["get", "/v1/models/"],
        ["delete", "/v1/adapters/"],
      ] as const)
        expect([name, (await ask(method, path + name, key)).status]).toEqual([name, 404]);
    const use = (model: string) =>
      ask("post", "/v1/completions", key, JSON.stringify({ model, prompt: "a", max_tokens: 1 }));
    expect([(await use("team-a")).status, (await use("base")).status, (await use("of-acme")).status]).toEqual([
      200, 200, 404,
    ]);
  });
});

describe("a key that ends", () => {
  it("is refused from that moment, and others continue", async () => {
    const entries = [entryOf("acme", ["use"]), { ...entryOf("acme", ["metrics"]), expires: "2020-01-01T00:00:00Z" }];
    await using own = await createTestApp();
    own.context.keys.setFile({ version: 1, keys: entries });
    const status = async (scopes: Scope[]) =>
      (await own.app.request("/version", { headers: { authorization: `Bearer ${keyOf("acme", scopes)}` } })).status;
    expect([await status(["use"]), await status(["metrics"])]).toEqual([200, 401]);
  });
});
