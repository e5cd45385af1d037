/**
 * Graders: the similarity metrics against their libraries, formulas and templates against OpenAI's rules, and refusals.
 */
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { compileGrader } from "../../src/graders/grader.ts";
import { SIMILARITY_METRICS, type SimilarityMetric, similarity } from "../../src/graders/text-similarity.ts";
import { GRADERS_GOLDEN, readJson } from "../helpers/fixtures.ts";

interface Golden {
  readonly cases: readonly {
    readonly text: string;
    readonly reference: string;
    readonly scores: Readonly<Record<SimilarityMetric, number>>;
  }[];
}

const { cases } = readJson<Golden>(join(GRADERS_GOLDEN, "similarity.json"));
const input = "{{ sample.output_text }}";
const check = (operation: string, reference: string) => ({
  type: "string_check",
  name: "check",
  input,
  reference,
  operation,
});
const grade = (grader: unknown, text: string, item = {}) => compileGrader(grader)({ item, text });

it.each(SIMILARITY_METRICS)("gives %s of the library", (metric) => {
  expect(cases.length).toBeGreaterThan(5);
  for (const { text, reference, scores } of cases)
    expect(similarity(metric, text, reference), `${text} | ${reference}`).toBeCloseTo(scores[metric], 9);
});

it.each([
  ["eq", "Yes", "Yes", 1],
  ["eq", "Yes", "yes", 0],
  ["ne", "Yes", "yes", 1],
  ["like", "It is Yes.", "Yes", 1],
  ["like", "It is yes.", "Yes", 0],
  ["ilike", "It is yes.", "Yes", 1],
  ["ilike", "Yes", "It is yes.", 0],
])("string_check %s of %j and %j is %d", (operation, text, reference, wanted) => {
  expect(grade(check(operation, reference), text)).toBe(wanted);
});

describe("templates", () => {
  it("read fields of the line and values of an answer in JSON", () => {
    const grader = {
      ...check("eq", "{{item.wanted[1].n}} {{ item.unit }}"),
      input: '{{ sample.output_json["a"][0] }} kg',
    };
    expect(grade(grader, '{"a": [3]}', { wanted: [0, { n: 3 }], unit: "kg" })).toBe(1);
    expect(grade(grader, '{"a": [4]}', { wanted: [0, { n: 3 }], unit: "kg" })).toBe(0);
  });

  it("give 0 for an answer without the value, and an error for a line without the field", () => {
    const grader = { ...check("ne", "x"), input: "{{ sample.output_json.a }}" };
    expect(grade(grader, "no JSON")).toBe(0);
    expect(() => grade(check("eq", "{{ item.toString }}"), "")).toThrow("reads item.toString, which the line does not");
  });
});

it("compares the last number, also with commas", () => {
  const grader = { type: "number", name: "sum", input, reference: "{{ item.answer }}" };
  expect(grade(grader, "12 and 30 are 1,042.", { answer: 1042 })).toBe(1);
  expect(grade(grader, "42 or 43", { answer: "42" })).toBe(0);
  expect(grade({ ...grader, tolerance: 1 }, "42 or 43", { answer: "42" })).toBe(1);
  expect(() => grade(grader, "42", { answer: "many" })).toThrow("expects a number");
});

it("accepts JSON that a schema accepts", () => {
  const schema = {
    type: "object",
    properties: { n: { type: "integer" } },
    required: ["n"],
    additionalProperties: false,
  };
  const grader = { type: "json_schema", name: "form", schema };
  expect(grade(grader, '{"n": 3}')).toBe(1);
  expect(["{}", '{"n": 3.5}', '{"n": 3, "m": 1}', '{"n": 3', ""].map((text) => grade(grader, text))).toEqual([
    0, 0, 0, 0, 0,
  ]);
  expect(() => grade({ ...grader, schema: { type: "objekt" } }, "{}")).toThrow('"grader.schema" is not a valid JSON');
});

it.each([
  ["0.75 * a + 0.25 * b", 0.75],
  ["1 - 2 - 3", -4],
  ["2 ^ 3 ^ 2", 512],
  ["-2 ^ 2", -4],
  ["max(a, b, 0.5) / min(4, 2)", 0.5],
  ["abs(floor(-1.5)) + ceil(.2) + sqrt(9) + log(exp(2))", 8],
  ["a * -b", -0],
  ["1e-1 * 10", 1],
])("multi computes %s", (formula, wanted) => {
  const graders = { a: check("eq", "yes"), b: check("eq", "no") };
  expect(grade({ type: "multi", name: "m", graders, calculate_output: formula }, "yes")).toBeCloseTo(wanted, 12);
});

const multi = (formula: string, graders: object = { a: check("eq", "") }) => ({
  type: "multi",
  name: "m",
  graders,
  calculate_output: formula,
});
it.each([
  [{ type: "python", name: "p", source: "" }, "Only `mosara train --grader-program` runs one"],
  [{ type: "score_model" }, "It asks a model"],
  [{ type: "strings" }, '"grader.type" should be one of string_check'],
  [null, "found nothing"],
  [{ ...check("eq", ""), operation: "is" }, '"grader.operation"'],
  [{ ...check("eq", ""), more: 1 }, "more"],
  [check("eq", "{{ items.a }}"), "reads {{ items.a }}, expected"],
  [check("eq", "{{ sample.choices }}"), "reads {{ sample.choices }}"],
  [{ type: "text_similarity", name: "t", input, reference: "", evaluation_metric: "cosine" }, "meteor and cosine"],
  [multi("a + c"), 'has "c". Expected a number, parentheses or one of: a, min()'],
  [multi("a +"), "ends where a value should follow"],
  [multi("(a"), "lacks a closing parenthesis"],
  [multi("a a"), "where it should end"],
  [multi("a ; 1"), "which is no part of a formula"],
  [multi("(".repeat(100)), "is nested more than 64 times"],
  [multi("a", {}), "is empty"],
  [multi("a", { a: multi("a") }), "a multi grader in a multi grader"],
])("refuses %j", (grader, message) => {
  expect(() => compileGrader(grader)).toThrow(message);
});

it("refuses a score that is no number", () => {
  expect(() => grade(multi("1 / a"), "x")).toThrow('"grader.calculate_output" gave Infinity for {"a":0}');
});
