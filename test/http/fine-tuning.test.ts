/** Fine-tuning over HTTP without a trainer: uploads, and keys with limits. `test/integration/fine-tuning.test.ts` trains. */
import { createHash } from "node:crypto";
import { afterAll, beforeAll, expect, it } from "vitest";
import { createTestApp, type TestApp } from "../helpers/http-app.ts";

const KEY = "acme-key-of-a-team";
let test: TestApp;
beforeAll(async () => {
  test = await createTestApp();
  const sha256 = createHash("sha256").update(KEY).digest("hex");
  const scopes = ["use", "write", "train"] as const;
  test.context.keys.setFile({
    version: 1,
    keys: [{ id: "team", sha256, tenant: "acme", scopes: [...scopes], adapters: ["ft:*:team:*"] }],
  });
});
afterAll(async () => await test[Symbol.asyncDispose]());

const headers = { authorization: `Bearer ${KEY}` };
async function upload(form: Readonly<Record<string, string | Blob>>) {
  const body = new FormData();
  for (const [name, value] of Object.entries(form)) body.set(name, value);
  const answer = await test.app.request("/v1/files", { method: "POST", headers, body });
  return { status: answer.status, json: (await answer.json()) as { id?: string; error?: { param: string } } };
}
const file = (content: string): File => new File([content], "data.jsonl");

it.each([
  ["without a purpose", { file: file("{}") }, 400, "purpose"],
  ["for another purpose", { file: file("{}"), purpose: "batch" }, 400, "purpose"],
  ["without a file", { purpose: "fine-tune" }, 400, "file"],
  ["with a text as the file", { purpose: "fine-tune", file: "{}" }, 400, "file"],
  ["of an empty file", { purpose: "fine-tune", file: file("") }, 400, "file"],
  ["with a field that would be ignored", { purpose: "fine-tune", file: file("{}"), ttl: "1" }, 400, "ttl"],
  ["of more than the server takes", { purpose: "fine-tune", file: file("x".repeat(2 ** 20 + 1)) }, 413, "file"],
])("an upload %s is refused", async (_, form, status, param) => {
  const { status: found, json } = await upload(form as Record<string, string | Blob>);
  expect([found, json.error?.param]).toEqual([status, param]);
});

it("a body that is no form is refused", async () => {
  for (const type of ["application/json", "multipart/form-data; boundary=x"]) {
    const answer = await test.app.request("/v1/files", {
      method: "POST",
      headers: { ...headers, "content-type": type },
      body: "{}",
    });
    expect([400, 415]).toContain(answer.status);
  }
});

it("a job makes only adapters whose names the key allows", async () => {
  const { json } = await upload({ purpose: "fine-tune", file: file("{}") });
  const create = async (suffix: string) =>
    await test.app.request("/v1/fine_tuning/jobs", {
      method: "POST",
      headers: { ...headers, "content-type": "application/json" },
      body: JSON.stringify({ model: "base", training_file: json.id, suffix }),
    });
  const refused = await create("other");
  expect([refused.status, await refused.text()]).toEqual([403, expect.stringContaining("insufficient_scope")]);
  expect((await create("team")).status).toBe(200);
});
