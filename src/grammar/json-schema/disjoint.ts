/** Whether no value satisfies two schemas at once. If so, `oneOf` means the same as `anyOf`. */
import type { Json } from "./json-text.ts";
import { isList, isSchemaObject, type Schema } from "./schema.ts";

/** @param expand resolves references @returns false if this is not certain */
export function areDisjoint(a: Schema, b: Schema, expand: (value: Json, path: string) => Schema): boolean {
  const [values, others] = [valuesOf(a), valuesOf(b)];
  if (values !== null && others !== null) return !values.some((one) => others.some((other) => isEqual(one, other)));
  const [types, otherTypes] = [typesOf(a, values), typesOf(b, others)];
  if (types !== null && otherTypes !== null && !types.some((type) => otherTypes.includes(type))) return true;
  if (!isOnly(types, "object") || !isOnly(otherTypes, "object")) return false;
  return requiredOf(a).some((name) => {
    if (!requiredOf(b).includes(name)) return false;
    const [ours, theirs] = [propertyOf(a, name), propertyOf(b, name)];
    if (ours === undefined || theirs === undefined) return false;
    return areDisjoint(expand(ours, `${a.path}/properties`), expand(theirs, `${b.path}/properties`), expand);
  });
}

const isEqual = (a: Json, b: Json): boolean => JSON.stringify(a) === JSON.stringify(b);
const isOnly = (types: readonly string[] | null, type: string): boolean => types?.length === 1 && types[0] === type;

function valuesOf({ value }: Schema): readonly Json[] | null {
  if (value.const !== undefined) return [value.const];
  return isList(value.enum) ? value.enum : null;
}

/** Types of the values, integers counted as numbers; null: unknown. */
function typesOf({ value }: Schema, values: readonly Json[] | null): readonly string[] | null {
  if (values !== null) return values.map((one) => (isList(one) ? "array" : one === null ? "null" : typeof one));
  if (value.type === undefined || value.nullable === true) return null;
  return (isList(value.type) ? value.type : [value.type]).map((type) =>
    type === "integer" || typeof type !== "string" ? "number" : type,
  );
}

const requiredOf = ({ value }: Schema): readonly Json[] => (isList(value.required) ? value.required : []);

function propertyOf({ value }: Schema, name: Json): Json | undefined {
  return isSchemaObject(value.properties) && typeof name === "string" && Object.hasOwn(value.properties, name)
    ? value.properties[name]
    : undefined;
}
