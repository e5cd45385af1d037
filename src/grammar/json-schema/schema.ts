/** A JSON Schema as it is read: its place, its keywords, and references within the document. */
import { quote } from "../../errors.ts";
import { closestName } from "../../fields/closest-name.ts";
import { refuseGrammar } from "../grammar-error.ts";
import type { Json } from "./json-text.ts";
import { ANNOTATIONS, EFFECTIVE, REFUSED } from "./keywords.ts";

export type SchemaObject = Readonly<Record<string, Json>>;

/** A schema and its place in the document, such as `#/properties/size`. */
export interface Schema {
  readonly value: SchemaObject;
  readonly path: string;
}

/** Refuses a keyword of a schema. @param why a sentence */
export function refuseKeyword({ path }: Pick<Schema, "path">, keyword: string, why: string): never {
  return refuseGrammar(`The schema's keyword "${keyword}" at ${path} cannot be honoured. ${why}`);
}

export function isSchemaObject(value: Json | undefined): value is SchemaObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export const isList = (value: Json | undefined): value is readonly Json[] => Array.isArray(value);

/**
 * A subschema as an object: `true` is empty. @throws {AppError} invalid_request for `false`, and for a value that is
 * not a schema
 */
export function schemaAt(value: Json | undefined, path: string): Schema {
  if (value === true || value === undefined) return { value: {}, path };
  if (value === false)
    refuseGrammar(`The schema at ${path} is false, which no value satisfies. Leave its property out.`);
  if (!isSchemaObject(value)) return refuseGrammar(`The schema at ${path} must be an object or a boolean.`);
  for (const keyword of Object.keys(value)) checkKeyword({ value, path }, keyword);
  return { value, path };
}

function checkKeyword(schema: Schema, keyword: string): void {
  if (REFUSED[keyword] === "any") refuseKeyword(schema, keyword, "This server does not support it. Leave it out.");
  if (EFFECTIVE.has(keyword) || ANNOTATIONS.has(keyword)) return;
  const meant = closestName(keyword, EFFECTIVE);
  if (meant !== undefined)
    refuseGrammar(`The schema at ${schema.path} has the unknown keyword "${keyword}". Did you mean "${meant}"?`);
}

/** Path of a part of a schema, as a JSON Pointer. */
export function below(path: string, ...steps: readonly (string | number)[]): string {
  return [path, ...steps.map((step) => String(step).replaceAll("~", "~0").replaceAll("/", "~1"))].join("/");
}

/** The subschema that a reference names. @throws {AppError} invalid_request for references to other documents */
export function resolveReference(root: Json, reference: Json, at: Pick<Schema, "path">): Schema {
  if (typeof reference !== "string" || !/^#(\/|$)/.test(reference))
    refuseKeyword(
      at,
      "$ref",
      `Only references within the schema, such as "#/$defs/name", are supported; found ${quote(reference)}.`,
    );
  let value: Json | undefined = root;
  for (const step of reference.split("/").slice(1)) {
    const name = decodeURIComponent(step).replaceAll("~1", "/").replaceAll("~0", "~");
    if (isList(value)) value = value[Number(name)];
    else value = isSchemaObject(value) && Object.hasOwn(value, name) ? value[name] : undefined;
  }
  if (value === undefined) refuseKeyword(at, "$ref", `There is nothing at ${quote(reference)}.`);
  return schemaAt(value, reference);
}

/** A keyword's value where it is a whole number of 0 or more. */
export function countOf(schema: Schema, keyword: string, otherwise: number): number {
  const value = schema.value[keyword];
  if (value === undefined) return otherwise;
  if (typeof value === "number" && Number.isInteger(value) && value >= 0) return value;
  return refuseKeyword(schema, keyword, "It must be a whole number of 0 or more.");
}
