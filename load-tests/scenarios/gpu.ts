/**
 * The engine's steps on a device, for graphics cards: decode at 1, 16 and 64 rows (bare, one adapter, a different one
 * in every row) and prefill. It also reports the host's cost of a step, and how close a single row comes to the time
 * for reading the weights alone. The best token of every row is fetched, as greedy sampling does, so a step is over
 * when it is measured.
 */
import { join } from "node:path";
import { encodeAdapter } from "../../src/adapter/adapter-file.ts";
import { openBase } from "../../src/base/base.ts";
import { openRunner } from "../../src/engine/process/open-runner.ts";
import { BEST } from "../../src/engine/sampling/logit-rows.ts";
import type { DecodeRow, ModelRunner, ReadyAdapter } from "../../src/engine/contracts.ts";
import { seedRandom } from "../../src/tensor/random.ts";
import { decodingRows } from "../decoding.ts";
import { emptyStore, engineOptions, readyAdapters } from "../engine-settings.ts";
import type { BenchOptions, WeightChoice } from "../options.ts";
import { randomAdapter } from "../inputs/random-adapter.ts";
import { type CheckpointShape, HALF_BILLION } from "../inputs/random-checkpoint.ts";
import { randomIds } from "../inputs/random-values.ts";
import { type Figure, ratio } from "../report/figures.ts";
import { type Variant, measureInTurns, secondsOf } from "../rounds.ts";
import type { BenchContext, Scenario } from "../scenario.ts";
import { WorkFolder, weightName } from "../inputs/work-folder.ts";

/** Rows of a decode step; fewer in a smoke test, which SwiftShader has to get through. */
const rowCounts = ({ isSmoke }: BenchOptions): readonly number[] => (isSmoke ? [1, 2, 4] : [1, 16, 64]);
const CHUNK_TOKENS = 64;
/** The CPU's side of the comparison: two cores, its best number of rows. */
const CPU = { device: "cpu", numThreads: 2, numRows: 16 } as const;
/** What the rows of a step have: no adapter, all the same one, or each its own. */
const ADAPTERS = ["bare", "one", "each"] as const;

/** Qwen2 with 1.5 B parameters. */
const THREE_HALVES: CheckpointShape = { ...HALF_BILLION, layers: 28, hidden: 1536, heads: 12, ffn: 8960 };

export const gpuScenario: Scenario = {
  name: "gpu",
  summary: "Decode and prefill on --device (webgpu or cuda), shapes of 0.5 B and 1.5 B. Needs a card.",
  run: async ({ options, note }: BenchContext) => {
    const shapes = options.isSmoke ? { tiny: options.shape } : { "0.5 B": HALF_BILLION, "1.5 B": THREE_HALVES };
    const figures: Figure[] = [];
    for (const [name, shape] of Object.entries(shapes))
      for (const weights of options.weights) {
        const folder = new WorkFolder({ ...options, shape }, note);
        const found = await measure(folder, { ...options, shape }, weights, note);
        figures.push(...found.map((figure) => ({ ...figure, what: `${name} ${weightName(weights)}: ${figure.what}` })));
      }
    return figures;
  },
};

async function measure(
  folder: WorkFolder,
  options: BenchOptions,
  weights: WeightChoice,
  note: (text: string) => void,
): Promise<Figure[]> {
  const bareDir = await folder.base({ weights, targets: "none" });
  const adaptedDir = await folder.base({ weights, targets: ["q_proj", "v_proj"] });
  const counts = rowCounts(options);
  const maxRows = Math.max(...counts);
  return await folder.withScratch(async (scratch) => {
    note(`opening on ${options.device}`);
    const opened: ModelRunner[] = [];
    const openIn = async (
      dir: string,
      name: string,
      settings: BenchOptions,
      device: BenchOptions["device"],
      rows: number,
    ) => {
      opened.push(await open(dir, join(scratch, name), { ...settings, device }, rows));
      return opened.at(-1)!; // just pushed
    };
    try {
      const bare = await openIn(bareDir, "bare", options, options.device, maxRows);
      const adapted = await openIn(adaptedDir, "adapted", options, options.device, maxRows);
      const cpu = await openIn(bareDir, "cpu", { ...options, numThreads: CPU.numThreads }, CPU.device, CPU.numRows);
      const adapters = await adaptersOf(adaptedDir, adapted, maxRows);
      const decodes = counts.flatMap((count) =>
        ADAPTERS.map((which) => {
          const runner = which === "bare" ? bare : adapted;
          const given = which === "bare" ? [] : which === "one" ? adapters.slice(0, 1) : adapters;
          return decodeVariant(`${count} ${which}`, runner, rowsOf(count, runner, options, given), options);
        }),
      );
      const variants = [
        ...decodes,
        decodeVariant("cpu", cpu, rowsOf(CPU.numRows, cpu, options, []), options),
        prefillVariant("prefill bare", bare, options, null),
        prefillVariant("prefill one", adapted, options, adapters[0] ?? null),
      ];
      note("measuring");
      const of = await measureInTurns(variants, options.numRounds);
      const host = await hostFigures(bare, rowsOf(maxRows, bare, options, []), options);
      return [...figuresOf(of, counts), ...boundFigures(of, bare, options), ...host];
    } finally {
      for (const runner of opened) await runner.close();
    }
  });
}

/** A runner with so many decoding rows. */
async function open(dir: string, scratch: string, options: BenchOptions, numRows: number): Promise<ModelRunner> {
  const common = engineOptions(dir, await emptyStore(scratch), options);
  const { device } = options;
  const runner = await openRunner({ ...common, device, maxNumSeqs: numRows, kvCacheBytes: 2 ** 33 });
  for (let id = 0; id < numRows; id++) {
    runner.kv.admit(id, options.contextTokens + CHUNK_TOKENS);
    runner.kv.startDecoding(id);
  }
  return runner;
}

async function adaptersOf(dir: string, runner: ModelRunner, count: number): Promise<readonly ReadyAdapter[]> {
  await using base = await openBase(dir);
  const { manifest } = base;
  const files = Array.from({ length: count }, (_, row) => encodeAdapter(randomAdapter(manifest, row + 1)));
  return await readyAdapters(runner, files);
}

/** @param adapters none, one for all rows, or one a row */
function rowsOf(
  count: number,
  runner: ModelRunner,
  { contextTokens }: BenchOptions,
  adapters: readonly ReadyAdapter[],
): readonly DecodeRow[] {
  const [first] = adapters;
  const oneEach = first && adapters.length === 1 ? Array.from({ length: count }, () => first) : adapters;
  return decodingRows(runner, count, contextTokens, oneEach);
}

/** A step, and the best token of every row brought over. */
async function step(runner: ModelRunner, rows: readonly DecodeRow[]): Promise<void> {
  const logits = await runner.decode(rows.map((row) => ({ ...row, need: BEST })));
  await logits.read(rows.map(() => BEST));
}

function decodeVariant(
  name: string,
  runner: ModelRunner,
  rows: readonly DecodeRow[],
  { numSteps }: BenchOptions,
): Variant {
  const run = async (): Promise<void> => {
    for (let i = 0; i < numSteps; i++) await step(runner, rows);
  };
  return {
    name,
    measure: async () => {
      await step(runner, rows); // brings the batch's adapters over, as the first step of every new batch does
      return (rows.length * numSteps) / (await secondsOf(run));
    },
  };
}

function prefillVariant(
  name: string,
  runner: ModelRunner,
  { contextTokens, numSteps }: BenchOptions,
  adapter: ReadyAdapter | null,
): Variant {
  const tokenIds = randomIds(CHUNK_TOKENS, runner.vocabSize, seedRandom(3));
  const past = Math.min(contextTokens, CHUNK_TOKENS);
  // The last position's best token is fetched: a chunk without logits would be over before the device is done.
  const step = { id: 0, past, tokenIds, adapter, logitPositions: [CHUNK_TOKENS - 1] };
  const run = async (): Promise<void> => {
    for (let i = 0; i < numSteps; i++) {
      const logits = await runner.prefill({ ...step, need: BEST });
      await logits.read([BEST]);
    }
  };
  return { name, measure: async () => (numSteps * CHUNK_TOKENS) / (await secondsOf(run)) };
}

function figuresOf(of: (name: string) => readonly number[], counts: readonly number[]): Figure[] {
  const rate = (what: string, name: string): Figure => ({ what, unit: "tokens/s", samples: of(name) });
  const most = Math.max(...counts);
  return [
    ...counts.map((count) => rate(`decode, rows: ${count}, bare`, `${count} bare`)),
    ...counts.flatMap((count) => [
      ratio(`decode, rows: ${count}, one adapter on q,v ÷ bare`, of(`${count} one`), of(`${count} bare`), {
        atLeast: 0.95,
      }),
      ratio(`decode, rows: ${count}, all different on q,v ÷ bare`, of(`${count} each`), of(`${count} bare`), {
        atLeast: 0.95,
      }),
    ]),
    rate(`decode, rows: ${CPU.numRows}, on two cores of the CPU`, "cpu"),
    ratio(`decode, rows: ${most} ÷ ${CPU.numRows} rows on two cores of the CPU`, of(`${most} bare`), of("cpu"), {
      atLeast: 20,
    }),
    rate("prefill, 64-token chunks, bare", "prefill bare"),
    ratio("prefill, one adapter on q,v ÷ bare", of("prefill one"), of("prefill bare")),
  ];
}

/** One row ÷ the rate at which the weights could be read once a token; where the card's bandwidth is known. */
function boundFigures(
  of: (name: string) => readonly number[],
  runner: ModelRunner,
  { bandwidth }: BenchOptions,
): Figure[] {
  const weights = runner.deviceBytes?.()?.weights;
  if (bandwidth === null || weights === undefined) return [];
  const bound = (bandwidth * 1e9) / weights;
  const samples = of("1 bare").map((rate) => rate / bound);
  return [{ what: "decode, 1 row ÷ bound of the memory's bandwidth", unit: "×", samples, goal: { atLeast: 0.3 } }];
}

/**
 * Processor time of a step, and its share of the step: what is spent outside of the device, as far as waiting for it
 * takes none.
 */
async function hostFigures(
  runner: ModelRunner,
  rows: readonly DecodeRow[],
  options: BenchOptions,
): Promise<readonly Figure[]> {
  const samples: number[] = [];
  const shares: number[] = [];
  for (let round = 0; round < options.numRounds; round++) {
    const before = process.cpuUsage();
    const seconds = await secondsOf(async () => {
      for (let i = 0; i < options.numSteps; i++) await step(runner, rows);
    });
    const { user, system } = process.cpuUsage(before);
    samples.push((user + system) / 1000 / options.numSteps);
    shares.push((user + system) / 1e6 / seconds);
  }
  const what = `decode, rows: ${rows.length}, processor time of a step`;
  return [
    { what, unit: "ms", samples },
    { what: `${what} ÷ the step's time`, unit: "×", samples: shares },
  ];
}
