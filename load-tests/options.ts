/** The flags of the load tests in one table; `--help` and the parser both read it. */
import { availableParallelism, homedir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { AppError } from "../src/errors.ts";
import { type CheckpointShape, HALF_BILLION, SMOKE } from "./inputs/random-checkpoint.ts";

interface Flag {
  /** Placeholder in the help; absent for a switch. */
  readonly value?: string;
  readonly help: string;
  readonly isNumber?: boolean;
}

const FLAGS = {
  help: { help: "Print this help." },
  smoke: { help: "A tiny model and one short round. It shows that everything runs. Its times mean nothing." },
  out: {
    value: "<file.json>",
    help: "File for all samples, the machine and the commit. A table and a chart are written beside it (.md, .svg).",
  },
  publish: { help: "Write the results into the repository too: load-tests/results and docs/benchmarks.md." },
  work: {
    value: "<dir>",
    help: "Directory for checkpoints and bases (default: mosara-load-tests in the user's cache).",
  },
  fresh: { help: "Build everything in the work folder anew." },
  url: { value: "<url>", help: "Measure the OpenAI server there instead of one of ours (scenarios marked *)." },
  model: { value: "<name>", help: "The model to ask that server for (default: the first that it lists)." },
  adapters: {
    value: "<list>",
    help: "Names of its adapters (default: none; figures that need adapters are left out).",
  },
  api: { value: "<kind>", help: "How prompts are sent: completions (token ids, default), text or chat." },
  "api-key": { value: "<key>", help: "Sent to that server." },
  weights: {
    value: "<list>",
    help: "Formats to measure, with or without a block size, such as int8,int4:128 (default: int8,int4).",
  },
  trained: {
    value: "<dir>",
    help: "Checkpoint or base whose quantised forms are compared with float32 (default: the shipped base). The file of the scenario first-token (default: the random checkpoint).",
  },
  draft: { value: "<dir>", help: "Base directory of a draft model for the base of --trained (scenario draft)." },
  threshold: { value: "<m>", help: "Threshold of the bases (default: 0.25)." },
  device: { value: "<device>", help: "Device of the scenario gpu: webgpu (default) or cuda." },
  bandwidth: {
    value: "<GB/s>",
    help: "Bandwidth of the card's memory, for the bound of the scenario gpu.",
    isNumber: true,
  },
  threads: { value: "<n>", help: "Threads of a session (default: all cores).", isNumber: true },
  rounds: { value: "<n>", help: "Samples of every figure (default: 5).", isNumber: true },
  steps: {
    value: "<n>",
    help: "Steps, or tokens of an answer, in a sample (default: 4 steps, 24 tokens).",
    isNumber: true,
  },
  context: { value: "<n>", help: "Tokens in the cache of every row of a decode step (default: 128).", isNumber: true },
  layers: {
    value: "<n>",
    help: "Layers. Sizes that are not given are those of Qwen2 with 0.5 B parameters.",
    isNumber: true,
  },
  hidden: { value: "<n>", help: "Width.", isNumber: true },
  heads: { value: "<n>", help: "Attention heads.", isNumber: true },
  "kv-heads": { value: "<n>", help: "Key/value heads.", isNumber: true },
  ffn: { value: "<n>", help: "Width of the MLP.", isNumber: true },
  vocab: { value: "<n>", help: "Tokens of the vocabulary, 257 or more.", isNumber: true },
  dtype: { value: "<type>", help: "bfloat16 (default), float16 or float32." },
  untied: { help: "A vocabulary projection of its own." },
  seed: { value: "<n>", help: "Seed of the random weights (default: 1).", isNumber: true },
} satisfies Record<string, Flag>;

type FlagName = keyof typeof FLAGS;

/** How the linear layers of a base are held. */
export interface WeightChoice {
  readonly kind: "float32" | "float16" | "int8" | "int4";
  /** null: the build's own default. */
  readonly blockSize: number | null;
}

export interface BenchOptions {
  readonly scenarios: readonly string[];
  readonly isHelpWanted: boolean;
  readonly isSmoke: boolean;
  readonly outFile: string | null;
  readonly isPublished: boolean;
  readonly workDir: string;
  readonly isFresh: boolean;
  readonly weights: readonly WeightChoice[];
  readonly threshold: number;
  readonly numThreads: number;
  readonly numRounds: number;
  /** Whether the user said so; a scenario of long samples takes fewer by itself. */
  readonly areRoundsGiven: boolean;
  /** Decode steps in a sample. */
  readonly numSteps: number;
  /** Tokens of an answer over HTTP. */
  readonly numTokens: number;
  readonly contextTokens: number;
  readonly shape: CheckpointShape;
  /** null: the shipped base, or the random checkpoint in the scenario first-token. */
  readonly trainedDir: string | null;
  /** null: the scenario draft makes a pair itself. */
  readonly draftDir: string | null;
  /** Of the scenario gpu. */
  readonly device: "cpu" | "webgpu" | "cuda";
  /** GB/s of the card's memory; null: not said. */
  readonly bandwidth: number | null;
  /** A server that is there already; null: scenarios start their own. */
  readonly remote: RemoteServer | null;
}

/** What `--url` and its companions say. */
export interface RemoteServer {
  readonly url: string;
  readonly model: string | null;
  readonly adapters: readonly string[];
  readonly api: "completions" | "text" | "chat";
  readonly apiKey: string | null;
}

/** @throws {AppError} usage */
export function parseOptions(args: readonly string[]): BenchOptions {
  const { values, positionals } = parsed(args);
  const number = (name: FlagName, fallback: number): number => numberOf(name, values[name], fallback);
  const isSmoke = values.smoke === true;
  const base = isSmoke ? SMOKE : HALF_BILLION;
  const heads = number("heads", base.heads);
  if (isSmoke && values.publish === true)
    throw new AppError(
      "usage",
      "--publish wants a full run: the times of --smoke mean nothing. Leave out one of the two.",
    );
  return {
    scenarios: positionals,
    isHelpWanted: values.help === true,
    isSmoke,
    outFile: textOf(values.out),
    isPublished: values.publish === true,
    workDir: textOf(values.work) ?? join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "mosara-load-tests"),
    isFresh: values.fresh === true,
    weights: (textOf(values.weights) ?? "int8,int4").split(",").map(weightChoice),
    threshold: thresholdOf(textOf(values.threshold) ?? "0.25"),
    numThreads: number("threads", availableParallelism()),
    numRounds: number("rounds", isSmoke ? 1 : 5),
    areRoundsGiven: values.rounds !== undefined || isSmoke,
    numSteps: number("steps", isSmoke ? 1 : 4),
    numTokens: number("steps", isSmoke ? 4 : 24),
    contextTokens: number("context", isSmoke ? 16 : 128),
    shape: {
      layers: number("layers", base.layers),
      hidden: number("hidden", base.hidden),
      heads,
      kvHeads: number("kv-heads", Math.min(base.kvHeads, heads)),
      ffn: number("ffn", base.ffn),
      vocab: vocabOf(number("vocab", base.vocab)),
      isTied: values.untied !== true,
      dtype: dtypeOf(textOf(values.dtype) ?? base.dtype),
      seed: number("seed", base.seed),
    },
    trainedDir: textOf(values.trained),
    draftDir: textOf(values.draft),
    device: deviceOf(textOf(values.device) ?? "webgpu"),
    bandwidth: values.bandwidth === undefined ? null : number("bandwidth", 1),
    remote: remoteOf(values),
  };
}

/**
 * Samples of every figure where they take long: as many as the user wants, or else `few`, half of them in the standard
 * set.
 */
export function fewRounds({ numRounds, areRoundsGiven, scenarios }: BenchOptions, few: number): number {
  if (areRoundsGiven) return numRounds;
  return scenarios.length === 0 ? Math.max(2, Math.ceil(few / 2)) : few;
}

/** The flags' part of `--help`. */
export function flagsHelp(): string {
  const lines = Object.entries<Flag>(FLAGS).map(([name, { value, help }]) =>
    `  ${`--${name}${value === undefined ? "" : ` ${value}`}`.padEnd(22)}${help}`.trimEnd(),
  );
  return lines.join("\n");
}

type Values = Partial<Record<FlagName, string | boolean>>;

function parsed(args: readonly string[]): { values: Values; positionals: string[] } {
  const options = Object.fromEntries(
    Object.entries<Flag>(FLAGS).map(([name, flag]) => [
      name,
      { type: flag.value === undefined ? "boolean" : "string" } as const,
    ]),
  );
  try {
    const { values, positionals } = parseArgs({ args: [...args], options, allowPositionals: true });
    return { values: values as Values, positionals }; // the table's names and two types
  } catch (cause) {
    throw new AppError("usage", `${(cause as Error).message} See npm run bench -- --help.`, { cause });
  }
}

function remoteOf(values: Values): RemoteServer | null {
  const url = textOf(values.url);
  if (url === null) {
    for (const name of ["model", "adapters", "api", "api-key"] as const)
      if (values[name] !== undefined) throw new AppError("usage", `--${name} needs --url.`);
    return null;
  }
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol))
    throw new AppError("usage", `--url must be an http or https address, found "${url}".`);
  const api = textOf(values.api) ?? "completions";
  if (api !== "completions" && api !== "text" && api !== "chat")
    throw new AppError("usage", `--api must be completions, text or chat, found "${api}".`);
  const adapters = (textOf(values.adapters) ?? "").split(",").filter((name) => name !== "");
  return { url, model: textOf(values.model), adapters, api, apiKey: textOf(values["api-key"]) };
}

const textOf = (value: string | boolean | undefined): string | null => (typeof value === "string" ? value : null);

function numberOf(name: FlagName, value: string | boolean | undefined, fallback: number): number {
  if (value === undefined) return fallback;
  const number = Number(value);
  if (Number.isSafeInteger(number) && number > 0) return number;
  throw new AppError("usage", `--${name} must be a positive whole number, it is "${String(value)}".`);
}

function vocabOf(size: number): number {
  if (size > 256) return size;
  throw new AppError("usage", `--vocab must be 257 or more (a token a byte and an end token), it is ${size}.`);
}

function thresholdOf(value: string): number {
  const threshold = Number(value);
  if (threshold > 0 && threshold <= 1) return threshold;
  throw new AppError("usage", `--threshold must be above 0 and at most 1, it is "${value}".`);
}

function deviceOf(value: string): "webgpu" | "cuda" {
  if (value === "webgpu" || value === "cuda") return value;
  throw new AppError("usage", `--device must be webgpu or cuda, it is "${value}".`);
}

function weightChoice(value: string): WeightChoice {
  const [kind, block] = value.split(":");
  const isKnownBlock = block === undefined || ["32", "64", "128"].includes(block);
  if ((kind === "float32" || kind === "float16" || kind === "int8" || kind === "int4") && isKnownBlock)
    return { kind, blockSize: block === undefined ? null : Number(block) };
  throw new AppError(
    "usage",
    `--weights takes float32, float16, int8 and int4, with :32, :64 or :128; "${value}" is none of them.`,
  );
}

function dtypeOf(value: string): CheckpointShape["dtype"] {
  if (value === "bfloat16" || value === "float16" || value === "float32") return value;
  throw new AppError("usage", `--dtype must be bfloat16, float16 or float32, it is "${value}".`);
}
