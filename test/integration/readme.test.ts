/**
 * The README's examples of the demo, run as they are printed, against the shipped base and adapters. Needs dist/, bash
 * and curl.
 */
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { packageRoot } from "../../src/cli/shared/package-root.ts";
import { startServer, tempDir, type TestServer } from "../helpers/server.ts";

const root = packageRoot();
const work = tempDir();
const run = promisify(execFile);

/** Commands that are followed by what they print. */
const examples = [
  ...readFileSync(join(root, "README.md"), "utf8").matchAll(
    /```sh\n((?:(?!```)[^])*)```\n\n```\n((?:(?!```)[^])*)```/g,
  ),
].map(([, command = "", output = ""]) => ({ command, output }));

let server: TestServer;
beforeAll(async () => {
  server = await startServer([], { cwd: work });
});
afterAll(() => server[Symbol.asyncDispose]());

/** What the commands print, with this server and this checkout in place of the reader's. */
async function outputOf(command: string): Promise<string> {
  const script = command
    .replaceAll("http://127.0.0.1:8080", server.url)
    .replaceAll("npx mosara", `${process.execPath} ${join(root, "dist", "mosara", "main.js")}`)
    .replaceAll(/(--model|--data) (?=models|docs)/g, `$1 ${root}/`);
  const { stdout } = await run("bash", ["-euo", "pipefail", "-c", script], { cwd: work });
  return stdout;
}

describe("the README", () => {
  it("shows what commands print, at least twice", () => {
    expect(examples.length).toBeGreaterThanOrEqual(2);
    expect(examples[0]?.command).toContain("/v1/chat/completions");
    expect(examples.some(({ command }) => command.includes("npx mosara train"))).toBe(true);
  });

  it.each(examples)(
    "prints the truth: $output",
    async ({ command, output }) => {
      const printed = await outputOf(command);
      const answers = printed.split("\n").filter((line) => !/trained numbers|training loss/.test(line));
      expect(answers.join("\n")).toBe(output);
    },
    300_000,
  );
});
