/**
 * Our server compared with llama.cpp's on the same random checkpoint, threads, prompts and lengths, in turns: 1 and 16
 * clients on the base, 16 clients on 16 adapters, prefill. It also measures the cost of each quantisation in answers.
 * int8 is compared with Q8_0 and int4 with Q4_0, with every matrix of a file in that one type. Both servers stay open,
 * and the one that is not measured is idle.
 */
import { join } from "node:path";
import { encodeAdapter } from "../../../src/adapter/adapter-file.ts";
import { openBase } from "../../../src/base/base.ts";
import { buildBase } from "../../../src/base/build/build.ts";
import { type AdapterDraw, planRequests } from "../../client/draw.ts";
import { type LoadRun, runClosedLoop } from "../../client/load.ts";
import type { Target } from "../../client/stream.ts";
import { requireAnswers, summarize } from "../../client/summary.ts";
import { emptyStore, engineOptions } from "../../engine-settings.ts";
import type { RowName } from "../../report/goals.ts";
import { type BenchOptions, type WeightChoice, fewRounds } from "../../options.ts";
import { divergenceOfBase, divergenceOfLlama, writeTexts } from "../../peers/divergence.ts";
import { startLlama } from "../../peers/llama-server.ts";
import { type GgufKind, type LlamaTools, ggufLoras, ggufModel, llamaTools } from "../../peers/llama-tools.ts";
import { PLACE_SCHEMA } from "../../inputs/schema.ts";
import { trainedCheckpoint, trainedModel } from "../../inputs/trained.ts";
import { randomAdapter, randomLora } from "../../inputs/random-adapter.ts";
import { type Figure, median, ratio } from "../../report/figures.ts";
import { type Variant, measureInTurns } from "../../rounds.ts";
import type { BenchContext, Scenario } from "../../scenario.ts";
import { type BesideGoals, goalsHere, promiseOf } from "./beside-goals.ts";
import { BASE_NAME, startServer } from "../../processes/server-process.ts";
import { weightName } from "../../inputs/work-folder.ts";

const NUM_CLIENTS = 16;
const CONTEXT_TOKENS = 1024;
const LORA_RANK = 8;

/** The same for all but prefill: tokens/s count the time of prompts too, so rates of other lengths are no ratio. */
const LENGTHS = { prompt: 16, answer: 24 } as const;

/** What is asked of both servers. */
const ON_BASE: Load = {
  ...LENGTHS,
  name: "16 clients on the base",
  clients: NUM_CLIENTS,
  adapters: "none",
  row: "peer-16",
};
const LORA_ADAPTERS: Load = { ...ON_BASE, name: "16 clients on 16 LoRA", adapters: "lora", row: null };
const LOADS: readonly Load[] = [
  ON_BASE,
  LORA_ADAPTERS,
  { ...ON_BASE, name: "1 client on the base", clients: 1, row: "peer-1" },
  // Both servers know this field. 64 tokens are too few to complete the answer, so all answers have one length.
  {
    ...ON_BASE,
    name: "16 clients bound to a JSON Schema",
    answer: 64,
    fields: { json_schema: PLACE_SCHEMA },
    row: "peer-schema",
  },
  { ...ON_BASE, name: "prefill", clients: 1, prompt: 256, answer: 1, row: "peer-prefill" },
];

/** Ours alone: the adapters that this project is about, against their LoRA. */
const OWN_ADAPTERS: Load = {
  ...LORA_ADAPTERS,
  name: "16 clients on 16 Mo-SARA",
  adapters: "mo-sara",
  row: "peer-adapters",
};

interface Load {
  readonly name: string;
  readonly clients: number;
  readonly prompt: number;
  readonly answer: number;
  readonly adapters: "none" | "lora" | "mo-sara";
  /** Further fields of the bodies. */
  readonly fields?: Readonly<Record<string, unknown>>;
  readonly row: RowName | null;
}

interface Peer {
  readonly kind: GgufKind;
  readonly name: string;
}

const F32: Peer = { kind: "f32", name: "F32" };
const PEERS: Readonly<Record<WeightChoice["kind"], Peer>> = {
  int8: { kind: "q8_0", name: "Q8_0" },
  int4: { kind: "q4_0", name: "Q4_0" },
  float32: F32,
  float16: F32, // which we compute with on a CPU
};

export const peerScenario: Scenario = {
  name: "peer",
  isStandard: true,
  summary:
    "Our server ÷ llama.cpp's, which is built once with Python and a compiler. The divergence of both from float32.",
  run: async (context) => {
    const { options, folder, note } = context;
    const startedAt = performance.now();
    const tools = await llamaTools(join(options.workDir, "llama"), !options.isSmoke, note);
    folder.countBuild((performance.now() - startedAt) / 1000);
    const figures: Figure[] = [];
    if (tools)
      for (const [index, weights] of options.weights.entries())
        figures.push(...(await measureWeights(context, tools, weights, loadsOf(index, options))));
    return [...figures, ...(await measureDivergence(context, tools))];
  },
};

/** In the standard set the adapters, which take theirs longest, are measured on the first format alone. */
function loadsOf(index: number, { scenarios }: BenchOptions): readonly Load[] {
  const isShort = scenarios.length === 0 && index > 0;
  return isShort ? LOADS.filter(({ adapters }) => adapters === "none") : [...LOADS, OWN_ADAPTERS];
}

async function measureWeights(
  context: BenchContext,
  tools: LlamaTools,
  weights: WeightChoice,
  loads: readonly Load[],
): Promise<Figure[]> {
  const { folder, options, note } = context;
  const peer = PEERS[weights.kind];
  const baseDir = await folder.base({ weights, targets: ["q_proj", "v_proj"] });
  const startedAt = performance.now();
  const checkpoint = await folder.checkpoint();
  const modelPath = await ggufModel(tools, checkpoint, peer.kind, join(options.workDir, "gguf"));
  folder.countBuild((performance.now() - startedAt) / 1000);
  return await folder.withScratch(async (scratch) => {
    await using server = await startServer(baseDir, scratch, options.numThreads);
    await using base = await openBase(baseDir);
    const { manifest } = base;
    const loras = Array.from({ length: NUM_CLIENTS }, (_, i) => randomLora(manifest, i + 1, LORA_RANK));
    const loraPaths = await ggufLoras(tools, checkpoint, loras, scratch);
    for (const [i, lora] of loras.entries()) {
      await server.putAdapter(`lora-${i}`, encodeAdapter(lora));
      await server.putAdapter(`mo-sara-${i}`, encodeAdapter(randomAdapter(manifest, i + 1)));
    }
    const { numThreads } = options;
    const settings = { modelPath, loraPaths, numThreads, numSlots: NUM_CLIENTS, contextTokens: CONTEXT_TOKENS };
    await using llama = await startLlama(tools, settings);
    note(`measuring ${weightName(weights)} beside llama.cpp's ${peer.name}`);
    const ours: Target = { url: server.url, model: BASE_NAME };
    const { vocabSize } = manifest.config;
    const variants = loads.flatMap((load) => [
      variant("ours", load, ours, vocabSize, options),
      ...(load === OWN_ADAPTERS ? [] : [variant("theirs", load, llama.target, vocabSize, options)]),
    ]);
    const of = await measureInTurns(variants, fewRounds(options, 4));
    return figuresOf(of, weights, await goalsHere(weights), loads);
  });
}

/**
 * Tokens/s, prompts included; for a prefill those of the prompt until its one token is answered. Prompts are new in
 * every round.
 */
function variant(
  side: "ours" | "theirs",
  load: Load,
  target: Target,
  vocabSize: number,
  options: BenchOptions,
): Variant {
  const { clients, prompt, answer, adapters, fields } = load;
  const asked: Target = { ...target, fieldsOf: (adapter) => ({ ...target.fieldsOf?.(adapter), ...fields }) };
  const names = Array.from({ length: NUM_CLIENTS }, (_, i) => (side === "theirs" ? String(i) : `${adapters}-${i}`));
  const draw: AdapterDraw = adapters === "none" ? { kind: "none" } : { kind: "each", names };
  let seed = 0; // the same on both sides, round by round
  const run = async (maxTokens: number, promptTokens: number): Promise<LoadRun> => {
    const workload = {
      promptTokens: { kind: "fixed", tokens: promptTokens },
      answerTokens: { kind: "fixed", tokens: maxTokens },
      adapters: draw,
      vocabSize,
      seed: seed++,
    } as const;
    return requireAnswers(await runClosedLoop(asked, planRequests(workload, clients), clients));
  };
  const measure = async (): Promise<number> => {
    const done = await run(options.isSmoke ? Math.min(answer, options.numTokens) : answer, prompt);
    if (answer > 1) return summarize(done).tokensPerSecond;
    // Until the end: a token that is half a letter is no piece by itself.
    return (1000 * prompt) / median(done.outcomes.map(({ endMs }) => endMs));
  };
  return { name: `${side}: ${load.name}`, measure, warmUp: () => run(1, Math.min(prompt, 16)) };
}

function figuresOf(
  of: (name: string) => readonly number[],
  weights: WeightChoice,
  goals: BesideGoals,
  loads: readonly Load[],
): Figure[] {
  const format = weightName(weights);
  const peer = PEERS[weights.kind];
  const unit = "tokens/s";
  return loads.flatMap((load): readonly Figure[] => {
    const { name, row } = load;
    const isOwn = load === OWN_ADAPTERS;
    const [ours, theirs] = [of(`ours: ${name}`), of(`theirs: ${isOwn ? LORA_ADAPTERS.name : name}`)];
    const what = `${format} ÷ ${peer.name}: ${name}${isOwn ? " ÷ 16 LoRA" : ""}`;
    return [
      { what: `${format}: ${name}, ours`, unit, samples: ours },
      ...(isOwn ? [] : [{ what: `${peer.name}: ${name}, llama.cpp`, unit, samples: theirs }]),
      ...(load.adapters === "none"
        ? []
        : [ratio(`${format}: ${name} ÷ on the base, ours`, ours, of(`ours: ${ON_BASE.name}`), { atLeast: 0.9 })]),
      ratio(what, ours, theirs, ...promiseOf(goals, row)),
    ];
  });
}

const QUANTISED: readonly WeightChoice[] = [
  { kind: "int8", blockSize: 128 },
  { kind: "int8", blockSize: 32 },
  { kind: "int4", blockSize: 32 },
  { kind: "int4", blockSize: 128 },
];

/** Mean divergence from float32 of every format of ours and of theirs, on the shipped base or on `--trained`. */
async function measureDivergence({ folder, options, note }: BenchContext, tools: LlamaTools | null): Promise<Figure[]> {
  note(`measuring what quantisation costs ${trainedModel(options)}`);
  return await folder.withScratch(async (scratch) => {
    const checkpoint = await trainedCheckpoint(options, join(scratch, "trained"));
    const storeDir = await emptyStore(join(scratch, "store"));
    const built = async (weights: WeightChoice) => {
      const dir = join(scratch, `${weights.kind}-${weights.blockSize ?? 0}`);
      await buildBase(checkpoint, dir, {
        weights: weights.kind,
        blockSize: weights.blockSize,
        targets: "none",
        threshold: options.threshold,
        maxRank: null,
        basisFrom: null,
        isSlim: true,
        numThreads: options.numThreads,
      });
      return engineOptions(dir, storeDir, options);
    };
    const float32 = await built({ kind: "float32", blockSize: null });
    const texts = await writeTexts(float32);
    const figure = (name: string, samples: readonly number[]): Figure => ({
      what: `divergence from float32 (mean KL): ${name}`,
      unit: "1e-3 nats",
      samples: samples.map((value) => 1000 * value),
    });
    const figures: Figure[] = [];
    for (const weights of QUANTISED)
      figures.push(figure(weightName(weights), await divergenceOfBase(await built(weights), texts)));
    if (!tools) return figures;
    await using base = await openBase(float32.baseDir);
    const { vocabSize } = base.manifest.config;
    for (const { kind, name } of new Set(Object.values(PEERS))) {
      const modelPath = await ggufModel(tools, checkpoint, kind, scratch);
      // One thread: time is no question here, and several of theirs wait for each other busily.
      const settings = { modelPath, loraPaths: [], numThreads: 1, numSlots: 1, contextTokens: 256 };
      await using llama = await startLlama(tools, settings);
      figures.push(figure(`llama.cpp's ${name}`, await divergenceOfLlama(llama.target.url, texts, vocabSize)));
    }
    return figures;
  });
}
