/** Regular expressions, whose authority is JavaScript's own RegExp, and rules in GBNF. */
import { describe, expect, it } from "vitest";
import { accepts, automatonOf, randomText } from "../helpers/grammar-walk.ts";

const regex = (text: string) => automatonOf({ kind: "regex", text });
const gbnf = (text: string) => automatonOf({ kind: "gbnf", text });

const EXPRESSIONS = [
  "abc",
  "a|bc|",
  "[a-f0-9]{3,5}",
  "(foo|ba[rz])+\\d?",
  "[^\\W_]+-\\S\\s\\D",
  "x{2}y{1,}z{0,2}",
  "(?:a(b(c)?)?)*",
  "(?<year>\\d{4})-(0[1-9]|1[0-2])",
  "^anchored$",
  "é[à-ü]{2}|日本?|\\u{1f600}+",
  "[\\]\\-^]+",
  "a.c",
  "\\x41\\u0042\\t\\cJ",
  "a*?b+?c??",
  "[-a]|[a-]",
  "{x}",
  "(a{2}){2,3}",
];

describe("regular expressions", () => {
  it.each(EXPRESSIONS)("%s: every text of the grammar matches as a whole", (source) => {
    const [grammar, authority] = [regex(source), new RegExp(`^(?:${source})$`, source === "{x}" ? "" : "u")];
    const texts = Array.from({ length: 40 }, (_, seed) => randomText(grammar, seed)).filter((text) => text !== null);
    expect(texts.length).toBeGreaterThan(10);
    expect(texts.filter((text) => !authority.test(text))).toEqual([]);
  });

  it.each(EXPRESSIONS)("%s: the grammar accepts exactly the texts that match", (source) => {
    const [grammar, authority] = [regex(source), new RegExp(`^(?:${source})$`, source === "{x}" ? "" : "u")];
    const others = EXPRESSIONS.flatMap((other) =>
      Array.from({ length: 6 }, (_, seed) => randomText(regex(other), seed) ?? ""),
    );
    for (const text of ["", "a", "aa", "aaaa", "b", "abc", "a\nc", "-", "x", ...others])
      expect([text, accepts(grammar, text)]).toEqual([text, authority.test(text)]);
  });

  it.each([
    ["(?=a)b", "unsupported group"],
    ["(a)\\1", "back reference"],
    ["a\\b", "escape \\b"],
    ["\\p{L}", "escape \\p"],
    ["(?i)a", "group"],
    ["a++", "possessive"],
    ["a**", "quantifier"],
    ["*a", "nothing to repeat"],
    ["(a", 'without a ")"'],
    ["a)", "unmatched"],
    ["[a", "end in the middle"],
    ["[b-a]", "out of order"],
    ["a{3,2}", "out of order"],
    ["(a$)b", "inside the expression"],
  ])("%s is refused with its reason", (source, message) => {
    expect(() => regex(source)).toThrow(message);
  });
});

describe("rules", () => {
  const arithmetic = `
    # llama.cpp's example of a grammar
    root  ::= (expr "=" ws term "\\n")+
    expr  ::= term ([-+*/] term)*
    term  ::= ident | num | "(" ws expr ")" ws
    ident ::= [a-z] [a-z0-9_]* ws
    num   ::= [0-9]+ ws
    ws    ::= [ \\t\\n]*`;

  it("are read as llama.cpp writes them", () => {
    const grammar = gbnf(arithmetic);
    for (const text of ["a +(b*2)= 7\n", "x=y\n", "1=1\n2 = (3)\n"]) expect(accepts(grammar, text), text).toBe(true);
    for (const text of ["a + = 7\n", "x=y", "A=1\n", "(1=1\n"]) expect(accepts(grammar, text), text).toBe(false);
  });

  it("may be recursive to any depth", () => {
    const grammar = gbnf('root ::= "(" root ")" | ""');
    expect(accepts(grammar, "(".repeat(500) + ")".repeat(500))).toBe(true);
    expect(accepts(grammar, "(".repeat(500) + ")".repeat(499))).toBe(false);
  });

  it("have repetitions, classes, escapes and any character", () => {
    const grammar = gbnf('root ::= [^a-c\\]]{2} "\\x41\\u00e9\\U0001F600" .? [日-本]{1,} ("x"{3})*');
    expect(accepts(grammar, "deAé😀Z日本xxx")).toBe(true);
    expect(accepts(grammar, "daAé😀Z日本")).toBe(false);
  });

  it.each([
    ["root ::= a", 'Line 1 of the grammar: the rule "a" is used but not defined'],
    ["rot ::= [a]", 'no rule "root"'],
    ['root ::= "a', "without an end"],
    ['root ::= ("a"', 'expected ")"'],
    ['root ::= "a"\nroot ::= "b"', 'Line 2 of the grammar: the rule "root" is defined twice'],
    ['root ::= x "a"\nx ::= "b"? root', "begins with itself"],
    ["root: a", "expected ::="],
    ['root ::= "a"{3,2}', "out of order"],
  ])("%s is refused with its line", (source, message) => {
    expect(() => gbnf(source)).toThrow(message);
  });
});

it("spaces that the decoder leaves out at the start are not part of the answer", () => {
  const automaton = regex("a b");
  const endOf = (text: string) =>
    [...new TextEncoder().encode(text)].reduce(
      (state, byte) => state && automaton.step(state, byte),
      automaton.start(1) as ReturnType<typeof automaton.step>,
    );
  expect([" a b", "a b", "  a b", " ab"].map((text) => endOf(text)?.isAccepting ?? false)).toEqual([
    true,
    true,
    false,
    false,
  ]);
});
