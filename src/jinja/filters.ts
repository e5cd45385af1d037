/**
 * The filters of `value | name(…)` on one value, as a table. sequence-filters.ts has the filters over sequences.
 * Source: Jinja 3.1, "List of Builtin Filters"; `tojson` as transformers replaces it (no HTML escapes, Python's
 * separators).
 */
import { asFlag, asInteger, asOptionalString, asString, bind } from "./arguments.ts";
import type { Budget } from "./budget.ts";
import { toJson, toText } from "./printing.ts";
import { SEQUENCE_FILTERS } from "./sequence-filters.ts";
import { capitalize, formatPercent, replace, strip } from "./text.ts";
import {
  type Arguments,
  asNumber,
  isTrue,
  iterate,
  JinjaError,
  length,
  typeName,
  Undefined,
  type Value,
} from "./values.ts";

/** The inputs of a filter: the value, the arguments, the budget, and the function that calls other filters. */
export interface FilterContext {
  readonly budget: Budget;
  readonly filter: (name: string, value: Value, args: Arguments) => Value;
}

export type Filter = (value: Value, args: Arguments, context: FilterContext) => Value;

const text =
  (run: (text: string) => string): Filter =>
  (value, args) => {
    bind(args);
    return run(toText(value));
  };

const HTML: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&#34;", "'": "&#39;" };
const escapeHtml = text((value) => value.replace(/[&<>"']/g, (char) => HTML[char] ?? char));

const orDefault: Filter = (value, args) => {
  const [fallback = "", isFalseToo] = bind(args, "default_value", "boolean");
  return value instanceof Undefined || (asFlag(isFalseToo) && !isTrue(value)) ? fallback : value;
};

const titleWords = text((value) => value.replace(/[^-\s({[<]+/g, capitalize));

const count: Filter = (value, args) => {
  bind(args);
  return BigInt(length(value));
};

function toInteger(value: Value, args: Arguments): Value {
  const [fallback = 0n, base] = bind(args, "default", "base");
  if (typeof value === "number") return Number.isFinite(value) ? BigInt(Math.trunc(value)) : fallback;
  const number = asNumber(value);
  if (number !== undefined) return number;
  if (typeof value !== "string") return fallback;
  const digits = strip(value, undefined, "both").replaceAll("_", "").toLowerCase();
  const radix = asInteger(base, 10);
  const prefix = { 2: "0b", 8: "0o", 16: "0x" }[radix];
  const body = prefix !== undefined ? digits.replace(prefix, "") : digits;
  if (radix === 10 && /^[+-]?\d+$/.test(body)) return BigInt(body.replace("+", ""));
  if (radix !== 10 && /^[+-]?[\da-z]+$/.test(body) && !Number.isNaN(parseInt(body, radix)))
    return BigInt(parseInt(body, radix));
  const float = parseFloatStrictly(digits);
  return float === undefined || !Number.isFinite(float) ? fallback : BigInt(Math.trunc(float));
}

function parseFloatStrictly(digits: string): number | undefined {
  if (/^[+-]?(inf|infinity)$/.test(digits)) return digits.startsWith("-") ? -Infinity : Infinity;
  return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/.test(digits) ? Number(digits) : undefined;
}

function toFloat(value: Value, args: Arguments): Value {
  const [fallback = 0] = bind(args, "default");
  const number = asNumber(value);
  if (number !== undefined) return Number(number);
  if (typeof value !== "string") return fallback;
  return parseFloatStrictly(strip(value, undefined, "both").replaceAll("_", "").toLowerCase()) ?? fallback;
}

/** Python rounds exact halves to the even neighbour, and everything else to the nearest. */
function round(value: Value, args: Arguments): Value {
  const [precision, method = "common"] = bind(args, "precision", "method");
  const number = asNumber(value);
  if (number === undefined) throw new JinjaError(`type ${typeName(value)} doesn't define __round__ method`);
  const digits = Math.max(-300, Math.min(asInteger(precision, 0), 70));
  const scale = 10 ** digits;
  const x = Number(number);
  if (method === "ceil") return Math.ceil(x * scale) / scale;
  if (method === "floor") return Math.floor(x * scale) / scale;
  if (method !== "common") throw new JinjaError("method must be common, ceil or floor");
  const rounded = digits > 0 ? roundDecimals(x, digits) : roundHalfEven(x * scale) / scale;
  return typeof number === "bigint" ? BigInt(rounded) : rounded;
}

function roundHalfEven(x: number): number {
  const floor = Math.floor(x);
  return x - floor === 0.5 ? floor + (floor % 2 === 0 ? 0 : 1) : Math.round(x);
}

/** `toFixed` knows the exact value but rounds halves up; a half shows as 5 and zeros in thirty more digits. */
function roundDecimals(x: number, digits: number): number {
  const exact = x.toFixed(digits + 30);
  const isHalf = /^50*$/.test(exact.slice(-30));
  return isHalf && "02468".includes(exact.at(-31) ?? "") ? Number(exact.slice(0, -30)) : Number(x.toFixed(digits));
}

function absolute(value: Value): Value {
  const number = asNumber(value);
  if (number === undefined) throw new JinjaError(`bad operand type for abs(): '${typeName(value)}'`);
  return number < 0 ? -number : number;
}

function indent(value: Value, args: Arguments): Value {
  const [width = 4n, isFirst, isBlank] = bind(args, "width", "first", "blank");
  const space = typeof width === "string" ? width : " ".repeat(Math.max(0, Math.min(asInteger(width, 4), 1000)));
  const lines = toText(value).split("\n");
  const indented = lines
    .map((line, i) => (i === 0 || (line === "" && !asFlag(isBlank)) ? line : space + line))
    .join("\n");
  return asFlag(isFirst) ? space + indented : indented;
}

function toJsonFilter(value: Value, args: Arguments, { budget }: FilterContext): Value {
  const [ensureAscii, indentation, separators, sortKeys] = bind(
    args,
    "ensure_ascii",
    "indent",
    "separators",
    "sort_keys",
  );
  const pad =
    typeof indentation === "bigint"
      ? " ".repeat(Math.max(0, Math.min(Number(indentation), 1000)))
      : asOptionalString(indentation);
  const [itemSeparator, keySeparator] =
    separators === undefined || separators === null
      ? [pad === undefined ? ", " : ",", ": "]
      : iterate(separators).map(asString);
  const json = toJson(value, {
    indent: pad,
    itemSeparator: itemSeparator ?? ", ",
    keySeparator: keySeparator ?? ": ",
    sortKeys: asFlag(sortKeys),
    ensureAscii: asFlag(ensureAscii),
  });
  budget.spend(json.length);
  return json;
}

function urlEncode(value: Value): Value {
  const quote = (part: string, isPath: boolean): string => {
    const encoded = encodeURIComponent(part.replace(/\p{Surrogate}/gu, "\ufffd")).replace(
      /[!'()*]/g,
      (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`,
    );
    return isPath ? encoded.replaceAll("%2F", "/") : encoded.replaceAll("%20", "+");
  };
  if (typeof value === "string" || asNumber(value) !== undefined) return quote(toText(value), true);
  const pairs = value instanceof Map ? [...value] : iterate(value).map((pair) => iterate(pair));
  return pairs
    .map(([key = null, item = null]) => `${quote(toText(key), false)}=${quote(toText(item), false)}`)
    .join("&");
}

function truncate(value: Value, args: Arguments): Value {
  const [size, kills, end = "...", leeway] = bind(args, "length", "killwords", "end", "leeway");
  const points = [...toText(value)];
  const max = asInteger(size, 255);
  if (points.length <= max + asInteger(leeway, 5)) return points.join("");
  const head = points.slice(0, max - [...asString(end)].length).join("");
  return (asFlag(kills) ? head : head.includes(" ") ? head.slice(0, head.lastIndexOf(" ")) : head) + asString(end);
}

const FILTERS: ReadonlyMap<string, Filter> = new Map<string, Filter>([
  ...SEQUENCE_FILTERS,
  ["upper", text((value) => value.toUpperCase())],
  ["lower", text((value) => value.toLowerCase())],
  ["capitalize", text(capitalize)],
  ["title", titleWords],
  ["trim", (value, args) => strip(toText(value), asOptionalString(bind(args, "chars")[0]), "both")],
  ["string", (value) => toText(value)],
  ["safe", (value) => toText(value)],
  ["e", escapeHtml],
  ["escape", escapeHtml],
  ["forceescape", escapeHtml],
  [
    "striptags",
    text((value) =>
      strip(
        value
          .replace(/<!--[^]*?-->|<[^>]*>/g, "")
          .split(/\s+/)
          .join(" "),
        undefined,
        "both",
      ),
    ),
  ],
  ["default", orDefault],
  ["d", orDefault],
  ["length", count],
  ["count", count],
  ["int", toInteger],
  ["float", toFloat],
  ["round", round],
  ["abs", absolute],
  ["indent", indent],
  ["tojson", toJsonFilter],
  ["urlencode", urlEncode],
  ["truncate", truncate],
  ["wordcount", (value) => BigInt((toText(value).match(/[\p{L}\p{N}_]+/gu) ?? []).length)],
  [
    "replace",
    (value, args) => {
      const [from = "", to = "", max] = bind(args, "old", "new", "count");
      return replace(toText(value), toText(from), toText(to), max === null ? -1 : asInteger(max, -1));
    },
  ],
  ["format", (value, args) => formatPercent(toText(value), args.positional, args.keyword)],
  [
    "center",
    (value, args) => {
      const width = Math.min(asInteger(bind(args, "width")[0], 80), 10_000);
      const all = Math.max(0, width - [...toText(value)].length);
      return " ".repeat(Math.floor(all / 2)) + toText(value) + " ".repeat(Math.ceil(all / 2));
    },
  ],
]);

/** `value | name(args)`. @throws {JinjaError} for a filter that does not exist. */
export function runFilter(name: string, value: Value, args: Arguments, budget: Budget): Value {
  const filter = FILTERS.get(name);
  if (filter === undefined) throw new JinjaError(`No filter named '${name}'.`);
  return filter(value, args, { budget, filter: (other, item, rest) => runFilter(other, item, rest, budget) });
}
