import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, it, vi } from "vitest";
import { runCommandLine } from "../../../src/cli/shared/command-line.ts";
import { commandHelp, commandsDocument, overview } from "../../../src/cli/shared/help.ts";
import { packageRoot, readVersion } from "../../../src/cli/shared/package-root.ts";
import { COMMANDS, type CommandName, flagName } from "../../../src/config/commands.ts";
import { fieldsDocument } from "../../../src/fields/document.ts";
import { errorsDocument } from "../../../src/http/reference/errors-document.ts";
import { httpDocument } from "../../../src/http/reference/http-document.ts";
import { metricsDocument } from "../../../src/metrics/document.ts";

afterEach(() => vi.restoreAllMocks());

/** Runs a command line in this process and catches what it prints. */
const run = async (args: string[], env: Record<string, string> = {}) => {
  const printed = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const)
    vi.spyOn(process[name], "write").mockImplementation((text) => {
      printed[name] += String(text);
      return true;
    });
  const code = await runCommandLine(args, env);
  vi.restoreAllMocks();
  return { code, ...printed };
};

describe("the command line", () => {
  it("lists the commands that work, and none that does not", async () => {
    const { code, stdout } = await run(["--help"]);
    expect([code, stdout]).toEqual([0, overview()]);
    for (const name of Object.keys(COMMANDS)) expect(stdout).toContain(`  ${name} `);
  });

  it("helps with every flag of every command", async () => {
    for (const [name, { flags }] of Object.entries(COMMANDS)) {
      for (const args of [
        [...name.split(" "), "--help"],
        ["help", ...name.split(" ")],
      ]) {
        const { code, stdout, stderr } = await run(args);
        expect([code, stderr, stdout]).toEqual([0, "", commandHelp(name as CommandName)]);
        for (const key of Object.keys(flags)) expect(stdout).toContain(`--${flagName(key)}`);
      }
    }
  });

  it("prints the version", async () => {
    expect(await run(["--version"])).toEqual({ code: 0, stdout: `${await readVersion()}\n`, stderr: "" });
  });

  it.each([
    [[]],
    [["train"]],
    [["nonsense"]],
    [["--nonsense"]],
    [["constructor"]],
    [["serve", "--nonsense"]],
    [["build"]],
    [["inspect"]],
  ])("exits 2 with one line for %j", async (args) => {
    const { code, stdout, stderr } = await run(args);
    expect([code, stdout]).toEqual([2, ""]);
    expect(stderr).toMatch(/^mosara: [^\n]+\n$/);
  });

  it("names the commands when one is unknown", async () => {
    expect((await run(["nonsense"])).stderr).toContain(Object.keys(COMMANDS).join(", "));
  });

  it("fails with one line and no stack, which --debug adds", async () => {
    const args = ["inspect", join(packageRoot(), "package.json")];
    const plain = await run(args);
    expect([plain.code, plain.stdout]).toEqual([1, ""]);
    expect(plain.stderr).toMatch(/^mosara: [^\n]+\n$/);
    expect((await run([...args, "--debug"])).stderr).toMatch(/\n\s+at /);
    expect((await run(args, { MOSARA_DEBUG: "1" })).stderr).toMatch(/\n\s+at /);
  });

  it("is a program with a shebang", () => {
    expect(readFileSync(join(packageRoot(), "src", "main.ts"), "utf8")).toMatch(/^#!\/usr\/bin\/env node\n/);
  });
});

describe("docs", () => {
  it.each([
    ["reference/commands.md", commandsDocument()],
    ["reference/metrics.md", metricsDocument()],
    ["reference/fields.md", fieldsDocument()],
    ["reference/errors.md", errorsDocument()],
    ["reference/http-api.md", httpDocument()],
  ])("%s says what the tables say", (name, text) => {
    expect(
      readFileSync(join(packageRoot(), "docs", name), "utf8"),
      "run npm run build && node dist/scripts/make-docs.js",
    ).toBe(text);
  });
});
