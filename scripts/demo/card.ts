/** The base's model card: how large it is, what it was trained on, and what it does on held-out lines, unedited. */
import { readFileSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { readManifest } from "../../src/base/manifest.ts";
import { PART_NAMES } from "../corpus/corpus.ts";
import { BATCH_SIZE, type DemoPlan } from "./plan.ts";
import { mosaraJson } from "./program.ts";
import { type Answered, countSlots } from "./slots.ts";

const NUM_SAMPLES = 20;
const NO_SLOTS: readonly string[] = ["sums"];

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
  const measure = async (data: string, metric: string, ...more: string[]): Promise<Score> =>
    await mosaraJson<Score>(["eval", "--model", base, "--data", join(corpus, data), "--metric", metric, ...more]);
  const answer = async (name: string, limit: number): Promise<{ score: Score; answered: Answered[] }> => {
    const predictions = join(work, `${name}.predictions.jsonl`);
    const how = ["--max-tokens", "160", "--limit", `${limit}`, "--predictions", predictions];
    const score = await measure(`${name}.jsonl`, "exact", ...how);
    const lines = readFileSync(predictions, "utf8").trim().split("\n");
    return { score, answered: lines.map((line) => answeredOf(JSON.parse(line) as Prediction)) };
  };
  const loss = await measure("held-out.jsonl", "loss");
  const parts: PartScore[] = [];
  for (const part of PART_NAMES) {
    const { score, answered } = await answer(`held-out-${part}`, plan.cardLines);
    parts.push({ part, score, slots: NO_SLOTS.includes(part) ? null : countSlots(answered) });
  }
  const samples = (await answer("held-out", NUM_SAMPLES)).answered.map(sample);
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

interface PartScore {
  readonly part: string;
  readonly score: Score;
  /** null: a sum's numbers are calculated, not copied. */
  readonly slots: { readonly copied: number; readonly count: number } | null;
}

interface Facts {
  readonly parameters: number;
  readonly numTargets: number;
  readonly threshold: number | null;
  readonly loss: Score;
  readonly parts: readonly PartScore[];
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
  const rows = parts
    .map(({ part, score, slots }) => `| ${part} | ${share(score)} | ${score.count} | ${slotText(slots)} |`)
    .join("\n");
  const all = parts.flatMap(({ slots }) => slots ?? []);
  const total = { copied: sum(all.map(({ copied }) => copied)), count: sum(all.map(({ count }) => count)) };
  return `# The demo base

A Llama-shaped decoder of ${(parameters / 1e6).toFixed(2)} M parameters (float16), trained from nothing by \`scripts/make-demo.ts\`, which also wrote this card.
The context has 1024 tokens, and most training texts had fewer than 200. The tokenizer is a byte-level BPE. Every digit is
a token of its own, and made-up names are split into syllables. ${numTargets} layers have a basis, at threshold ${threshold}. On a model this
narrow, a higher threshold costs little, and adapters profit from it.

**Data.** All data is generated English of our own: customer support in five voices, records (as slots, sentences and JSON),
questions about passages, sums, little stories, and copying tasks (28 %). 85 % are conversations, and the rest is plain text.
The loss counts answers only. One name, number and combination in eight is held out by its hash and never used in training.
All figures below are on held-out data.

**Start.** Two layers begin with the outline of a circuit that looks up which token followed an earlier occurrence
(\`scripts/demo/copying-start.ts\`). Everything else is random, and everything is trained. Without this start, the model
learned no copying in 1,100 steps.

| run | steps × examples | rate | tokens | held-out loss |
|---|---|---|---|---|
${training.join("\n")}

**Held-out loss** ${loss.value.toFixed(4)} nats a token of the answer (${loss.count} examples, as served).

**Copying.** ${slotText(total)} held-out names, numbers and codes were copied correctly from the request into the answer.

| part | answers exactly right (95 % interval) | of | names, numbers and codes copied |
|---|---|---|---|
${rows}

## Limits

The model knows little beyond the sentences it was trained on. It answers any other English with the nearest of them. It
knows no facts of the world, makes mistakes in sums, and copies long lists of digits less surely than names. It is here to
show how the server and adapters work.

## ${samples.length} samples

The first held-out lines, with unedited answers.

${samples.join("\n\n")}
`;
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, one) => total + one, 0);

function slotText(slots: PartScore["slots"]): string {
  if (slots === null) return "";
  return slots.count === 0 ? "none" : `${(slots.copied / slots.count).toFixed(3)} of ${slots.count}`;
}

function answeredOf({ prompt, messages = [], expected: [expected = ""], base }: Prediction): Answered {
  const turns = messages.slice(
    0,
    messages.findLastIndex(({ role }) => role === "assistant"),
  );
  const request = prompt ?? turns.map(({ role, content }) => `${role}: ${content}`).join("\n");
  return { request, expected: expected.trim(), given: base.text.trim() };
}

function sample({ request, expected, given }: Answered): string {
  const wanted = given === expected ? "" : `\n\nexpected: ${expected}`;
  return `\`\`\`\n${request}\n→ ${given}${wanted}\n\`\`\``;
}
