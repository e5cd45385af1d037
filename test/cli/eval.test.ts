/** `mosara eval` through the built program, with a real engine. Needs dist/ (npm test builds it). */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { generationOf } from "../../src/adapter/adapter-file.ts";
import { readManifest } from "../../src/base/manifest.ts";
import { packageRoot } from "../../src/cli/shared/package-root.ts";
import { adapterFile } from "../helpers/models/base-adapters.ts";

const MAIN = join(packageRoot(), "dist", "mosara", "main.js");
/** The shipped base; what it says is of no matter here. */
const BASE = join(packageRoot(), "models", "demo");
const dir = mkdtempSync(join(tmpdir(), "mosara-eval-test-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

function write(name: string, lines: readonly unknown[]): string {
  const path = join(dir, name);
  writeFileSync(path, lines.map((line) => `${typeof line === "string" ? line : JSON.stringify(line)}\n`).join(""));
  return path;
}
function run(args: readonly string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, "eval", "--model", BASE, ...args], {
    encoding: "utf8",
    env: { ...process.env, TMPDIR: dir },
  });
  return { status, stdout, stderr };
}
interface Result {
  readonly metric: string;
  readonly value: number;
  readonly interval: readonly [number, number];
  readonly count: number;
  readonly tokens: number | null;
  readonly skipped: number;
  readonly adapter: string | null;
  readonly generation: string | null;
  readonly base: { readonly value: number; readonly interval: readonly [number, number] };
  readonly difference: { readonly value: number; readonly interval: readonly [number, number] } | null;
  readonly seconds: number;
}
function measure(args: readonly string[]): Result {
  const { status, stdout, stderr } = run([...args, "--json"]);
  expect(status, stderr).toBe(0);
  expect(stdout.trim().split("\n")).toHaveLength(1);
  return JSON.parse(stdout) as Result;
}

const words = ["Hello", "Ahoy", "There was", "Once upon", "Good day", "Say it"];
const examples = words.map((prompt, i) => ({ prompt, completion: ` number ${i}, and more of it.` }));
let data: string;
let single: string;
beforeAll(async () => {
  data = write("examples.jsonl", examples);
  const manifest = await readManifest(BASE);
  for (const [name, kind] of Object.entries({
    single: { seed: 3 },
    heads: { seed: 4, heads: 3 },
    wide: { method: "lora" as const, seed: 5, rank: 70 },
  }))
    writeFileSync(join(dir, `${name}.mosara`), adapterFile(manifest, kind));
  single = join(dir, "single.mosara");
});

/** Losses on `data`, measured once for all tests. */
const known = new Map<string, Result>();
function lossOf(...args: string[]): Result {
  const result = known.get(args.join()) ?? measure(["--data", data, "--metric", "loss", ...args]);
  known.set(args.join(), result);
  return result;
}

describe("mosara eval", () => {
  it("measures the base alone", () => {
    const result = lossOf();
    expect(result).toMatchObject({
      metric: "loss",
      count: 6,
      skipped: 0,
      adapter: null,
      generation: null,
      difference: null,
    });
    expect(result.value).toBe(result.base.value);
    expect(result.value).toBeGreaterThan(0);
    expect(result.interval[0]).toBeLessThanOrEqual(result.value);
    expect(result.interval[1]).toBeGreaterThanOrEqual(result.value);
    expect(result.tokens).toBeGreaterThan(6);
  });

  it.each(["single", "heads", "wide"])("measures an adapter beside the base: %s", (name) => {
    const path = join(dir, `${name}.mosara`);
    const alone = lossOf();
    const result = lossOf("--adapter", path);
    expect(result).toMatchObject({ adapter: name, generation: generationOf(readFileSync(path)), count: 6 });
    // The base's number is the same to the last bit, with any adapter beside it.
    expect(result.base).toEqual(alone.base);
    expect(result.value).not.toBeCloseTo(result.base.value, 3);
    expect(result.difference?.value).toBeCloseTo(result.value - result.base.value, 12);
  });

  it("gives the same loss merged as live", () => {
    const live = lossOf("--adapter", single);
    const merged = measure(["--data", data, "--metric", "loss", "--adapter", single, "--placement", "merged"]);
    expect(Math.abs(merged.value - live.value)).toBeLessThan(1e-3);
    expect(merged.value).not.toBe(merged.base.value);
  });

  it("measures with an int8 cache, live and merged: another number than with a float32 cache, and near it", () => {
    const exact = lossOf("--adapter", single);
    const int8 = ["--data", data, "--metric", "loss", "--adapter", single, "--kv-cache-dtype", "int8"];
    const live = measure(int8);
    const merged = measure([...int8, "--placement", "merged"]);
    for (const { value, base } of [live, merged]) {
      expect(value).not.toBe(exact.value);
      expect(Math.abs(value - exact.value)).toBeLessThan(2e-2);
      expect(Math.abs(base.value - exact.base.value)).toBeLessThan(2e-2);
    }
    expect(merged.base).toEqual(live.base);
  });

  it("means the loss over tokens, references and conversations alike", () => {
    const losses = join(dir, "losses.jsonl");
    const { value, tokens } = measure(["--data", data, "--metric", "loss", "--predictions", losses]);
    const lines = readFileSync(losses, "utf8")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as { tokens: number; base: { loss: number } });
    const sum = lines.reduce((total, line) => total + line.tokens * line.base.loss, 0);
    expect(sum / lines.reduce((total, line) => total + line.tokens, 0)).toBeCloseTo(value, 9);
    const [one, two] = examples;
    const apart = measure([
      "--data",
      write("apart.jsonl", [one, { ...one, completion: two?.completion }]),
      "--metric",
      "loss",
    ]);
    const both = [{ prompt: one?.prompt, references: [one?.completion, two?.completion] }];
    const together = measure(["--data", write("references.jsonl", both), "--metric", "loss"]);
    expect([together.value, together.tokens, together.count]).toEqual([apart.value, apart.tokens, 1]);
    expect(tokens).toBeGreaterThan(0);
    const chat = [
      { role: "user", content: "Hello" },
      { role: "assistant", content: "there" },
    ];
    expect(measure(["--data", write("chat.jsonl", [{ messages: chat }]), "--metric", "loss"]).tokens).toBeGreaterThan(
      0,
    );
  });

  it("generates, judges and writes predictions for reading", () => {
    const path = join(dir, "predictions.jsonl");
    const limits = ["--max-tokens", "12", "--limit", "4"];
    const first = measure(["--data", data, "--metric", "bleu", "--predictions", path, "--adapter", single, ...limits]);
    expect(first).toMatchObject({ count: 4, tokens: null });
    const lines = readFileSync(path, "utf8")
      .trim()
      .split("\n")
      .map(
        (line) => JSON.parse(line) as Record<"base" | "adapter", { text: string }> & { line: number; prompt: string },
      );
    expect(lines.map(({ line, prompt }) => [line, prompt])).toEqual(
      words.slice(0, 4).map((prompt, i) => [i + 1, prompt]),
    );
    // What the base says is, by construction, exactly right.
    const right = write(
      "right.jsonl",
      lines.map(({ prompt, base }) => ({ prompt, completion: base.text })),
    );
    const { base, value, difference } = measure(["--data", right, "--metric", "exact", "--adapter", single, ...limits]);
    expect(base).toEqual({ value: 1, interval: [1, 1] });
    const share = lines.filter(({ base: b, adapter }) => adapter.text.trim() === b.text.trim()).length / lines.length;
    expect([value, difference?.value]).toEqual([share, share - 1]);
  });

  it("leaves out what does not fit, and says so", () => {
    const long = write("long.jsonl", [
      examples[0],
      { prompt: "far ".repeat(5000), completion: "too long" },
      examples[1],
    ]);
    const { status, stdout, stderr } = run(["--data", long, "--metric", "loss", "--json"]);
    expect(status).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ count: 2, skipped: 1 });
    expect(stderr).toMatch(
      /1 of 3 examples do not fit the context of \d+ tokens and are left out\. The first is .*long\.jsonl, line 2/,
    );
    const none = run([
      "--data",
      write("none.jsonl", [{ prompt: "far ".repeat(5000), completion: "x" }]),
      "--metric",
      "exact",
    ]);
    expect([none.status, none.stderr]).toEqual([1, expect.stringMatching(/None of the 1 examples fits the context/)]);
  });

  it("prints a report for people", () => {
    const { status, stdout } = run(["--data", data, "--metric", "loss", "--adapter", single]);
    expect(status).toBe(0);
    expect(stdout).toMatch(/^loss of 6 examples/);
    for (const name of ["base", "adapter", "difference"])
      expect(stdout).toMatch(new RegExp(`^${name} +-?\\d+\\.\\d+ +-?\\d`, "m"));
  });

  const bad = (name: string, line: unknown) => ["--data", write(name, [examples[0], line])];
  it.each([
    ["no such file", () => ["--data", join(dir, "nothing.jsonl"), "--metric", "loss"], 2, /There is no file/],
    [
      "a line that is no JSON",
      () => [...bad("a.jsonl", "{"), "--metric", "loss"],
      1,
      /a\.jsonl, line 2: the line is not valid JSON/,
    ],
    [
      "a line without a completion",
      () => [...bad("b.jsonl", { prompt: "p" }), "--metric", "exact"],
      1,
      /b\.jsonl, line 2: "completion" is missing/,
    ],
    [
      "an answer where a loss is wanted",
      () => [...bad("c.jsonl", { prompt: "p", answer: "4" }), "--metric", "loss"],
      1,
      /c\.jsonl, line 2/,
    ],
    [
      "a text where a number is wanted",
      () => [...bad("d.jsonl", { prompt: "p", answer: "x" }), "--metric", "number"],
      1,
      /line 1: a number was expected|line 2: a number was expected/,
    ],
    [
      "no word where a choice is wanted",
      () => [...bad("e.jsonl", { prompt: "p", answer: "maybe" }), "--metric", "choice"],
      1,
      /line 1: "answer" is missing/,
    ],
    [
      "an adapter that is none",
      () => ["--data", data, "--metric", "loss", "--adapter", data],
      1,
      /is not a \.mosara file: it is JSON/,
    ],
    [
      "an unwritable output",
      () => ["--data", data, "--metric", "loss", "--predictions", join(dir, "no", "p.jsonl")],
      2,
      /p\.jsonl cannot be written/,
    ],
    [
      "merged without an adapter",
      () => ["--data", data, "--metric", "loss", "--placement", "merged"],
      2,
      /needs an adapter\. Name it with --adapter/,
    ],
    [
      "several heads merged",
      () => ["--data", data, "--metric", "loss", "--placement", "merged", "--adapter", join(dir, "heads.mosara")],
      1,
      /head/,
    ],
    ["an unknown metric", () => ["--data", data, "--metric", "taste"], 2, /must be one of loss, exact/],
    ["no metric", () => ["--data", data], 2, /needs --metric/],
  ])("fails with one line for %s", (_, args, code, message) => {
    const { status, stdout, stderr } = run(args());
    expect([status, stdout]).toEqual([code, ""]);
    const lines = stderr
      .trim()
      .split("\n")
      .filter((line) => !/^(evaluating|weights|bases|graph): /.test(line));
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(message);
  });

  it("leaves nothing behind", () => {
    expect(readdirSync(dir).filter((name) => name.startsWith("mosara-eval-") || name.endsWith(".tmp"))).toEqual([]);
    expect(existsSync(join(dir, "no"))).toBe(false);
  });
});
