/**
 * Reads running text from files, for training without examples: plain text as it is, JSON lines by their texts.
 * Files are streamed, so a corpus may be larger than memory.
 */
import type { ChatMessage } from "../tokenizer/chat/chat-message.ts";
import { parseExample } from "./examples.ts";
import { lineError, readLines } from "./lines.ts";

/** Approximate UTF-16 units in a piece of plain text. Pieces are cut after line ends. */
const PIECE_UNITS = 2 ** 20;

/**
 * Texts of the files, in order. A file whose name ends in .jsonl holds `{"text": …}` or examples; any other is plain
 * text.
 * @throws {AppError} usage, data_invalid naming file, line and reason.
 */
export async function* streamTexts(files: readonly string[]): AsyncGenerator<string> {
  for (const file of files) yield* file.endsWith(".jsonl") ? jsonTexts(file) : plainTexts(file);
}

async function* plainTexts(file: string): AsyncGenerator<string> {
  let piece: string[] = [];
  let units = 0;
  for await (const { text } of readLines(file)) {
    piece.push(text);
    units += text.length + 1;
    if (units < PIECE_UNITS) continue;
    yield `${piece.join("\n")}\n`;
    piece = [];
    units = 0;
  }
  if (piece.length > 0) yield piece.join("\n");
}

async function* jsonTexts(file: string): AsyncGenerator<string> {
  for await (const { text, line } of readLines(file)) if (text.trim() !== "") yield* textsOf(text, file, line);
}

function textsOf(text: string, file: string, line: number): readonly string[] {
  const plain = textField(text);
  if (plain !== undefined) {
    if (typeof plain === "string") return [plain];
    throw lineError(file, line, '"text" should be a string.');
  }
  const example = parseExample(text, file, line);
  if (example.form === "messages") return example.messages.flatMap(contentTexts);
  const { prompt, completion, references, answer } = example;
  return [prompt, ...[completion, ...(references ?? []), answer].filter((part) => part !== null)];
}

/** undefined where the line has no such field, or where `parseExample` would refuse it. */
function textField(text: string): unknown {
  try {
    return (JSON.parse(text) as { text?: unknown } | null)?.text;
  } catch {
    return undefined; // parseExample reports it with the line
  }
}

function contentTexts({ content }: ChatMessage): readonly string[] {
  if (content === undefined || content === null) return [];
  return typeof content === "string" ? [content] : content.flatMap(({ text }) => text ?? []);
}
