/**
 * schemathesis makes requests from /openapi.json, right ones and wrong ones, against a server with a store of its own:
 * no answer is a server's failure, and every one is as the document says. MOSARA_CLIENTS_PYTHON names a Python that has
 * it.
 */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { CLIENTS_PYTHON, hasModule } from "../helpers/outside/clients-python.ts";
import { startServer, tempDir, type TestServer } from "../helpers/server.ts";

vi.setConfig({ testTimeout: 900_000, hookTimeout: 300_000 });
const isThere = hasModule("schemathesis");
const CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance";

let server: TestServer;
beforeAll(async () => {
  if (isThere) server = await startServer([]); // the demo; DELETE removes adapters of its own store alone
});
afterAll(() => server?.[Symbol.asyncDispose]());

it.skipIf(!isThere)("finds no failure of the server and no answer that the document lacks", async () => {
  const command = ["-m", "schemathesis.cli", "run", `${server.url}/openapi.json`, "--checks", CHECKS, "--no-color"];
  const amount = ["--max-examples", "10", "--seed", "1", "--phases", "examples,coverage,fuzzing"];
  const options = { cwd: tempDir(), maxBuffer: 2 ** 26 };
  const asked = promisify(execFile)(CLIENTS_PYTHON ?? "", [...command, ...amount], options);
  const { stdout } = await asked.catch((error: { stdout: string }) => error);
  expect(stdout).toMatch(/no issues found|(\d+) generated, \1 passed/i);
});
