/**
 * Trains every method on one task and measures it through the serving engine, live and merged: docs/methods-e2e.md.
 * What is done stays in --work, so a run that was stopped goes on.
 * usage: node dist/scripts/compare-methods.js --model <checkpoint> --train <jsonl> --eval <jsonl> [--steps 300] [--work dir] [--out file]
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const { values } = parseArgs({
  options: {
    model: { type: "string" },
    train: { type: "string" },
    eval: { type: "string" },
    steps: { type: "string", default: "300" },
    work: { type: "string", default: "compare-methods" },
    out: { type: "string", default: join("docs", "methods-e2e.md") },
  },
});
const { model, train, eval: heldOut, work } = values;
if (!model || !train || !heldOut) throw new Error("--model, --train and --eval are needed");

const RUNS: Readonly<Record<string, readonly string[]>> = {
  "Mo-SARA, q and v": ["--method", "mo-sara", "--targets", "q_proj,v_proj"],
  "Mo-SARA, q, v, o, down": ["--method", "mo-sara", "--targets", "q_proj,v_proj,o_proj,down_proj"],
  "Mo-SARA, all linear": ["--method", "mo-sara", "--targets", "all-linear"],
  "Mo-SARA, 5 heads, q and v": ["--method", "mo-sara", "--targets", "q_proj,v_proj", "--heads", "5"],
  "SARA, q and v": ["--method", "sara", "--targets", "q_proj,v_proj"],
  "LoRA r = 8, q and v": ["--method", "lora", "--targets", "q_proj,v_proj", "--rank", "8"],
  "LoRA r = 8, all linear": ["--method", "lora", "--targets", "all-linear", "--rank", "8", "--lr", "0.006"],
  full: ["--method", "full"],
};

/** Runs a command of mosara once; its JSON result is kept under `key`. */
function mosara(key: string, args: readonly string[]): Record<string, unknown> {
  const kept = join(work, `${key}.json`);
  if (existsSync(kept)) return JSON.parse(readFileSync(kept, "utf8")) as Record<string, unknown>;
  const main = join(dirname(fileURLToPath(import.meta.url)), "..", "src", "main.js");
  const { status, stdout } = spawnSync(process.execPath, [main, ...args, "--json"], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
  });
  if (status !== 0) throw new Error(`mosara ${args.join(" ")} ended with ${status}`);
  writeFileSync(kept, stdout);
  return JSON.parse(stdout) as Record<string, unknown>;
}

/** One metric of a model, or of an adapter on it. */
function measure(key: string, metric: string, on: string, adapter: readonly string[]): number {
  const args = ["eval", "--model", on, ...adapter, "--data", heldOut ?? "", "--metric", metric, "--max-tokens", "80"];
  return Number(mosara(`${key}-${metric}`, args).value);
}

mkdirSync(work, { recursive: true });
const base = join(work, "base");
if (!existsSync(base))
  mosara("build", ["build", model, "--out", base, "--targets", "all-linear", "--weights", "float32"]);
const rows = [["base", "", "", measure("base", "loss", base, []), measure("base", "bleu", base, []), "", ""]];
for (const [name, flags] of Object.entries(RUNS)) {
  const key = name.replace(/[^A-Za-z0-9]+/g, "-").toLowerCase();
  const isFull = name === "full";
  const out = join(work, isFull ? key : `${key}.mosara`);
  const common = ["--model", base, "--data", train, "--steps", values.steps, "--batch-size", "8", "--seed", "1"];
  const trained = mosara(key, ["train", ...common, ...flags, "--out", out]);
  const on = isFull ? out : base;
  const live = isFull ? [] : ["--adapter", out];
  const scores = (placement: string, adapter: readonly string[]): [number, number] => [
    measure(`${key}-${placement}`, "loss", on, adapter),
    measure(`${key}-${placement}`, "bleu", on, adapter),
  ];
  const [loss, bleu] = scores("live", live);
  const canMerge = !isFull && !name.includes("heads");
  const merged = canMerge ? scores("merged", [...live, "--placement", "merged"]) : ["", ""];
  rows.push([name, Number(trained.numParams), isFull ? "" : Number(trained.bytes), loss, bleu, ...merged]);
}

const format = (value: number | string): string =>
  typeof value === "string" || Number.isInteger(value) ? String(value) : value.toFixed(3);
const head = ["method", "trained", "bytes", "loss", "BLEU", "loss, merged", "BLEU, merged"];
const table = [head, head.map(() => "---"), ...rows.map((row) => row.map(format))];
const text = [
  "# What the methods reach on E2E",
  "",
  `\`${basename(model)}\` trained for ${values.steps} steps of 8 examples of \`${basename(train)}\` with the default rates, measured on`,
  `\`${basename(heldOut)}\` through the serving engine in float32 (loss: nats a token; BLEU: greedy, 80 tokens). One seed.`,
  "Made by `scripts/compare-methods.ts`.",
  "",
  ...table.map((row) => `| ${row.join(" | ")} |`),
];
writeFileSync(values.out, `${text.join("\n")}\n`);
process.stdout.write(`${text.join("\n")}\n`);
