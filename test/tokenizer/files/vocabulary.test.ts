/** Tokenizer files in other spellings of the same JSON. The expected ids are those of the tokenizers library. */
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { parseTokenizerJson } from "../../../src/tokenizer/files/vocabulary.ts";
import { loadTokenizer } from "../../../src/tokenizer/tokenizer.ts";
import { casesIn, fixturesDir, readJson } from "../../helpers/fixtures.ts";

interface Bpe {
  readonly type: string;
  readonly vocab: object;
  readonly merges: readonly (string | readonly string[])[];
}
type Json = Readonly<Record<string, unknown>> & { readonly model: Bpe };

const ROOT = join(fixturesDir("text"), "tokenizers");
const work = mkdtempSync(join(tmpdir(), "mosara-vocabulary-"));
afterAll(() => rmSync(work, { recursive: true }));

const pairs = ({ merges }: Bpe) => merges.map((merge) => (typeof merge === "string" ? merge.split(" ") : merge));
const escaped = (text: string): string =>
  text.replace(/[\u0080-\uffff]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`);

/** Escapes only the merges, so that their spelling is not the vocabulary's. */
function inTwoSpellings(json: Json): string {
  const merges = escaped(JSON.stringify(pairs(json.model)));
  return JSON.stringify({ ...json, model: { ...json.model, merges: [] } }).replace('"merges":[]', `"merges":${merges}`);
}

function mergesFirst({ model, ...rest }: Json): string {
  const { merges, vocab, ...others } = model;
  return JSON.stringify({ model: { ...others, merges, vocab }, ...rest });
}

const SPELLINGS: Readonly<Record<string, (json: Json) => string>> = {
  "merges as pairs": (json) => JSON.stringify({ ...json, model: { ...json.model, merges: pairs(json.model) } }),
  "merges as texts": (json) =>
    JSON.stringify({ ...json, model: { ...json.model, merges: pairs(json.model).map((one) => one.join(" ")) } }),
  "white space everywhere": (json) => JSON.stringify(json, null, "\t").replaceAll("\n", " \r\n"),
  "only ASCII": (json) => escaped(JSON.stringify(json)),
  "merges escaped": inTwoSpellings,
  "merges before the vocabulary": mergesFirst,
};

const isBpe = (name: string): boolean => readJson<Json>(ROOT, name, "tokenizer.json").model.type === "BPE";
const NAMES = casesIn(ROOT, "cases.json").filter(isBpe);

describe.each(NAMES)("tokenizer.json of %s", (name) => {
  const { texts } = readJson<{ texts: { text: string; ids: { plain: number[] } }[] }>(ROOT, name, "cases.json");
  const json = readJson<Json>(ROOT, name, "tokenizer.json");

  it.each(Object.entries(SPELLINGS))("gives the same ids with %s", async (_, spell) => {
    copyFileSync(join(ROOT, name, "tokenizer_config.json"), join(work, "tokenizer_config.json"));
    writeFileSync(join(work, "tokenizer.json"), spell(json));
    const tokenizer = await loadTokenizer(work);
    for (const { text, ids } of texts) expect(tokenizer.encode(text, { addSpecialTokens: false })).toEqual(ids.plain);
  });
});

it.each([
  '{"model":{"vocab":{"a":0},"merges":[["a","b"] ["c","d"]]}}',
  '{"model":{"vocab":{"a":0},"merges":[["a","\\x"]]}}',
  '{"model":{"vocab":{"a":0},"merges":["a b"',
  '{"model":{"vocab":{"a":0,},"merges":[]}}',
  '{"model":{"vocab":{"a" 0},"merges":[]}}',
])("refuses %s as JSON.parse does", (text) => {
  expect(() => parseTokenizerJson(text)).toThrow(SyntaxError);
});
