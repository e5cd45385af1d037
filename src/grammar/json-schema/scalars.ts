/** Schemas of strings and numbers. */
import { quote } from "../../errors.ts";
import type { Expression } from "../expression.ts";
import { integersWithin, numbersWithin } from "./number-ranges.ts";
import { countOf, refuseKeyword, type Schema } from "./schema.ts";
import { FORMAT_NAMES, stringOfFormat, stringOfLength, stringOfPattern } from "./strings.ts";

export function readStringSchema(schema: Schema): Expression {
  const { pattern, format, minLength, maxLength } = schema.value;
  const [min, max] = [countOf(schema, "minLength", 0), countOf(schema, "maxLength", Infinity)];
  if (min > max) refuseKeyword(schema, "minLength", "It is more than maxLength.");
  if (pattern !== undefined && format !== undefined)
    refuseKeyword(schema, "format", 'It stands beside "pattern". Keep one of them.');
  const chosen = pattern === undefined ? format : pattern;
  if (chosen === undefined) return stringOfLength(min, max);
  const keyword = pattern === undefined ? "format" : "pattern";
  if (typeof chosen !== "string") return refuseKeyword(schema, keyword, "It must be a string.");
  if (minLength !== undefined || maxLength !== undefined)
    refuseKeyword(
      schema,
      minLength === undefined ? "maxLength" : "minLength",
      `It cannot be combined with "${keyword}". Write the length into a "pattern", as in ^[a-z]{2,8}$.`,
    );
  if (keyword === "format")
    return (
      stringOfFormat(chosen) ??
      refuseKeyword(schema, "format", `Known formats: ${FORMAT_NAMES.join(", ")}; found ${quote(chosen)}.`)
    );
  try {
    return stringOfPattern(chosen);
  } catch (cause) {
    return refuseKeyword(schema, "pattern", cause instanceof Error ? cause.message : String(cause));
  }
}

export function readNumberSchema(schema: Schema, type: "number" | "integer"): Expression {
  const { value } = schema;
  const isNeutral = value.multipleOf === undefined || (value.multipleOf === 1 && type === "integer");
  if (!isNeutral)
    refuseKeyword(schema, "multipleOf", 'A grammar cannot divide. Leave it out, or list the values in "enum".');
  const bounds = boundsOf(schema);
  const found = type === "integer" ? integersWithin(bounds) : numbersWithin(bounds);
  const bound = ["minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum"].find(
    (name) => value[name] !== undefined,
  );
  if (found === null)
    return refuseKeyword(schema, bound ?? "type", "No number of at most 15 digits is within the bounds.");
  if (found === "too-long")
    return refuseKeyword(schema, bound ?? "type", "Bounds may have at most 15 digits and no exponent.");
  return found;
}

function boundsOf(schema: Schema) {
  const [min, isMinExclusive] = boundOf(schema, "minimum", "exclusiveMinimum", -Infinity);
  const [max, isMaxExclusive] = boundOf(schema, "maximum", "exclusiveMaximum", Infinity);
  return { min, max, isMinExclusive, isMaxExclusive };
}

/** The tighter of two bounds. In draft 4 an exclusive bound is a boolean beside the inclusive bound. */
function boundOf(schema: Schema, inclusive: string, exclusive: string, none: number): [number, boolean] {
  const given = numberOf(schema, inclusive) ?? none;
  const strict = schema.value[exclusive];
  if (typeof strict === "boolean") return [given, strict && given !== none];
  const other = numberOf(schema, exclusive);
  if (other === null) return [given, false];
  const isTighter = none < 0 ? other >= given : other <= given;
  return isTighter ? [other, true] : [given, false];
}

function numberOf(schema: Schema, keyword: string): number | null {
  const value = schema.value[keyword];
  if (value === undefined) return null;
  return typeof value === "number" ? value : refuseKeyword(schema, keyword, "It must be a number.");
}
