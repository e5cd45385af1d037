/**
 * Python's string functions where JavaScript's differ: white space, code points, letters, formats, dates. Pure. Only
 * its printing code knows template values.
 */
import { PY_SPACE } from "./syntax/lexer.ts";
import { reprFloat, repr, toText } from "./printing.ts";
import { asNumber, JinjaError, typeName, type Value } from "./values.ts";

const LEFT_SPACE = new RegExp(`^[${PY_SPACE}]+`);
const ANY_SPACE = new RegExp(`[${PY_SPACE}]+`);

/** `str.strip`, `lstrip`, `rstrip`: white space, or any of the characters of `chars`. */
export function strip(text: string, chars: string | undefined, side: "both" | "left" | "right"): string {
  const set = chars === undefined ? undefined : new Set(chars);
  const isStripped = (char: string): boolean => (set === undefined ? LEFT_SPACE.test(char) : set.has(char));
  const points = [...text];
  let start = 0;
  let end = points.length;
  if (side !== "right") while (start < end && isStripped(points[start] as string)) start++;
  if (side !== "left") while (end > start && isStripped(points[end - 1] as string)) end--;
  return points.slice(start, end).join("");
}

/** `str.split`; `separator` undefined splits on white space. @throws {JinjaError} for an empty separator. */
export function splitText(text: string, separator: string | undefined, max: number): string[] {
  if (separator === "") throw new JinjaError("empty separator");
  const parts: string[] = [];
  let rest = separator === undefined ? strip(text, undefined, "left") : text;
  while (max < 0 || parts.length < max) {
    const match = separator === undefined ? ANY_SPACE.exec(rest) : null;
    const at = separator === undefined ? (match?.index ?? -1) : rest.indexOf(separator);
    if (at < 0) break;
    parts.push(rest.slice(0, at));
    rest = rest.slice(at + (separator ?? match?.[0] ?? "").length);
  }
  if (separator !== undefined || rest !== "") parts.push(rest);
  return parts;
}

/** `str.rsplit` with a separator. */
export function splitRight(text: string, separator: string, max: number): string[] {
  if (separator === "") throw new JinjaError("empty separator");
  const parts = text.split(separator);
  if (max < 0 || parts.length - 1 <= max) return parts;
  return [parts.slice(0, parts.length - max).join(separator), ...parts.slice(parts.length - max)];
}

/** `str.replace`, at most `max` times when it is not negative. */
export function replace(text: string, from: string, to: string, max: number): string {
  if (max < 0)
    return text.split(from).length === 1
      ? text
      : from === ""
        ? interleave(text, to, Infinity)
        : text.split(from).join(to);
  if (from === "") return interleave(text, to, max);
  const parts = text.split(from);
  const head = parts.slice(0, max + 1).join(to);
  return parts.length > max + 1 ? head + from + parts.slice(max + 1).join(from) : head;
}

function interleave(text: string, piece: string, max: number): string {
  const points = ["", ...text];
  return points.map((char, i) => (i < max ? char + piece : char)).join("");
}

/** `str.title`: a letter that does not follow a letter becomes a capital. */
export function title(text: string): string {
  return text.replace(/\p{L}+/gu, capitalize);
}

/** `str.capitalize`. */
export function capitalize(text: string): string {
  const [first = "", ...rest] = text;
  return first.toUpperCase() + rest.join("").toLowerCase();
}

/** One number after a format's rule `[flags][width][.precision][type]`. */
function formatNumber(value: Value, type: string, precision: number | undefined): string {
  const number = asNumber(value);
  if (number === undefined) throw new JinjaError(`a number is required for '%${type}', not ${typeName(value)}`);
  if (type === "d" || type === "i")
    return (typeof number === "bigint" ? number : BigInt(Math.trunc(number))).toString();
  if (type === "x" || type === "X" || type === "o" || type === "b") {
    const digits = BigInt(number).toString(type === "o" ? 8 : type === "b" ? 2 : 16);
    return type === "X" ? digits.toUpperCase() : digits;
  }
  if (type === "f" || type === "F") return Number(number).toFixed(precision ?? 6);
  if (type === "%") return `${(Number(number) * 100).toFixed(precision ?? 6)}%`;
  if (type === "e" || type === "E") {
    const text = Number(number)
      .toExponential(precision ?? 6)
      .replace(/e([+-])(\d)$/, "e$10$2");
    return type === "E" ? text.toUpperCase() : text;
  }
  const shortest = Number(Number(number).toPrecision(Math.max(precision ?? 6, 1)));
  return Number.isInteger(shortest) ? String(shortest) : reprFloat(shortest);
}

function pad(text: string, width: number, align: string, fill: string): string {
  const missing = width - [...text].length;
  if (missing <= 0) return text;
  checkWidth(width);
  if (align === "<") return text + fill.repeat(missing);
  if (align === "^") return fill.repeat(Math.floor(missing / 2)) + text + fill.repeat(Math.ceil(missing / 2));
  const sign = fill === "0" && /^[+-]/.test(text) ? text.slice(0, 1) : "";
  return sign + fill.repeat(missing) + text.slice(sign.length);
}

/** A width or count that a template may ask for. @throws {JinjaError} above a million. */
export function checkWidth(width: number): void {
  if (width > 1_000_000) throw new JinjaError(`a width of ${width} is more than a template may ask for`);
}

/** `text % values`. @throws {JinjaError} when a value is missing or of the wrong kind. */
export function formatPercent(text: string, values: readonly Value[], named: ReadonlyMap<string, Value>): string {
  let next = 0;
  const rule = /%(?:\(([^)]*)\))?([-+ 0#]*)(\d*)(?:\.(\d+))?([a-zA-Z%])/g;
  return text.replace(
    rule,
    (whole, name: string | undefined, flags: string, width: string, precision: string | undefined, type: string) => {
      if (type === "%") return "%";
      const value = name === undefined ? values[next++] : named.get(name);
      if (value === undefined) throw new JinjaError("not enough arguments for format string");
      if (!"sradixXofFeEgG".includes(type)) throw new JinjaError(`unsupported format '${whole}'`);
      const digits = precision === undefined ? undefined : Number(precision);
      let out =
        type === "s" ? toText(value) : type === "r" || type === "a" ? repr(value) : formatNumber(value, type, digits);
      if (type === "s" && digits !== undefined) out = [...out].slice(0, digits).join("");
      if (flags.includes("+") && !"sra".includes(type) && !out.startsWith("-")) out = `+${out}`;
      return pad(
        out,
        Number(width),
        flags.includes("-") ? "<" : ">",
        flags.includes("0") && !"sra".includes(type) ? "0" : " ",
      );
    },
  );
}

/** `text.format(…)` with positions, names and format rules. @throws {JinjaError} for a field it does not know. */
export function formatBraces(text: string, values: readonly Value[], named: ReadonlyMap<string, Value>): string {
  let next = 0;
  return text.replace(
    /\{\{|\}\}|\{(\w*)(?:!([rs]))?(?::([^{}]*))?\}|[{}]/g,
    (whole, name?: string, conversion?: string, rule?: string) => {
      if (whole === "{{" || whole === "}}") return whole.slice(1);
      if (name === undefined) throw new JinjaError(`cannot read the format string at '${whole}'`);
      const value = name === "" ? values[next++] : /^\d+$/.test(name) ? values[Number(name)] : named.get(name);
      if (value === undefined) throw new JinjaError(`no value for the format field '{${name}}'`);
      if (conversion !== undefined) return conversion === "r" ? repr(value) : toText(value);
      return rule === undefined || rule === "" ? toText(value) : formatSpec(value, rule);
    },
  );
}

function formatSpec(value: Value, rule: string): string {
  const match = /^(?:(.)?([<>^]))?(\+)?(0)?(\d*)(,)?(?:\.(\d+))?([a-zA-Z%]?)$/u.exec(rule);
  if (match === null) throw new JinjaError(`unsupported format rule '${rule}'`);
  const [, fill, align, plus, zero, width = "", comma, precision, type = ""] = match;
  const digits = precision === undefined ? undefined : Number(precision);
  const isText = asNumber(value) === undefined || type === "s";
  const kind = type === "" && digits !== undefined && !isText ? "g" : type;
  let out = isText
    ? [...toText(value)].slice(0, digits).join("")
    : kind === ""
      ? toText(value)
      : formatNumber(value, kind, digits);
  if (comma !== undefined) out = out.replace(/^-?\d+/, (whole) => whole.replace(/\B(?=(\d{3})+$)/g, ","));
  if (plus !== undefined && !isText && !out.startsWith("-")) out = `+${out}`;
  return pad(out, Number(width), align ?? (isText ? "<" : ">"), fill ?? (zero === undefined ? " " : "0"));
}

const DAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS = [
  "January",
  "February",
  "March",
  "April",
  "May",
  "June",
  "July",
  "August",
  "September",
  "October",
  "November",
  "December",
];
const two = (value: number): string => String(value).padStart(2, "0");
const day = (date: Date): string => DAYS[date.getDay()] ?? "";
const month = (date: Date): string => MONTHS[date.getMonth()] ?? "";
const dayOfYear = (date: Date): number =>
  Math.round(
    (Date.UTC(date.getFullYear(), date.getMonth(), date.getDate()) - Date.UTC(date.getFullYear(), 0, 1)) / 86_400_000,
  ) + 1;

const DIRECTIVES: Readonly<Record<string, (date: Date) => string>> = {
  Y: (d) => String(d.getFullYear()),
  m: (d) => two(d.getMonth() + 1),
  d: (d) => two(d.getDate()),
  e: (d) => String(d.getDate()).padStart(2, " "),
  H: (d) => two(d.getHours()),
  I: (d) => two(d.getHours() % 12 || 12),
  M: (d) => two(d.getMinutes()),
  S: (d) => two(d.getSeconds()),
  f: (d) => String(d.getMilliseconds() * 1000).padStart(6, "0"),
  p: (d) => (d.getHours() < 12 ? "AM" : "PM"),
  A: day,
  a: (d) => day(d).slice(0, 3),
  B: month,
  b: (d) => month(d).slice(0, 3),
  h: (d) => month(d).slice(0, 3),
  y: (d) => two(d.getFullYear() % 100),
  j: (d) => String(dayOfYear(d)).padStart(3, "0"),
  w: (d) => String(d.getDay()),
  u: (d) => String(d.getDay() || 7),
  F: (d) => `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())}`,
  T: (d) => `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`,
  D: (d) => `${two(d.getMonth() + 1)}/${two(d.getDate())}/${two(d.getFullYear() % 100)}`,
  c: (d) => formatDate(d, "%a %b %e %H:%M:%S %Y"),
  x: (d) => formatDate(d, "%m/%d/%y"),
  X: (d) => formatDate(d, "%H:%M:%S"),
  R: (d) => formatDate(d, "%H:%M"),
  r: (d) => formatDate(d, "%I:%M:%S %p"),
  C: (d) => two(Math.floor(d.getFullYear() / 100)),
  k: (d) => String(d.getHours()).padStart(2, " "),
  l: (d) => String(d.getHours() % 12 || 12).padStart(2, " "),
  P: (d) => (d.getHours() < 12 ? "am" : "pm"),
  z: () => "",
  Z: () => "",
  n: () => "\n",
  t: () => "\t",
  "%": () => "%",
};

/** `datetime.strftime` of a local time, in the C locale. @throws {JinjaError} for a directive it does not know. */
export function formatDate(date: Date, format: string): string {
  return format.replace(/%(-?)([A-Za-z%])/g, (whole, minus: string, name: string) => {
    const directive = DIRECTIVES[name];
    if (directive === undefined) throw new JinjaError(`strftime_now does not know '${whole}'`);
    const text = directive(date);
    return minus === "" ? text : text.replace(/^[0 ]+(?=.)/, "");
  });
}
