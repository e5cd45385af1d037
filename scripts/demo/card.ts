/** The base's model card: how large it is, what it was trained on, and what it does on held-out lines, unedited. */
import { readFileSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { readManifest } from "../../src/base/manifest.ts";
import { PART_NAMES } from "../corpus/corpus.ts";
import { BATCH_SIZE, type DemoPlan } from "./plan.ts";
import { mosaraJson } from "./program.ts";

const NUM_SAMPLES = 20;

export interface CardOptions {
  readonly base: string;
  /** Directory with the held-out lines. */
  readonly corpus: string;
  readonly work: string;
  readonly plan: DemoPlan;
  /** The file to write. */
  readonly card: string;
}

interface Score {
  readonly value: number;
  readonly interval: readonly [number, number];
  readonly count: number;
}

interface Prediction {
  readonly prompt?: string;
  readonly messages?: readonly { readonly role: string; readonly content: string }[];
  readonly expected: readonly string[];
  readonly base: { readonly text: string };
}

/** Measures the base and writes its card. */
export async function writeCard({ base, corpus, work, plan, card }: CardOptions): Promise<void> {
  const measure = (data: string, metric: string, ...more: string[]): Score =>
    mosaraJson<Score>(["eval", "--model", base, "--data", join(corpus, data), "--metric", metric, ...more]);
  const loss = measure("held-out.jsonl", "loss");
  const parts = PART_NAMES.map((part) => ({
    part,
    score: measure(`held-out-${part}.jsonl`, "exact", "--max-tokens", "160", "--limit", `${plan.cardLines}`),
  }));
  const predictions = join(work, "samples.jsonl");
  measure("held-out.jsonl", "exact", "--max-tokens", "160", "--limit", `${NUM_SAMPLES}`, "--predictions", predictions);
  const samples = readFileSync(predictions, "utf8")
    .trim()
    .split("\n")
    .map((line) => sample(JSON.parse(line) as Prediction));
  const { parameters, targets, threshold } = await readManifest(base);
  const facts = {
    parameters,
    numTargets: targets.length,
    threshold,
    loss,
    parts,
    training: await trainingRows(work, plan),
  };
  await writeFile(card, text(facts, samples));
}

interface Facts {
  readonly parameters: number;
  readonly numTargets: number;
  readonly threshold: number | null;
  readonly loss: Score;
  readonly parts: readonly { readonly part: string; readonly score: Score }[];
  readonly training: readonly string[];
}

/** A row of the table for every leg, from its log. */
async function trainingRows(work: string, { legs }: DemoPlan): Promise<string[]> {
  return await Promise.all(
    legs.map(async ({ name, steps, rate }) => {
      const lines = (await readFile(join(work, `${name}.log.jsonl`), "utf8")).trim().split("\n");
      const read = lines.map((line) => JSON.parse(line) as { tokens?: number; evalLoss?: number });
      const tokens = read.reduce((sum, line) => sum + (line.tokens ?? 0), 0);
      const losses = read.flatMap(({ evalLoss }) => (evalLoss === undefined ? [] : [evalLoss]));
      const best = Math.min(...losses);
      return `| ${name} | ${steps} × ${BATCH_SIZE} | ${rate} | ${(tokens / 1e6).toFixed(1)} M | ${losses[0]?.toFixed(3)} → ${best.toFixed(3)} |`;
    }),
  );
}

function text({ parameters, numTargets, threshold, loss, parts, training }: Facts, samples: readonly string[]): string {
  const share = ({ value, interval: [low, high] }: Score): string =>
    `${value.toFixed(3)} (${low.toFixed(3)} … ${high.toFixed(3)})`;
  const rows = parts.map(({ part, score }) => `| ${part} | ${share(score)} | ${score.count} |`).join("\n");
  return `# The demo base

A Llama-shaped decoder of ${(parameters / 1e6).toFixed(2)} M parameters (float16), trained from nothing by \`scripts/make-demo.ts\`, which also wrote this card.
Context 1024 tokens (most texts it saw have fewer than 200), byte-level BPE; every digit is a token of its own, and made-up names stay in syllables.
${numTargets} layers have a basis, at threshold ${threshold}: on a model this narrow more directions are cheap, and adapters gain by them.

**Data.** Our own generated English, nothing else: customer support in five voices, records as slots, sentences and JSON, questions about passages,
sums, little stories, and copying tasks (28 %); 85 % as conversations, the rest as plain text. Loss on answers alone. One name, number and
combination in eight is held out by its hash and never in training; all figures below are on those.

**Start.** Two layers begin with the outline of a circuit that looks up what followed a token before (\`scripts/demo/copying-start.ts\`); everything
else is random, and everything is trained. Without it, 1,100 steps learned no copying at all.

| run | steps × examples | rate | tokens | held-out loss |
|---|---|---|---|---|
${training.join("\n")}

**Held-out loss** ${loss.value.toFixed(4)} nats a token of the answer (${loss.count} examples, as served).

| part | answers exactly right (95 % interval) | of |
|---|---|---|
${rows}

## Limits

It knows the sentences it was trained on and little else: any other English is answered with the nearest of them. It knows no facts of the world, makes
mistakes in sums, and copies long lists of digits less surely than names. It is here to show how the server and adapters work.

## ${samples.length} samples

The first held-out lines, answers unedited.

${samples.join("\n\n")}
`;
}

function sample({ prompt, messages = [], expected: [expected = ""], base }: Prediction): string {
  const asked =
    prompt ??
    messages
      .slice(
        0,
        messages.findLastIndex(({ role }) => role === "assistant"),
      )
      .map(({ role, content }) => `${role}: ${content}`)
      .join("\n");
  const isRight = base.text.trim() === expected.trim();
  const wanted = isRight ? "" : `\n\nexpected: ${expected.trim()}`;
  return `\`\`\`\n${asked}\n→ ${base.text.trim()}${wanted}\n\`\`\``;
}
