/**
 * Random JSON Schemas of the keywords that grammars honour. Their texts are short, so that a model of any weights comes
 * to an end.
 */
import fc from "fast-check";

type Schema = Record<string, unknown>;

const name = fc.constantFrom("a", "b", "name", "kind", "x y", 'q"', "ü", "__proto");
const count = fc.nat({ max: 3 });
const note = fc.record({ title: fc.constant("t"), description: fc.string({ maxLength: 5 }) }, { requiredKeys: [] });

const string = fc.oneof(
  fc
    .record({ min: count, more: count })
    .map(({ min, more }): Schema => ({ type: "string", minLength: min, maxLength: min + more })),
  fc
    .constantFrom("^[a-c]{1,3}$", "^\\d{2}-\\w$", '^("|\\\\|x){1,2}$', "^(ab|c)d?$")
    .map((pattern): Schema => ({ type: "string", pattern })),
  fc.constantFrom("date", "time", "date-time", "uuid", "ipv4").map((format): Schema => ({ type: "string", format })),
);

const bound = fc.oneof(
  fc.integer({ min: -1200, max: 1200 }),
  fc.integer({ min: -99_999, max: 99_999 }).map((value) => value / 100),
);
const number = fc
  .record({
    type: fc.constantFrom("integer", "number"),
    low: bound,
    more: fc.nat({ max: 900 }),
    lowName: fc.constantFrom("minimum", "exclusiveMinimum", null),
    highName: fc.constantFrom("maximum", "exclusiveMaximum", null),
  })
  .map(({ type, low, more, lowName, highName }): Schema => ({
    type,
    ...(lowName === null ? {} : { [lowName]: low }),
    ...(highName === null ? {} : { [highName]: Number((low + more + 1.5).toFixed(2)) }),
  }));

const json = fc.jsonValue({ maxDepth: 1 }).map((value) => JSON.parse(JSON.stringify(value)) as unknown);
const listed = fc.oneof(
  fc.array(json, { minLength: 1, maxLength: 3 }).map((values): Schema => ({ enum: values })),
  json.map((value): Schema => ({ const: value })),
  fc.constantFrom<Schema>({ type: "boolean" }, { type: "null" }, { type: ["null", "boolean"] }),
);

/** A schema whose subschemas nest at most so deep. */
export function schemas(depth = 2): fc.Arbitrary<Schema> {
  const leaf = fc.oneof(string, number, listed);
  if (depth === 0) return leaf;
  const inner = schemas(depth - 1);
  const array = fc
    .record({
      items: inner,
      min: fc.nat({ max: 2 }),
      more: fc.nat({ max: 2 }),
      prefix: fc.array(inner, { maxLength: 2 }),
    })
    .map(({ items, min, more, prefix }): Schema => ({
      type: "array",
      ...(prefix.length === 0 ? {} : { prefixItems: prefix }),
      items,
      minItems: min,
      maxItems: min + more,
    }));
  const object = fc
    .record({
      properties: fc.dictionary(name, inner, { maxKeys: 4 }),
      isOpen: fc.constantFrom(undefined, false, "schema"),
      additional: inner,
      required: fc.array(fc.nat({ max: 3 }), { maxLength: 3 }),
      min: count,
      hasCount: fc.boolean(),
    })
    .map(({ properties, isOpen, additional, required, min, hasCount }): Schema => {
      const names = Object.keys(properties);
      const needed = [...new Set(required.flatMap((at) => names[at] ?? []))];
      const most = Math.max(needed.length, min);
      return {
        type: "object",
        properties,
        required: needed,
        ...(isOpen === undefined ? {} : { additionalProperties: isOpen === "schema" ? additional : false }),
        ...(hasCount
          ? { minProperties: Math.min(min, isOpen === "schema" ? 1 : names.length), maxProperties: most }
          : { maxProperties: 5 }),
      };
    });
  const union = fc.array(inner, { minLength: 1, maxLength: 3 }).map((anyOf): Schema => ({ anyOf }));
  const reference = fc.tuple(inner, inner).map(([target, own]): Schema => ({
    type: "object",
    properties: { r: { $ref: "#/properties/o" }, o: target, p: own },
    required: ["r"],
  }));
  const nested = depth === 2 ? fc.oneof(array, object, union, reference) : fc.oneof(leaf, array, object, union);
  return fc.tuple(nested, note).map(([schema, notes]) => ({ ...notes, ...schema }));
}

/** The same schemas in every run. */
export const sampleSchemas = (numRuns: number, seed: number): Schema[] => fc.sample(schemas(), { numRuns, seed });
