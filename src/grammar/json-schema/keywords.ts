/**
 * The keywords of JSON Schema: those that are honoured, by the type of value that they bind, those that are refused,
 * and annotations.
 */

export const TYPES = ["object", "array", "string", "number", "integer", "boolean", "null"] as const;
export type TypeName = (typeof TYPES)[number];

/** Keywords that bind values of every type. */
export const GENERAL = ["type", "enum", "const", "anyOf", "oneOf", "allOf", "$ref", "nullable"] as const;

/** Keywords that bind values of some types, honoured. */
export const OF_TYPE: Readonly<Record<"object" | "array" | "string" | "number", readonly string[]>> = {
  object: ["properties", "required", "additionalProperties", "minProperties", "maxProperties", "unevaluatedProperties"],
  array: ["items", "prefixItems", "additionalItems", "minItems", "maxItems", "uniqueItems", "unevaluatedItems"],
  string: ["minLength", "maxLength", "pattern", "format"],
  number: ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"],
};

/** Keywords that bind values and are refused. */
export const REFUSED: Readonly<Record<string, "any" | "object" | "array" | "string" | "number">> = {
  not: "any",
  if: "any",
  $dynamicRef: "any",
  $recursiveRef: "any",
  patternProperties: "object",
  propertyNames: "object",
  dependentRequired: "object",
  dependentSchemas: "object",
  dependencies: "object",
  contains: "array",
};

/** Keywords that do not affect which values are valid, or that have no meaning without a refused keyword. */
export const ANNOTATIONS: ReadonlySet<string> = new Set(
  (
    "title description default example examples deprecated readOnly writeOnly $schema $id id $comment $defs definitions " +
    "$anchor $dynamicAnchor $recursiveAnchor $vocabulary contentEncoding contentMediaType contentSchema discriminator " +
    "then else minContains maxContains externalDocs xml strict name"
  ).split(" "),
);

/** Every keyword that has an effect. */
export const EFFECTIVE: ReadonlySet<string> = new Set([
  ...GENERAL,
  ...Object.values(OF_TYPE).flat(),
  ...Object.keys(REFUSED),
]);
