/**
 * The table of what rounding costs a real model: our kinds of weights beside llama.cpp's types of the same weights. KL
 * and best tokens are compared with our float32 on the short texts. Perplexity is that of the long text.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FORMAT_VERSION } from "../../src/base/manifest.ts";
import { Comparison, type Distance, tokenLosses } from "./metrics.ts";
import { openLogits } from "./open-logits.ts";
import { pythonWith, readLogits, runReference } from "./python.ts";
import { type RealModel, VARIANTS, type Variant, idsOf } from "./real-model.ts";
import { TEXTS, longText } from "./texts.ts";

const NUM_PERPLEXITY_TOKENS = 10_000;
/** Tokens of the long text that are scored together. Each is conditioned on those before it. */
const WINDOW = 500;
/** llama.cpp's types beside ours, by its numbers (llama.h, llama_ftype). */
const LLAMA_TYPES = { F32: 0, Q8_0: 7, Q4_1: 3, Q4_0: 2 } as const;
type LlamaType = keyof typeof LLAMA_TYPES;

/** The table's lines, each as soon as it is measured. */
export async function* roundingTable(model: RealModel): AsyncGenerator<string> {
  yield* ["", "| weights | KL from float32 | same best token | perplexity |", "| --- | --- | --- | --- |"];
  const windows = windowsOf(model);
  const inputs = { distance: [TEXTS, FORMAT_VERSION], loss: [windows, FORMAT_VERSION] };
  for (const variant of Object.keys(VARIANTS) as Variant[]) {
    const distance =
      variant === "float32"
        ? null
        : await model.results.of(`KL ${variant}`, inputs.distance, () => klOf(model, variant));
    const loss = await model.results.of(`loss ${variant}`, inputs.loss, () => lossOf(model, variant, windows));
    yield row(variant, distance, loss);
  }
  const cache = await model.results.of("KL int8 cache", inputs.distance, () => klOf(model, "float32", "int8"));
  yield row("float32, int8 KV cache", cache, null);
  for (const type of Object.keys(LLAMA_TYPES) as LlamaType[]) {
    const python = pythonWith(["llama_cpp"], "MOSARA_LLAMA_PYTHON", `${model.name} in llama.cpp ${type}`);
    const asked = async <T>(measure: (python: string) => Promise<T>): Promise<T | null> =>
      python === null ? null : await measure(python);
    const distance = await model.results.of(`llama.cpp ${type}`, inputs.distance, () =>
      asked((program) => llamaKl(model, program, type)),
    );
    const loss = await model.results.of(`loss llama.cpp ${type}`, inputs.loss, () =>
      asked((program) => llamaLoss(model, program, type, windows)),
    );
    if (distance !== null || loss !== null) yield row(`llama.cpp ${type}`, distance, loss);
  }
}

function row(name: string, distance: Distance | null, loss: number | null): string {
  const [kl, best] = distance
    ? [distance.kl.toExponential(1), `${(100 * distance.sameBest).toFixed(1)} %`]
    : ["–", "–"];
  return `| ${name} | ${kl} | ${best} | ${loss === null ? "–" : Math.exp(loss).toFixed(3)} |`;
}

/** The long text in windows. Each begins with the tokens that the tokenizer puts before every text. */
function windowsOf({ tokenizer }: RealModel): number[][] {
  const before = tokenizer.encode("");
  const ids = tokenizer.encode(longText(), { addSpecialTokens: false }).slice(0, NUM_PERPLEXITY_TOKENS);
  const starts = Array.from({ length: Math.ceil(ids.length / WINDOW) }, (_, i) => i * WINDOW);
  return starts.map((start) => [...before, ...ids.slice(start, start + WINDOW)]);
}

async function klOf(model: RealModel, variant: Variant, kvCacheDtype: "auto" | "int8" = "auto"): Promise<Distance> {
  await using exact = await openLogits(await model.baseOf("float32"));
  await using rounded = await openLogits(await model.baseOf(variant), kvCacheDtype);
  const comparison = new Comparison();
  for (const ids of idsOf(model, TEXTS)) comparison.add(await rounded.of(ids), await exact.of(ids), exact.vocabSize);
  return comparison.distance;
}

/** Mean −log p of a token. */
async function lossOf(model: RealModel, variant: Variant, windows: readonly number[][]): Promise<number> {
  await using logits = await openLogits(await model.baseOf(variant));
  const losses: number[] = [];
  for (const window of windows) losses.push(...tokenLosses(await logits.of(window), window, logits.vocabSize));
  return losses.reduce((sum, loss) => sum + loss, 0) / losses.length;
}

async function llamaKl(model: RealModel, python: string, type: LlamaType): Promise<Distance> {
  const texts = idsOf(model, TEXTS);
  return await withTemporary(async (out) => {
    runReference(python, "llama_cpp_logits.py", {
      file: model.path,
      ftype: LLAMA_TYPES[type],
      texts,
      windows: [],
      out,
    });
    await using exact = await openLogits(await model.baseOf("float32"));
    const comparison = new Comparison();
    for (const [i, ids] of texts.entries())
      comparison.add(readLogits(join(out, `${i}.f32`)), await exact.of(ids), exact.vocabSize);
    return comparison.distance;
  });
}

/** Mean −log p of a token in llama.cpp. */
async function llamaLoss(model: RealModel, python: string, type: LlamaType, windows: number[][]): Promise<number> {
  return await withTemporary(async (out) => {
    const input = { file: model.path, ftype: LLAMA_TYPES[type], texts: [], windows, out };
    return runReference<{ loss: number }>(python, "llama_cpp_logits.py", input).loss;
  });
}

async function withTemporary<T>(use: (dir: string) => Promise<T>): Promise<T> {
  const dir = mkdtempSync(join(tmpdir(), "mosara-llama-"));
  try {
    return await use(dir);
  } finally {
    rmSync(dir, { recursive: true });
  }
}
