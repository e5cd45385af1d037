/** String schemas: length, `pattern` and `format`. */
import { characters, choice, type Expression, intersection, repeat, sequence, text } from "../expression.ts";
import { readRegex } from "../text/regex.ts";
import { ANY_STRING, CHARACTER, PLAIN_CHARACTER, quoted } from "./json-text.ts";

const DAY_OF_MONTH = "(0[13578]|1[02])-(0[1-9]|[12]\\d|3[01])|(0[469]|11)-(0[1-9]|[12]\\d|30)|02-(0[1-9]|1\\d|2[0-8])";
const DATE = `[0-9]{4}-(${DAY_OF_MONTH})`;
const TIME = "([01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(\\.\\d{1,9})?(Z|[+-]([01]\\d|2[0-3]):[0-5]\\d)";
const OCTET = "(25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)";
const LABEL = "[A-Za-z0-9]([A-Za-z0-9-]{0,40}[A-Za-z0-9])?";
const HOST = `${LABEL}(\\.${LABEL}){0,4}`;

/**
 * Texts that each format certainly allows. Some formats allow more. A grammar may be narrower than its schema, never
 * wider.
 */
const FORMATS: Readonly<Record<string, string>> = {
  date: DATE,
  time: TIME,
  "date-time": `${DATE}T${TIME}`,
  duration: "P(\\d{1,6}W|\\d{1,6}D(T\\d{1,6}[HMS])?|\\d{1,6}M|\\d{1,6}Y|T\\d{1,6}[HMS])",
  email: `[A-Za-z0-9_+-]{1,32}(\\.[A-Za-z0-9_+-]{1,32}){0,3}@${LABEL}(\\.${LABEL}){1,3}`,
  hostname: HOST,
  ipv4: `${OCTET}(\\.${OCTET}){3}`,
  ipv6: "[0-9A-Fa-f]{1,4}(:[0-9A-Fa-f]{1,4}){7}",
  uuid: "[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}",
  uri: `https?://${HOST}(:[1-9]\\d{0,3})?(/[A-Za-z0-9._~-]{0,64}){0,16}(\\?[A-Za-z0-9._~=&-]{0,256})?`,
};

export const FORMAT_NAMES: readonly string[] = Object.keys(FORMATS);

/** A string of a format; null where the format is not known. */
export function stringOfFormat(format: string): Expression | null {
  const pattern = Object.hasOwn(FORMATS, format) ? FORMATS[format] : undefined;
  return pattern === undefined ? null : quoted(readRegex(pattern, { isSearch: false }));
}

/** A string in which a pattern matches. @throws {AppError} invalid_request for a pattern that cannot be honoured */
export function stringOfPattern(pattern: string): Expression {
  return quoted(asJsonCharacters(readRegex(pattern, { isSearch: true })));
}

export function stringOfLength(min: number, max: number): Expression {
  return min === 0 && max === Infinity ? ANY_STRING : quoted(repeat(CHARACTER, min, max));
}

const SHORT_ESCAPES: Readonly<Record<number, string>> = { 8: "b", 9: "t", 10: "n", 12: "f", 13: "r" };

/** The expression with each character written as JSON writes it inside a string. */
function asJsonCharacters(expression: Expression): Expression {
  switch (expression.kind) {
    case "characters":
      return escaped(expression);
    case "sequence":
      return sequence(...expression.items.map(asJsonCharacters));
    case "choice":
      return choice(expression.options.map(asJsonCharacters));
    case "repeat":
      return repeat(asJsonCharacters(expression.item), expression.min, expression.max);
    default:
      throw new Error(`internal: a regular expression holds ${expression.kind}`);
  }
}

function escaped({ ranges }: Extract<Expression, { kind: "characters" }>): Expression {
  if (PLAIN_CHARACTER.kind !== "characters") throw new Error("internal: plain characters are a class");
  const plain = intersection(ranges, PLAIN_CHARACTER.ranges);
  const special = intersection(ranges, [[0, 0x1f], [0x22, 0x22], [0x5c, 0x5c]]); // prettier-ignore
  const escapes = special.flatMap(([first, last]) =>
    Array.from({ length: last - first + 1 }, (_, i) => text(escapeOf(first + i))),
  );
  return choice(plain.length === 0 ? escapes : [characters(plain), ...escapes]);
}

function escapeOf(code: number): string {
  if (code >= 0x20) return `\\${String.fromCharCode(code)}`;
  const short = SHORT_ESCAPES[code];
  return short === undefined ? `\\u${code.toString(16).padStart(4, "0")}` : `\\${short}`;
}
