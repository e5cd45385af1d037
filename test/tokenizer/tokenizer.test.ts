/**
 * Encoding, streaming and decoding against the tokenizers library's own results, for every tokenizer of the fixtures.
 */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { AppError } from "../../src/errors.ts";
import { checkTokenizer } from "../../src/tokenizer/files/tokenizer-files.ts";
import { loadTokenizer, makeTokenizer, type Tokenizer } from "../../src/tokenizer/tokenizer.ts";
import { casesIn, fixturesDir, readJson } from "../helpers/fixtures.ts";

interface Both<T> {
  readonly keep: T;
  readonly skip: T;
}
interface Row {
  readonly name: string;
  readonly decoded: Both<string>;
  readonly deltas: Both<string[]>;
  readonly flush: Both<string>;
  readonly streamed?: Both<string>;
  readonly wellFormed: boolean;
}
interface Cases {
  readonly vocabSize: number;
  readonly specialIds: number[];
  readonly texts: readonly (Row & { text: string; ids: { plain: number[]; special: number[] } })[];
  readonly sequences: readonly (Row & { ids: number[] })[];
}

const ROOT = join(fixturesDir("text"), "tokenizers");

function expectStream(tokenizer: Tokenizer, ids: readonly number[], row: Row): void {
  for (const key of ["keep", "skip"] as const) {
    const skipSpecialTokens = key === "skip";
    const stream = tokenizer.createStreamDecoder({ skipSpecialTokens });
    const deltas = ids.map((id) => stream.push(id));
    expect(deltas, `${row.name} ${key}`).toEqual(row.deltas[key]);
    expect(stream.flush(), `${row.name} ${key} flush`).toBe(row.flush[key]);
    const whole = row.streamed?.[key] ?? row.decoded[key];
    expect(tokenizer.decode(ids, { skipSpecialTokens }), `${row.name} ${key} decoded`).toBe(whole);
  }
}

describe.each(casesIn(ROOT, "cases.json"))("tokenizer %s", (name) => {
  const cases = readJson<Cases>(ROOT, name, "cases.json");
  let tokenizer: Tokenizer;
  beforeAll(async () => {
    tokenizer = await loadTokenizer(join(ROOT, name));
  });

  it("knows its size and its special tokens", () => {
    expect(tokenizer.vocabSize).toBe(cases.vocabSize);
    expect(tokenizer.specialTokens.map((token) => token.id)).toEqual([...cases.specialIds].sort((a, b) => a - b));
    for (const { id, content } of tokenizer.specialTokens) {
      expect(tokenizer.isSpecial(id)).toBe(true);
      expect(tokenizer.idToToken(id)).toBe(content);
      expect(tokenizer.tokenToId(content)).toBe(id);
    }
  });

  it.each(cases.texts.map((row) => [row.name, row] as const))("encodes and streams the text %s", (_, row) => {
    expect(tokenizer.encode(row.text, { addSpecialTokens: false })).toEqual(row.ids.plain);
    expect(tokenizer.encode(row.text)).toEqual(row.ids.special);
    expectStream(tokenizer, row.ids.special, row);
  });

  it.each(cases.sequences.map((row) => [row.name, row] as const))("streams the ids of %s", (_, row) => {
    expectStream(tokenizer, row.ids, row);
  });

  it("never lets half a character or an unknown id out, whatever the ids", () => {
    const id = fc.integer({ min: 0, max: cases.vocabSize + 5 });
    fc.assert(
      fc.property(fc.array(id), fc.boolean(), (ids, skipSpecialTokens) => {
        const stream = tokenizer.createStreamDecoder({ skipSpecialTokens });
        const deltas = [...ids.map((value) => stream.push(value)), stream.flush()];
        for (const delta of deltas) expect(/\p{Surrogate}/u.test(delta)).toBe(false);
        const known = ids.filter((value) => value < cases.vocabSize);
        expect(deltas.join("")).toBe(tokenizer.decode(known, { skipSpecialTokens }));
      }),
    );
  });

  it("encodes a long text without a break as it encodes a short one", () => {
    const ids = tokenizer.encode("ab\u{1f600}".repeat(50_000), { addSpecialTokens: false });
    expect(ids.length).toBeGreaterThan(0);
  });

  it("encodes any string without losing its place", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        const ids = tokenizer.encode(text);
        expect(ids.every((value) => Number.isInteger(value) && value >= 0 && value < cases.vocabSize)).toBe(true);
      }),
    );
  });
});

const BYTE_LEVEL = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false };
const bpe = (vocab: Record<string, number>, more = {}): Record<string, unknown> => ({
  added_tokens: [],
  normalizer: null,
  pre_tokenizer: BYTE_LEVEL,
  post_processor: null,
  decoder: { type: "ByteLevel" },
  model: { type: "BPE", vocab, merges: [] },
  ...more,
});
const make = (json: Record<string, unknown>, config = {}): Tokenizer =>
  makeTokenizer(checkTokenizer(json, config, "a test"), "a test");

describe("byte-level vocabularies beyond the byte table", () => {
  it("gives a token outside the table as its own text", () => {
    const vocab = Object.fromEntries(Array.from({ length: 300 }, (_, i) => [String.fromCodePoint(0x100 + i), i]));
    const tokenizer = make(bpe(vocab));
    expect(tokenizer.vocabSize).toBe(300);
    expect(tokenizer.decode([0x99, 0x100])).toBe("\u0199\u0200");
    expect(tokenizer.decode([0x20])).toBe(" ");
  });
});

describe("files as transformers completes them", () => {
  it("adds a special token that only tokenizer_config.json names", () => {
    const tokenizer = make(bpe({ a: 0, "<eos>": 1 }), { eos_token: "<eos>", pad_token: { content: "<pad>" } });
    expect(tokenizer.specialTokens).toEqual([
      { id: 1, content: "<eos>" },
      { id: 2, content: "<pad>" },
    ]);
    expect(tokenizer.encode("a<eos>a")).toEqual([0, 1, 0]);
    expect(tokenizer.eosToken).toBe("<eos>");
  });

  it("reads a file from before model types were named", () => {
    const json = bpe({ a: 0, b: 1, ab: 2 });
    expect(
      make({ ...json, model: { vocab: { a: 0, b: 1, ab: 2 }, merges: ["a b"], unk_token: "" } }).encode("aba"),
    ).toEqual([2, 0]);
  });

  it("names the character that a vocabulary without an unknown token lacks nothing for: it is left out as in Python", () => {
    expect(make(bpe({ a: 0 })).encode("ab")).toEqual([0]);
  });
});

describe("refusals", () => {
  const refusals: readonly (readonly [string, Record<string, unknown>, RegExp])[] = [
    ["an unknown decoder", bpe({ a: 0 }, { decoder: { type: "CTC" } }), /CTC/],
    [
      "an unknown order of decoders",
      bpe({ a: 0 }, { decoder: { type: "Sequence", decoders: [{ type: "Fuse" }, { type: "ByteFallback" }] } }),
      /\["Fuse","ByteFallback"\]/,
    ],
    ["an unknown model", bpe({ a: 0 }, { model: { type: "WordLevel", vocab: { a: 0 } } }), /WordLevel/],
    ["an unknown normalizer", bpe({ a: 0 }, { normalizer: { type: "Nmt" } }), /Nmt/],
    ["an unknown pre-tokenizer", bpe({ a: 0 }, { pre_tokenizer: { type: "UnicodeScripts" } }), /UnicodeScripts/],
    ["single_word", bpe({ a: 0 }, { added_tokens: [{ id: 1, content: "<x>", single_word: true }] }), /single_word/],
    [
      "byte_fallback without bytes",
      bpe({}, { model: { type: "Unigram", vocab: [["<unk>", 0]], unk_id: 0, byte_fallback: true } }),
      /<0x00>/,
    ],
    ["dropout", bpe({ a: 0 }, { model: { type: "BPE", vocab: { a: 0 }, merges: [], dropout: 0.1 } }), /dropout/],
  ];
  it.each(refusals)("names %s", (_, json, message) => {
    expect(() => make(json)).toThrow(
      expect.objectContaining({ code: "checkpoint_unsupported", message: expect.stringMatching(message) }),
    );
  });

  let dir = "";
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), "mosara-tokenizer-"));
  });
  afterAll(() => rm(dir, { recursive: true }));

  it("says which file is missing or broken", async () => {
    await expect(loadTokenizer(dir)).rejects.toThrow(/tokenizer\.json/);
    await writeFile(join(dir, "tokenizer.json"), JSON.stringify(bpe({ a: 0 })));
    expect((await loadTokenizer(dir)).eosToken).toBeUndefined(); // the configuration may be absent
    await writeFile(join(dir, "tokenizer_config.json"), "{");
    const error = await loadTokenizer(dir).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(AppError);
    expect((error as AppError).code).toBe("checkpoint_invalid");
  });
});
