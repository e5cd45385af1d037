/**
 * The engine's steps on a device, for cards: decode at 1, 16 and 64 rows (bare, one adapter, a different one in every row), prefill, what
 * a step costs the host, and how near a single row comes to what reading the weights alone would take. The best token of every row is
 * fetched, as greedy sampling does, so a step is over when it is measured.
 */
import { join } from "node:path";
import { encodeAdapter, generationOf } from "../../src/adapter/adapter-file.ts";
import { openBase } from "../../src/base/base.ts";
import { openRunner } from "../../src/engine/open-runner.ts";
import type { DecodeRow, ModelRunner, ReadyAdapter } from "../../src/engine/runner.ts";
import { seedRandom } from "../../src/tensor/random.ts";
import { emptyStore, engineOptions } from "../engine-settings.ts";
import type { BenchOptions, WeightChoice } from "../options.ts";
import { randomAdapter } from "../random-adapter.ts";
import { type CheckpointShape, HALF_BILLION } from "../random-checkpoint.ts";
import { randomIds } from "../random-values.ts";
import { type Figure, ratio } from "../report.ts";
import { type Variant, measureInTurns, secondsOf } from "../rounds.ts";
import type { BenchContext, Scenario } from "../scenario.ts";
import { WorkFolder, weightName } from "../work-folder.ts";

const ROW_COUNTS = [1, 16, 64];
const MAX_ROWS = 64;
const CHUNK_TOKENS = 64;
/** The CPU's side of the comparison: two cores, its best number of rows. */
const CPU = { device: "cpu", numThreads: 2, numRows: 16 } as const;

/** Qwen2 with 1.5 B parameters. */
const THREE_HALVES: CheckpointShape = { ...HALF_BILLION, layers: 28, hidden: 1536, heads: 12, ffn: 8960 };

export const gpuScenario: Scenario = {
  name: "gpu",
  summary: "Decode and prefill on --device (webgpu or cuda), shapes of 0.5 B and 1.5 B; needs a card.",
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
  return await folder.withScratch(async (scratch) => {
    note(`opening on ${options.device}`);
    const bare = await open(bareDir, join(scratch, "bare"), options, options.device);
    const adapted = await open(adaptedDir, join(scratch, "adapted"), options, options.device);
    const cpu = await open(bareDir, join(scratch, "cpu"), { ...options, numThreads: CPU.numThreads }, CPU.device);
    try {
      const adapters = await adaptersOf(adaptedDir, adapted);
      const variants = [
        ...ROW_COUNTS.map((count) => decodeVariant(`${count} bare`, bare, rowsOf(count, bare, options, []), options)),
        ...[1, MAX_ROWS].flatMap((count) => [
          decodeVariant(`${count} one`, adapted, rowsOf(count, adapted, options, adapters.slice(0, 1)), options),
          decodeVariant(`${count} each`, adapted, rowsOf(count, adapted, options, adapters), options),
        ]),
        decodeVariant("cpu", cpu, rowsOf(CPU.numRows, cpu, options, []), options),
        prefillVariant("prefill bare", bare, options, null),
        prefillVariant("prefill one", adapted, options, adapters[0] ?? null),
      ];
      const of = await measureInTurns(variants, options.numRounds);
      return [...figuresOf(of), ...boundFigures(of, bare, options), await hostFigure(bare, options)];
    } finally {
      for (const runner of [bare, adapted, cpu]) await runner.close();
    }
  });
}

async function open(
  dir: string,
  scratch: string,
  options: BenchOptions,
  device: BenchOptions["device"],
): Promise<ModelRunner> {
  const common = engineOptions(dir, await emptyStore(scratch), options);
  const runner = await openRunner({ ...common, device, maxNumSeqs: MAX_ROWS, kvCacheBytes: 2 ** 33 });
  for (let id = 0; id < MAX_ROWS; id++) {
    runner.kv.admit(id, options.contextTokens + CHUNK_TOKENS);
    const tokenIds = randomIds(1, runner.vocabSize, seedRandom(id));
    await runner.prefill({ id, past: 0, tokenIds, adapter: null, logitPositions: [] });
    runner.kv.startDecoding(id);
  }
  return runner;
}

async function adaptersOf(dir: string, runner: ModelRunner): Promise<readonly ReadyAdapter[]> {
  await using base = await openBase(dir);
  const { manifest } = base;
  const files = Array.from({ length: MAX_ROWS }, (_, row) => encodeAdapter(randomAdapter(manifest, row + 1)));
  return files.flatMap(
    (inlineBytes) => runner.adapters?.get({ generation: generationOf(inlineBytes), inlineBytes }) ?? [],
  );
}

/** @param adapters none, one for all rows, or one a row */
function rowsOf(
  count: number,
  { vocabSize }: ModelRunner,
  { contextTokens }: BenchOptions,
  adapters: readonly ReadyAdapter[],
): readonly DecodeRow[] {
  const ids = Array.from(randomIds(count, vocabSize, seedRandom(2)));
  return ids.map((tokenId, id) => ({
    id,
    tokenId,
    past: contextTokens,
    adapter: adapters[adapters.length === 1 ? 0 : id] ?? null,
  }));
}

/** A step, and the best token of every row brought over. */
async function step(runner: ModelRunner, rows: readonly DecodeRow[]): Promise<void> {
  const logits = await runner.decode(rows);
  await logits.read(rows.map(() => ({ numTop: 1, temperature: 1 })));
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
  const run = async (): Promise<void> => {
    for (let i = 0; i < numSteps; i++) {
      const logits = await runner.prefill({ id: 0, past, tokenIds, adapter, logitPositions: [CHUNK_TOKENS - 1] });
      await logits.read([{ numTop: 1, temperature: 1 }]);
    }
  };
  return { name, measure: async () => (numSteps * CHUNK_TOKENS) / (await secondsOf(run)) };
}

function figuresOf(of: (name: string) => readonly number[]): Figure[] {
  const rate = (what: string, name: string): Figure => ({ what, unit: "tokens/s", samples: of(name) });
  return [
    ...ROW_COUNTS.map((count) => rate(`decode, rows: ${count}, bare`, `${count} bare`)),
    ratio("decode, 64 rows ÷ 16 rows on two cores of the CPU", of("64 bare"), of("cpu"), { atLeast: 20 }),
    ratio("decode, 1 row, one adapter on q,v ÷ bare", of("1 one"), of("1 bare"), { atLeast: 0.95 }),
    ratio("decode, 64 rows, one adapter on q,v ÷ bare", of("64 one"), of("64 bare"), { atLeast: 0.95 }),
    ratio("decode, 64 rows, 64 adapters on q,v ÷ bare", of("64 each"), of("64 bare"), { atLeast: 0.95 }),
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

/** Processor time of a step of 64 rows: what is spent outside of the device, as far as waiting for it takes none. */
async function hostFigure(runner: ModelRunner, options: BenchOptions): Promise<Figure> {
  const rows = rowsOf(MAX_ROWS, runner, options, []);
  const samples: number[] = [];
  for (let round = 0; round < options.numRounds; round++) {
    const before = process.cpuUsage();
    for (let i = 0; i < options.numSteps; i++) await step(runner, rows);
    const { user, system } = process.cpuUsage(before);
    samples.push((user + system) / 1000 / options.numSteps);
  }
  return { what: "decode, 64 rows: processor time of a step", unit: "ms", samples };
}
