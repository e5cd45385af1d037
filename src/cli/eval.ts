/** `mosara eval`: measures the base, and an adapter if one is given, on examples through the serving engine. */
import { randomUUID } from "node:crypto";
import { type FileHandle, open, rename, rm } from "node:fs/promises";
import { basename } from "node:path";
import type { ConfigOf } from "../config/commands.ts";
import { loadExampleEncoder } from "../data/encode.ts";
import { readExamples } from "../data/examples.ts";
import { AppError } from "../errors.ts";
import { type Evaluation, evaluate, prepareItem, type Score } from "../eval/evaluate.ts";
import { ADAPTER_EXTENSION } from "../store/directory/directory-files.ts";
import { Cleanup } from "./shared/cleanup.ts";
import { startEvalEngine } from "./shared/eval-engine.ts";
import { Progress } from "./shared/progress.ts";
import { readAdapter } from "./shared/read-adapter.ts";
import { resolveBase } from "./shared/resolve-base.ts";

/** Examples in flight for each row of the engine, so that no row waits for the next prompt. */
const IN_FLIGHT_PER_ROW = 2;

type EvalConfig = ConfigOf<"eval">;

/** @returns the exit code. @throws {AppError} */
export async function evaluateCommand(config: EvalConfig): Promise<number> {
  if (config.placement === "merged" && config.adapter === null)
    throw new AppError("usage", "--placement merged needs an adapter. Name it with --adapter.");
  const examples = await readExamples(config.data, { limit: config.limit });
  // Checked first, so that no checkpoint is built in vain.
  const adapter = config.adapter === null ? null : await readAdapter(config.adapter);
  await using cleanup = new Cleanup();
  const output = config.predictions === null ? null : await openOutput(config.predictions, cleanup);
  const baseDir = await resolveBase(config.model, config);
  const encoder = await loadExampleEncoder(baseDir);
  // Checked first, so that no engine starts in vain.
  const items = examples.map((example) => prepareItem(example, config.metric, encoder));
  const { engine, limits, generation, weights, endIds } = await startEvalEngine(config, baseDir, adapter, cleanup);
  const progress = new Progress();
  const evaluation = await evaluate(items, config.metric, {
    engine,
    adapter: generation === null ? null : { generation },
    adapterEndIds: adapter?.adapter.endTokenIds ?? [],
    maxTokens: config.maxTokens,
    maxModelLen: limits.maxModelLen,
    stopIds: [...new Set([...endIds, ...encoder.endTokenIds])],
    numInFlight: IN_FLIGHT_PER_ROW * config.maxNumSeqs,
    seed: config.seed,
    onProgress: (done) => progress.update("evaluating", done),
  }).finally(() => progress.end());
  await output?.write(evaluation.predictions.map((line) => `${JSON.stringify(line, plain)}\n`).join(""));
  noteSkipped(evaluation, examples.length, limits.maxModelLen);
  const facts = { adapter: config.adapter, generation, weights, placement: config.placement };
  process.stdout.write(config.json ? `${JSON.stringify(asJson(evaluation, facts))}\n` : asText(evaluation, facts));
  return 0;
}

interface Facts {
  /** The adapter's path; null: the base alone. */
  readonly adapter: string | null;
  readonly generation: string | null;
  readonly weights: string;
  readonly placement: "live" | "merged";
}

/** Converts exact JSON (tokenizer/chat/exact-json.ts) to plain JSON. A number with very many digits loses some. */
function plain(_: string, value: unknown): unknown {
  if (typeof value === "bigint") return Number(value);
  return value instanceof Map ? Object.fromEntries(value as Map<string, unknown>) : value;
}

/** `value` is the adapter's score if there is an adapter, otherwise the base's. */
function asJson({ metric, count, numTokens, skipped, base, adapter, difference, seconds }: Evaluation, facts: Facts) {
  const { value, low, high } = adapter ?? base;
  return {
    metric,
    value,
    interval: [low, high],
    count,
    tokens: numTokens,
    skipped: skipped.length,
    adapter: facts.adapter === null ? null : basename(facts.adapter, ADAPTER_EXTENSION),
    generation: facts.generation,
    placement: facts.adapter === null ? null : facts.placement,
    weights: facts.weights,
    base: { value: base.value, interval: [base.low, base.high] },
    difference: difference === null ? null : { value: difference.value, interval: [difference.low, difference.high] },
    seconds,
  };
}

function asText({ metric, count, base, adapter, difference, seconds }: Evaluation, facts: Facts): string {
  const row = (name: string, { value, low, high }: Score, note = ""): string =>
    `${name.padEnd(12)}${value.toFixed(4).padStart(10)}   ${low.toFixed(4)} … ${high.toFixed(4)}${note}\n`;
  const name = facts.adapter === null ? "" : basename(facts.adapter, ADAPTER_EXTENSION);
  const lines = [
    `${metric} of ${count} examples, ${facts.weights} weights, ${seconds.toFixed(1)} s; intervals of 95 % by bootstrap\n`,
    row("base", base),
    adapter === null
      ? ""
      : row("adapter", adapter, `   ${name} (${facts.generation?.slice(0, 8)}, ${facts.placement})`),
    difference === null ? "" : row("difference", difference),
  ];
  return lines.join("");
}

/** Reports the examples that were left out, for every kind of output. */
function noteSkipped({ skipped }: Evaluation, numExamples: number, maxModelLen: number): void {
  const [first] = skipped;
  if (first === undefined) return;
  process.stderr.write(
    `mosara: ${skipped.length} of ${numExamples} examples do not fit the context of ${maxModelLen} tokens and are left out. The first is ${first.file}, line ${first.line} (${first.numTokens} tokens).\n`,
  );
}

interface Output {
  write(text: string): Promise<void>;
}

/**
 * Opens a file that gets its name when it is complete. An unwritable path is reported before the work. @throws
 * {AppError} usage
 */
async function openOutput(path: string, cleanup: Cleanup): Promise<Output> {
  const temporary = `${path}.${randomUUID()}.tmp`;
  const file: FileHandle = await open(temporary, "wx").catch((cause: Error) => {
    throw new AppError("usage", `${path} cannot be written: ${cause.message}. Name another file.`, { cause });
  });
  cleanup.defer(async () => {
    await file.close();
    await rm(temporary, { force: true });
  });
  return {
    async write(text) {
      await file.writeFile(text);
      await file.sync();
      await rename(temporary, path);
    },
  };
}
