/**
 * The whole program on a device: the shipped demo answers as on the CPU, also while adapters come and go. Needs dist/.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { packageRoot } from "../../src/cli/shared/package-root.ts";
import { complete, metric, putAdapter, send, startServer, stream, type TestServer } from "../helpers/server.ts";
import { describeOnWebgpu } from "../helpers/engine/webgpu.ts";

const ADAPTERS = join(packageRoot(), "adapters");
/** As many rows as there are requests at once: a server tries more sizes of batches, the more rows it has. */
const FLAGS = [
  "--model",
  join(packageRoot(), "models", "demo"),
  "--adapters",
  ADAPTERS,
  "--speculative-tokens",
  "3",
  "--max-num-seqs",
  "5",
];
/** Steps take their time without a card. */
const NUM_TOKENS = 6;
/** Shaders are compiled at the first steps. */
const TIMEOUT_MS = 240_000;

const MODELS = ["demo", "pirate", "cheerful", "library"]; // the base, Mo-SARA, SARA and LoRA
const question = (model: string) => ({ model, prompt: `Where is order 4821? ${model}`, max_tokens: NUM_TOKENS });

/** A few tokens, some of which the grammar forces. */
const SHORT_SCHEMA = {
  type: "object",
  properties: { ok: { type: "boolean" } },
  required: ["ok"],
  additionalProperties: false,
};

describeOnWebgpu("mosara serve --device webgpu", () => {
  let cpu: TestServer;
  let device: TestServer;
  beforeAll(async () => {
    cpu = await startServer(FLAGS);
    device = await startServer([...FLAGS, "--device", "webgpu"]);
  }, TIMEOUT_MS);
  afterAll(async () => {
    await cpu[Symbol.asyncDispose]();
    await device[Symbol.asyncDispose]();
  });

  it("gives the CPU's answers where a schema binds them", { timeout: TIMEOUT_MS }, async () => {
    const body = { ...question("cheerful"), json_schema: SHORT_SCHEMA, max_tokens: 30 };
    const [expected, got] = [await complete(cpu.url, body), await complete(device.url, body)];
    expect(got.json.choices[0]).toEqual(expected.json.choices[0]);
    expect(JSON.parse(got.json.choices[0]?.text ?? "")).toEqual({ ok: expect.any(Boolean) });
    expect(await metric(device.url, "vllm:spec_decode_num_drafts_total")).toBeGreaterThan(0);
  });

  it(
    "gives the CPU's answers to all kinds of adapters at once, while others come and go",
    { timeout: TIMEOUT_MS },
    async () => {
      expect((await send(`${device.url}/version`, "GET")).json).toMatchObject({
        device: "webgpu",
        cacheResident: true,
      });
      const expected = await Promise.all(MODELS.map(async (model) => (await complete(cpu.url, question(model))).json));
      const running = MODELS.map((model) => stream(device.url, question(model)));
      const bytes = readFileSync(join(ADAPTERS, "terse.mosara"));
      expect((await putAdapter(device.url, "newcomer", bytes)).status).toBe(201);
      const newcomer = stream(device.url, question("newcomer"));
      expect((await send(`${device.url}/v1/adapters/pirate`, "DELETE")).status).toBe(200);
      const answers = await Promise.all(running.map(({ ended }) => ended));
      for (const [i, { choices }] of expected.entries())
        expect(answers[i], MODELS[i]).toMatchObject({ isDone: true, ids: choices[0]?.token_ids });
      const terse = await complete(cpu.url, { ...question("newcomer"), model: "terse" });
      expect((await newcomer.ended).ids).toEqual(terse.json.choices[0]?.token_ids);
      expect((await complete(device.url, question("pirate"))).status).toBe(404);
      // The cache and the adapters' rows are given back when nothing runs.
      for (const kind of ["weights", "bases"])
        expect(await metric(device.url, `mosara_device_bytes{kind="${kind}"}`), kind).toBeGreaterThan(0);
    },
  );
});
