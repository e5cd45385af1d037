/** Commands given a name of the Hub: what is named is fetched once, and used as a directory of it would be. */
import { readFileSync, readdirSync, statSync } from "node:fs";
import { join, relative } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { generationOf } from "../../src/adapter/adapter-file.ts";
import { modelCases } from "../helpers/fixtures.ts";
import { type FakeHub, type FakeRepository, startHub } from "../helpers/outside/hub-server.ts";
import { mosara, startServer, tempDir } from "../helpers/server.ts";

const COMMIT = "89abcdef0123456789abcdef0123456789abcdef";
const golden = modelCases().find(({ dir }) => peftIn(dir) !== null);
if (!golden) throw new Error("no golden model with a PEFT adapter");
const peft = peftIn(golden.dir) as string;
const cache = tempDir();
let hub: FakeHub;

function peftIn(dir: string): string | null {
  const paths = readdirSync(dir, { recursive: true, encoding: "utf8" });
  const config = paths.find((path) => path.endsWith("adapter_config.json"));
  return config === undefined ? null : join(dir, config, "..");
}

function repositoryOf(dir: string): FakeRepository {
  const paths = readdirSync(dir, { recursive: true, encoding: "utf8" }).filter((path) =>
    statSync(join(dir, path)).isFile(),
  );
  const files = new Map(paths.map((path) => [relative(dir, join(dir, path)), readFileSync(join(dir, path))]));
  return {
    files,
    large: new Set(paths.filter((path) => path.endsWith(".safetensors"))),
    commit: COMMIT,
    licence: "mit",
  };
}

beforeAll(async () => {
  hub = await startHub();
  hub.repositories.set("owner/golden", repositoryOf(golden.dir));
  hub.repositories.set("owner/adapter", repositoryOf(peft));
  hub.repositories.set("HuggingFaceTB/SmolLM2-135M-Instruct", repositoryOf(golden.dir));
  process.env.HF_ENDPOINT = hub.url;
  process.env.HF_HUB_CACHE = join(cache, "hub");
});
afterAll(async () => {
  delete process.env.HF_ENDPOINT;
  delete process.env.HF_HUB_CACHE;
  await hub[Symbol.asyncDispose]();
});

describe("a name of the Hub", () => {
  it("builds the base that its files build", async () => {
    const fromHub = await mosara(
      "build",
      "owner/golden",
      "--out",
      tempDir() + "/base",
      "--weights",
      "float32",
      "--json",
    );
    const fromDisk = await mosara("build", golden.dir, "--out", tempDir() + "/base", "--weights", "float32", "--json");
    expect(fromHub.stderr).toContain(`downloading owner/golden (${COMMIT.slice(0, 8)})`);
    expect((JSON.parse(fromHub.stdout) as { baseId: string }).baseId).toBe(
      (JSON.parse(fromDisk.stdout) as { baseId: string }).baseId,
    );
  });

  it("is served under the repository's name, or its short one", async () => {
    for (const [model, name] of [
      [`owner/golden@${COMMIT}`, "golden"],
      ["smollm2", "smollm2"],
    ] as const) {
      await using server = await startServer(["--model", model, "--cache", join(cache, "bases")]);
      const models = (await (await fetch(`${server.url}/v1/models`)).json()) as { data: { id: string }[] };
      expect(models.data.map(({ id }) => id)).toContain(name);
    }
  });

  it("of an adapter is imported as its directory is", async () => {
    const [byName, byPath] = [join(tempDir(), "a.mosara"), join(tempDir(), "a.mosara")];
    const model = ["--model", "owner/golden", "--cache", join(cache, "bases")];
    const { code, stderr } = await mosara("import", "owner/adapter", "--out", byName, ...model);
    expect({ code, stderr }).toEqual({ code: 0, stderr: expect.stringContaining("downloading owner/adapter") });
    await mosara("import", peft, "--out", byPath, ...model);
    expect(generationOf(readFileSync(byName))).toBe(generationOf(readFileSync(byPath)));
  });

  it("that is none is one line on stderr", async () => {
    const { code, stderr } = await mosara("serve", "--model", "owner/nothing", "--data", tempDir());
    expect(stderr).toMatch(/^mosara: owner\/nothing is neither a local path nor a repository [^\n]+\n$/);
    expect(code).toBe(2);
  });
});
