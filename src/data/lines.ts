/**
 * Reads a text file line by line, so that a corpus of any size can be read. Lines are bounded in length and checked to
 * be UTF-8. Knows nothing of the meaning of lines.
 */
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { AppError } from "../errors.ts";

/**
 * Maximum number of bytes of a line. No example is longer. The limit also prevents a file without line ends from
 * filling the memory.
 */
const MAX_LINE_BYTES = 64 * 2 ** 20;
const NEWLINE = 0x0a;

/** One line without its end; `line` counts from 1. */
export interface TextLine {
  readonly line: number;
  readonly text: string;
}

/** The refusal of one line, naming the file, the line and the reason. */
export function lineError(file: string, line: number, reason: string, cause?: unknown): AppError {
  return new AppError("data_invalid", `${file}, line ${line}: ${reason}`, cause === undefined ? {} : { cause });
}

/** Asserts that `file` can be read. @throws {AppError} usage */
async function assertFile(file: string): Promise<void> {
  const found = await stat(file).catch(() => undefined);
  if (!found) throw new AppError("usage", `There is no file ${file}. Name a file with data.`);
  if (found.isDirectory()) throw new AppError("usage", `${file} is a directory. Name a file with data.`);
}

/**
 * The lines of `file` in order, without line ends and without a byte order mark at the start.
 * @throws {AppError} usage where the file does not exist, data_invalid for a line that is too long or not UTF-8.
 */
export async function* readLines(file: string): AsyncGenerator<TextLine> {
  await assertFile(file);
  let line = 0;
  let held: Buffer[] = [];
  let heldBytes = 0;
  const take = (end: Buffer): TextLine => {
    const bytes = held.length === 0 ? end : Buffer.concat([...held, end]);
    held = [];
    heldBytes = 0;
    line += 1;
    return { line, text: decode(file, line, bytes) };
  };
  for await (const chunk of createReadStream(file, { highWaterMark: 2 ** 20 }) as AsyncIterable<Buffer>) {
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
      yield take(chunk.subarray(start, end));
      start = end + 1;
    }
    if (start === chunk.length) continue;
    held.push(chunk.subarray(start));
    heldBytes += chunk.length - start;
    if (heldBytes > MAX_LINE_BYTES)
      throw lineError(file, line + 1, `the line has more than ${MAX_LINE_BYTES} bytes. Break it up.`);
  }
  if (heldBytes > 0) yield take(Buffer.alloc(0));
}

function decode(file: string, line: number, bytes: Buffer): string {
  try {
    // A byte order mark can only begin the first line. Elsewhere U+FEFF is text.
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: line > 1 }).decode(bytes);
    return text.endsWith("\r") ? text.slice(0, -1) : text;
  } catch (cause) {
    throw lineError(file, line, "the line is not valid UTF-8. Write the file again in UTF-8.", cause);
  }
}
