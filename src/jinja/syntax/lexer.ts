/**
 * Template source → tokens, with transformers' white-space rules (trim_blocks, lstrip_blocks, one final newline
 * dropped). Knows no grammar. Source: Jinja 3.1, "Whitespace Control" and "Literals".
 */
import { quote } from "../../errors.ts";
import { JinjaError } from "../values.ts";

export type TokenType =
  | "data"
  | "begin-block"
  | "end-block"
  | "begin-print"
  | "end-print"
  | "name"
  | "string"
  | "int"
  | "float"
  | "operator"
  | "end";

export interface Token {
  readonly type: TokenType;
  readonly text: string;
}

/** Python's white space, as `str.strip` and `\s` know it: no U+FEFF, but the separators 1C to 1F and 85. */
export const PY_SPACE = "\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";

const TAG = /\{\{|\{%|\{#/g;
const RAW_BEGIN = /^\{%[-+]?\s*raw\s*(?:-%\}\s*|%\})/;
const RAW_END = /\{%([-+]?)\s*endraw\s*(?:\+%\}|-%\}\s*|%\}\n?)/g;
const BLOCK_END = /(?:\+%\}|-%\}\s*|%\}\n?)/y;
const PRINT_END = /(?:-\}\}\s*|\}\})/y;
const COMMENT_END = /(?:\+#\}|-#\}\s*|#\}\n?)/g;
const SPACE = /\s+/y;
const FLOAT = /(?:\d+_)*\d+(?:(?:\.(?:\d+_)*\d+)?[eE][+-]?(?:\d+_)*\d+|\.(?:\d+_)*\d+)/y;
const INT = /0[bB](?:_?[01])+|0[oO](?:_?[0-7])+|0[xX](?:_?[\da-fA-F])+|[1-9](?:_?\d)*|0(?:_?0)*/y;
const NAME = /[\p{L}\p{Nl}_][\p{L}\p{Nl}\p{Mn}\p{Mc}\p{Nd}\p{Pc}]*/uy;
const STRING = /'(?:[^'\\]|\\[^])*'|"(?:[^"\\]|\\[^])*"/y;
const OPERATOR = /\/\/|\*\*|==|!=|>=|<=|[-+/*%~[\](){}><=.:|,;]/y;
const TRAILING_SPACE = new RegExp(`[${PY_SPACE}]+$`);
const ONLY_SPACE = new RegExp(`^[${PY_SPACE}]+$`);

/** The tokens of a template. @throws {JinjaError} where the source cannot be read. */
export function lexTemplate(template: string): Token[] {
  const source = template.replace(/\r\n|\r/g, "\n").replace(/\n$/, "");
  const tokens: Token[] = [];
  let at = 0;
  let isLineStart = true;
  while (at < source.length) {
    TAG.lastIndex = at;
    const found = TAG.exec(source);
    if (found === null) {
      tokens.push({ type: "data", text: source.slice(at) });
      break;
    }
    const text = trimBefore(source.slice(at, found.index), source[found.index + 2] ?? "", found[0], isLineStart);
    if (text !== "") tokens.push({ type: "data", text });
    at = readTag(source, found.index, found[0], tokens);
    isLineStart = source[at - 1] === "\n";
  }
  tokens.push({ type: "end", text: "" });
  return tokens;
}

function trimBefore(text: string, sign: string, tag: string, isLineStart: boolean): string {
  if (sign === "-") return text.replace(TRAILING_SPACE, "");
  if (sign === "+" || tag === "{{") return text;
  const line = text.lastIndexOf("\n") + 1;
  return (line > 0 || isLineStart) && ONLY_SPACE.test(text.slice(line)) ? text.slice(0, line) : text;
}

/** Reads one tag from its opening bracket and returns the position after it. */
function readTag(source: string, start: number, tag: string, tokens: Token[]): number {
  if (tag === "{#") {
    COMMENT_END.lastIndex = start + 2;
    if (COMMENT_END.exec(source) === null) throw new JinjaError("Missing end of comment tag");
    return COMMENT_END.lastIndex;
  }
  const raw = tag === "{%" ? RAW_BEGIN.exec(source.slice(start)) : null;
  if (raw !== null) return readRaw(source, start + raw[0].length, tokens);
  const isPrint = tag === "{{";
  const sign = source[start + 2];
  tokens.push({ type: isPrint ? "begin-print" : "begin-block", text: tag });
  // A plus is a sign only for blocks; `{{ +1 }}` is arithmetic.
  const from = start + 2 + (sign === "-" || (sign === "+" && !isPrint) ? 1 : 0);
  return readExpression(source, from, isPrint, tokens);
}

function readRaw(source: string, from: number, tokens: Token[]): number {
  RAW_END.lastIndex = from;
  const end = RAW_END.exec(source);
  if (end === null) throw new JinjaError("Missing end of raw directive");
  const text = trimBefore(source.slice(from, end.index), end[1] ?? "", "{%", false);
  if (text !== "") tokens.push({ type: "data", text });
  return RAW_END.lastIndex;
}

function readExpression(source: string, from: number, isPrint: boolean, tokens: Token[]): number {
  const end = isPrint ? PRINT_END : BLOCK_END;
  let at = from;
  let depth = 0;
  for (;;) {
    at += matchAt(SPACE, source, at)?.length ?? 0;
    if (at >= source.length) throw new JinjaError("unexpected end of template");
    const closing = depth === 0 ? matchAt(end, source, at) : undefined;
    if (closing !== undefined) {
      tokens.push({ type: isPrint ? "end-print" : "end-block", text: closing });
      return at + closing.length;
    }
    const token = readToken(source, at, tokens.at(-1)?.text === ".");
    if ("([{".includes(token.text) && token.type === "operator") depth++;
    if (")]}".includes(token.text) && token.type === "operator") depth--;
    if (depth < 0) throw new JinjaError(`unexpected '${token.text}'`);
    at += token.text.length;
    tokens.push(token.type === "string" ? { type: "string", text: unescape(token.text.slice(1, -1)) } : token);
  }
}

function readToken(source: string, at: number, isAfterDot: boolean): Token {
  const float = isAfterDot ? undefined : matchAt(FLOAT, source, at);
  if (float !== undefined) return { type: "float", text: float };
  const rules = [
    ["int", INT],
    ["name", NAME],
    ["string", STRING],
    ["operator", OPERATOR],
  ] as const;
  for (const [type, rule] of rules) {
    const text = matchAt(rule, source, at);
    if (text !== undefined) return { type, text };
  }
  throw new JinjaError(`unexpected char ${quote(source[at])} at ${at}`);
}

function matchAt(rule: RegExp, source: string, at: number): string | undefined {
  rule.lastIndex = at;
  return rule.exec(source)?.[0];
}

const ESCAPES: Readonly<Record<string, string>> = {
  n: "\n",
  t: "\t",
  r: "\r",
  a: "\x07",
  b: "\b",
  f: "\f",
  v: "\v",
  "\\": "\\",
  "'": "'",
  '"': '"',
  "\n": "",
};

/** Python's string escapes; an unknown one keeps its backslash. */
function unescape(text: string): string {
  return text.replace(/\\(x[\da-fA-F]{2}|u[\da-fA-F]{4}|U[\da-fA-F]{8}|[0-7]{1,3}|[^])/g, (whole, body: string) => {
    if (/^[xuU]./.test(body)) return String.fromCodePoint(parseInt(body.slice(1), 16));
    if (/^[0-7]/.test(body)) return String.fromCodePoint(parseInt(body, 8));
    return ESCAPES[body] ?? whole;
  });
}
