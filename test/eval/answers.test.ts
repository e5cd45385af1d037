import { describe, expect, it } from "vitest";
import type { AnswerKind } from "../../src/data/examples.ts";
import {
  extractNumber,
  extractWord,
  isSameNumber,
  isWordOf,
  kindOfLabel,
  numberLabel,
} from "../../src/eval/answers.ts";
import { fixturesDir, readJson } from "../helpers/fixtures.ts";

interface Case {
  readonly kind: AnswerKind;
  readonly text: string;
  readonly label: string;
  readonly extracted: number | string | null;
  readonly right: boolean;
}
const golden = readJson<{
  cases: readonly Case[];
  words: Readonly<Record<Exclude<AnswerKind, "number">, readonly string[]>>;
}>(fixturesDir("text"), "answers.json");

describe("an answer in generated text", () => {
  it("has golden cases", () => expect(golden.cases.length).toBeGreaterThan(0));
  it.each(golden.cases.map((one) => [one.kind, JSON.stringify(one.text), one] as const))(
    "of kind %s is found and judged in %s",
    (_, __, { kind, text, label, extracted, right }) => {
      if (kind === "number") {
        const found = extractNumber(text);
        expect(found).toBe(extracted);
        expect(isSameNumber(found, numberLabel(label) ?? NaN)).toBe(right);
        return;
      }
      const found = extractWord(text, kind);
      expect(found).toBe(extracted);
      expect(found === label).toBe(right);
    },
  );

  it("is of the kind that knows its label", () => {
    for (const [kind, words] of Object.entries(golden.words) as [Exclude<AnswerKind, "number">, string[]][])
      for (const word of words) {
        expect(kindOfLabel(word)).toBe(kind);
        expect(isWordOf(kind, word)).toBe(true);
      }
    expect(kindOfLabel("answer6")).toBeUndefined();
    expect(isWordOf("letter", "F")).toBe(false);
  });

  it("reads decimal digits of every script", () => {
    for (let code = 0; code <= 0x10ffff; code++) {
      if (code >= 0xd800 && code <= 0xdfff) continue;
      const digit = String.fromCodePoint(code);
      if (!/\p{Nd}/u.test(digit)) continue;
      // Node's own collator knows the values of digits.
      const value = extractNumber(digit) as number;
      expect(new Intl.Collator("en", { sensitivity: "base" }).compare(digit, String(value)), digit).toBe(0);
    }
  });

  it.each([
    ["", null],
    ["four", null],
    ["1,234.5", 1234.5],
    [" 4 ", 4],
    ["Infinity", null],
  ])("takes the label %j for %j", (label, value) => expect(numberLabel(label)).toBe(value));
});
