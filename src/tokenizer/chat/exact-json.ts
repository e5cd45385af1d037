/**
 * Reads JSON as Python does, because templates show the difference. `1.0` stays a float, integers keep all digits, and
 * keys that look like numbers keep their order. Values that JavaScript cannot express become a `Number` object (a float
 * of whole value), a bigint or a `Map`. All of them survive a message to a worker. Knows no templates.
 */
import { randomUUID } from "node:crypto";

/** Mark before JSON text whose value JSON.parse would lose. No outside text can contain it. */
const MARK = randomUUID();
/** A whole number with a point or an exponent, or with more digits than a double keeps. */
const NUMBER = /-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;
const IS_LOSSY = /[.eE]|\d{16}/;
const KEY_LIKE_INDEX = /^(?:0|[1-9]\d{0,9})$/;

/** The value of a JSON text. @throws {SyntaxError} as JSON.parse does. */
export function parseExactJson(text: string): unknown {
  return parseJsonBothWays(text).exact;
}

/**
 * The value of a JSON text from JSON.parse, and the exact value. Both are one object if nothing is lost. @throws
 * {SyntaxError}
 */
export function parseJsonBothWays(text: string): { readonly plain: unknown; readonly exact: unknown } {
  const plain: unknown = JSON.parse(text);
  const marked = markLosses(text);
  return { plain, exact: marked === text ? plain : unmark(JSON.parse(marked)) };
}

/** `text`, valid JSON, with marks before the values that would be lost. */
function markLosses(text: string): string {
  let out = "";
  let at = 0;
  while (at < text.length) {
    const quote = text.indexOf('"', at);
    const end = quote < 0 ? text.length : quote;
    out += text.slice(at, end).replace(NUMBER, (literal) => (isLossy(literal) ? `"${MARK}${literal}"` : literal));
    if (quote < 0) break;
    at = endOfString(text, quote);
    const content = text.slice(quote + 1, at - 1);
    out += KEY_LIKE_INDEX.test(content) && isKey(text, at) ? `"${MARK}${content}"` : text.slice(quote, at);
  }
  return out;
}

function isLossy(literal: string): boolean {
  if (!IS_LOSSY.test(literal)) return false;
  const value = Number(literal);
  return Number.isInteger(value) || !Number.isFinite(value);
}

/** The index after the closing quote. */
function endOfString(text: string, quote: number): number {
  let at = text.indexOf('"', quote + 1);
  while (isEscaped(text, at)) at = text.indexOf('"', at + 1);
  return at + 1;
}

function isEscaped(text: string, at: number): boolean {
  let slashes = 0;
  while (text[at - 1 - slashes] === "\\") slashes++;
  return slashes % 2 === 1;
}

function isKey(text: string, at: number): boolean {
  let next = at;
  while (/\s/.test(text[next] ?? "")) next++;
  return text[next] === ":";
}

function unmark(value: unknown): unknown {
  if (typeof value === "string") return value.startsWith(MARK) ? exactNumber(value.slice(MARK.length)) : value;
  if (Array.isArray(value)) return value.map(unmark);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).map(([key, item]) => [key, unmark(item)] as const);
  if (!entries.some(([key]) => key.startsWith(MARK))) return Object.fromEntries(entries);
  return new Map(entries.map(([key, item]) => [key.startsWith(MARK) ? key.slice(MARK.length) : key, item]));
}

/** The wrapper is the mark, because a primitive cannot show that it is a float. */
function exactNumber(literal: string): unknown {
  return /[.eE]/.test(literal) ? new Number(literal) : BigInt(literal);
}

/**
 * Maps every string of a JSON value, keys too. The value may come
 * from `parseExactJson`. `path` holds the keys and indices above it.
 */
export function mapJsonStrings(value: unknown, map: (text: string, path: readonly string[]) => string): unknown {
  const path: string[] = [];
  const below = (key: string, item: unknown): unknown => {
    path.push(key);
    const mapped = visit(item);
    path.pop();
    return mapped;
  };
  const visit = (item: unknown): unknown => {
    if (typeof item === "string") return map(item, path);
    if (Array.isArray(item)) return item.map((one, i) => below(String(i), one));
    if (typeof item !== "object" || item === null || item instanceof Number) return item;
    const entries = item instanceof Map ? [...(item as Map<string, unknown>)] : Object.entries(item);
    const mapped = entries.map(([key, one]) => [map(key, path), below(key, one)] as const);
    return item instanceof Map ? new Map(mapped) : Object.fromEntries(mapped);
  };
  return visit(value);
}
