/**
 * Text of values as Python writes it: `str`, `repr`, and `json.dumps` as transformers' `tojson` calls it. Lists and
 * dicts must never reach a prompt as JavaScript prints them. Source: Python 3.11 float_repr, unicode_repr, json.
 */
import { isTrue, Iter, JinjaError, PyObject, Tuple, typeName, Undefined, type Value } from "./values.ts";

const UNPRINTABLE = /[\p{C}\p{Z}]/u;
const SHORT_ESCAPES: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t", "\\": "\\\\" };

/** Python's `str(value)`, what `{{ value }}` prints. */
export function toText(value: Value): string {
  if (typeof value === "string") return value;
  if (value instanceof Undefined) return "";
  return repr(value);
}

/** Python's `repr(value)`, how a value prints inside a list. */
export function repr(value: Value): string {
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value === "bigint") return value.toString();
  if (typeof value === "number") return reprFloat(value);
  if (typeof value === "string") return reprString(value);
  if (Array.isArray(value)) return `[${value.map(repr).join(", ")}]`;
  if (value instanceof Tuple) return `(${value.items.map(repr).join(", ")}${value.items.length === 1 ? "," : ""})`;
  if (value instanceof Map) return `{${[...value].map(([k, v]) => `${repr(k)}: ${repr(v)}`).join(", ")}}`;
  if (value instanceof Undefined) return "Undefined";
  if (value instanceof PyObject) return value.printed;
  if (value instanceof Iter && value.isView) return `${value.typeName}(${repr([...value.take()])})`;
  return `<${value.typeName} object>`;
}

/** Shortest digits that read back, positional from 1e-4 up to 1e16, always with a point or an exponent. */
export function reprFloat(value: number): string {
  if (Number.isNaN(value)) return "nan";
  if (!Number.isFinite(value)) return value > 0 ? "inf" : "-inf";
  if (value === 0) return Object.is(value, -0) ? "-0.0" : "0.0";
  const [mantissa = "", power = "0"] = Math.abs(value).toExponential().split("e");
  const sign = value < 0 ? "-" : "";
  const exponent = Number(power);
  if (exponent < -4 || exponent >= 16) {
    const digits = String(Math.abs(exponent)).padStart(2, "0");
    return `${sign}${mantissa}e${exponent < 0 ? "-" : "+"}${digits}`;
  }
  const digits = mantissa.replace(".", "");
  if (exponent < 0) return `${sign}0.${"0".repeat(-exponent - 1)}${digits}`;
  const whole = digits.slice(0, exponent + 1).padEnd(exponent + 1, "0");
  return `${sign}${whole}.${digits.slice(exponent + 1) || "0"}`;
}

function reprString(text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  let out = quote;
  for (const char of text) {
    const short = SHORT_ESCAPES[char];
    if (short !== undefined) out += short;
    else if (char === quote) out += `\\${char}`;
    else if (char !== " " && UNPRINTABLE.test(char)) out += escapeCode(char);
    else out += char;
  }
  return out + quote;
}

function escapeCode(char: string): string {
  const code = char.codePointAt(0) ?? 0;
  if (code <= 0xff) return `\\x${code.toString(16).padStart(2, "0")}`;
  return code <= 0xffff ? `\\u${code.toString(16).padStart(4, "0")}` : `\\U${code.toString(16).padStart(8, "0")}`;
}

/** Options of `tojson`. The names are Python's, in our spelling. */
export interface JsonOptions {
  readonly indent: string | undefined;
  readonly itemSeparator: string;
  readonly keySeparator: string;
  readonly sortKeys: boolean;
  readonly ensureAscii: boolean;
}

/** Python's `json.dumps`. @throws {JinjaError} for a value that JSON has no form for. */
export function toJson(value: Value, options: JsonOptions, depth = 0): string {
  if (value === null) return "null";
  if (typeof value === "boolean" || typeof value === "bigint") return String(value);
  if (typeof value === "number") return jsonFloat(value);
  if (typeof value === "string") return jsonString(value, options.ensureAscii);
  const items = Array.isArray(value) ? value : value instanceof Tuple ? value.items : undefined;
  if (items !== undefined) {
    return bracket(
      "[",
      "]",
      items.map((item) => toJson(item, options, depth + 1)),
      options,
      depth,
    );
  }
  if (!(value instanceof Map)) throw new JinjaError(`Object of type ${typeName(value)} is not JSON serializable`);
  let entries = [...value].map(([key, item]) => [jsonKey(key), item] as const);
  if (options.sortKeys) entries = entries.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  const lines = entries.map(
    ([key, item]) => jsonString(key, options.ensureAscii) + options.keySeparator + toJson(item, options, depth + 1),
  );
  return bracket("{", "}", lines, options, depth);
}

function bracket(open: string, close: string, lines: string[], options: JsonOptions, depth: number): string {
  if (options.indent === undefined || lines.length === 0) return open + lines.join(options.itemSeparator) + close;
  const inner = `\n${options.indent.repeat(depth + 1)}`;
  return `${open}${inner}${lines.join(options.itemSeparator + inner)}\n${options.indent.repeat(depth)}${close}`;
}

function jsonKey(key: Value): string {
  if (typeof key === "string") return key;
  if (key === null) return "null";
  if (typeof key === "boolean") return isTrue(key) ? "true" : "false";
  return toText(key);
}

function jsonFloat(value: number): string {
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value > 0 ? "Infinity" : "-Infinity";
  return reprFloat(value);
}

function jsonString(text: string, ensureAscii: boolean): string {
  const quoted = JSON.stringify(text);
  if (!ensureAscii) return quoted;
  return quoted.replace(/[^ -~]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
}
