/** The OpenAPI document, compared with the routes, the fields and the errors of the application. */
import { afterEach, describe, expect, it } from "vitest";
import { FIELDS } from "../../src/fields/check-fields.ts";
import type { Endpoint } from "../../src/fields/field.ts";
import { createTestApp, fittingAdapter, type TestApp } from "../helpers/http-app.ts";
import { routesOf } from "../helpers/http/routes.ts";

let test: TestApp;

afterEach(() => test[Symbol.asyncDispose]());

interface OpenApi {
  openapi: string;
  paths: Record<string, Record<string, { requestBody?: { content: Record<string, { example?: object }> } }>>;
  components: { schemas: Record<string, { properties: Record<string, { description?: string }> }> };
}

describe("the OpenAPI document", () => {
  it("has every route the application has, and no other", async () => {
    test = await createTestApp();
    const document = (await (await test.app.request("/openapi.json")).json()) as OpenApi;
    expect(document.openapi).toBe("3.1.0");
    const documented = Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path.replace(/\{\w+\}/, "acme")}`),
    );
    expect(documented.sort()).toEqual(
      routesOf(test.app)
        .map(([method, path]) => `${method} ${path}`)
        .sort(),
    );
  });

  it("describes the fields that the tables call heeded, and user, whose type is checked", async () => {
    test = await createTestApp();
    const { components } = (await (await test.app.request("/openapi.json")).json()) as OpenApi;
    const described = (name: string) => Object.keys(components.schemas[name]?.properties ?? {}).sort();
    const heeded = (endpoint: Endpoint) =>
      FIELDS.filter(({ name, treatment }) => name === "user" || treatment[endpoint].kind === "heeded");
    const namesOf = (endpoint: Endpoint) => heeded(endpoint).map(({ name }) => name);
    expect(described("CompletionRequest")).toEqual(namesOf("completions").sort());
    expect(described("ChatCompletionRequest")).toEqual(namesOf("chat").sort());
  });

  it("says of every field of a completion what it does", async () => {
    test = await createTestApp();
    const { components } = (await (await test.app.request("/openapi.json")).json()) as OpenApi;
    for (const name of ["CompletionRequest", "ChatCompletionRequest", "EmbeddingRequest"]) {
      const fields = Object.entries(components.schemas[name]?.properties ?? {});
      expect(fields.filter(([, schema]) => (schema.description ?? "") === "").map(([field]) => field)).toEqual([]);
    }
  });

  it("has an example of every JSON body, which the server accepts", async () => {
    test = await createTestApp();
    await test.put("pirate", fittingAdapter(1));
    const { paths } = (await (await test.app.request("/openapi.json")).json()) as OpenApi;
    const bodies = Object.entries(paths).flatMap(([path, { post }]) => {
      const json = post?.requestBody?.content["application/json"];
      return json ? [{ path, example: json.example }] : [];
    });
    expect(bodies.length).toBeGreaterThan(10);
    for (const { path, example } of bodies.filter((one) => !/\/load_lora_adapter$|\/loras$/.test(one.path))) {
      expect([path, typeof example]).toEqual([path, "object"]);
      // Only the schema is the matter here: the toy has no directory of adapters and not every part of an engine.
      const body = JSON.parse(JSON.stringify(example).replaceAll('"demo"', '"base"')) as object;
      const { error } = (await (await test.post(path.replace("{name}", "pirate"), body)).json().catch(() => ({}))) as {
        error?: { code: string; message: string };
      };
      expect([path, error?.code === "invalid_request" ? error.message : "accepted"]).toEqual([path, "accepted"]);
    }
  });

  it("describes errors of every route but the ones that have none", async () => {
    test = await createTestApp();
    const document = (await (await test.app.request("/openapi.json")).json()) as {
      paths: Record<string, Record<string, { responses: object }>>;
    };
    const silent = Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.entries(methods).flatMap(([method, { responses }]) =>
        "default" in responses ? [] : [`${method} ${path}`],
      ),
    );
    expect(silent.sort()).toEqual(["get /", "get /docs", "get /openapi.json"]);
  });

  it("lists the codes of errors", async () => {
    test = await createTestApp();
    const document = (await (await test.app.request("/openapi.json")).json()) as { "x-errors": object };
    const codes = Object.keys(document["x-errors"]);
    expect(codes).toContain("adapter_not_found");
    expect(codes).not.toContain("usage"); // of the command line
  });
});
