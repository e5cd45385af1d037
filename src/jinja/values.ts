/**
 * The values of a Jinja template, with Python's meaning of truth, equality and printing.
 * int is bigint, float is number, so `1` and `1.0` stay distinct; dict is Map, list is Array. Knows no syntax.
 * Source: Python 3.11 data model, jinja2 3.1 `Undefined`.
 */

/** Characters. Messages quote names of a template and texts of a conversation, which have any length. */
const MAX_MESSAGE = 2000;

/** A failure of the template; `raised` marks the template's own `raise_exception`, whose message is for the user. */
export class JinjaError extends Error {
  readonly raised: boolean;

  constructor(message: string, raised = false) {
    super(message.length <= MAX_MESSAGE ? message : `${message.slice(0, MAX_MESSAGE)}…`);
    this.name = "JinjaError";
    this.raised = raised;
  }
}

/** A Python tuple: prints with parentheses and never equals a list. Its places may have names. */
export class Tuple {
  readonly items: readonly Value[];
  readonly names: readonly string[];

  constructor(items: readonly Value[], names: readonly string[] = []) {
    this.items = items;
    this.names = names;
  }
}

/** The value of a missing name or attribute: it prints as nothing and fails when used. */
export class Undefined {
  readonly message: string;

  constructor(message: string) {
    this.message = message;
  }
}

/** A lazy sequence: a generator (true even when empty, read once) or a dict view (has a length, read often). */
export class Iter {
  readonly typeName: string;
  readonly isView: boolean;
  #items: readonly Value[];

  constructor(typeName: string, items: readonly Value[], isView = false) {
    this.typeName = typeName;
    this.#items = items;
    this.isView = isView;
  }

  /** The values; a generator has none the second time. */
  take(): readonly Value[] {
    const items = this.#items;
    if (!this.isView) this.#items = [];
    return items;
  }
}

/** Positional and keyword arguments of a call. */
export interface Arguments {
  readonly positional: readonly Value[];
  readonly keyword: ReadonlyMap<string, Value>;
}

/** A function or an object with attributes: macros, methods, `loop`, `namespace(…)`, `cycler(…)`. */
export class PyObject {
  readonly typeName: string;
  readonly attributes: Map<string, Value>;
  readonly call: ((args: Arguments) => Value) | undefined;
  readonly printed: string;

  constructor(
    typeName: string,
    options: { attributes?: Map<string, Value>; call?: (args: Arguments) => Value; printed?: string } = {},
  ) {
    this.typeName = typeName;
    this.attributes = options.attributes ?? new Map();
    this.call = options.call;
    this.printed = options.printed ?? `<${typeName}>`;
  }
}

export type Value =
  | null
  | boolean
  | bigint
  | number
  | string
  | Value[]
  | Tuple
  | Map<Value, Value>
  | Undefined
  | Iter
  | PyObject;

/** A plain JavaScript value (JSON and functions excepted) as a template value. */
export function toValue(input: unknown): Value {
  if (input === null || typeof input === "string" || typeof input === "boolean" || typeof input === "bigint")
    return input;
  if (input === undefined) return new Undefined("value is undefined");
  if (typeof input === "number") return Number.isInteger(input) ? BigInt(input) : input;
  if (input instanceof Number) return input.valueOf(); // a float with a whole value (exact-json.ts)
  if (Array.isArray(input)) return input.map(toValue);
  if (input instanceof Map)
    return new Map([...(input as Map<string, unknown>)].map(([key, value]) => [key, toValue(value)]));
  if (typeof input === "object") return new Map(Object.entries(input).map(([key, value]) => [key, toValue(value)]));
  throw new JinjaError(`a value of type ${typeof input} cannot be used in a template`);
}

/** Python's name of a value's type, for messages. */
export function typeName(value: Value): string {
  if (value === null) return "NoneType";
  if (typeof value === "boolean") return "bool";
  if (typeof value === "bigint") return "int";
  if (typeof value === "number") return "float";
  if (typeof value === "string") return "str";
  if (Array.isArray(value)) return "list";
  if (value instanceof Tuple) return "tuple";
  if (value instanceof Map) return "dict";
  if (value instanceof Undefined) return "Undefined";
  return value.typeName;
}

/** Python's truth of a value. */
export function isTrue(value: Value): boolean {
  if (value === null || value instanceof Undefined) return false;
  if (typeof value === "boolean") return value;
  if (typeof value === "bigint") return value !== 0n;
  if (typeof value === "number") return value !== 0;
  if (typeof value === "string") return value !== "";
  if (Array.isArray(value)) return value.length > 0;
  if (value instanceof Tuple) return value.items.length > 0;
  if (value instanceof Map) return value.size > 0;
  if (value instanceof Iter) return !value.isView || value.take().length > 0;
  return true;
}

/** A number or bool as bigint or number, otherwise undefined. */
export function asNumber(value: Value): bigint | number | undefined {
  if (typeof value === "boolean") return value ? 1n : 0n;
  return typeof value === "bigint" || typeof value === "number" ? value : undefined;
}

/** Python's `==`. */
export function isEqual(a: Value, b: Value): boolean {
  const left = asNumber(a);
  const right = asNumber(b);
  // Loose equality compares a bigint with a number exactly.
  if (left !== undefined && right !== undefined) return left == right;
  if (a instanceof Undefined) return b instanceof Undefined;
  if (Array.isArray(a)) return Array.isArray(b) && sameItems(a, b);
  if (a instanceof Tuple) return b instanceof Tuple && sameItems(a.items, b.items);
  if (a instanceof Map) {
    if (!(b instanceof Map) || a.size !== b.size) return false;
    return [...a].every(([key, value]) => b.has(key) && isEqual(value, b.get(key) as Value));
  }
  return a === b;
}

function sameItems(a: readonly Value[], b: readonly Value[]): boolean {
  return a.length === b.length && a.every((value, i) => isEqual(value, b[i] as Value));
}

/** Python's ordering: negative, zero or positive. @throws {JinjaError} for types that have no order. */
export function compare(a: Value, b: Value): number {
  const left = asNumber(a);
  const right = asNumber(b);
  if (left !== undefined && right !== undefined) return left < right ? -1 : left > right ? 1 : 0;
  if (typeof a === "string" && typeof b === "string") return compareText(a, b);
  const x = Array.isArray(a) && Array.isArray(b) ? a : a instanceof Tuple && b instanceof Tuple ? a.items : undefined;
  if (x === undefined) {
    throw new JinjaError(`'<' not supported between instances of '${typeName(a)}' and '${typeName(b)}'`);
  }
  const y = Array.isArray(b) ? b : (b as Tuple).items;
  for (let i = 0; i < x.length && i < y.length; i++) {
    if (!isEqual(x[i] as Value, y[i] as Value)) return compare(x[i] as Value, y[i] as Value);
  }
  return x.length - y.length;
}

/** Order by code point; JavaScript's own is by UTF-16 unit. */
function compareText(a: string, b: string): number {
  if (a === b) return 0;
  const x = [...a];
  const y = [...b];
  for (let i = 0; i < x.length && i < y.length; i++) {
    const difference = (x[i] as string).codePointAt(0)! - (y[i] as string).codePointAt(0)!; // not empty, hence `!`
    if (difference !== 0) return difference;
  }
  return x.length - y.length;
}

/** The values that a `for` over `value` sees. @throws {JinjaError} when it is not iterable. */
export function iterate(value: Value): readonly Value[] {
  if (Array.isArray(value)) return value;
  if (typeof value === "string") return [...value];
  if (value instanceof Tuple) return value.items;
  if (value instanceof Map) return [...value.keys()];
  if (value instanceof Iter) return value.take();
  if (value instanceof Undefined) return [];
  throw new JinjaError(`'${typeName(value)}' object is not iterable`);
}

/** Python's `len`. @throws {JinjaError} for a value without a length. */
export function length(value: Value): number {
  if (value instanceof Iter && !value.isView) throw new JinjaError(`object of type '${value.typeName}' has no len()`);
  if (value === null || typeof value !== "object" ? typeof value !== "string" : value instanceof PyObject) {
    throw new JinjaError(`object of type '${typeName(value)}' has no len()`);
  }
  return iterate(value).length;
}

/** Python's `x in container`. */
export function contains(container: Value, item: Value): boolean {
  if (typeof container === "string") {
    if (typeof item === "string") return container.includes(item);
    throw new JinjaError(`'in <string>' requires string as left operand, not ${typeName(item)}`);
  }
  if (container instanceof Map) return container.has(item);
  if (container === null || typeof container !== "object" || container instanceof PyObject) {
    throw new JinjaError(`argument of type '${typeName(container)}' is not iterable`);
  }
  return iterate(container).some((value) => isEqual(value, item));
}
