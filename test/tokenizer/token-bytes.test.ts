/** The bytes of tokens, joined, are the text that the tokenizer decodes, for every tokenizer of the model fixtures. */
import { describe, expect, it } from "vitest";
import { nextUint32, seedRandom } from "../../src/tensor/random.ts";
import { readTokenBytes } from "../../src/tokenizer/token-bytes.ts";
import { loadTokenizer } from "../../src/tokenizer/tokenizer.ts";
import { packageRoot } from "../../src/cli/shared/package-root.ts";
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";

const MODELS = join(packageRoot(), "test", "golden", "models");
const names = readdirSync(MODELS).filter((name) => statSync(join(MODELS, name)).isDirectory());

describe.each([...names.map((name) => join(MODELS, name)), join(packageRoot(), "models", "demo")])("%s", (dir) => {
  it("joins to the decoded text, without the spaces that are left out at the start", async () => {
    const [tokenizer, { tokens, specials, numSkippedSpaces }] = [await loadTokenizer(dir), await readTokenBytes(dir)];
    const random = seedRandom(4);
    for (let round = 0; round < 200; round++) {
      const ids = Array.from({ length: 1 + (round % 7) }, () => nextUint32(random) % tokenizer.vocabSize);
      const bytes = Buffer.concat(ids.map((id) => tokens[id] ?? new Uint8Array(0)));
      const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
      const start = new RegExp(`^ {0,${numSkippedSpaces}}`);
      expect([ids, tokenizer.decode(ids)]).toEqual([ids, text.replace(start, "")]);
    }
    expect([...specials.keys()].every((id) => tokens[id] === null && tokenizer.isSpecial(id))).toBe(true);
  });
});
