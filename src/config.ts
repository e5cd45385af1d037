/**
 * Every flag of every command in one table, and the parser made from it: flags > MOSARA_* environment > defaults.
 * `--help`, docs/commands.md and the parser all read this table, so they cannot disagree. It knows no command's code;
 * what comes out is a frozen plain object. Names: interface.md §1.
 */
import { parseArgs } from "node:util";
import { z } from "zod";
import { AppError } from "./errors.ts";

/** One flag. Without a `value` it is a switch. */
export interface Flag<T> {
  /** Placeholder in the help, e.g. `<dir>`; absent for a switch. */
  readonly value?: string;
  readonly help: string;
  /** What the default does, in words, where the default is not a literal. */
  readonly defaultText?: string;
  readonly isRepeatable?: boolean;
  /** From the text given (undefined: not given) to the value. */
  readonly schema: z.ZodType<T>;
}

type Flags = Readonly<Record<string, Flag<unknown>>>;
type ValuesOf<F extends Flags> = { readonly [K in keyof F]: F[K] extends Flag<infer T> ? T : never };

const text = z.string().min(1, "must not be empty");
const integer = (min: number, max = Number.MAX_SAFE_INTEGER) =>
  z
    .string()
    .regex(/^\d+$/, "must be a whole number")
    .transform(Number)
    .refine(
      (n) => n >= min && n <= max,
      max === Number.MAX_SAFE_INTEGER ? `must be at least ${min}` : `must be ${min} to ${max}`,
    );
const UNITS: Readonly<Record<string, number>> = { "": 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 };
const bytes = z
  .string()
  .regex(/^\d+[KMG]?$/, "must be a number of bytes, K, M or G may follow (times 1024)")
  .transform((s) => Number(s.replace(/[KMG]$/, "")) * (UNITS[/[KMG]?$/.exec(s)?.[0] ?? ""] ?? 1))
  .refine(Number.isSafeInteger, "is too large");
const proportion = z
  .string()
  .regex(/^\d*\.?\d+$/, "must be a number")
  .transform(Number)
  .refine((n) => n > 0 && n <= 1, "must be above 0 and at most 1");
const number = (min: number, hint: string) =>
  z
    .string()
    .regex(/^(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i, "must be a number")
    .transform(Number)
    .refine((n) => Number.isFinite(n) && n >= min, hint);
const positive = number(Number.MIN_VALUE, "must be above 0");
const notNegative = number(0, "must be at least 0");
const seconds = z
  .string()
  .regex(/^\d+(\.\d+)?$/, "must be a number of seconds")
  .transform(Number)
  .refine((n) => n <= 86_400, "must be at most 86400");
const names = text.transform((s) =>
  s
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== ""),
);
const apiKey = z
  .string()
  .transform((s) => {
    const [, tenant, key] = /^(?:([A-Za-z0-9][A-Za-z0-9._-]{0,63})=)?(.*)$/s.exec(s) ?? [];
    // A key in base64 may end in "=": that is no tenant without a key.
    return key === undefined || key === "" ? { tenant: "default", key: s } : { tenant: tenant ?? "default", key };
  })
  // A header cannot carry anything else, so such a key could never be sent.
  .refine(
    ({ key }) => /^[\x21-\x7e]{1,512}$/.test(key),
    "must be [tenant=]key, the key 1 to 512 visible ASCII characters",
  );

const origin = z
  .string()
  .toLowerCase()
  .refine(
    (s) => s === "*" || (/^https?:/.test(s) && URL.canParse(s) && new URL(s).origin === s),
    "must be an origin such as https://app.example:8443 without a path, or *",
  );
const hostName = z
  .string()
  .toLowerCase()
  .refine((s) => /^[a-z0-9._:-]{1,253}$/.test(s) && !/:\d+$/.test(s), "must be a host name without a port");

const optional = <T>(schema: z.ZodType<T>) => schema.nullable().default(null);
const toggle = z.boolean().default(false);

const COMMON = {
  json: { help: "Print the result as one JSON object on stdout and nothing else there.", schema: toggle },
  debug: { help: "Print the stack trace of a failure.", schema: toggle },
  help: { help: "Print this help.", schema: toggle },
} satisfies Flags;

const CACHE = {
  cache: {
    value: "<dir>",
    help: "Where bases built from checkpoints are kept.",
    defaultText: "mosara under the user's cache directory",
    schema: optional(text),
  },
} satisfies Flags;

const BUILD = {
  weights: {
    value: "<format>",
    help: "auto, float32, float16, int8 or int4. auto: float32 under 50 M parameters, else int8.",
    schema: z.enum(["auto", "float32", "float16", "int8", "int4"]).default("auto"),
  },
  blockSize: {
    value: "<n>",
    help: "Quantisation block: 32, 64 or 128.",
    defaultText: "128 for int8, 32 for int4",
    schema: optional(
      z
        .enum(["32", "64", "128"])
        .transform(Number)
        .pipe(z.literal([32, 64, 128])),
    ),
  },
  basisFrom: {
    value: "<base dir>",
    help: "Take the bases of this base directory over instead of computing them.",
    schema: optional(text),
  },
  targets: {
    value: "<names>",
    help: "Linear layers that get a Mo-SARA basis: names separated by commas, all-linear, or none.",
    defaultText: "q_proj,v_proj,o_proj,down_proj, or what the family calls them",
    schema: optional(names),
  },
  threshold: {
    value: "<m>",
    help: "Proportion of the sum of all singular values that decides each basis' rank.",
    defaultText: "0.25",
    schema: optional(proportion),
  },
  maxRank: { value: "<n>", help: "Upper bound of each basis' rank.", schema: optional(integer(1)) },
  slim: { help: "Leave out the original weights; merge, train and merged placement then refuse.", schema: toggle },
} satisfies Flags;

const SERVE = {
  model: {
    value: "<dir>",
    help: "Base directory, or a Hugging Face checkpoint, which is built first, once, into the cache.",
    defaultText: "the shipped demo, with its adapters",
    schema: optional(text),
  },
  host: { value: "<address>", help: "Address to listen on.", schema: text.default("127.0.0.1") },
  port: { value: "<n>", help: "Port to listen on; 0 is any free one.", schema: integer(0, 65_535).default(8080) },
  data: { value: "<dir>", help: "The adapter store.", schema: text.default("./data") },
  adapters: {
    value: "<dir>",
    help: "Directory whose .mosara files and PEFT directories are imported and watched; their names are the adapters'.",
    schema: optional(text),
  },
  servedModelName: {
    value: "<name>",
    help: "Name of the base in requests.",
    defaultText: "the directory's name",
    schema: optional(text.max(256)),
  },
  maxNumSeqs: { value: "<n>", help: "Most sequences that run at once.", schema: integer(1, 4096).default(16) },
  maxModelLen: {
    value: "<n>",
    help: "Most tokens of prompt and answer together.",
    defaultText: "the model's, or what fits one row",
    schema: optional(integer(1)),
  },
  kvCacheBytes: {
    value: "<bytes>",
    help: "Memory for keys and values. K, M or G may follow.",
    defaultText: "a quarter of free memory",
    schema: optional(bytes),
  },
  threads: {
    value: "<n>",
    help: "Threads of the engine.",
    defaultText: "the number of cores",
    schema: optional(integer(1, 1024)),
  },
  device: {
    value: "<device>",
    help: "cpu, webgpu or cuda. Never falls back in silence.",
    schema: z.enum(["cpu", "webgpu", "cuda"]).default("cpu"),
  },
  merge: {
    value: "<names>",
    help: "Adapters to serve merged from the start, separated by commas.",
    schema: names.default([]),
  },
  maxMerged: {
    value: "<n>",
    help: "Most merged engines; each holds a full copy of the weights.",
    schema: integer(0, 64).default(1),
  },
  maxLiveRank: {
    value: "<n>",
    help: "Highest rank of a SARA or LoRA adapter that is served live.",
    schema: integer(1, 65_536).default(64),
  },
  adapterCacheBytes: {
    value: "<bytes>",
    help: "Memory for adapters kept ready. K, M or G may follow.",
    schema: bytes.default(268_435_456),
  },
  maxAdapterBytes: {
    value: "<bytes>",
    help: "Largest adapter file that is accepted.",
    schema: bytes.default(67_108_864),
  },
  maxQueue: {
    value: "<n>",
    help: "Most sequences that wait; more are refused with 503.",
    schema: integer(0).default(1024),
  },
  maxQueueTokens: {
    value: "<n>",
    help: "Most prompt tokens that wait; more are refused with 503.",
    schema: integer(1).default(1_048_576),
  },
  noPrefixCache: {
    help: "Compute every prompt from its first token. Without it, prompts of one tenant and adapter that begin alike share what was computed of their beginnings, in up to half of --kv-cache-bytes that no row needs.",
    schema: toggle,
  },
  noBatchInvariance: { help: "Give up equal bits alone and in company where that is faster.", schema: toggle },
  apiKey: {
    value: "<[tenant=]key>",
    help: "Key that callers must send. Repeatable; in the environment separated by commas. Without a name the tenant is default.",
    isRepeatable: true,
    schema: z.array(apiKey).default([]),
  },
  publicMetrics: {
    help: "Serve /metrics without a key, for scrapers and pickers that send none.",
    schema: toggle,
  },
  corsOrigin: {
    value: "<origin>",
    help: "Allow pages of this origin, such as https://app.example, to call the API; * allows every page. Repeatable; in the environment separated by commas.",
    isRepeatable: true,
    schema: z.array(origin).default([]),
  },
  allowedHost: {
    value: "<name>",
    help: "Accept requests whose Host header has this name, such as a proxy's. On a loopback --host, other names than this machine's are refused. Repeatable; in the environment separated by commas.",
    isRepeatable: true,
    schema: z.array(hostName).default([]),
  },
  shutdownTimeout: {
    value: "<seconds>",
    help: "How long running requests may go on after SIGTERM.",
    schema: seconds.default(30),
  },
  logLevel: {
    value: "<level>",
    help: "debug, info, warn, error or silent; the log goes to stderr, one JSON object a line.",
    schema: z.enum(["debug", "info", "warn", "error", "silent"]).default("warn"),
  },
} satisfies Flags;

const OUT = {
  value: "<dir>",
  help: "Directory to write; it must not exist or be empty.",
  schema: text,
} satisfies Flag<string>;

const TRAIN = {
  model: { value: "<dir>", help: "Base directory, or a checkpoint, which is built once into the cache.", schema: text },
  data: {
    value: "<file.jsonl>",
    help: "Training examples, one JSON object a line. Several files may follow, or the flag be repeated. full also takes running text: plain text files, and lines with a text.",
    isRepeatable: true,
    schema: z.array(text).min(1, "must name a file"),
  },
  out: {
    value: "<name.mosara>",
    help: "The adapter to write; with --method full a directory. The step log and the checkpoint to go on from lie beside it.",
    schema: text,
  },
  method: {
    value: "<method>",
    help: "mo-sara, sara, lora, or full (every weight of the model).",
    schema: z.enum(["mo-sara", "sara", "lora", "full"]).default("mo-sara"),
  },
  heads: { value: "<n>", help: "mo-sara: adapter heads.", defaultText: "1", schema: optional(integer(1, 4096)) },
  router: {
    value: "<kind>",
    help: "mo-sara with several heads: rank1 or full.",
    defaultText: "rank1",
    schema: optional(z.enum(["rank1", "full"])),
  },
  rank: { value: "<r>", help: "lora: rank.", defaultText: "8", schema: optional(integer(1, 65_536)) },
  alpha: {
    value: "<a>",
    help: "lora: the delta is scaled by alpha / rank.",
    defaultText: "2 r",
    schema: optional(positive),
  },
  targets: {
    value: "<names>",
    help: "Linear layers to adapt: names separated by commas, or all-linear.",
    defaultText: "those of the base",
    schema: optional(names),
  },
  threshold: {
    value: "<m>",
    help: "mo-sara and sara: proportion of the sum of all singular values that decides each layer's k; at most the base's k.",
    defaultText: "the base's; 0.25 for a checkpoint",
    schema: optional(proportion),
  },
  eval: {
    value: "<file.jsonl>",
    help: "Held-out examples: evaluated while training, and the best state is what is written. Repeatable.",
    isRepeatable: true,
    schema: z.array(text).default([]),
  },
  steps: { value: "<n>", help: "Steps of the optimiser, instead of --epochs.", schema: optional(integer(1)) },
  epochs: { value: "<n>", help: "Passes through the data.", defaultText: "3", schema: optional(positive) },
  batchSize: { value: "<n>", help: "Examples of a micro-batch.", schema: integer(1, 65_536).default(8) },
  accumulate: { value: "<n>", help: "Micro-batches of a step.", schema: integer(1, 65_536).default(1) },
  maxLength: {
    value: "<n>",
    help: "Most tokens of an example.",
    defaultText: "the model's, at most 1024",
    schema: optional(integer(2)),
  },
  overlong: {
    value: "<policy>",
    help: "Examples above --max-length: truncate keeps their beginning, skip leaves them out. Either way they are counted and reported.",
    schema: z.enum(["truncate", "skip"]).default("truncate"),
  },
  lr: {
    value: "<rate>",
    help: "Highest learning rate.",
    defaultText: "0.2 mo-sara, 0.03 sara, 0.01 lora, 0.001 full",
    schema: optional(positive),
  },
  warmup: {
    value: "<n>",
    help: "Steps until the highest rate; below 1 a share of all. A cosine to 5 % of the rate follows.",
    schema: notNegative.default(0.06),
  },
  weightDecay: { value: "<n>", help: "Decoupled weight decay.", schema: notNegative.default(0) },
  clip: {
    value: "<norm>",
    help: "Largest norm of all gradients together; 0 does not clip.",
    schema: notNegative.default(1),
  },
  seed: {
    value: "<n>",
    help: "Decides initial values and the order of the examples.",
    schema: integer(0, 2 ** 32 - 1).default(0),
  },
  evalEvery: {
    value: "<n>",
    help: "Steps between evaluations.",
    defaultText: "a tenth of all steps",
    schema: optional(integer(1)),
  },
  patience: {
    value: "<n>",
    help: "Stop early after this many evaluations without a better one.",
    defaultText: "never",
    schema: optional(integer(1)),
  },
  saveEvery: { value: "<n>", help: "Steps between checkpoints to go on from.", schema: integer(1).default(100) },
  resume: { help: "Go on from the checkpoint beside --out; from the start where there is none.", schema: toggle },
  report: {
    value: "<file.html>",
    help: "Writes one HTML file to look at: curves, layers, samples before and after, and the command.",
    defaultText: "none",
    schema: optional(text),
  },
  threads: {
    value: "<n>",
    help: "Threads of the training process.",
    defaultText: "the number of cores",
    schema: optional(integer(1, 1024)),
  },
  device: {
    value: "<device>",
    help: "cpu, webgpu or cuda. Never falls back in silence.",
    schema: z.enum(["cpu", "webgpu", "cuda"]).default("cpu"),
  },
} satisfies Flags;

const EVAL = {
  model: { value: "<dir>", help: "Base directory, or a checkpoint, which is built once into the cache.", schema: text },
  adapter: {
    value: "<file>",
    help: "The .mosara file to measure beside the base.",
    defaultText: "the base alone",
    schema: optional(text),
  },
  data: {
    value: "<file.jsonl>",
    help: "Examples, one JSON object a line. Repeatable.",
    isRepeatable: true,
    schema: z.array(text).min(1, "must name a file"),
  },
  metric: {
    value: "<metric>",
    help: "loss (nats a token of the completion), exact, contains, number, choice (shares of right answers) or bleu (0 to 100).",
    schema: z.enum(["loss", "exact", "contains", "number", "choice", "bleu"]),
  },
  limit: { value: "<n>", help: "Most examples, from the start.", defaultText: "all", schema: optional(integer(1)) },
  maxTokens: { value: "<n>", help: "Most tokens generated for an example.", schema: integer(1).default(256) },
  predictions: {
    value: "<out.jsonl>",
    help: "Writes what was generated, or the losses, one example a line.",
    schema: optional(text),
  },
  placement: {
    value: "<placement>",
    help: "How the adapter runs: live, or merged into the weights of an engine of its own.",
    schema: z.enum(["live", "merged"]).default("live"),
  },
  seed: { value: "<n>", help: "Decides the resamples of the intervals.", schema: integer(0, 2 ** 32 - 1).default(0) },
  maxNumSeqs: SERVE.maxNumSeqs,
  maxModelLen: SERVE.maxModelLen,
  kvCacheBytes: SERVE.kvCacheBytes,
  threads: SERVE.threads,
  device: SERVE.device,
} satisfies Flags;

const INIT = {
  config: {
    value: "<config.json>",
    help: "The model's configuration, as Hugging Face writes it; initializer_range (0.02) is the weights' deviation.",
    schema: text,
  },
  tokenizer: { value: "<dir>", help: "Directory whose tokenizer files are copied.", schema: text },
  out: OUT,
  seed: { value: "<n>", help: "Decides the weights.", schema: integer(0, 2 ** 32 - 1).default(0) },
} satisfies Flags;

interface CommandRow {
  readonly summary: string;
  readonly positionals: readonly string[];
  readonly flags: Flags;
  readonly rest?: string;
}

/**
 * The commands that work, in the order of the help. `positionals` are names of required arguments; `rest` is the repeatable flag
 * that further arguments belong to, so that a shell's list of files may follow it.
 */
export const COMMANDS = {
  serve: {
    summary: "Serve a base model and its adapters over the OpenAI API.",
    positionals: [],
    flags: { ...SERVE, ...BUILD, ...CACHE, debug: COMMON.debug, help: COMMON.help },
  },
  build: {
    summary: "Turn a Hugging Face checkpoint into a base directory.",
    positionals: ["checkpoint"],
    flags: { out: OUT, ...BUILD, ...COMMON },
  },
  train: {
    summary: "Train an adapter (or the whole model) on examples.",
    positionals: [],
    flags: { ...TRAIN, ...CACHE, ...COMMON },
    rest: "data",
  },
  init: {
    summary: "Write a checkpoint with random weights, to train from nothing.",
    positionals: [],
    flags: { ...INIT, ...COMMON },
  },
  eval: {
    summary: "Measure a base, and an adapter beside it, on examples.",
    positionals: [],
    flags: { ...EVAL, ...BUILD, ...CACHE, ...COMMON },
  },
  merge: {
    summary: "Write a Hugging Face checkpoint with an adapter folded in.",
    positionals: [],
    flags: {
      model: { value: "<dir>", help: "Base directory or checkpoint.", schema: text },
      adapter: { value: "<file>", help: "The .mosara file.", schema: text },
      out: OUT,
      dtype: {
        value: "<dtype>",
        help: "float32, float16 or bfloat16.",
        defaultText: "the source's",
        schema: optional(z.enum(["float32", "float16", "bfloat16"])),
      },
      meanGate: {
        value: "<file.jsonl>",
        help: "Merge an adapter with several heads by its mean gate over these examples; not exact, and the error is reported.",
        schema: optional(text),
      },
      ...CACHE,
      ...COMMON,
    },
  },
  import: {
    summary: "Turn a PEFT LoRA directory into a .mosara file.",
    positionals: ["peft dir"],
    flags: {
      model: { value: "<dir>", help: "Base directory or checkpoint that it is to be served on.", schema: text },
      out: { value: "<name.mosara>", help: "The file to write.", schema: text },
      ...CACHE,
      ...COMMON,
    },
  },
  export: {
    summary: "Write an adapter as a PEFT LoRA directory.",
    positionals: ["name.mosara"],
    flags: {
      model: { value: "<dir>", help: "Base directory or checkpoint that it was made for.", schema: text },
      out: OUT,
      ...CACHE,
      ...COMMON,
    },
  },
  inspect: {
    summary: "Say what a .mosara file, a base directory or a checkpoint is.",
    positionals: ["path"],
    flags: { ...COMMON },
  },
} as const satisfies Record<string, CommandRow>;

export type CommandName = keyof typeof COMMANDS;

/** The checked values of a command, by flag, with its arguments under `positionals`. */
export type ConfigOf<C extends CommandName> = Readonly<ValuesOf<(typeof COMMANDS)[C]["flags"]>> & {
  readonly positionals: readonly string[];
};
/** What `build` and `serve` hand to the builder. */
export type BuildFlags = ValuesOf<typeof BUILD>;

/** `maxNumSeqs` → `max-num-seqs`. */
export function flagName(key: string): string {
  return key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** `maxNumSeqs` → `MOSARA_MAX_NUM_SEQS`. */
export function environmentName(key: string): string {
  return `MOSARA_${flagName(key).replaceAll("-", "_").toUpperCase()}`;
}

/** Whether there is a command of that name. */
export function isCommand(name: string): name is CommandName {
  return Object.hasOwn(COMMANDS, name);
}

/**
 * Values of a command from its arguments and the environment.
 * @throws {AppError} `usage`, naming the flag or variable, what was found and what it takes.
 */
export function parseCommand<C extends CommandName>(
  command: C,
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): ConfigOf<C> {
  const { flags, positionals: wanted, rest }: CommandRow = COMMANDS[command];
  const { values: given, positionals } = readArguments(command, flags, args);
  if (rest !== undefined && Array.isArray(given[rest]))
    given[rest] = [...given[rest], ...positionals.splice(0)] as string[];
  const isHelp = given.help === true;
  const values: Record<string, unknown> = {};
  for (const [key, flag] of Object.entries(flags)) {
    const fromFlag = given[flagName(key)];
    const isFromFlag = fromFlag !== undefined;
    const source = isFromFlag ? `--${flagName(key)}` : environmentName(key);
    const raw = isFromFlag ? fromFlag : fromEnvironment(flag, env[environmentName(key)], source);
    if (!isHelp) values[key] = valueOf(command, key, flag, raw, source);
  }
  if (isHelp) return { help: true, positionals } as unknown as ConfigOf<C>; // nothing else is read then
  if (positionals.length !== wanted.length) {
    const expected = wanted.length === 0 ? "no arguments" : wanted.map((name) => `<${name}>`).join(" ");
    throw usage(
      command,
      `"${command}" takes ${expected} besides flags, found ${positionals.length === 0 ? "none" : positionals.map((p) => `"${p}"`).join(" ")}.`,
    );
  }
  return Object.freeze({ ...values, positionals: Object.freeze([...positionals]) }) as unknown as ConfigOf<C>; // by the table's construction
}

function usage(command: string, message: string): AppError {
  return new AppError("usage", `${message} See mosara ${command} --help.`);
}

function readArguments(command: string, flags: Flags, args: readonly string[]) {
  const options = Object.fromEntries(
    Object.entries(flags).map(([key, flag]) => [
      flagName(key),
      {
        type: flag.value === undefined ? ("boolean" as const) : ("string" as const),
        multiple: flag.isRepeatable === true,
      },
    ]),
  );
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true, strict: true });
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    // Node's first sentence names the flag; what follows is advice about "--" that fits no command here.
    const [sentence = error.message] = error.message.split(/\.\s/);
    throw usage(command, `${sentence.replace(/\.$/, "")}.`);
  }
}

function fromEnvironment(flag: Flag<unknown>, value: string | undefined, source: string): unknown {
  if (value === undefined || value === "") return undefined;
  if (flag.isRepeatable) return value.split(",").map((part) => part.trim());
  if (flag.value !== undefined) return value;
  if (/^(1|true|yes)$/i.test(value)) return true;
  if (/^(0|false|no)$/i.test(value)) return false;
  throw new AppError("usage", `${source} is a switch: set it to 1 or 0, found "${value}".`);
}

function valueOf(command: string, key: string, flag: Flag<unknown>, raw: unknown, source: string): unknown {
  const result = flag.schema.safeParse(raw);
  if (result.success) return result.data;
  if (raw === undefined) throw usage(command, `"${command}" needs --${flagName(key)} ${flag.value ?? ""}.`);
  const issue = result.error.issues[0];
  // A key must never be printed.
  const found = key === "apiKey" ? "" : `, found ${JSON.stringify(raw)}`;
  const message =
    issue?.code === "invalid_value" ? `must be one of ${issue.values.join(", ")}` : (issue?.message ?? "is invalid");
  throw usage(command, `${source} ${message}${found}.`);
}
