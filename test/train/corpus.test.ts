/** Running text as windows of tokens, with the shipped base's tokenizer. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { packageRoot } from "../../src/cli/shared/package-root.ts";
import { corpusWindows, isCorpus } from "../../src/train/data/corpus.ts";
import { loadExampleEncoder } from "../../src/data/encode.ts";

const dir = mkdtempSync(join(tmpdir(), "mosara-corpus-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));
const encoder = await loadExampleEncoder(join(packageRoot(), "models", "demo"));

function write(name: string, text: string): string {
  const path = join(dir, name);
  writeFileSync(path, text);
  return path;
}
const story = Array.from({ length: 400 }, (_, i) => `Line ${i} of a story that goes on.\n`).join("");
const plain = write("story.txt", story);
const lines = write("texts.jsonl", ['{"text":"One text."}', "", '{"text":"Another."}'].join("\n"));
const prompts = write("examples.jsonl", '{"prompt":"a","completion":"b"}\n');

it("predicts every token of the text once, each from those before it", async () => {
  const found = await corpusWindows([plain, lines], encoder, 33);
  const { tokenizer, endTokenId } = encoder;
  const predicted = found.flatMap(({ ids, lossMask }) => [...ids].filter((_, i) => lossMask[i] === 1));
  const all = [found[0]!.ids[0]!, ...predicted]; // there is text
  const documents = [story, "One text.", "Another."].map((text) => text.trimEnd());
  expect(tokenizer.decode(all)).toBe(documents.join(""));
  expect(all.filter((id) => id === endTokenId)).toHaveLength(3);
  for (const [i, { ids, numLossTokens }] of found.entries()) {
    expect(numLossTokens).toBe(ids.length - 1);
    if (i < found.length - 1) expect([ids.length, ids.at(-1)]).toEqual([33, found[i + 1]!.ids[0]]);
  }
});

it("knows running text from examples by the name or the first line", async () => {
  expect(await Promise.all([[plain], [lines], [prompts], [prompts, plain]].map(isCorpus))).toEqual([
    true,
    true,
    false,
    true,
  ]);
});

it("finds no window in no text", async () => {
  expect(await corpusWindows([write("empty.txt", "")], encoder, 8)).toEqual([]);
});
