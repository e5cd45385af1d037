/**
 * The files of examples/, run as they are against the shipped demo. Needs dist/, bash and curl; chat.py needs openai
 * for Python.
 */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { packageRoot } from "../../src/cli/shared/package-root.ts";
import { startServer, tempDir, type TestServer } from "../helpers/server.ts";

const root = packageRoot();
const run = promisify(execFile);
const python = process.env.MOSARA_PYTHON;
const hasOpenAi =
  python !== undefined &&
  (await run(python, ["-c", "import openai"]).then(
    () => true,
    () => false,
  ));
if (!hasOpenAi) console.warn("examples/chat.py is not run: MOSARA_PYTHON names no Python with openai");

/** Words that only this adapter's voice has (models/demo/README.md). */
const VOICES = { formal: "Dear customer", pirate: "Arr", json: '"order"' };

let server: TestServer;
beforeAll(async () => {
  server = await startServer([], { cwd: tempDir() });
});
afterAll(() => server[Symbol.asyncDispose]());

async function outputOf(program: string, file: string, env: Record<string, string> = {}): Promise<string> {
  const { stdout } = await run(program, [join(root, "examples", file)], {
    cwd: root,
    env: { ...process.env, MOSARA_URL: server.url, ...env },
  });
  return stdout;
}

function expectChat(output: string): void {
  expect(output).toMatch(/^formal: Dear customer/m);
  expect(output).toMatch(/^pirate: Arr/m);
  expect(output).toMatch(/^brought along: .*4821.*sent/m);
}

describe("examples", () => {
  it("curl.sh asks adapters, streams, uploads and deletes", async () => {
    const output = await outputOf("bash", "curl.sh");
    for (const word of Object.values(VOICES)) expect(output.replaceAll('\\"', '"')).toContain(word);
    expect(output).toContain("chat.completion.chunk");
    expect(output).toMatch(/^201$/m);
    expect(output).toContain('"deleted":true');
  });

  it("chat.mjs answers, streams and brings an adapter along", async () => {
    expectChat(await outputOf(process.execPath, "chat.mjs"));
  });

  it.skipIf(!hasOpenAi)("chat.py does the same", async () => {
    expectChat(await outputOf(python ?? "", "chat.py"));
  });

  it("train.sh ends with an answer of the new adapter", async () => {
    const mosara = `${process.execPath} ${join(root, "dist", "mosara", "main.js")}`;
    const output = await outputOf("bash", "train.sh", { MOSARA: mosara, STEPS: "3" });
    expect(output).toContain('"model":"butler"');
  }, 120_000);
});
