/**
 * Array schemas: items of one schema, and leading items of their own (`prefixItems`, or a list of `items` in older
 * drafts).
 */
import { EMPTY, type Expression, optional, repeat, sequence } from "../expression.ts";
import type { Json } from "./json-text.ts";
import { below, countOf, isList, refuseKeyword, type Schema } from "./schema.ts";
import type { SchemaReader } from "./schema-reader.ts";

export function readArraySchema(schema: Schema, reader: SchemaReader): Expression {
  const { json } = reader;
  const [min, max] = [countOf(schema, "minItems", 0), countOf(schema, "maxItems", Infinity)];
  if (min > max) refuseKeyword(schema, "minItems", "It is more than maxItems.");
  if (schema.value.uniqueItems === true && max > 1)
    refuseKeyword(schema, "uniqueItems", "A grammar cannot compare items. Leave it out, or set maxItems to 1.");
  const { leading, rest } = partsOf(schema);
  const numLeading = Math.min(leading.length, max);
  if (rest === false && min > leading.length)
    refuseKeyword(schema, "minItems", "It is more than the number of items that are allowed.");
  if (numLeading === 0)
    return json.brackets("[", rest === false || max === 0 ? EMPTY : json.list(reader.value(...rest), min, max), "]");
  const tail =
    rest === false || max === numLeading ? EMPTY : tailOf(reader.value(...rest), min - numLeading, max - numLeading);
  let items = tail;
  for (let i = numLeading - 1; i >= 0; i--) {
    const item = reader.value(leading[i], below(schema.path, "prefixItems", i));
    const here = sequence(i === 0 ? EMPTY : json.comma, item, items);
    items = i < min ? here : optional(here);
  }
  return json.brackets("[", items, "]");

  function tailOf(item: Expression, least: number, most: number): Expression {
    return repeat(sequence(json.comma, item), Math.max(0, least), most);
  }
}

interface Parts {
  readonly leading: readonly Json[];
  /** Schema and path of the items after the leading ones; false: there are none. */
  readonly rest: readonly [Json | undefined, string] | false;
}

function partsOf(schema: Schema): Parts {
  const { prefixItems, items, additionalItems, unevaluatedItems } = schema.value;
  if (prefixItems !== undefined && !isList(prefixItems))
    return refuseKeyword(schema, "prefixItems", "It must be a list.");
  const leading = prefixItems ?? (isList(items) ? items : []);
  const keyword = isList(items) ? "additionalItems" : "items";
  const given = isList(items) ? additionalItems : items;
  // A schema with only leading items is a tuple. More items are allowed only if they are required.
  const isTuple = leading.length > 0 && given === undefined && countOf(schema, "minItems", 0) <= leading.length;
  const isClosed = given === false || isTuple || (given === undefined && unevaluatedItems === false);
  if (unevaluatedItems !== undefined && typeof unevaluatedItems !== "boolean")
    refuseKeyword(schema, "unevaluatedItems", "Only true and false are allowed.");
  return { leading, rest: isClosed ? false : [given, below(schema.path, keyword)] };
}
