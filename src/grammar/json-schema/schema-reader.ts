/**
 * Reads a JSON Schema as a grammar of the JSON texts that satisfy it. The grammar may be narrower than the schema
 * (order of properties, digits of numbers), never wider. A keyword that cannot be honoured is refused, and the error
 * has its name and place.
 */
import { quote } from "../../errors.ts";
import { choice, type Expression, type Grammar, rule, text } from "../expression.ts";
import { MAX_DEPTH, refuseGrammar } from "../grammar-error.ts";
import { readArraySchema } from "./arrays.ts";
import { areDisjoint } from "./disjoint.ts";
import { type Json, JsonText, type Spacing } from "./json-text.ts";
import { GENERAL, OF_TYPE, REFUSED, TYPES, type TypeName } from "./keywords.ts";
import { mergeSchemas } from "./merge.ts";
import { readObjectSchema } from "./objects.ts";
import { below, isList, refuseKeyword, resolveReference, type Schema, type SchemaObject, schemaAt } from "./schema.ts";
import { readNumberSchema, readStringSchema } from "./scalars.ts";

/** Maximum number of schemas that one document may expand to. */
const MAX_SCHEMAS = 5000;
/** Maximum number of schemas of one `oneOf`. Each is compared with every other. */
const MAX_EXCLUSIVE = 100;

const SIMPLE: Readonly<Record<string, Expression>> = {
  boolean: choice([text("true"), text("false")]),
  null: text("null"),
};

export class SchemaReader {
  readonly json: JsonText;
  readonly #root: Json;
  readonly #rules = new Map<string, Expression>();
  /** Rules of referenced schemas, by reference. */
  readonly #references = new Map<string, string>();
  #depth = 0;
  #numSchemas = 0;

  constructor(root: Json, spacing: Spacing) {
    this.#root = root;
    this.json = new JsonText(spacing);
  }

  /** @throws {AppError} invalid_request */
  read(): Grammar {
    for (const [name, expression] of this.json.rules()) this.#rules.set(name, expression);
    return { root: this.value(this.#root, "#"), rules: this.#rules };
  }

  newRule(): string {
    if (this.#numSchemas > MAX_SCHEMAS) refuseTooMany();
    return `rule-${this.#rules.size + this.#references.size}-${this.#numSchemas++}`;
  }

  setRule(name: string, expression: Expression): void {
    this.#rules.set(name, expression);
  }

  /** A value that satisfies a schema. */
  value(schema: Json | undefined, path: string): Expression {
    return this.#valueOf(schemaAt(schema, path));
  }

  #valueOf(schema: Schema): Expression {
    if (++this.#numSchemas > MAX_SCHEMAS) refuseTooMany();
    if (++this.#depth > MAX_DEPTH) refuseGrammar(`The schema at ${schema.path.slice(0, 200)} is nested too deeply.`);
    const made = this.#read(schema);
    this.#depth--;
    return made;
  }

  #read(schema: Schema): Expression {
    const { value } = schema;
    if (value.$ref !== undefined && !hasEffect(without(value, "$ref"))) return this.#reference(schema);
    if (value.$ref !== undefined || value.allOf !== undefined) return this.#valueOf(this.#expand(schema));
    for (const keyword of ["anyOf", "oneOf"] as const)
      if (value[keyword] !== undefined) return this.#alternatives(schema, keyword);
    const made = value.enum !== undefined || value.const !== undefined ? this.#listed(schema) : this.#ofTypes(schema);
    return value.nullable === true ? choice([made, text("null")]) : made;
  }

  #reference(schema: Schema): Expression {
    const reference = schema.value.$ref!; // checked before
    const target = resolveReference(this.#root, reference, schema);
    const known = this.#references.get(target.path);
    if (known !== undefined) return rule(known);
    const name = `ref ${target.path}`;
    this.#references.set(target.path, name);
    this.setRule(name, this.#valueOf(target));
    return rule(name);
  }

  /** The schema without `$ref` and `allOf`: their parts are merged into it. */
  #expand(schema: Schema, depth = 0): Schema {
    const { $ref, allOf, ...own } = schema.value;
    if ($ref === undefined && allOf === undefined) return schema;
    if (depth > MAX_DEPTH) refuseKeyword(schema, $ref === undefined ? "allOf" : "$ref", "It refers to itself.");
    if (allOf !== undefined && !isList(allOf)) return refuseKeyword(schema, "allOf", "It must be a list of schemas.");
    const parts = (allOf ?? []).map((part, i) => schemaAt(part, below(schema.path, "allOf", i)));
    if ($ref !== undefined) parts.unshift(resolveReference(this.#root, $ref, schema));
    const whole = parts.map((part) => this.#expand(part, depth + 1));
    return whole.reduce((merged, part) => mergeSchemas(merged, part), { value: own, path: schema.path });
  }

  #alternatives(schema: Schema, keyword: "anyOf" | "oneOf"): Expression {
    const options = schema.value[keyword];
    if (!isList(options) || options.length === 0)
      return refuseKeyword(schema, keyword, "It must be a list of at least one schema.");
    const base = { value: without(schema.value, keyword), path: schema.path };
    const parts = options.map((option, i) => schemaAt(option, below(schema.path, keyword, i)));
    if (keyword === "oneOf") this.#assertDisjoint(schema, parts);
    if (!hasEffect(base.value)) return choice(parts.map((part) => this.#valueOf(part)));
    // Properties beside `anyOf` come first, as they stand in the schema.
    return choice(parts.map((part) => this.#valueOf(mergeSchemas(base, this.#expand(part)))));
  }

  #assertDisjoint(schema: Schema, parts: readonly Schema[]): void {
    if (parts.length > MAX_EXCLUSIVE)
      refuseKeyword(schema, "oneOf", `It has more than ${MAX_EXCLUSIVE} schemas. Use "anyOf".`);
    const expand = (value: Json, path: string): Schema => this.#expand(schemaAt(value, path));
    const whole = parts.map((part) => this.#expand(part));
    const isDisjoint = whole.every((a, i) => whole.slice(i + 1).every((b) => areDisjoint(a, b, expand)));
    if (isDisjoint) return;
    refuseKeyword(
      schema,
      "oneOf",
      'A value could satisfy two of its schemas. Write "anyOf", or give them types or required constants that differ.',
    );
  }

  #listed(schema: Schema): Expression {
    const { value } = schema;
    const listed = value.const === undefined ? value.enum : [value.const];
    if (!isList(listed)) return refuseKeyword(schema, "enum", "It must be a list of values.");
    const beside = Object.keys(value).find(
      (keyword) => ![...GENERAL, ...NEUTRAL].includes(keyword) && isEffective(keyword),
    );
    if (beside !== undefined) refuseKeyword(schema, beside, 'It stands beside "enum" or "const". Leave it out.');
    const types = value.type === undefined ? null : typesOf(schema);
    const ofEnum = isList(value.enum) ? value.enum : listed;
    const values = listed.filter(
      (one) =>
        (types === null || types.some((type) => isOfType(one, type))) &&
        ofEnum.some((other) => JSON.stringify(other) === JSON.stringify(one)),
    );
    if (values.length === 0) refuseKeyword(schema, value.const === undefined ? "enum" : "const", "No value is left.");
    return choice(values.map((one) => this.json.literal(one)));
  }

  #ofTypes(schema: Schema): Expression {
    const types = typesOf(schema);
    if (types === null) return this.json.anyValue;
    const isNumber = types.includes("number");
    return choice(types.filter((type) => type !== "integer" || !isNumber).map((type) => this.#ofType(schema, type)));
  }

  #ofType(schema: Schema, type: TypeName): Expression {
    const family = type === "integer" ? "number" : type;
    const refused = Object.keys(schema.value).find((keyword) => REFUSED[keyword] === family);
    if (refused !== undefined) refuseKeyword(schema, refused, "This server does not support it. Leave it out.");
    switch (type) {
      case "object":
        return readObjectSchema(schema, this);
      case "array":
        return readArraySchema(schema, this);
      case "string":
        return readStringSchema(schema);
      case "number":
      case "integer":
        return readNumberSchema(schema, type);
      default:
        return SIMPLE[type]!; // boolean or null
    }
  }
}

function refuseTooMany(): never {
  return refuseGrammar("The schema expands to too many schemas. Make it smaller.");
}

/** Keywords that do not restrict a listed value further. */
const NEUTRAL: readonly string[] = ["nullable"];

const isEffective = (keyword: string): boolean =>
  (GENERAL as readonly string[]).includes(keyword) ||
  keyword in REFUSED ||
  Object.values(OF_TYPE).some((keywords) => keywords.includes(keyword));

const hasEffect = (value: SchemaObject): boolean => Object.keys(value).some(isEffective);

function without(value: SchemaObject, keyword: string): SchemaObject {
  return Object.fromEntries(Object.entries(value).filter(([name]) => name !== keyword));
}

/** The types of a schema: the types it names, or the types that its keywords apply to; null: all types. */
function typesOf(schema: Schema): readonly TypeName[] | null {
  const { type } = schema.value;
  if (type === undefined) {
    const about = Object.entries(OF_TYPE).flatMap(([name, keywords]) => {
      const refused = Object.keys(REFUSED).filter((keyword) => REFUSED[keyword] === name);
      const isNamed = [...keywords, ...refused].some((keyword) => schema.value[keyword] !== undefined);
      return isNamed ? [name as TypeName] : [];
    });
    return about.length === 0 ? null : about;
  }
  const named = isList(type) ? type : [type];
  const unknown = named.find((name) => !(TYPES as readonly Json[]).includes(name));
  if (unknown !== undefined || named.length === 0)
    refuseKeyword(schema, "type", `Known types: ${TYPES.join(", ")}; found ${quote(unknown ?? named)}.`);
  return [...new Set(named as readonly TypeName[])];
}

function isOfType(value: Json, type: TypeName): boolean {
  if (type === "integer") return Number.isInteger(value);
  if (isList(value)) return type === "array";
  return value === null ? type === "null" : typeof value === type;
}
