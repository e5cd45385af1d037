/**
 * Grammars of JSON Schemas. The authority is ajv: every text of a grammar parses and is valid. A schema is honoured or
 * refused by name.
 */
import { Ajv } from "ajv";
import { Ajv2020 } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { accepts, automatonOf, randomText } from "../helpers/grammar-walk.ts";
import { schemas } from "../helpers/random-schemas.ts";

const ajv = new Ajv2020({ strict: false, allErrors: true });
/** Draft 7, in which `items` may be a list. */
const ajvOfDraft7 = new Ajv({ strict: false, allErrors: true });
for (const one of [ajv, ajvOfDraft7]) addFormats.default(one);

const grammarOf = (schema: unknown, whitespace?: string) =>
  automatonOf({
    kind: "json-schema",
    text: JSON.stringify(schema),
    ...(whitespace === undefined ? {} : { whitespace }),
  });

/** Texts of a schema's grammar that do not satisfy it. */
function wrongTexts(schema: object | boolean, numTexts: number): { text: string; errors: unknown }[] {
  const automaton = grammarOf(schema);
  const isOld = typeof schema === "object" && "additionalItems" in schema;
  const validate = (isOld ? ajvOfDraft7 : ajv).compile(schema);
  return Array.from({ length: numTexts }, (_, seed) => randomText(automaton, seed)).flatMap((text) => {
    if (text === null || validate(JSON.parse(text))) return [];
    return [{ text, errors: validate.errors }];
  });
}

describe("random schemas", () => {
  it("give grammars whose texts parse and are valid", () => {
    fc.assert(
      fc.property(schemas(), (schema) => {
        expect(wrongTexts(schema, 4)).toEqual([]);
      }),
      { numRuns: 300, seed: 17 },
    );
  }, 120_000);
});

const HONOURED: Readonly<Record<string, object | boolean>> = {
  "properties and keywords with the names of parts of JavaScript's objects": {
    type: "object",
    properties: { constructor: { type: "integer" } },
    required: ["constructor", "toString"],
    allOf: [{ properties: { toString: { type: "boolean" }, constructor: { minimum: 3 } }, valueOf: 1 }],
  },
  "any value": true,
  "any object": { type: "object" },
  "a map of integers": { type: "object", additionalProperties: { type: "integer" }, maxProperties: 4 },
  "a recursive tree": {
    $ref: "#/$defs/node",
    $defs: {
      node: {
        type: "object",
        properties: {
          value: { type: "integer", minimum: 0, maximum: 9 },
          children: { type: "array", items: { $ref: "#/$defs/node" }, maxItems: 1 },
        },
        required: ["value", "children"],
      },
    },
  },
  "a discriminated union": {
    oneOf: [
      {
        type: "object",
        properties: { kind: { const: "cat" }, lives: { type: "integer" } },
        required: ["kind", "lives"],
      },
      { type: "object", properties: { kind: { const: "dog" }, name: { type: "string" } }, required: ["kind"] },
    ],
  },
  "one of several types": { oneOf: [{ type: "string", maxLength: 3 }, { type: "integer" }, { type: "null" }] },
  "all of two parts": {
    allOf: [
      { type: "object", properties: { a: { type: "integer", minimum: 3 } }, required: ["a"] },
      { properties: { a: { maximum: 12 }, b: { type: "boolean" } }, required: ["b"] },
    ],
  },
  "a reference with more beside it": {
    type: "object",
    properties: { size: { $ref: "#/$defs/size", maximum: 5 } },
    required: ["size"],
    $defs: { size: { type: "integer", minimum: 1 } },
  },
  "base properties beside anyOf": {
    type: "object",
    properties: { id: { type: "integer" } },
    required: ["id"],
    anyOf: [
      { properties: { a: { const: 1 } }, required: ["a"] },
      { properties: { b: { const: 2 } }, required: ["b"] },
    ],
  },
  "names like other names": {
    type: "object",
    properties: { a: { const: 1 }, ab: { const: 2 }, abc: { const: 3 } },
    additionalProperties: { type: "null" },
    maxProperties: 6,
  },
  "a list of kinds in an old draft": {
    type: "array",
    items: [{ const: 1 }, { type: "boolean" }],
    additionalItems: false,
    minItems: 2,
  },
  "required without a schema": { type: "object", required: ["x"], properties: {} },
  "constraints of another type": { type: "string", maxLength: 4, uniqueItems: true, multipleOf: 7, contains: {} },
  "no type but the keywords of one": { properties: { a: { type: "integer" } }, required: ["a"] },
  "an exponent-free bound": { type: "number", exclusiveMinimum: 0, maximum: 1 },
  "a negative range": { type: "number", minimum: -2.5, exclusiveMaximum: -0.25 },
  "an email": { type: "string", format: "email" },
  "a uri": { type: "string", format: "uri" },
  "a hostname": { type: "string", format: "hostname" },
  "an ipv6": { type: "string", format: "ipv6" },
  "a duration": { type: "string", format: "duration" },
  "an unanchored pattern": { type: "string", pattern: "[0-9]{2}" },
};

describe("schemas as they are written", () => {
  it.each(Object.entries(HONOURED))("%s: every text is valid", (_, schema) => {
    expect(wrongTexts(schema, 20)).toEqual([]);
    const numEnded = Array.from({ length: 20 }, (_, seed) => randomText(grammarOf(schema), seed)).filter(
      (text) => text !== null,
    ).length;
    expect(numEnded).toBeGreaterThan(2);
  });

  it.each<[string, object, string]>([
    ["not", { type: "object", properties: { a: { not: {} } } }, '"not" at #/properties/a'],
    ["if", { if: {}, else: {} }, '"if" at #'],
    ["uniqueItems", { type: "array", uniqueItems: true }, '"uniqueItems" at #'],
    ["multipleOf", { items: { type: "number", multipleOf: 0.01 } }, '"multipleOf" at #/items'],
    ["patternProperties", { patternProperties: { "^x": {} } }, '"patternProperties" at #'],
    ["propertyNames", { type: "object", propertyNames: {} }, '"propertyNames" at #'],
    ["contains", { type: "array", contains: {} }, '"contains" at #'],
    ["dependentRequired", { type: "object", dependentRequired: {} }, '"dependentRequired" at #'],
    [
      "unevaluatedProperties",
      { type: "object", properties: {}, unevaluatedProperties: { type: "null" } },
      "unevaluatedProperties",
    ],
    ["an unknown format", { type: "string", format: "iri" }, '"format" at #'],
    ["a look-ahead", { type: "string", pattern: "^(?=a)" }, '"pattern" at #'],
    ["a length beside a pattern", { type: "string", pattern: "^a+$", maxLength: 3 }, '"maxLength" at #'],
    ["oneOf that overlaps", { oneOf: [{ type: "integer" }, { type: "number" }] }, '"oneOf" at #'],
    ["a remote reference", { $ref: "https://example.org/x" }, '"$ref" at #'],
    ["a reference to nothing", { $ref: "#/$defs/x" }, "nothing at"],
    ["a reference to itself", { $ref: "#" }, "begins with itself"],
    ["bounds without a number", { type: "integer", minimum: 3, maximum: 2 }, '"minimum" at #'],
    ["types that exclude each other", { allOf: [{ type: "string" }, { type: "integer" }] }, "exclude each other"],
    ...["properties", "required", "enum", "allOf", "minimum"].map((keyword): [string, object, string] => [
      `${keyword} of two parts, one of another type`,
      { [keyword]: null, anyOf: [{ [keyword]: keyword === "properties" ? {} : [1] }] },
      `"${keyword}" at #`,
    ]),
    ["a misspelt keyword", { type: "string", maxLenght: 3 }, 'Did you mean "maxLength"'],
    ["an unknown type", { type: "text" }, '"type" at #'],
    ["false", { type: "object", properties: { a: false }, required: ["a"] }, "#/properties/a is false"],
    [
      "a closed object that needs more",
      { type: "object", properties: {}, required: ["a"], additionalProperties: false },
      '"required" at #',
    ],
    [
      "closed parts of one object",
      { allOf: [{ properties: { a: {} }, additionalProperties: false }, { properties: { b: {} } }] },
      "additionalProperties",
    ],
  ])("%s is refused by its name and place", (_, schema, message) => {
    expect(() => grammarOf(schema)).toThrow(message);
  });
});

describe("what a schema's grammar accepts", () => {
  const person = {
    type: "object",
    properties: {
      name: { type: "string" },
      age: { type: "integer", minimum: 0, maximum: 130 },
      tags: { type: "array", items: { type: "string" } },
    },
    required: ["name", "age"],
  };

  it("properties in their order, optional ones left out, with at most one space after a comma and a colon", () => {
    const grammar = grammarOf(person);
    for (const text of [
      '{"name":"A","age":7}',
      '{"name": "\\u00e9é\\n", "age": 130, "tags": ["x", ""]}',
      '{"name":"","age":0,"tags":[]}',
    ])
      expect(accepts(grammar, text), text).toBe(true);
    for (const text of [
      '{"age":7,"name":"A"}',
      '{"name":"A","age":131}',
      '{"name":"A"}',
      '{"name":"A","age":7,"x":1}',
      '{"name":  "A","age":7}',
      '{"name":"\n","age":7}',
    ])
      expect(accepts(grammar, text), text).toBe(false);
  });

  it("white space by a pattern, or none", () => {
    const spaced = JSON.stringify({ name: "A", age: 7 }, null, 2);
    expect(accepts(grammarOf(person, "[ \\n]*"), spaced)).toBe(true);
    expect(accepts(grammarOf(person, ""), '{"name":"A","age":7}')).toBe(true);
    expect(accepts(grammarOf(person, ""), '{"name": "A","age":7}')).toBe(false);
    expect(() => grammarOf(person, "[a ]")).toThrow("more than white space");
  });

  it("every number within bounds that is written without an exponent", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: -3000, max: 3000 }),
        fc.nat({ max: 4000 }),
        fc.integer({ min: -8000, max: 8000 }),
        (low, more, value) => {
          const [min, max] = [low / 10, (low + more + 1) / 10];
          const number = grammarOf({ type: "number", minimum: min, exclusiveMaximum: max });
          const text = String(value / 100);
          expect(accepts(number, text), `${text} in ${min}…${max}`).toBe(value / 100 >= min && value / 100 < max);
          const integer = grammarOf({ type: "integer", minimum: low, maximum: low + more });
          expect(accepts(integer, String(value))).toBe(value >= low && value <= low + more);
        },
      ),
      { seed: 3, numRuns: 300 },
    );
  });
});
