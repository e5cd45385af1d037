import { describe, expect, it } from "vitest";
import { type BleuOptions, corpusBleu } from "../../src/eval/bleu.ts";
import { fixturesDir, readJson } from "../helpers/fixtures.ts";

interface Case {
  readonly name: string;
  readonly options: {
    readonly tokenize: "13a" | "none";
    readonly lowercase?: boolean;
    readonly smooth_method?: NonNullable<BleuOptions["smoothMethod"]>;
    readonly smooth_value?: number;
    readonly effective_order?: boolean;
  };
  readonly hypotheses: readonly string[];
  readonly references: readonly (readonly string[])[];
  readonly score: number;
  readonly counts: readonly number[];
  readonly totals: readonly number[];
  readonly precisions: readonly number[];
  readonly brevityPenalty: number;
  readonly hypothesisLength: number;
  readonly referenceLength: number;
}
const { cases } = readJson<{ cases: readonly Case[] }>(fixturesDir("text"), "bleu.json");

function optionsOf({ options }: Case): BleuOptions {
  const { tokenize, lowercase, smooth_method, smooth_value, effective_order } = options;
  return {
    tokenize,
    ...(lowercase === undefined ? {} : { lowercase }),
    ...(smooth_method === undefined ? {} : { smoothMethod: smooth_method }),
    ...(smooth_value === undefined ? {} : { smoothValue: smooth_value }),
    ...(effective_order === undefined ? {} : { effectiveOrder: effective_order }),
  };
}

describe("corpus BLEU", () => {
  it("has golden cases", () => expect(cases.length).toBeGreaterThan(0));
  it.each(cases.map((one) => [`${one.name} ${JSON.stringify(one.options)}`, one] as const))(
    "is sacrebleu's: %s",
    (_, one) => {
      const result = corpusBleu(one.hypotheses, one.references, optionsOf(one));
      expect(result.score).toBeCloseTo(one.score, 9);
      expect(result.counts).toEqual(one.counts);
      expect(result.totals).toEqual(one.totals);
      result.precisions.forEach((precision, n) => expect(precision).toBeCloseTo(one.precisions[n] ?? NaN, 9));
      expect(result.brevityPenalty).toBeCloseTo(one.brevityPenalty, 12);
      expect([result.hypothesisLength, result.referenceLength]).toEqual([one.hypothesisLength, one.referenceLength]);
    },
  );
});
