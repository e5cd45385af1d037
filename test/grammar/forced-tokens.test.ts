/** The tokens that a grammar forces are a guess about spelling, but never about what is allowed. */
import { describe, expect, it } from "vitest";
import { nextUint32, seedRandom } from "../../src/tensor/random.ts";
import { allowedIds, matcherOf, vocabularyOf } from "../helpers/grammar-walk.ts";
import { sampleSchemas } from "../helpers/random-schemas.ts";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const JSON_TOKENS = [
  '{"',
  '": "',
  '", "',
  '":"',
  '","',
  "name",
  "na",
  "age",
  '"}',
  '": ',
  " ",
  '"',
  ":",
  ",",
  "{",
  "}",
];
const WORDS = vocabularyOf([
  ...JSON_TOKENS.map(bytes),
  ...Array.from({ length: 256 }, (_, byte) => Uint8Array.of(byte)),
]);
const textOf = (ids: readonly number[]): string =>
  Buffer.concat(ids.map((id) => WORDS.bytesOf(id) ?? new Uint8Array(0))).toString();
const idsOf = (text: string): number[] => [...bytes(text)].map((byte) => JSON_TOKENS.length + byte);

const PERSON = {
  kind: "json-schema",
  text: JSON.stringify({
    type: "object",
    properties: { name: { type: "string" }, age: { type: "integer" } },
    required: ["name", "age"],
    additionalProperties: false,
  }),
} as const;

function after(text: string, whitespace?: string): string {
  const matcher = matcherOf({ ...PERSON, ...(whitespace === undefined ? {} : { whitespace }) }, WORDS);
  for (const id of idsOf(text)) if (!matcher.accept(id)) throw new Error(`not of the grammar: ${text}`);
  return textOf(matcher.forcedTokens(16));
}

describe("forced tokens", () => {
  it("spell the text up to the next free place, in the longest tokens", () => {
    expect(after("")).toBe('{"name": "');
    const matcher = matcherOf(PERSON, WORDS);
    expect(matcher.forcedTokens(16).map((id) => textOf([id]))).toEqual(['{"', "name", '": "']);
  });

  it("are none where the answer may end, or is free", () => {
    expect(after('{"name":"Jo')).toBe("");
    expect(after('{"name":"Jo","age":41}')).toBe("");
  });

  it("follow the answer's own white space", () => {
    expect(after('{"name":"Jo"')).toBe(',"age":');
    expect(after('{\n  "name": "Jo"', "[ \\n]*")).toBe(', "age":');
    expect(after('{"name":\n"Jo"', "[ \\n]*")).toBe(', "age":');
    expect(after('{"name": "a , b:c"')).toBe(', "age":');
  });

  it("repeat the spelling of the same text before", () => {
    const list = {
      kind: "json-schema",
      text: JSON.stringify({ type: "array", items: JSON.parse(PERSON.text) }),
    } as const;
    const matcher = matcherOf(list, WORDS);
    const read = (ids: readonly number[]): void => ids.forEach((id) => void matcher.accept(id));
    read(idsOf("["));
    read(idsOf('{"name":"'));
    expect(matcher.forcedTokens(16)).toEqual([]);
    read(idsOf("x"));
    read([...idsOf('"'), ...idsOf(",")]);
    expect(textOf(matcher.forcedTokens(16))).toBe('"age":');
    read(idsOf('"age":1'));
    read(idsOf('},{"name":"x",'));
    expect(matcher.forcedTokens(16)).toEqual(idsOf('"age":'));
  });

  it("are allowed by the grammar, one after the other, wherever random answers stand", () => {
    let numForced = 0;
    for (const [number, schema] of sampleSchemas(60, 11).entries()) {
      const matcher = matcherOf({ kind: "json-schema", text: JSON.stringify(schema) });
      const random = seedRandom(number);
      for (let length = 0; length < 60 && !matcher.isComplete; length++) {
        const forced = matcher.forcedTokens(8);
        const follower = matcher.lookAhead();
        for (const id of forced) expect([allowedIds(follower).includes(id), follower.accept(id)]).toEqual([true, true]);
        numForced += forced.length;
        const ids = allowedIds(matcher);
        matcher.accept(ids[nextUint32(random) % ids.length] ?? -1);
      }
    }
    expect(numForced).toBeGreaterThan(100);
  });
});
