/**
 * Trains a byte-level BPE tokenizer on text or JSON lines and writes tokenizer.json and tokenizer_config.json. The same
 * data and flags give the same bytes: merges are ordered by count, and ties by the smaller ids.
 *
 *   node dist/scripts/train-tokenizer.js --data corpus.txt --data more.jsonl --vocab-size 4096 --out my-tokenizer
 */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Progress } from "../src/cli/shared/progress.ts";
import { streamTexts } from "../src/data/corpus.ts";
import { AppError } from "../src/errors.ts";
import { trainByteLevelBpe, WordCounter } from "../src/tokenizer/train/byte-level-bpe.ts";
import { loadTokenizer } from "../src/tokenizer/tokenizer.ts";

const NUM_BYTES = 256;
const MAX_VOCAB = 1_000_000;
const USAGE =
  "Usage: train-tokenizer --data <file>… --vocab-size <n> --out <dir> [--special <token>…] [--bos <token>] [--eos <token>] [--chat-template <file>] [--min-count 2]. Special tokens get the first ids; the default is <|endoftext|>, which is also the end token.";

interface Settings {
  readonly files: readonly string[];
  readonly out: string;
  readonly vocabSize: number;
  readonly minCount: number;
  readonly special: readonly string[];
  readonly bos: string | null;
  readonly eos: string;
  readonly chatTemplate: string | null;
}

function readSettings(args: readonly string[]): Settings {
  const { values } = parseArgs({
    args: [...args],
    options: {
      data: { type: "string", multiple: true },
      out: { type: "string" },
      "vocab-size": { type: "string" },
      "min-count": { type: "string" },
      special: { type: "string", multiple: true },
      bos: { type: "string" },
      eos: { type: "string" },
      "chat-template": { type: "string" },
    },
  });
  const { data: files, out, bos = null } = values;
  if (files === undefined || out === undefined || values["vocab-size"] === undefined)
    throw new AppError("usage", USAGE);
  const named = [values.eos, bos].filter((token) => token !== undefined && token !== null);
  const listed = values.special ?? (named.length === 0 ? ["<|endoftext|>"] : []);
  const special = [...new Set([...listed, ...named])];
  if (special.includes("")) throw new AppError("usage", "A special token is empty. Give each of them a text.");
  const vocabSize = count("--vocab-size", values["vocab-size"], special.length + NUM_BYTES);
  const minCount = count("--min-count", values["min-count"] ?? "2", 1);
  const eos = values.eos ?? special[0] ?? "";
  return { files, out, vocabSize, minCount, special, bos, eos, chatTemplate: values["chat-template"] ?? null };
}

function count(flag: string, text: string, min: number): number {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (value >= min && value <= MAX_VOCAB) return value;
  throw new AppError("usage", `${flag} must be a whole number from ${min} to ${MAX_VOCAB}, found "${text}". ${USAGE}`);
}

async function main(settings: Settings): Promise<void> {
  const { files, out, vocabSize, special, bos, eos, minCount } = settings;
  const template = settings.chatTemplate === null ? null : await readFile(settings.chatTemplate, "utf8");
  const startedAt = performance.now();
  const counter = new WordCounter(special);
  for await (const text of streamTexts(files)) counter.add(text);
  const words = counter.counts();
  if (words.size === 0)
    throw new AppError("data_invalid", `There is no text in ${files.join(", ")}. Name other files.`);
  const progress = new Progress();
  const onProgress = (done: number): void => progress.update("merging", done);
  const json = trainByteLevelBpe(words, { vocabSize, special, bos, minCount, onProgress });
  progress.end();
  await mkdir(out, { recursive: true });
  await writeFile(join(out, "tokenizer.json"), `${JSON.stringify(json)}\n`);
  const config = {
    tokenizer_class: "PreTrainedTokenizerFast",
    clean_up_tokenization_spaces: false,
    ...(bos === null ? {} : { bos_token: bos }),
    eos_token: eos,
    ...(template === null ? {} : { chat_template: template }),
  };
  await writeFile(join(out, "tokenizer_config.json"), `${JSON.stringify(config, null, 2)}\n`);
  const { vocabSize: found } = await loadTokenizer(out); // what was written can be read
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
  process.stdout.write(
    `${out}: ${found} tokens from ${counter.numUnits} characters, ${words.size} words, ${seconds} s\n`,
  );
}

try {
  await main(readSettings(process.argv.slice(2)));
} catch (error) {
  const message = error instanceof Error ? error.message : String(error);
  process.stderr.write(`train-tokenizer: ${message}\n`);
  // ParseArgs throws those.
  const isUsage = error instanceof AppError ? error.code === "usage" : error instanceof TypeError;
  process.exitCode = isUsage ? 2 : 1;
}
