/**
 * The methods of strings, lists, tuples and dicts that a template may call, as tables. Methods that change their object
 * are absent, because the sandbox of transformers refuses them. Source: Python 3.11 built-in types.
 */
import { asInteger, asOptionalString, asString, bind, bindAll } from "./arguments.ts";
import { capitalize, checkWidth, formatBraces, replace, splitText, splitRight, strip, title } from "./text.ts";
import { type Arguments, isEqual, Iter, iterate, JinjaError, PyObject, Tuple, type Value } from "./values.ts";

type Method<T> = (self: T, args: Arguments) => Value;

const noArguments =
  (run: (self: string) => Value): Method<string> =>
  (self, args) => {
    bind(args);
    return run(self);
  };

const stripped =
  (side: "both" | "left" | "right"): Method<string> =>
  (self, args) =>
    strip(self, asOptionalString(bind(args, "chars")[0]), side);

const hasEnd =
  (test: (text: string, end: string) => boolean): Method<string> =>
  (self, args) => {
    const [ends = "", start, stop] = bind(args, "prefix", "start", "end");
    const text = cut(self, start, stop);
    return ends instanceof Tuple ? ends.items.some((end) => test(text, asString(end))) : test(text, asString(ends));
  };

const isAll = (rule: RegExp): Method<string> => noArguments((self) => rule.test(self));

const justified =
  (place: (text: string, left: number, fill: string, all: number) => string): Method<string> =>
  (self, args) => {
    const [width, fill] = bind(args, "width", "fillchar");
    const all = asInteger(width, 0) - [...self].length;
    checkWidth(all);
    return all <= 0 ? self : place(self, all, asOptionalString(fill) ?? " ", all);
  };

function cut(text: string, start: Value | undefined, stop: Value | undefined): string {
  if ((start ?? null) === null && (stop ?? null) === null) return text;
  return [...text]
    .slice(asInteger(start ?? 0n, 0), stop === undefined || stop === null ? undefined : asInteger(stop, 0))
    .join("");
}

/** Position in code points, or -1. */
function find(self: string, args: Arguments, isLast: boolean): number {
  const [piece, start, stop] = bind(args, "sub", "start", "end");
  const text = cut(self, start, stop);
  const at = isLast ? text.lastIndexOf(asString(piece)) : text.indexOf(asString(piece));
  return at < 0 ? -1 : Array.from(text.slice(0, at)).length + Math.max(0, asInteger(start ?? undefined, 0));
}

function indexOf(self: string, args: Arguments, isLast: boolean): bigint {
  const at = find(self, args, isLast);
  if (at < 0) throw new JinjaError("substring not found");
  return BigInt(at);
}

function partition(self: string, args: Arguments, isLast: boolean): Tuple {
  const separator = asString(bindAll(args, "sep")[0]);
  if (separator === "") throw new JinjaError("empty separator");
  const at = isLast ? self.lastIndexOf(separator) : self.indexOf(separator);
  if (at < 0) return new Tuple(isLast ? ["", "", self] : [self, "", ""]);
  return new Tuple([self.slice(0, at), separator, self.slice(at + separator.length)]);
}

function splitMethod(self: string, args: Arguments, isRight: boolean): Value[] {
  const [separator, max] = bind(args, "sep", "maxsplit");
  const text = asOptionalString(separator);
  const count = asInteger(max, -1);
  return isRight && text !== undefined ? splitRight(self, text, count) : splitText(self, text, count);
}

function isCased(self: string, cased: string): boolean {
  return self === cased && self.toLowerCase() !== self.toUpperCase();
}

const STRING = new Map<string, Method<string>>([
  ["upper", noArguments((self) => self.toUpperCase())],
  ["lower", noArguments((self) => self.toLowerCase())],
  ["casefold", noArguments((self) => self.toLowerCase())],
  [
    "swapcase",
    noArguments((self) => [...self].map((c) => (c === c.toLowerCase() ? c.toUpperCase() : c.toLowerCase())).join("")),
  ],
  ["title", noArguments(title)],
  ["capitalize", noArguments(capitalize)],
  ["strip", stripped("both")],
  ["lstrip", stripped("left")],
  ["rstrip", stripped("right")],
  ["startswith", hasEnd((text, end) => text.startsWith(end))],
  ["endswith", hasEnd((text, end) => text.endsWith(end))],
  [
    "removeprefix",
    (self, args) => {
      const end = asString(bindAll(args, "prefix")[0]);
      return self.startsWith(end) ? self.slice(end.length) : self;
    },
  ],
  [
    "removesuffix",
    (self, args) => {
      const end = asString(bindAll(args, "suffix")[0]);
      return end !== "" && self.endsWith(end) ? self.slice(0, -end.length) : self;
    },
  ],
  ["split", (self, args) => splitMethod(self, args, false)],
  ["rsplit", (self, args) => splitMethod(self, args, true)],
  ["splitlines", (self, args) => splitLines(self, bind(args, "keepends")[0] === true)],
  ["partition", (self, args) => partition(self, args, false)],
  ["rpartition", (self, args) => partition(self, args, true)],
  [
    "replace",
    (self, args) => {
      const [from, to, count] = bind(args, "old", "new", "count");
      return replace(self, asString(from), asString(to), asInteger(count, -1));
    },
  ],
  ["find", (self, args) => BigInt(find(self, args, false))],
  ["rfind", (self, args) => BigInt(find(self, args, true))],
  ["index", (self, args) => indexOf(self, args, false)],
  ["rindex", (self, args) => indexOf(self, args, true)],
  [
    "count",
    (self, args) => {
      const piece = asString(bindAll(args, "sub")[0]);
      return BigInt(piece === "" ? [...self].length + 1 : self.split(piece).length - 1);
    },
  ],
  [
    "join",
    (self, args) =>
      iterate(bindAll(args, "iterable")[0] as Value)
        .map(asString)
        .join(self),
  ],
  ["format", (self, args) => formatBraces(self, args.positional, args.keyword)],
  [
    "zfill",
    (self, args) => {
      const width = asInteger(bindAll(args, "width")[0], 0);
      checkWidth(width);
      const sign = /^[+-]/.test(self) ? self.slice(0, 1) : "";
      return sign + self.slice(sign.length).padStart(width - sign.length, "0");
    },
  ],
  ["ljust", justified((text, count, fill) => text + fill.repeat(count))],
  ["rjust", justified((text, count, fill) => fill.repeat(count) + text)],
  ["center", justified((text, all, fill) => fill.repeat(Math.floor(all / 2)) + text + fill.repeat(Math.ceil(all / 2)))],
  ["isdigit", isAll(/^[\p{Nd}\u00b2\u00b3\u00b9\u2070-\u2079\u2080-\u2089]+$/u)],
  ["isdecimal", isAll(/^\p{Nd}+$/u)],
  ["isnumeric", isAll(/^\p{N}+$/u)],
  ["isalpha", isAll(/^\p{L}+$/u)],
  ["isalnum", isAll(/^[\p{L}\p{N}]+$/u)],
  ["isascii", isAll(/^[\0-\x7f]*$/)],
  ["isspace", noArguments((self) => self !== "" && strip(self, undefined, "both") === "")],
  ["isupper", noArguments((self) => isCased(self, self.toUpperCase()))],
  ["islower", noArguments((self) => isCased(self, self.toLowerCase()))],
  ["istitle", noArguments((self) => isCased(self, title(self)))],
]);

/** Python ends lines at these too: the separators 1C to 1E, 85, 2028, 2029, vertical tab and form feed. */
const LINE_END = "\\r\\n|[\\n\\r\\v\\f\\x1c-\\x1e\\x85\\u2028\\u2029]";

function splitLines(self: string, keepsEnds: boolean): string[] {
  const pieces = self.split(new RegExp(`(${LINE_END})`));
  const lines: string[] = [];
  for (let i = 0; i < pieces.length; i += 2) {
    const end = pieces[i + 1];
    if (end !== undefined || pieces[i] !== "") lines.push((pieces[i] ?? "") + (keepsEnds ? (end ?? "") : ""));
  }
  return lines;
}

const DICT = new Map<string, Method<Map<Value, Value>>>([
  [
    "get",
    (self, args) => {
      const [key, fallback] = bind(args, "key", "default");
      return self.has(key ?? null) ? (self.get(key ?? null) ?? null) : (fallback ?? null);
    },
  ],
  ["keys", (self) => new Iter("dict_keys", [...self.keys()], true)],
  ["values", (self) => new Iter("dict_values", [...self.values()], true)],
  [
    "items",
    (self) =>
      new Iter(
        "dict_items",
        [...self].map((pair) => new Tuple(pair)),
        true,
      ),
  ],
  ["copy", (self) => new Map(self)],
]);

const SEQUENCE = new Map<string, Method<readonly Value[]>>([
  [
    "count",
    (self, args) => {
      const value = bindAll(args, "value")[0] as Value;
      return BigInt(self.filter((item) => isEqual(item, value)).length);
    },
  ],
  [
    "index",
    (self, args) => {
      const value = bindAll(args, "value")[0] as Value;
      const at = self.findIndex((item) => isEqual(item, value));
      if (at < 0) throw new JinjaError("the value is not in the list");
      return BigInt(at);
    },
  ],
]);

const LIST = new Map<string, Method<readonly Value[]>>([...SEQUENCE, ["copy", (self) => [...self]]]);

function lookUp<T>(table: ReadonlyMap<string, Method<T>>, self: T, name: string): PyObject | undefined {
  const run = table.get(name);
  if (run === undefined) return undefined;
  return new PyObject("builtin_function_or_method", {
    call: (args) => run(self, args),
    printed: `<built-in method ${name}>`,
  });
}

/** The bound method `name` of a value, or undefined when templates have none of that name. */
export function method(self: Value, name: string): PyObject | undefined {
  if (typeof self === "string") return lookUp(STRING, self, name);
  if (self instanceof Map) return lookUp(DICT, self, name);
  if (Array.isArray(self)) return lookUp(LIST, self, name);
  return self instanceof Tuple ? lookUp(SEQUENCE, self.items, name) : undefined;
}
