/** Lines of a file that a killed process may have left with half a line at its end. */
import { closeSync, existsSync, openSync, readSync } from "node:fs";

const CHUNK_BYTES = 2 ** 20;

/** The lines with an end, without it. A file of any length, read in parts. None where there is no file. */
export function* wholeLinesOf(file: string): Iterable<string> {
  if (!existsSync(file)) return;
  const descriptor = openSync(file, "r");
  try {
    const chunk = Buffer.alloc(CHUNK_BYTES);
    const decoder = new TextDecoder();
    let rest = "";
    for (let size = readSync(descriptor, chunk); size > 0; size = readSync(descriptor, chunk)) {
      const lines = (rest + decoder.decode(chunk.subarray(0, size), { stream: true })).split("\n");
      rest = lines.pop() ?? "";
      yield* lines;
    }
  } finally {
    closeSync(descriptor);
  }
}
