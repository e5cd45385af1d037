/** Operators, and access to attributes and items, with Python's types. A string plus a list is an error, never text. */
import type { Budget } from "./budget.ts";
import { method } from "./methods.ts";
import { formatPercent } from "./text.ts";
import { toText } from "./printing.ts";
import {
  asNumber,
  compare,
  contains,
  isEqual,
  iterate,
  JinjaError,
  PyObject,
  Tuple,
  typeName,
  Undefined,
  type Value,
} from "./values.ts";

const EMPTY: ReadonlyMap<string, Value> = new Map();

/** The value of `left operator right`. @throws {JinjaError} for types that Python refuses. */
export function binary(operator: string, left: Value, right: Value, budget: Budget): Value {
  const a = asNumber(left);
  const b = asNumber(right);
  if (a !== undefined && b !== undefined) return arithmetic(operator, a, b);
  failOnUndefined(left);
  failOnUndefined(right);
  if (operator === "+") return add(left, right, budget);
  if (operator === "*" && (typeof a === "bigint" || typeof b === "bigint")) {
    return typeof a === "bigint" ? repeat(right, a, budget) : repeat(left, b as bigint, budget);
  }
  if (operator === "%" && typeof left === "string") {
    const named = right instanceof Map ? new Map([...right].map(([key, value]) => [toText(key), value])) : EMPTY;
    return formatPercent(left, right instanceof Tuple ? right.items : [right], named);
  }
  throw new JinjaError(`unsupported operand type(s) for ${operator}: '${typeName(left)}' and '${typeName(right)}'`);
}

function failOnUndefined(value: Value): void {
  if (value instanceof Undefined) throw new JinjaError(value.message);
}

function add(left: Value, right: Value, budget: Budget): Value {
  if (typeof left === "string" && typeof right === "string") {
    budget.spend(left.length + right.length);
    return left + right;
  }
  if (typeof left === "string") throw new JinjaError(`can only concatenate str (not "${typeName(right)}") to str`);
  if (Array.isArray(left) && Array.isArray(right)) {
    budget.spend(left.length + right.length);
    return [...left, ...right];
  }
  if (left instanceof Tuple && right instanceof Tuple) return new Tuple([...left.items, ...right.items]);
  throw new JinjaError(`unsupported operand type(s) for +: '${typeName(left)}' and '${typeName(right)}'`);
}

function repeat(value: Value, times: bigint, budget: Budget): Value {
  const count = times < 0n ? 0 : Number(times);
  const items = Array.isArray(value) ? value : value instanceof Tuple ? value.items : undefined;
  if (typeof value !== "string" && items === undefined) {
    throw new JinjaError(`can't multiply sequence by non-int of type '${typeName(value)}'`);
  }
  budget.spend((items ?? (value as string)).length * count);
  if (typeof value === "string") return value.repeat(count);
  const repeated = Array.from({ length: count }, () => items ?? []).flat();
  return value instanceof Tuple ? new Tuple(repeated) : repeated;
}

function arithmetic(operator: string, a: bigint | number, b: bigint | number): Value {
  if (operator === "/") return divide(Number(a), Number(b));
  if (operator === "**") return power(a, b);
  if ((operator === "//" || operator === "%") && Number(b) === 0) throw new JinjaError("division by zero");
  if (typeof a === "bigint" && typeof b === "bigint") return integerArithmetic(operator, a, b);
  const x = Number(a);
  const y = Number(b);
  if (operator === "+") return x + y;
  if (operator === "-") return x - y;
  if (operator === "*") return x * y;
  if (operator === "//") return Math.floor(x / y);
  return x - y * Math.floor(x / y);
}

function integerArithmetic(operator: string, a: bigint, b: bigint): bigint {
  if (operator === "+") return a + b;
  if (operator === "-") return a - b;
  if (operator === "*") return checkSize(a * b);
  const remainder = a % b; // JavaScript's sign is the dividend's, Python's the divisor's
  const isOff = remainder !== 0n && remainder < 0n !== b < 0n;
  if (operator === "//") return a / b - (isOff ? 1n : 0n);
  return isOff ? remainder + b : remainder;
}

function divide(a: number, b: number): number {
  if (b === 0) throw new JinjaError("division by zero");
  return a / b;
}

function power(a: bigint | number, b: bigint | number): Value {
  if (typeof a !== "bigint" || typeof b !== "bigint" || b < 0n) return Number(a) ** Number(b);
  if (b > 1024n) throw new JinjaError("the power is larger than a template may compute");
  return checkSize(a ** b);
}

function checkSize(value: bigint): bigint {
  if (value > 2n ** 4096n || value < -(2n ** 4096n))
    throw new JinjaError("the number is larger than a template may compute");
  return value;
}

/** The truth of one comparison. @throws {JinjaError} for types that have no order. */
export function compares(operator: string, left: Value, right: Value): boolean {
  if (operator === "==") return isEqual(left, right);
  if (operator === "!=") return !isEqual(left, right);
  if (operator === "in") return contains(right, left);
  if (operator === "not in") return !contains(right, left);
  failOnUndefined(left);
  failOnUndefined(right);
  const order = compare(left, right);
  if (operator === "<") return order < 0;
  if (operator === "<=") return order <= 0;
  return operator === ">" ? order > 0 : order >= 0;
}

/** `object.name`: an attribute or method first, then a key. @throws {JinjaError} when the object is undefined. */
export function attribute(object: Value, name: string): Value {
  failOnUndefined(object);
  if (object instanceof PyObject) return object.attributes.get(name) ?? missing(object, name);
  if (object instanceof Tuple && object.names.includes(name))
    return object.items[object.names.indexOf(name)] ?? missing(object, name);
  const found = method(object, name);
  if (found !== undefined) return found;
  return object instanceof Map ? (object.get(name) ?? keyOrMissing(object, name)) : missing(object, name);
}

/** `object[key]`: a key or index first, then an attribute. @throws {JinjaError} when the object is undefined. */
export function item(object: Value, key: Value): Value {
  failOnUndefined(object);
  if (object instanceof Map) {
    const normal = typeof key === "number" && Number.isInteger(key) ? BigInt(key) : key;
    return (
      object.get(normal) ??
      (typeof key === "string" && !object.has(key)
        ? (method(object, key) ?? missing(object, key))
        : keyOrMissing(object, key))
    );
  }
  const index = typeof key === "number" ? undefined : asNumber(key);
  if (index !== undefined && (typeof object === "string" || Array.isArray(object) || object instanceof Tuple)) {
    return sequence(object).at(Number(index)) ?? outside(object, Number(index), key);
  }
  return typeof key === "string" ? attribute(object, key) : missing(object, toText(key));
}

function outside(object: Value, index: number, key: Value): Value {
  const items = sequence(object);
  const at = index < 0 ? items.length + index : index;
  return at in items ? null : missing(object, toText(key)); // a None in the list is a value
}

function keyOrMissing(object: Map<Value, Value>, key: Value): Value {
  return object.has(key) ? null : missing(object, toText(key));
}

function missing(object: Value, name: string): Undefined {
  return new Undefined(`'${typeName(object)} object' has no attribute '${name}'`);
}

function sequence(value: Value): readonly Value[] {
  return typeof value === "string" && !/[\ud800-\udfff]/.test(value) ? value.split("") : iterate(value);
}

/** `object[start:stop:step]`. @throws {JinjaError} for a value that cannot be sliced. */
export function sliceOf(object: Value, bounds: readonly (Value | undefined)[]): Value {
  failOnUndefined(object);
  if (typeof object !== "string" && !Array.isArray(object) && !(object instanceof Tuple)) {
    throw new JinjaError(`'${typeName(object)}' object cannot be sliced`);
  }
  const items = sequence(object);
  const [start, stop, step = 1] = bounds.map(sliceBound);
  if (step === 0) throw new JinjaError("slice step cannot be zero");
  const picked: Value[] = [];
  const clamp = (at: number): number =>
    step > 0 ? Math.min(Math.max(at, 0), items.length) : Math.min(Math.max(at, -1), items.length - 1);
  const place = (at: number | undefined, fallback: number): number =>
    at === undefined ? fallback : clamp(at < 0 ? at + items.length : at);
  const from = place(start, step > 0 ? 0 : items.length - 1);
  const to = place(stop, step > 0 ? items.length : -1);
  for (let i = from; step > 0 ? i < to : i > to; i += step) picked.push(items[i] as Value);
  if (typeof object === "string") return picked.map(toText).join("");
  return object instanceof Tuple ? new Tuple(picked) : picked;
}

function sliceBound(value: Value | undefined): number | undefined {
  if (value === undefined || value === null) return undefined;
  const number = typeof value === "number" ? undefined : asNumber(value);
  if (number === undefined) throw new JinjaError("slice indices must be integers or None");
  return Number(number);
}

/** `+value` and `-value`. @throws {JinjaError} for a value that is not a number. */
export function signed(operator: "negate" | "plus", value: Value): Value {
  failOnUndefined(value);
  const number = asNumber(value);
  if (number === undefined) throw new JinjaError(`bad operand type for a sign: '${typeName(value)}'`);
  return operator === "negate" ? -number : number;
}
