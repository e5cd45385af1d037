/**
 * Merges two schemas that must both hold into one: for `allOf`, and for keywords beside `$ref`, `anyOf` and `oneOf`.
 */
import type { Json } from "./json-text.ts";
import { ANNOTATIONS } from "./keywords.ts";
import { isList, isSchemaObject, refuseKeyword, type Schema, type SchemaObject } from "./schema.ts";

type Merge = (a: Json, b: Json, at: Schema) => Json;

/** In draft 4 an exclusive bound is a boolean. */
const areFlags = (a: Json, b: Json): boolean => typeof a === "boolean" && typeof b === "boolean";
const larger: Merge = (a, b) => (areFlags(a, b) ? a === true || b === true : Math.max(Number(a), Number(b)));
const smaller: Merge = (a, b) => (areFlags(a, b) ? a === true || b === true : Math.min(Number(a), Number(b)));
const bothHold: Merge = (a, b) => ({ allOf: [a, b] });
const isEqual = (a: Json, b: Json): boolean => JSON.stringify(a) === JSON.stringify(b);
const listOf = (value: Json): readonly Json[] => (isList(value) ? value : [value]);

const MERGES: Readonly<Record<string, Merge>> = {
  // No prototype: a schema may have keywords such as "__proto__" and "toString".
  __proto__: null as never,
  type: (a, b, at) => {
    const others = listOf(b);
    const shared = listOf(a).flatMap((type) => {
      if (others.includes(type)) return [type];
      if (type === "integer" && others.includes("number")) return ["integer"];
      return type === "number" && others.includes("integer") ? ["integer"] : [];
    });
    if (shared.length === 0) refuseKeyword(at, "type", "The combined types exclude each other.");
    return shared;
  },
  enum: (a, b, at) => {
    const shared = listOf(a).filter((one) => listOf(b).some((other) => isEqual(one, other)));
    if (shared.length === 0) refuseKeyword(at, "enum", "The combined lists have no common value.");
    return shared;
  },
  required: (a, b) => [...new Set([...listOf(a), ...listOf(b)])],
  properties: (a, b) => {
    const [ours, theirs] = [a as SchemaObject, b as SchemaObject];
    const merged = new Map(Object.entries(ours));
    for (const [name, schema] of Object.entries(theirs)) {
      const own = merged.get(name);
      merged.set(name, own === undefined ? schema : bothHold(own, schema, { value: {}, path: "" }));
    }
    return Object.fromEntries(merged);
  },
  items: bothHold,
  additionalProperties: (a, b) => (a === false || b === false ? false : { allOf: [a, b] }),
  allOf: (a, b) => [...listOf(a), ...listOf(b)],
  minimum: larger,
  exclusiveMinimum: larger,
  minLength: larger,
  minItems: larger,
  minProperties: larger,
  maximum: smaller,
  exclusiveMaximum: smaller,
  maxLength: smaller,
  maxItems: smaller,
  maxProperties: smaller,
  uniqueItems: (a, b) => a === true || b === true,
};

/** @throws {AppError} invalid_request if no single schema means the same */
export function mergeSchemas(a: Schema, b: Schema): Schema {
  assertSameReach(a, b);
  assertSameReach(b, a);
  const merged = new Map(Object.entries(a.value));
  for (const [keyword, value] of Object.entries(b.value)) {
    const ours = merged.get(keyword);
    if (ours === undefined || isEqual(ours, value) || ANNOTATIONS.has(keyword)) merged.set(keyword, value);
    else merged.set(keyword, MERGES[keyword]?.(ours, value, b) ?? refuseTwice(b, keyword));
  }
  return { value: Object.fromEntries(merged), path: b.path };
}

function refuseTwice(at: Schema, keyword: string): never {
  return refuseKeyword(at, keyword, "It cannot be combined with another keyword of its kind. Write them as one.");
}

/** `additionalProperties` sees only the properties beside it, so it cannot be moved to where there are others. */
function assertSameReach(a: Schema, b: Schema): void {
  const closes = ["additionalProperties", "items", "additionalItems", "unevaluatedProperties", "unevaluatedItems"];
  for (const keyword of closes) {
    const bound = a.value[keyword];
    if (bound === undefined || bound === true) continue;
    const subject = keyword.endsWith("Properties") ? "properties" : "prefixItems";
    const [ours, theirs] = [a.value[subject], b.value[subject]];
    const isWider =
      isSchemaObject(theirs) && Object.keys(theirs).some((name) => !isSchemaObject(ours) || !Object.hasOwn(ours, name));
    const isLonger = isList(theirs) && theirs.length > (isList(ours) ? ours.length : 0);
    if (isWider || isLonger)
      refuseKeyword(a, keyword, `It cannot be combined with "${subject}" of another schema. Write them as one.`);
  }
}
