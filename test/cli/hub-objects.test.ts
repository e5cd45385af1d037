/** A server whose store is a repository of the Hub, on a server with the Hub's routes. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { generationOf } from "../../src/adapter/adapter-file.ts";
import { HubObjects } from "../../src/cli/serve/hub-objects.ts";
import { RequestPolicy } from "../../src/object-store/request-policy.ts";
import { createTestApp, fittingAdapter, type TestApp } from "../helpers/http-app.ts";
import { madeUpAdapter } from "../helpers/models/adapters.ts";
import { converterFor, writePeftDirectory } from "../helpers/models/peft.ts";
import { type FakeHub, startHub } from "../helpers/outside/hub-server.ts";
import { tempDir } from "../helpers/server.ts";

const URL_OF_STORE = "hf://acme/adapters";
const lora = madeUpAdapter({ method: "lora" });
const convert = converterFor(lora);
const peft = new Map<string, Buffer>();
let hub: FakeHub;

beforeAll(async () => {
  const dir = tempDir();
  await writePeftDirectory(dir, lora);
  for (const name of readdirSync(dir)) peft.set(`peft/${name}`, readFileSync(join(dir, name)));
  hub = await startHub();
  vi.stubEnv("HF_ENDPOINT", hub.url);
});
beforeEach(() => {
  commit("a", new Map([["support.mosara", Buffer.from(fittingAdapter(1))], ...peft]));
  Object.assign(hub.faults, { corrupts: false, busyTimes: 0 });
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await hub[Symbol.asyncDispose]();
});

/** Replaces the content of the repository. */
function commit(digit: string, files: ReadonlyMap<string, Buffer>): void {
  const large = new Set(["support.mosara", "peft/adapter_model.safetensors"]);
  hub.repositories.set("acme/adapters", { files, large, commit: digit.repeat(40) });
}

async function open(url = URL_OF_STORE, refreshMs = 0): Promise<TestApp> {
  const policy = new RequestPolicy(url, { timeoutMs: 20_000 });
  const convertPeft = async (found: Parameters<typeof convert>[0]) => await convert(found);
  return await createTestApp({
    objects: new HubObjects(url, policy, { maxAdapterBytes: 2 ** 20, refreshMs, convertPeft }),
    refreshMs,
  });
}

const answerOf = async (app: TestApp, model: string) => {
  const answer = await app.post("/v1/completions", { model, prompt: "a", max_tokens: 1 });
  const { error } = (await answer.json()) as { error?: { code: string } };
  return error?.code ?? answer.headers.get("x-mosara-adapter");
};
const named = (seed: number): string => `support@${generationOf(fittingAdapter(seed))}`;

describe("a repository of the Hub as the store", () => {
  it("has the adapters that are its files and PEFT directories, and nothing can be changed there", async () => {
    await using app = await open();
    expect(await answerOf(app, "support")).toBe(named(1));
    expect(await answerOf(app, "peft")).toMatch(/^peft@[0-9a-f]{64}$/);
    expect(await answerOf(app, "nobody")).toBe("model_not_found");
    const { data } = (await (await app.app.request("/v1/adapters")).json()) as {
      data: { id: string; method: string }[];
    };
    expect(data.map(({ id, method }) => [id, method])).toEqual([
      ["peft", "lora"],
      ["support", "mo-sara"],
    ]);
    const refused = await app.put("new", fittingAdapter(2));
    expect(((await refused.json()) as { error: { code: string } }).error.code).toBe("store_read_only");
  });

  it("is read again when its branch moves, and never when the revision is a commit", async () => {
    await using moving = await open();
    await using fixed = await open(`${URL_OF_STORE}@${"a".repeat(40)}`);
    for (const app of [moving, fixed]) expect(await answerOf(app, "support")).toBe(named(1));
    commit("b", new Map([["support.mosara", Buffer.from(fittingAdapter(2))]]));
    expect([await answerOf(moving, "support"), await answerOf(fixed, "support")]).toEqual([named(2), named(1)]);
    commit("c", new Map([["other.mosara", Buffer.from(fittingAdapter(2))]]));
    expect(await answerOf(moving, "support")).toBe("model_not_found");
  });

  it("may be busy for a moment, and its wrong bytes are refused", async () => {
    await using app = await open();
    hub.faults.busyTimes = 1;
    expect(await answerOf(app, "support")).toBe(named(1));
    await using other = await open();
    hub.faults.corrupts = true;
    expect(await answerOf(other, "support")).toBe("store_damaged");
  });
});
