/** Grammars that are made to cost much: each is refused or served within a bounded time and size. */
import { describe, expect, it } from "vitest";
import { AppError } from "../../src/errors.ts";
import type { GrammarSpec } from "../../src/grammar/grammar-spec.ts";
import { randomText, automatonOf, matcherOf, VOCABULARY } from "../helpers/grammar-walk.ts";

const nested = (depth: number): object => (depth === 0 ? {} : { type: "array", items: nested(depth - 1) });
const doubling = Object.fromEntries(
  Array.from({ length: 40 }, (_, i) => [
    `d${i}`,
    { type: "array", prefixItems: [{ $ref: `#/$defs/d${i + 1}` }, { $ref: `#/$defs/d${i + 1}` }] },
  ]),
);

const BOMBS: Readonly<Record<string, GrammarSpec>> = {
  "nested repetitions": { kind: "regex", text: "((((a{1,1000}){1,1000}){1,1000}){1,1000}){1,1000}" },
  "a huge repetition": { kind: "regex", text: "(ab){1,999999999}" },
  "a huge string": { kind: "json-schema", text: JSON.stringify({ type: "string", minLength: 5_000_000 }) },
  "ambiguous repetitions": { kind: "regex", text: "(a|a|aa|a{0,500}){0,500}(a*){500}b" },
  "deep groups": { kind: "regex", text: `${"(".repeat(5000)}a${")".repeat(5000)}` },
  "a deep schema": { kind: "json-schema", text: JSON.stringify(nested(1000)) },
  "doubling references": {
    kind: "json-schema",
    text: JSON.stringify({ $ref: "#/$defs/d0", $defs: { ...doubling, d40: { type: "null" } } }),
  },
  "doubling parts": {
    kind: "json-schema",
    text: JSON.stringify({
      allOf: [{ $ref: "#/$defs/a" }],
      $defs: { a: { allOf: [{ $ref: "#/$defs/a" }, { $ref: "#/$defs/a" }] } },
    }),
  },
  "many counted properties": {
    kind: "json-schema",
    text: JSON.stringify({
      type: "object",
      minProperties: 400,
      properties: Object.fromEntries(Array.from({ length: 800 }, (_, i) => [`p${i}`, {}])),
    }),
  },
  "many rules": {
    kind: "gbnf",
    text:
      Array.from({ length: 4000 }, (_, i) => `r${i} ::= r${i + 1} "x" | r${i + 1} "y"`).join("\n") +
      '\nr4000 ::= "z"\nroot ::= r0',
  },
  "endless choices": {
    kind: "gbnf",
    text: 'root ::= a root | a a root | a a a root | "b"\na ::= "a" | "a" "a" | [a-z]',
  },
};

describe.each(Object.entries(BOMBS))("%s", (_, spec) => {
  it("end soon: refused, or with bounded masks", () => {
    const startedAt = performance.now();
    try {
      const matcher = matcherOf(spec);
      for (let i = 0; i < 50 && !matcher.isComplete; i++) {
        const mask = matcher.mask();
        expect(mask.length).toBe(Math.ceil(VOCABULARY.trie.vocabSize / 32));
        if (!matcher.accept(97) && !matcher.accept(0x5b)) break; // "a" or "["
      }
    } catch (error) {
      expect(error).toBeInstanceOf(AppError);
      expect((error as AppError).code).toBe("invalid_request");
    }
    expect(performance.now() - startedAt).toBeLessThan(10_000);
  }, 30_000);
});

it("an automaton forgets states when there are many, and continues as before", () => {
  const automaton = automatonOf({ kind: "gbnf", text: 'root ::= "(" root ")" | "[" root "]" | "."' });
  const before = randomText(automaton, 5, 5000);
  const matcher = matcherOf({ kind: "gbnf", text: 'root ::= "(" root ")" | "[" root "]" | "."' });
  for (let i = 0; i < 1500; i++) expect(matcher.accept(i % 3 === 0 ? 0x28 : 0x5b)).toBe(true);
  matcher.accept(0x2e);
  for (let i = 1499; i >= 0; i--) expect(matcher.accept(i % 3 === 0 ? 0x29 : 0x5d)).toBe(true);
  expect(matcher.isComplete).toBe(true);
  expect(randomText(automaton, 5, 5000)).toBe(before);
});
