/** Schemas of the OpenAPI document in words, and as lists of fields. */
import { h } from "../app/dom.js";

/**
 * @typedef {object} Schema
 * @property {string} [$ref]
 * @property {string | string[]} [type]
 * @property {unknown[]} [enum]
 * @property {unknown} [const]
 * @property {Schema} [items]
 * @property {Schema[]} [anyOf]
 * @property {Schema[]} [oneOf]
 * @property {Schema[]} [allOf]
 * @property {Record<string, Schema>} [properties]
 * @property {Schema | boolean} [additionalProperties]
 * @property {string[]} [required]
 * @property {string} [description]
 * @property {unknown} [default]
 * @property {number} [minimum]
 * @property {number} [maximum]
 * @property {number} [minLength]
 * @property {number} [maxLength]
 * @property {number} [minItems]
 * @property {number} [maxItems]
 *
 * @typedef {Record<string, Schema>} Schemas the document's schemas by their names
 */

/** Fields that most callers send, in the order in which they are read. The rest follows as the document has it. */
const FIRST =
  "model messages prompt input instructions system adapter max_tokens max_completion_tokens max_output_tokens temperature top_p stream stop seed n response_format tools tool_choice stream_options logprobs";
/** Fields shown at once; the rest is one click away. */
const MAX_SHOWN = 12;
/** Numbers beyond this one are limits of the machine, not of the API. */
const LARGE = 2 ** 31 - 1;

/**
 * The schema that a reference names.
 * @param {Schema} schema
 * @param {Schemas} schemas
 */
export function resolve(schema, schemas) {
  return schemas[schema.$ref?.split("/").at(-1) ?? ""] ?? schema;
}

/**
 * A type in words.
 * @param {Schema} schema
 * @returns {string}
 */
export function typeText(schema) {
  const { $ref, type, items, properties } = schema;
  const choices = schema.anyOf ?? schema.oneOf;
  if ($ref !== undefined) return $ref.split("/").at(-1) ?? $ref;
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum)
    return schema.enum
      .filter((one) => one !== null)
      .map((one) => JSON.stringify(one))
      .join(" | ");
  if (choices) return [...new Set(choices.map(typeText))].filter((one) => one !== "").join(" | ");
  if (schema.allOf) return [...new Set(schema.allOf.map(typeText))].join(" & ");
  const types = (typeof type === "string" ? [type] : (type ?? ["any"])).filter((one) => one !== "null");
  return types
    .map((one) => {
      if (one === "array") return items ? `list of ${typeText(items)}` : "list";
      if (one !== "object" || !properties || Object.keys(properties).length === 0) return one;
      return `{${Object.keys(properties).join(", ")}}`;
    })
    .join(" | ");
}

/** @param {Schema} schema */
function limitsText({ minimum, maximum, minLength, maxLength, minItems, maxItems, ...schema }) {
  const parts = [];
  const low = minimum === undefined || minimum <= -LARGE ? undefined : minimum;
  const high = maximum === undefined || maximum >= LARGE ? undefined : maximum;
  if (low !== undefined && high !== undefined) parts.push(`${low} to ${high}`);
  else if (low !== undefined) parts.push(`at least ${low}`);
  else if (high !== undefined) parts.push(`at most ${high}`);
  if (maxLength !== undefined) parts.push(`${minLength ?? 0} to ${maxLength} characters`);
  if (maxItems !== undefined) parts.push(`${minItems ?? 0} to ${maxItems} items`);
  if (schema.default !== undefined) parts.push(`default ${JSON.stringify(schema.default)}`);
  return parts.join(", ");
}

/**
 * The fields of an object as a list, the ones that most callers send first.
 * @param {Schema} schema
 * @param {Schemas} schemas
 * @param {readonly string[]} [above] names of the schemas around this one, which are not opened again
 * @returns {HTMLElement | null} null for an object without named fields
 */
export function fieldList(schema, schemas, above = []) {
  const { properties = {}, required = [] } = resolve(schema, schemas);
  const rank = (/** @type {string} */ name) => {
    const place = FIRST.split(" ").indexOf(name);
    return (required.includes(name) ? 0 : 100) + (place === -1 ? 50 : place);
  };
  const entries = Object.entries(properties).sort(([a], [b]) => rank(a) - rank(b));
  if (entries.length === 0) return null;
  const rows = entries.map(([name, one]) => fieldRow(name, one, required.includes(name), schemas, above));
  const shown = h("ul", { class: "fields" }, ...rows.slice(0, MAX_SHOWN));
  const rest = rows.slice(MAX_SHOWN);
  if (rest.length === 0) return shown;
  const more = h(
    "details",
    { class: "more" },
    h("summary", {}, `${rest.length} more fields`),
    h("ul", { class: "fields" }, ...rest),
  );
  return h("div", {}, shown, more);
}

/**
 * @param {string} name
 * @param {Schema} schema
 * @param {boolean} isRequired
 * @param {Schemas} schemas
 * @param {readonly string[]} above
 */
function fieldRow(name, schema, isRequired, schemas, above) {
  const limits = limitsText(schema);
  const parts = [
    h("code", { class: "field" }, name),
    h("span", { class: "type" }, typeText(schema)),
    isRequired ? h("span", { class: "required" }, "required") : null,
  ];
  const text = [schema.description ?? "", limits === "" ? "" : `${limits[0]?.toUpperCase()}${limits.slice(1)}.`];
  const description = text.filter(Boolean).join(" ");
  return h(
    "li",
    { "data-field": name },
    h("p", {}, ...parts),
    description === "" ? null : h("p", { class: "about" }, description),
    ...objectsIn(schema, schemas, above),
  );
}

/**
 * The fields of the objects that a field may hold, closed at first.
 * @param {Schema} schema
 * @param {Schemas} schemas
 * @param {readonly string[]} above
 * @returns {HTMLElement[]}
 */
function objectsIn(schema, schemas, above) {
  const name = schema.$ref?.split("/").at(-1);
  if (name !== undefined && above.includes(name)) return [];
  const inner = resolve(schema, schemas);
  const parts = [inner, ...(inner.anyOf ?? []), ...(inner.oneOf ?? []), ...(inner.allOf ?? [])];
  const objects = parts.flatMap((one) => [one, ...(one.items ? [one.items] : [])]);
  const around = name === undefined ? above : [...above, name];
  return objects.flatMap((one) => {
    const target = resolve(one, schemas);
    const isCircular = one.$ref !== undefined && around.includes(one.$ref.split("/").at(-1) ?? "");
    const list = isCircular || !target.properties ? null : fieldList(target, schemas, around);
    if (!list) return [];
    const title = `Fields of ${typeText(one)}`;
    return [h("details", { class: "inner" }, h("summary", {}, title), list)];
  });
}
