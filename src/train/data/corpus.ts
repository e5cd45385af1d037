/**
 * Running text as training data (`--method full`): plain text files and JSON lines with a `text`.
 * They form one stream of tokens, which is cut into windows of equal length.
 * Text is streamed; only its tokens are kept in memory, four bytes each.
 */
import { streamTexts } from "../../data/corpus.ts";
import type { ExampleEncoder } from "../../data/encode.ts";
import { readLines } from "../../data/lines.ts";
import type { TrainExample } from "./batches.ts";

/**
 * Approximate UTF-16 units of a piece of plain text for the encoder.
 * Encoders are slow on long texts, so text is cut after line ends.
 */
const PIECE_UNITS = 4096;

/**
 * Whether the files hold running text: a file other than .jsonl, or one whose first line has a `text` instead of a
 * prompt.
 */
export async function isCorpus(files: readonly string[]): Promise<boolean> {
  for (const file of files) if (!file.endsWith(".jsonl") || (await startsWithText(file))) return true;
  return false;
}

async function startsWithText(file: string): Promise<boolean> {
  for await (const { text } of readLines(file)) {
    if (text.trim() === "") continue;
    try {
      return typeof (JSON.parse(text) as { text?: unknown } | null)?.text === "string";
    } catch {
      return false; // the reader of examples reports it with the line
    }
  }
  return false;
}

/**
 * The files' tokens in windows of `length`. Every document is encoded
 * with the tokenizer's special tokens and followed by the end token.
 * A window begins with the last token of the previous one, so that every token is predicted once.
 * @throws {AppError} usage, data_invalid
 */
export async function corpusWindows(
  files: readonly string[],
  encoder: ExampleEncoder,
  length: number,
): Promise<readonly TrainExample[]> {
  const tokens = new TokenBuffer();
  for (const file of files)
    if (file.endsWith(".jsonl")) for await (const text of streamTexts([file])) tokens.append(document(encoder, text));
    else {
      let isFirst = true;
      for await (const text of streamTexts([file]))
        for (const piece of pieces(text)) {
          tokens.append(encoder.tokenizer.encode(piece, { addSpecialTokens: isFirst }));
          isFirst = false;
        }
      if (!isFirst) tokens.append([encoder.endTokenId]);
    }
  return windows(tokens.values, length);
}

function document({ tokenizer, endTokenId }: ExampleEncoder, text: string): readonly number[] {
  const ids = tokenizer.encode(text);
  return ids.at(-1) === endTokenId ? ids : [...ids, endTokenId];
}

function* pieces(text: string): Generator<string> {
  for (let start = 0; start < text.length;) {
    const newline = text.indexOf("\n", start + PIECE_UNITS);
    const end = newline < 0 ? text.length : newline + 1;
    yield text.slice(start, end);
    start = end;
  }
}

function windows(tokens: Int32Array, length: number): readonly TrainExample[] {
  const mask = new Uint8Array(length).fill(1, 1);
  const found: TrainExample[] = [];
  for (let start = 0; start + 1 < tokens.length; start += length - 1) {
    const ids = tokens.subarray(start, start + length);
    found.push({ ids, lossMask: mask.subarray(0, ids.length), numLossTokens: ids.length - 1 });
  }
  return found;
}

/** Numbers that arrive in pieces, collected in one array that doubles. */
class TokenBuffer {
  #array = new Int32Array(1 << 16);
  #length = 0;

  append(ids: readonly number[]): void {
    while (this.#length + ids.length > this.#array.length) {
      const larger = new Int32Array(2 * this.#array.length);
      larger.set(this.#array);
      this.#array = larger;
    }
    this.#array.set(ids, this.#length);
    this.#length += ids.length;
  }

  get values(): Int32Array {
    return this.#array.subarray(0, this.#length);
  }
}
