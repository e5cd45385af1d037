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

**Copying.** ${slotText(total)} held-out names, numbers and codes that the right answer takes from the request are in the answer given.

| part | answers exactly right (95 % interval) | of | names, numbers and codes copied |
|---|---|---|---|
${rows}

## Limits

It knows the sentences it was trained on and little else: any other English is answered with the nearest of them. It knows no facts of the world, makes
mistakes in sums, and copies long lists of digits less surely than names. It is here to show how the server and adapters work.

## ${samples.length} samples

The first held-out lines, answers unedited.

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
