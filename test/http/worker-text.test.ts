/** Bytes of single tokens, over every tokenizer of the fixtures: they say what a stream of those tokens would. */
import { findAnswerFormats } from "../../src/http/completion/answer-format/answer-formats.ts";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { textOf } from "../../src/http/worker-text.ts";
import { loadTokenizer } from "../../src/tokenizer/tokenizer.ts";
import type { TextWorker } from "../../src/tokenizer/worker/text-worker-client.ts";
import { casesIn, fixturesDir } from "../helpers/fixtures.ts";

const dir = join(fixturesDir("text"), "tokenizers");
interface Cases {
  readonly texts: readonly { readonly text: string; readonly ids: { readonly plain: readonly number[] } }[];
}

/** Encoding in this thread; the worker's own tests are the tokenizer's. */
const textFor = async (name: string) => {
  const tokenizer = await loadTokenizer(join(dir, name));
  const worker: TextWorker = {
    tokenizer,
    encode: async (text) => tokenizer.encode(text),
    encodeChat: async () => [],
    close: async () => {},
    [Symbol.asyncDispose]: async () => {},
  };
  return {
    tokenizer,
    text: textOf(
      worker,
      {},
      findAnswerFormats(new Map(), tokenizer, { toolCallParser: "none", reasoningParser: "none" }),
    ),
  };
};

describe.each(casesIn(dir, "cases.json"))("%s", (name) => {
  it("has tokens whose bytes, put together, are the text they encode", async () => {
    const { tokenizer, text } = await textFor(name);
    const { texts } = JSON.parse(readFileSync(join(dir, name, "cases.json"), "utf8")) as Cases;
    let numWhole = 0;
    for (const { ids } of texts) {
      if (ids.plain.length === 0) continue;
      const joined = Buffer.concat(ids.plain.map((id) => text.bytesOf(id))).toString("utf8");
      const decoded = tokenizer.decode(ids.plain, { skipSpecialTokens: false });
      // At the very start a decoder may drop the space that a token alone has.
      if (joined.replace(/^ +/, "") === decoded.replace(/^ +/, "")) numWhole += 1;
    }
    expect(numWhole / texts.length).toBeGreaterThan(0.9);
  });

  it("gives every id bytes, and no U+FFFD but where the vocabulary has one", async () => {
    const { tokenizer, text } = await textFor(name);
    for (let id = 0; id < tokenizer.vocabSize; id++) {
      const shown = Buffer.from(text.bytesOf(id)).toString("utf8");
      const isPart = Buffer.compare(Buffer.from(shown), text.bytesOf(id)) !== 0;
      if (!isPart && !(tokenizer.idToToken(id) ?? "").includes("\ufffd"))
        expect([id, shown.includes("\ufffd")]).toEqual([id, false]);
    }
    expect(text.bytesOf(10_000_000)).toHaveLength(0);
  });
});
