/** Binds call arguments to parameter names, as Python does, and converts arguments for builtins. */
import { toText } from "./printing.ts";
import { type Arguments, asNumber, isTrue, JinjaError, typeName, type Value } from "./values.ts";

/**
 * The arguments in the order of `names`; undefined where not given. @throws {JinjaError} for too many arguments or
 * unknown names
 */
export function bind(args: Arguments, ...names: readonly string[]): (Value | undefined)[] {
  if (args.positional.length > names.length) {
    throw new JinjaError(`takes at most ${names.length} arguments, ${args.positional.length} were given`);
  }
  for (const name of args.keyword.keys()) {
    if (!names.includes(name)) throw new JinjaError(`got an unexpected keyword argument '${name}'`);
  }
  return names.map((name, i) => args.positional[i] ?? (i < args.positional.length ? null : args.keyword.get(name)));
}

/** Like `bind`, for builtins whose arguments are all required. */
export function bindAll(args: Arguments, ...names: readonly string[]): Value[] {
  return bind(args, ...names).map((value, i) => {
    if (value === undefined) throw new JinjaError(`missing a required argument: '${names[i]}'`);
    return value;
  });
}

/** A string argument. @throws {JinjaError} for anything else. */
export function asString(value: Value | undefined): string {
  if (typeof value === "string") return value;
  throw new JinjaError(`a string is required, not '${typeName(value ?? null)}'`);
}

/** A string, or undefined for None and for an absent argument. */
export function asOptionalString(value: Value | undefined): string | undefined {
  return value === undefined || value === null ? undefined : asString(value);
}

/** An integer argument as a number. @throws {JinjaError} for anything else. */
export function asInteger(value: Value | undefined, fallback: number): number {
  if (value === undefined) return fallback;
  const number = typeof value === "number" ? undefined : asNumber(value);
  if (number === undefined) throw new JinjaError(`'${typeName(value)}' object cannot be interpreted as an integer`);
  return Number(number);
}

/** A truth argument. */
export function asFlag(value: Value | undefined, fallback = false): boolean {
  return value === undefined ? fallback : isTrue(value);
}

/** `a.b.0` as the steps of an attribute path. */
export function attributePath(value: Value): Value[] {
  if (typeof value === "bigint") return [value];
  return toText(value)
    .split(".")
    .map((step) => (/^\d+$/.test(step) ? BigInt(step) : step));
}
