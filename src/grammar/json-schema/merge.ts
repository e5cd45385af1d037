/**
 * Merges two schemas that must both hold into one: for `allOf`, and for keywords beside `$ref`, `anyOf` and `oneOf`.
 */
import type { Json } from "./json-text.ts";
import { ANNOTATIONS } from "./keywords.ts";
import { isList, isSchemaObject, refuseKeyword, type Schema } from "./schema.ts";

/** @param refuse refuses the keyword, with a sentence that says why */
type Merge = (a: Json, b: Json, refuse: (why: string) => never) => Json;

/** In draft 4 an exclusive bound is a boolean. */
const areFlags = (a: Json, b: Json): boolean => typeof a === "boolean" && typeof b === "boolean";
const bound =
  (choose: (a: number, b: number) => number): Merge =>
  (a, b, refuse) => {
    if (areFlags(a, b)) return a === true || b === true;
    return typeof a === "number" && typeof b === "number" ? choose(a, b) : refuse("It must be a number.");
  };
const larger = bound(Math.max);
const smaller = bound(Math.min);
const bothHold: Merge = (a, b) => ({ allOf: [a, b] });
const isEqual = (a: Json, b: Json): boolean => JSON.stringify(a) === JSON.stringify(b);
const listOf = (value: Json): readonly Json[] => (isList(value) ? value : [value]);

const MERGES: Readonly<Record<string, Merge>> = {
  // No prototype: a schema may have keywords such as "__proto__" and "toString".
  __proto__: null as never,
  type: (a, b, refuse) => {
    const others = listOf(b);
    const shared = listOf(a).flatMap((type) => {
      if (others.includes(type)) return [type];
      if (type === "integer" && others.includes("number")) return ["integer"];
      return type === "number" && others.includes("integer") ? ["integer"] : [];
    });
    if (shared.length === 0) refuse("The combined types exclude each other.");
    return shared;
  },
  enum: (a, b, refuse) => {
    if (!isList(a) || !isList(b)) return refuse("It must be a list of values.");
    const shared = a.filter((one) => b.some((other) => isEqual(one, other)));
    if (shared.length === 0) refuse("The combined lists have no common value.");
    return shared;
  },
  required: (a, b, refuse) =>
    isList(a) && isList(b) ? [...new Set([...a, ...b])] : refuse("It must be a list of names."),
  properties: (a, b, refuse) => {
    if (!isSchemaObject(a) || !isSchemaObject(b)) return refuse("It must be an object.");
    const merged = new Map(Object.entries(a));
    for (const [name, schema] of Object.entries(b)) {
      const own = merged.get(name);
      merged.set(name, own === undefined ? schema : bothHold(own, schema, refuse));
    }
    return Object.fromEntries(merged);
  },
  items: bothHold,
  additionalProperties: (a, b) => (a === false || b === false ? false : { allOf: [a, b] }),
  allOf: (a, b, refuse) => (isList(a) && isList(b) ? [...a, ...b] : refuse("It must be a list of schemas.")),
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
    else
      merged.set(
        keyword,
        MERGES[keyword]?.(ours, value, (why) => refuseKeyword(b, keyword, why)) ?? refuseTwice(b, keyword),
      );
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
