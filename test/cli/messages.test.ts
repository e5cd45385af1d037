/**
 * What the program says where people give it something else than it wants, and what a server says of its adapters at
 * start.
 */
import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { encodeAdapter } from "../../src/adapter/adapter-file.ts";
import { madeUpAdapter } from "../helpers/models/adapters.ts";
import { builtBase } from "../helpers/models/bases.ts";
import { modelCases } from "../helpers/fixtures.ts";
import { mosara, startServer, tempDir } from "../helpers/server.ts";

const dir = tempDir();
const [golden] = modelCases();
if (!golden) throw new Error("no golden model");
const other = encodeAdapter(madeUpAdapter()); // of a base that is nowhere
let base: string;

beforeAll(async () => {
  base = await builtBase(golden.dir);
  writeFileSync(join(dir, "other.mosara"), other);
  writeFileSync(join(dir, "model.gguf.part"), "no GGUF");
  mkdirSync(join(dir, "peft"));
  writeFileSync(join(dir, "peft", "adapter_config.json"), "{}");
  copyFileSync(join(golden.dir, "model.safetensors"), join(dir, "weights.safetensors"));
});

describe("a model that is none", () => {
  it.each([
    ["a path of nothing", () => join(dir, "nothing"), /nothing is there.*owner\/name.*smollm2/],
    ["an adapter", () => join(dir, "other.mosara"), /is an adapter, not a model.*--adapters/],
    ["a PEFT directory", () => join(dir, "peft"), /a PEFT adapter, not a model/],
    ["weights alone", () => join(dir, "weights.safetensors"), /a file of weights.*Name the directory/],
    ["any other file", () => join(dir, "model.gguf.part"), /not a GGUF file/],
  ])("is named for what it is: %s", async (what, path, wanted) => {
    const { code, stderr } = await mosara("serve", "--model", path(), "--data", tempDir());
    expect(stderr).toMatch(/^mosara: [^\n]+\n$/);
    expect(stderr).toMatch(wanted);
    expect(code).toBe(2);
    if (what === "a PEFT directory") return; // a directory without config.json is a damaged checkpoint to the builder
    const built = await mosara("build", path(), "--out", join(dir, "out"));
    expect([built.code, built.stderr]).toEqual([2, stderr]);
  });
});

it("a command close to a known one is asked about", async () => {
  expect((await mosara("sevre")).stderr).toContain('found "sevre". Did you mean serve?');
});

it("eval names both bases of an adapter that does not fit, and speaks of no server", async () => {
  const data = join(dir, "d.jsonl");
  writeFileSync(data, '{"prompt":"a","completion":"b"}\n');
  const args = ["--model", base, "--data", data, "--metric", "loss", "--adapter"];
  const { code, stderr } = await mosara("eval", ...args, join(dir, "other.mosara"));
  expect(code).toBe(1);
  expect(stderr).toContain(`made for base ${madeUpAdapter().baseId}`);
  expect(stderr).not.toMatch(/server/);
  const foreign = await mosara("eval", ...args, join(dir, "weights.safetensors"));
  expect(foreign.stderr).toMatch(/is not a \.mosara file: it is a safetensors file.*mosara import/);
  const peft = await mosara("eval", ...args, join(dir, "peft"));
  expect(peft.stderr).toMatch(/the directory of a PEFT adapter.*mosara import/);
});

describe("at start", () => {
  it("a server without adapters says so and names --adapters", async () => {
    await using server = await startServer(["--model", base]);
    await server.stop();
    expect(server.printed.stderr).toMatch(/no adapter is served.*--adapters/);
  });

  it("adapters of another base are named", async () => {
    const adapters = tempDir();
    writeFileSync(join(adapters, "acme.mosara"), other);
    await using server = await startServer(["--model", base, "--adapters", adapters]);
    await server.stop();
    expect(server.printed.stderr).toMatch(/acme.*do not fit this base/);
    expect(server.printed.stderr).toMatch(/no adapter is served.*fits/);
  });
});
