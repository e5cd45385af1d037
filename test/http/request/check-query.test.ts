/** Parameters of a query that would be ignored: misspelt, of other APIs, or twice. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { createTestApp, fittingAdapter, type TestApp } from "../../helpers/http-app.ts";

let test: TestApp;
let strict: TestApp;
beforeAll(async () => {
  test = await createTestApp();
  strict = await createTestApp({ refusesUnknownFields: true });
  await test.put("acme", fittingAdapter(1));
});
afterAll(async () => {
  await test[Symbol.asyncDispose]();
  await strict[Symbol.asyncDispose]();
});

it.each([
  ["GET", "/v1/models?limits=1", "limits", 'Did you mean "limit"?'],
  ["GET", "/v1/models?after_id=acme", "after_id", "It has limit, after."],
  ["GET", "/v1/adapters?offset=10", "offset", "It has limit, after."],
  ["GET", "/v1/adapters?limit=1&limit=2", "limit", "more than once"],
  ["GET", "/v1/adapters/acme?tenants=shared", "tenants", 'Did you mean "tenant"?'],
  ["DELETE", "/v1/adapters/acme?tenat=shared", "tenat", 'Did you mean "tenant"?'],
  ["PUT", "/v1/adapters/other?verfy=strict", "verfy", 'Did you mean "verify"?'],
  ["GET", "/v1/fine_tuning/jobs?order=asc", "order", "It has limit, after, metadata."],
  ["GET", "/v1/usage?form=2026-01-01", "form", 'Did you mean "from"?'],
])("%s %s is refused", async (method, path, param, message) => {
  const init = method === "PUT" ? { method, body: Buffer.from(fittingAdapter(1)) } : { method };
  const answer = await test.app.request(path, init);
  const { error } = (await answer.json()) as { error: { code: string; param: string; message: string } };
  expect([answer.status, error.code, error.param]).toEqual([400, "invalid_request", param]);
  expect(error.message).toContain(message);
});

it.each([
  "/v1/models?api-version=2024-10-21",
  "/v1/models?beta=true&limit=1&limit=1",
  "/v1/adapters?_=1700000000",
  "/v1/files?order=asc&purpose=fine-tune",
  "/healthz?order=asc",
  "/metrics?name[]=vllm:num_requests_running",
])("GET %s is answered", async (path) => {
  expect((await test.app.request(path)).status).toBe(200);
});

it("unknown ones are refused with --strict-fields", async () => {
  expect((await strict.app.request("/v1/models?_=1")).status).toBe(400);
  expect((await strict.app.request("/v1/models?api-version=1&limit=3")).status).toBe(200);
  expect((await strict.app.request("/healthz?_=1")).status).toBe(200);
});
