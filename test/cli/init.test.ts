/** `mosara init` through the built program. Needs dist/ (npm test builds it). */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { packageRoot } from "../../src/cli/shared/package-root.ts";
import { toFloat32 } from "../../src/tensor/host-tensor.ts";
import { loadTokenizer } from "../../src/tokenizer/tokenizer.ts";
import { casesIn, fixturesDir, readJson } from "../helpers/fixtures.ts";

const MAIN = join(packageRoot(), "dist", "mosara", "main.js");
const MODELS = fixturesDir("models");
const TOKENIZERS = join(fixturesDir("text"), "tokenizers");
const dir = mkdtempSync(join(tmpdir(), "mosara-init-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const tokenizer = join(
  TOKENIZERS,
  casesIn(TOKENIZERS, "cases.json").find(
    (name) =>
      typeof readJson<{ eos_token?: unknown }>(TOKENIZERS, name, "tokenizer_config.json").eos_token === "string",
  ) ?? "",
);
let numConfigs = 0;
/** The configuration of a model fixture, with room for the tokenizer and without its special tokens. */
function configOf(family: string, changes: Record<string, unknown> = {}): string {
  const {
    bos_token_id: _,
    eos_token_id: __,
    ...raw
  } = readJson<Record<string, unknown>>(MODELS, family, "config.json");
  const path = join(dir, `config-${numConfigs++}.json`);
  writeFileSync(path, JSON.stringify({ ...raw, vocab_size: 1300, ...changes }));
  return path;
}
function init(args: readonly string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, "init", ...args], { encoding: "utf8" });
  return { status, stdout, stderr };
}
const out = (name: string): string => join(dir, name);

describe("mosara init", () => {
  it.each(casesIn(MODELS, "config.json"))("writes a checkpoint that is read again: %s", async (family) => {
    const target = out(family);
    const { status, stdout, stderr } = init([
      "--config",
      configOf(family),
      "--tokenizer",
      tokenizer,
      "--out",
      target,
      "--json",
    ]);
    expect([status, stderr.replace(/^writing: .*\n/gm, "")]).toEqual([0, ""]);
    await using checkpoint = await openCheckpoint(target);
    const printed = JSON.parse(stdout) as { parameters: number; tensors: number };
    const sizes = checkpoint.tensors.map(({ shape }) => shape.reduce((a, b) => a * b, 1));
    expect(printed).toMatchObject({ out: target, seed: 0, parameters: sizes.reduce((a, b) => a + b, 0) });
    const range = (checkpoint.rawConfig.initializer_range as number | undefined) ?? 0.02;
    for (const { name, shape, dtype } of checkpoint.tensors) {
      expect(dtype).toBe("float32");
      const values = toFloat32(await checkpoint.read(name));
      if (name.endsWith(".bias"))
        expect(
          values.every((value) => value === 0),
          name,
        ).toBe(true);
      else if (shape.length === 1) {
        // Where a norm multiplies by 1 + weight, a weight of 0 is what changes nothing.
        expect(
          values.every((value) => value === 1 - checkpoint.config.norm.offset),
          name,
        ).toBe(true);
      } else {
        const deviation = Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / values.length);
        expect(Math.abs(deviation / range - 1), name).toBeLessThan(6 / Math.sqrt(2 * values.length));
      }
    }
  });

  const [family = ""] = casesIn(MODELS, "config.json");
  const bytes = (name: string): Buffer => readFileSync(join(out(name), "model.safetensors"));

  it("takes the tokenizer's files and end token along, and nothing else of its directory", async () => {
    const from = out("tokenizer");
    mkdirSync(from);
    for (const name of readdirSync(tokenizer)) writeFileSync(join(from, name), readFileSync(join(tokenizer, name)));
    for (const name of ["config.json", "generation_config.json", "model.safetensors"])
      writeFileSync(join(from, name), "{}");
    expect(init(["--config", configOf(family), "--tokenizer", from, "--out", out("files")]).status).toBe(0);
    expect(readdirSync(out("files")).sort()).toEqual(
      ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"].sort(),
    );
    const copied = await loadTokenizer(out("files"));
    const { eos_token_id: end } = readJson<{ eos_token_id: number }>(out("files"), "config.json");
    expect(end).toBe(copied.tokenToId(copied.eosToken ?? ""));
  });

  it("gives the same bytes for the same seed, and others for another", () => {
    for (const [name, seed] of [
      ["a", "5"],
      ["b", "5"],
      ["c", "6"],
    ] as const)
      init(["--config", configOf(family), "--tokenizer", tokenizer, "--out", out(name), "--seed", seed]);
    expect(bytes("a").equals(bytes("b"))).toBe(true);
    expect(bytes("a").equals(bytes("c"))).toBe(false);
  });

  it("is built into a base and spread as initializer_range says", async () => {
    init(["--config", configOf(family, { initializer_range: 0.5 }), "--tokenizer", tokenizer, "--out", out("wide")]);
    await using checkpoint = await openCheckpoint(out("wide"));
    const values = toFloat32(await checkpoint.read(checkpoint.tensors[0]?.name ?? ""));
    expect(Math.sqrt(values.reduce((sum, v) => sum + v * v, 0) / values.length)).toBeCloseTo(0.5, 1);
    execFileSync(process.execPath, [MAIN, "build", out("wide"), "--out", out("base")], { stdio: "pipe" });
  });

  it.each([
    [
      "a vocabulary smaller than the tokenizer's",
      { vocab_size: 100 },
      /vocab_size of 100, but the tokenizer .* Give a vocab_size of \d+/,
    ],
    ["an unknown family", { model_type: "nonsense" }, /model_type "nonsense" is not supported/],
    ["a spread that is no number", { initializer_range: "wide" }, /initializer_range must be a positive number/],
  ])("refuses %s in one line and leaves nothing behind", (_, changes, message) => {
    const { status, stdout, stderr } = init([
      "--config",
      configOf(family, changes),
      "--tokenizer",
      tokenizer,
      "--out",
      out("refused"),
    ]);
    expect([status, stdout]).toEqual([1, ""]);
    expect(stderr).toMatch(message);
    expect(stderr.trim().split("\n")).toHaveLength(1);
    expect(readdirSync(dir).filter((name) => name.startsWith("refused"))).toEqual([]);
  });

  it("refuses a directory that holds something", () => {
    mkdirSync(out("full"));
    writeFileSync(join(out("full"), "a"), "");
    const { status, stderr } = init(["--config", configOf(family), "--tokenizer", tokenizer, "--out", out("full")]);
    expect([status, stderr]).toEqual([2, expect.stringMatching(/exists and is not empty/)]);
  });
});
