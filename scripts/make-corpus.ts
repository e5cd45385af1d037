/**
 * Writes the demo's corpus: training lines, held-out lines of all parts together and of each part, and a sample for the
 * tokenizer. The same seed and count give the same bytes.
 *
 *   node dist/scripts/make-corpus.js --out work/demo/corpus --lines 100000
 */
import { createWriteStream } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { parseArgs } from "node:util";
import { corpusLines, PART_NAMES } from "./corpus/corpus.ts";
import { withoutSeams } from "./corpus/draw.ts";

const USAGE = "Usage: make-corpus --out <dir> [--lines 100000] [--held-out 200] [--seed 1] [--practice]";

/** Held-out lines of each part. */
const PART_LINES = 300;
/** Lines that the tokenizer is trained on. */
const SAMPLE_LINES = 20_000;

const { values } = parseArgs({
  options: {
    out: { type: "string" },
    lines: { type: "string", default: "100000" },
    "held-out": { type: "string", default: "200" },
    seed: { type: "string", default: "1" },
    practice: { type: "boolean", default: false },
  },
});
const { out } = values;
const [lines, heldOut, seed] = [values.lines, values["held-out"], values.seed].map(Number);
if (out === undefined || ![lines, heldOut, seed].every((value) => Number.isSafeInteger(value)) || !lines || !heldOut) {
  process.stderr.write(`${USAGE}\n`);
  process.exit(2);
}

async function write(path: string, texts: Iterable<string>): Promise<void> {
  await pipeline(Readable.from(withNewlines(texts)), createWriteStream(path));
}

function* withNewlines(texts: Iterable<string>): Generator<string> {
  for (const text of texts) yield `${text}\n`;
}

function* map(texts: Iterable<string>, change: (text: string) => string): Generator<string> {
  for (const text of texts) yield change(text);
}

/**
 * Names in syllables and without digits: each digit stays a token of its own, which makes numbers easy to copy and to
 * add.
 */
function sampleText(json: string): string {
  return json.replace(/\d/g, " ");
}

await mkdir(out, { recursive: true });
const given = seed ?? 1;
const mix = values.practice ? "practice" : "usual";
const training = (count: number) => corpusLines(count, given, "training", mix);
await write(join(out, "train.jsonl"), map(training(lines), withoutSeams));
await write(join(out, "tokenizer-sample.jsonl"), map(training(Math.min(lines, SAMPLE_LINES)), sampleText));
await write(join(out, "held-out.jsonl"), map(corpusLines(heldOut, given + 1, "held-out"), withoutSeams));
for (const [index, part] of PART_NAMES.entries()) {
  const lines = corpusLines(PART_LINES, given + 2 + index, "held-out", part);
  await write(join(out, `held-out-${part}.jsonl`), map(lines, withoutSeams));
}
process.stdout.write(`${out}: ${lines} training lines, ${heldOut} held out, and ${PART_LINES} of each part\n`);
