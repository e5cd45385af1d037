/**
 * What attention, norms, the KV cache and everything else around them leave of the speed of the matrix products: decode steps of
 * the engine on a base without adapters ÷ a graph that has the same products over the same weights, and nothing else.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { SERVE_GRAPH_FILE, openBase } from "../../src/base/base.ts";
import { weightFormat } from "../../src/base/build.ts";
import { rowMultipleOf } from "../../src/engine/open-runner.ts";
import { decodeModel } from "../../src/formats/onnx-proto.ts";
import { Graph, type Var } from "../../src/graph/graph.ts";
import { externalTensors, serializeGraph } from "../../src/graph/serialize.ts";
import { allGroups } from "../../src/model/linears.ts";
import { EMBEDDING, LM_HEAD } from "../../src/model/weight-names.ts";
import { GraphWeights } from "../../src/model/weights.ts";
import { type RuntimeTensor, type Session, openSession, runtimeTensor } from "../../src/runtime/ort.ts";
import { seedRandom } from "../../src/tensor/random.ts";
import { MAX_ROWS, decodeRate, openDecoding } from "../decoding.ts";
import { type BenchOptions, type WeightChoice, fewRounds } from "../options.ts";
import { randomIds, randomNormals } from "../random-values.ts";
import { type Figure, ratio } from "../report.ts";
import { type Variant, measureInTurns, secondsOf } from "../rounds.ts";
import type { BenchContext, Scenario } from "../scenario.ts";
import { weightName } from "../work-folder.ts";

const ROW_COUNTS = [1, MAX_ROWS];

export const ceilingScenario: Scenario = {
  name: "ceiling",
  isStandard: true,
  summary: "Decode steps of the engine ÷ its matrix products alone, in one graph and without anything between them.",
  run: async (context) => {
    const figures: Figure[] = [];
    for (const weights of context.options.weights) figures.push(...(await measureWeights(context, weights)));
    return figures;
  },
};

async function measureWeights({ folder, options, note }: BenchContext, weights: WeightChoice): Promise<Figure[]> {
  const dir = await folder.base({ weights, targets: "none" });
  return await folder.withScratch(async (scratch) => {
    const runner = await openDecoding(dir, scratch, options);
    await using products = await openProducts(dir, options);
    note(`measuring ${weightName(weights)} against its products`);
    const rowsOf = (numRows: number) =>
      Array.from(randomIds(numRows, runner.vocabSize, seedRandom(2)), (tokenId, id) => ({
        id,
        tokenId,
        past: options.contextTokens,
        adapter: null,
      }));
    const variants = ROW_COUNTS.flatMap((numRows): Variant[] => [
      { name: `engine ${numRows}`, measure: () => decodeRate(runner, rowsOf(numRows), options.numSteps) },
      { name: `products ${numRows}`, measure: () => products.rate(numRows, options.numSteps) },
    ]);
    const of = await measureInTurns(variants, fewRounds(options, 8));
    await runner.close();
    return ROW_COUNTS.flatMap((numRows) => figuresOf(numRows, of, weightName(weights)));
  });
}

function figuresOf(numRows: number, of: (name: string) => readonly number[], format: string): Figure[] {
  const rows = numRows === 1 ? "1 row" : `${numRows} rows`;
  const [engine, products] = [of(`engine ${numRows}`), of(`products ${numRows}`)];
  const isPromised = numRows === MAX_ROWS;
  return [
    { what: `${format}: products alone, ${rows}`, unit: "tokens/s", samples: products },
    ratio(
      `${format}: decode, ${rows}, bare ÷ products alone`,
      engine,
      products,
      isPromised ? { atLeast: 0.8 } : undefined,
      isPromised ? "ceiling" : undefined,
    ),
  ];
}

interface Products extends AsyncDisposable {
  /** Tokens/s of steps with so many rows, padded as the engine pads them. */
  rate(numRows: number, numSteps: number): Promise<number>;
}

/** The products of a base without targets, over the weights that lie in it. Inputs are shared by all products of one width. */
async function openProducts(dir: string, { numThreads }: BenchOptions): Promise<Products> {
  await using base = await openBase(dir);
  const { config, weights, blockSize } = base.manifest;
  const graph = new Graph("products");
  const known = externalTensors(decodeModel(await readFile(join(dir, SERVE_GRAPH_FILE))));
  const made = new GraphWeights(graph, base.source, (name) => known.get(name));
  const format = weightFormat(weights, blockSize);
  const inputs = new Map<number, Var>();
  const inputOf = (width: number): Var => {
    const input = inputs.get(width) ?? graph.input(`x${width}`, "float32", ["M", width]);
    inputs.set(width, input);
    return input;
  };
  // All are outputs, so that none is left out, but only the last is fetched.
  for (const group of allGroups(config)) graph.output(made.linearGroup(inputOf(group.dIn), group, format), group.name);
  const head = made.has(LM_HEAD) ? LM_HEAD : EMBEDDING;
  graph.output(made.product(inputOf(config.hiddenSize), "lm_head", [head], null, format), "logits");
  const session = await openSession(serializeGraph(graph), { device: "cpu", numThreads, weightsDir: dir });
  const multiple = rowMultipleOf(base.manifest);
  const run = productsRun(session, [...inputs.keys()], config.vocabSize);
  return {
    rate: async (numRows, numSteps) => {
      const step = run(Math.ceil(numRows / multiple) * multiple);
      await step();
      const seconds = await secondsOf(async () => {
        for (let i = 0; i < numSteps; i++) await step();
      });
      return (numRows * numSteps) / seconds;
    },
    [Symbol.asyncDispose]: () => session[Symbol.asyncDispose](),
  };
}

/** A step over `numRows` rows of random values, its memory made before. */
function productsRun(session: Session, widths: readonly number[], vocabSize: number) {
  return (numRows: number): (() => Promise<unknown>) => {
    const random = seedRandom(1);
    const tensor = (values: Float32Array, width: number): RuntimeTensor =>
      runtimeTensor("float32", values, [numRows, width]);
    const feeds = Object.fromEntries(
      widths.map((width) => [`x${width}`, tensor(randomNormals(numRows * width, 1, random), width)]),
    );
    const logits = tensor(new Float32Array(numRows * vocabSize), vocabSize);
    return () => session.run(feeds, { logits });
  };
}
