/**
 * Fine-tuning over HTTP without a trainer: uploads, and keys with limits.
 * `test/integration/adapters/fine-tuning.test.ts` trains.
 */
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

const json = { ...headers, "content-type": "application/json" };
async function create(body: object) {
  const answer = await test.app.request("/v1/fine_tuning/jobs", {
    method: "POST",
    headers: json,
    body: JSON.stringify(body),
  });
  return {
    status: answer.status,
    json: (await answer.json()) as { id: string; error?: { param: string; message: string } },
  };
}
const newFile = async () => (await upload({ purpose: "fine-tune", file: file("{}") })).json.id;

it.each([
  [
    "dpo's settings of a supervised job",
    { method: { type: "supervised", dpo: { hyperparameters: { beta: 0.2 } } } },
    "method.dpo",
  ],
  ["supervised settings of a dpo job", { method: { type: "dpo", supervised: {} } }, "method.supervised"],
  [
    "two numbers of epochs",
    {
      hyperparameters: { n_epochs: 2 },
      method: { type: "supervised", supervised: { hyperparameters: { n_epochs: 3 } } },
    },
    "hyperparameters.n_epochs",
  ],
])("a job with %s is refused", async (_, fields, param) => {
  const { status, json: found } = await create({
    model: "base",
    training_file: await newFile(),
    suffix: "team",
    ...fields,
  });
  expect([status, found.error?.param]).toEqual([400, param]);
});

it("a form with two files is refused", async () => {
  const body = new FormData();
  body.set("purpose", "fine-tune");
  body.append("file", file("{}"));
  body.append("file", file("{}"));
  const answer = await test.app.request("/v1/files", { method: "POST", headers, body });
  expect([answer.status, await answer.text()]).toEqual([400, expect.stringContaining('"file\\" more than once')]);
});

it("jobs are filtered by their metadata, as OpenAI's are", async () => {
  const job = { model: "base", training_file: await newFile(), suffix: "team" };
  const shop = (await create({ ...job, metadata: { team: "shop", round: "1" } })).json.id;
  const bank = (await create({ ...job, metadata: { team: "bank" } })).json.id;
  const listed = async (query: string) => {
    const answer = await test.app.request(`/v1/fine_tuning/jobs?${query}`, { headers });
    const { data = [] } = (await answer.json()) as { data?: { id: string; metadata: object | null }[] };
    return { status: answer.status, data };
  };
  const idsOf = async (query: string) => (await listed(query)).data.map(({ id }) => id);
  expect(await idsOf("metadata[team]=shop")).toEqual([shop]);
  expect(await idsOf("metadata%5Bteam%5D=shop&metadata%5Bround%5D=2")).toEqual([]);
  expect(await idsOf("limit=1000")).toEqual(expect.arrayContaining([bank, shop]));
  const without = await listed("metadata=null");
  expect([without.data.length > 0, without.data.every(({ metadata }) => metadata === null)]).toEqual([true, true]);
  expect((await listed("metadata=shop")).status).toBe(400);
});
