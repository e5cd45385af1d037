/**
 * Object schemas. Properties have the order of the schema, so that none occurs twice. Without `additionalProperties` an
 * object with `properties` has no others, as in OpenAI's structured outputs.
 */
import { quote } from "../../errors.ts";
import {
  characters,
  charactersExcept,
  choice,
  EMPTY,
  type Expression,
  repeat,
  rule,
  sequence,
  text,
} from "../expression.ts";
import { ANY_STRING, type JsonText, PLAIN_CHARACTER, quoted } from "./json-text.ts";
import { below, countOf, isList, isSchemaObject, refuseKeyword, type Schema } from "./schema.ts";
import type { SchemaReader } from "./schema-reader.ts";

interface Property {
  readonly name: string;
  readonly isRequired: boolean;
  readonly member: Expression;
}

export function readObjectSchema(schema: Schema, reader: SchemaReader): Expression {
  const { value } = schema;
  const [properties, additional] = [propertiesOf(schema, reader), additionalOf(schema, reader)];
  const [min, max] = [countOf(schema, "minProperties", 0), countOf(schema, "maxProperties", Infinity)];
  const numRequired = properties.filter(({ isRequired }) => isRequired).length;
  const most = additional === null ? properties.length : Infinity;
  if (max < Math.max(min, numRequired))
    refuseKeyword(schema, "maxProperties", "It is less than the number of required properties.");
  if (min > most) refuseKeyword(schema, "minProperties", "It is more than the number of allowed properties.");
  if (additional !== null && min > Math.max(1, numRequired))
    refuseKeyword(
      schema,
      "minProperties",
      "Additional properties could repeat a name, which counts once. Name the properties.",
    );
  if (
    value.unevaluatedProperties !== undefined &&
    value.unevaluatedProperties !== false &&
    value.unevaluatedProperties !== true
  )
    refuseKeyword(schema, "unevaluatedProperties", "Only true and false are allowed.");
  const isCounted = min > numRequired || max < most;
  const { json } = reader;
  return json.braces(new Members(properties, additional, json, reader, isCounted ? { min, max } : null).first(0));
}

function propertiesOf(schema: Schema, reader: SchemaReader): Property[] {
  const { properties = {}, required = [] } = schema.value;
  if (!isSchemaObject(properties)) return refuseKeyword(schema, "properties", "It must be an object.");
  if (!isList(required) || !required.every((name) => typeof name === "string"))
    return refuseKeyword(schema, "required", "It must be a list of names.");
  const { json } = reader;
  const named = (name: string, value: Expression, isRequired: boolean): Property => ({
    name,
    isRequired,
    member: json.member(text(JSON.stringify(name)), value),
  });
  const given = Object.entries(properties).flatMap(([name, one]) => {
    const isRequired = required.includes(name);
    if (one === false && !isRequired) return []; // the property must be absent
    return [named(name, reader.value(one, below(schema.path, "properties", name)), isRequired)];
  });
  const others = required.filter((name) => !Object.hasOwn(properties, name));
  if (others.length > 0 && schema.value.additionalProperties === false)
    refuseKeyword(schema, "required", `${quote(others[0])} is required, but no property may have that name.`);
  const path = below(schema.path, "additionalProperties");
  const made = others.map((name) => named(name, reader.value(schema.value.additionalProperties, path), true));
  return [...given, ...made];
}

/** A member with a name that is not one of the properties; null: not allowed. */
function additionalOf(schema: Schema, reader: SchemaReader): Expression | null {
  const { properties, required, additionalProperties, unevaluatedProperties } = schema.value;
  const names = [
    ...(isSchemaObject(properties) ? Object.keys(properties) : []),
    ...(isList(required) ? required.map(String) : []),
  ];
  const isOpen = isSchemaObject(properties) ? additionalProperties !== undefined : unevaluatedProperties !== false;
  if (!isOpen || additionalProperties === false) return null;
  const value = reader.value(additionalProperties, below(schema.path, "additionalProperties"));
  return reader.json.member(names.length === 0 ? ANY_STRING : nameExcept(names), value);
}

/**
 * A name without escapes that differs from the given names. A given name that needs an escape cannot be written without
 * one, so it is excluded anyway.
 */
function nameExcept(names: readonly string[]): Expression {
  return quoted(otherThan(names.filter((name) => JSON.stringify(name) === `"${name}"`)));
}

function otherThan(names: readonly string[]): Expression {
  const byFirst = new Map<string, string[]>();
  for (const name of names) {
    const [first, ...rest] = name;
    if (first !== undefined) byFirst.set(first, [...(byFirst.get(first) ?? []), rest.join("")]);
  }
  const taken = [...byFirst.keys()].map((first): [number, number] => [first.codePointAt(0)!, first.codePointAt(0)!]);
  const special: [number, number][] = [[0, 0x1f], [0x22, 0x22], [0x5c, 0x5c]]; // prettier-ignore
  const options = [...byFirst].map(([first, rests]) => {
    const code = first.codePointAt(0)!; // a character
    return sequence(characters([[code, code]]), otherThan(rests));
  });
  options.push(sequence(charactersExcept([...special, ...taken]), repeat(PLAIN_CHARACTER, 0, Infinity)));
  return names.includes("") ? choice(options) : choice([EMPTY, ...options]);
}

/**
 * The members of an object in their order. `count` is the number written so far. It is kept only if the number of
 * members is limited.
 */
class Members {
  readonly #properties: readonly Property[];
  readonly #additional: Expression | null;
  readonly #json: JsonText;
  readonly #reader: SchemaReader;
  readonly #bounds: { readonly min: number; readonly max: number } | null;
  readonly #rules = new Map<string, Expression>();
  readonly #numRequiredFrom: readonly number[];

  constructor(
    properties: readonly Property[],
    additional: Expression | null,
    json: JsonText,
    reader: SchemaReader,
    bounds: { readonly min: number; readonly max: number } | null,
  ) {
    this.#properties = properties;
    this.#additional = additional;
    this.#json = json;
    this.#reader = reader;
    this.#bounds = bounds;
    let numRequired = 0;
    this.#numRequiredFrom = properties
      .toReversed()
      .map(({ isRequired }) => (numRequired += Number(isRequired)))
      .reverse();
  }

  /** The members from a property on, where none has been written. */
  first(index: number): Expression {
    const property = this.#properties[index];
    if (property === undefined) return this.#others(0, true);
    const options = this.#isPossible(index + 1, 1) ? [sequence(property.member, this.#rest(index + 1, 1))] : [];
    if (!property.isRequired && this.#isPossible(index + 1, 0)) options.push(this.first(index + 1));
    return choice(options);
  }

  /** The members from a property on, where some have been written. */
  #rest(index: number, count: number): Expression {
    const property = this.#properties[index];
    if (property === undefined) return this.#others(count, false);
    const key = `${index} ${this.#bounds === null ? "" : count}`;
    const known = this.#rules.get(key);
    if (known !== undefined) return known;
    const name = this.#reader.newRule();
    this.#rules.set(key, rule(name));
    const options: Expression[] = [];
    if (this.#isPossible(index + 1, count + 1))
      options.push(sequence(this.#json.comma, property.member, this.#rest(index + 1, count + 1)));
    if (!property.isRequired && this.#isPossible(index + 1, count)) options.push(this.#rest(index + 1, count));
    this.#reader.setRule(name, choice(options));
    return rule(name);
  }

  /** Whether the properties from an index on can bring the number of members within the limits. */
  #isPossible(index: number, count: number): boolean {
    if (this.#bounds === null) return true;
    const most = this.#additional === null ? this.#properties.length - index : Infinity;
    const least = this.#numRequiredFrom[index] ?? 0;
    return count + most >= this.#bounds.min && count + least <= this.#bounds.max;
  }

  /** Additional members after the named ones. */
  #others(count: number, isFirst: boolean): Expression {
    const { min = 0, max = Infinity } = this.#bounds ?? {};
    if (this.#additional === null) return EMPTY;
    const [least, most] = [Math.max(0, min - count), max - count];
    if (isFirst) return this.#json.list(this.#additional, least, most);
    return most === 0 ? EMPTY : repeat(sequence(this.#json.comma, this.#additional), least, most);
  }
}
