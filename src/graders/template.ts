/**
 * Templates of graders: `{{ item.answer }}` is a field of the line, `{{ sample.output_text }}` the model's answer, and
 * `{{ sample.output_json.name }}` a value in it. Paths are those of OpenAI's graders: names after dots, `[0]` or
 * `["x"]`.
 */
import { AppError } from "../errors.ts";

/** An answer, with the line of the data whose prompt it answers. */
export interface GradedAnswer {
  /** The fields of the line. */
  readonly item: Readonly<Record<string, unknown>>;
  readonly text: string;
}

type Part = string | { readonly name: string; readonly keys: readonly (string | number)[] };

/** null: the answer lacks a value that the template reads. @throws {AppError} data_invalid: the line lacks it */
export type Template = (answer: GradedAnswer) => string | null;

const PLACE = /\{\{\s*(.*?)\s*\}\}/gs;
const STEP = /^(?:\.([A-Za-z_][\w-]*)|\[(\d+)\]|\["([^"]*)"\]|\['([^']*)'\])/;

/** @param path of the template in the grader, for messages @throws {AppError} invalid_request */
export function compileTemplate(text: string, path: string): Template {
  const parts: Part[] = [];
  let end = 0;
  for (const { 0: whole, 1: name = "", index } of text.matchAll(PLACE)) {
    parts.push(text.slice(end, index), { name, keys: keysOf(name, path) });
    end = index + whole.length;
  }
  parts.push(text.slice(end));
  return (answer) => {
    let filled = "";
    for (const part of parts) {
      const value = typeof part === "string" ? part : valueOf(part.keys, answer);
      if (value === undefined) {
        if (typeof part === "object" && part.keys[0] === "sample") return null;
        throw new AppError("data_invalid", `the grader reads ${String(asName(part))}, which the line does not have.`);
      }
      filled += typeof value === "string" ? value : JSON.stringify(value);
    }
    return filled;
  };
}

const asName = (part: Part): string => (typeof part === "string" ? part : part.name);

function keysOf(name: string, path: string): readonly (string | number)[] {
  const keys: (string | number)[] = [];
  let rest = `.${name}`;
  while (rest !== "") {
    const found = STEP.exec(rest);
    if (!found) break;
    const [whole, key, index, ...quoted] = found;
    keys.push(key ?? (index === undefined ? (quoted[0] ?? quoted[1] ?? "") : Number(index)));
    rest = rest.slice(whole.length);
  }
  const [space, first] = keys;
  const isKnown = space === "item" || (space === "sample" && (first === "output_text" || first === "output_json"));
  if (rest !== "" || !isKnown || keys.length < 2)
    throw new AppError(
      "invalid_request",
      `"${path}" reads {{ ${name} }}, expected {{ item.<field> }}, {{ sample.output_text }} or {{ sample.output_json.<field> }}.`,
      { param: path },
    );
  return keys;
}

/** undefined where there is no such value. */
function valueOf([space, ...keys]: readonly (string | number)[], { item, text }: GradedAnswer): unknown {
  let value: unknown = space === "item" ? item : { output_text: text, output_json: parsed(text) };
  for (const key of keys) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, key)) return undefined;
    value = (value as Readonly<Record<string | number, unknown>>)[key];
  }
  return value ?? undefined;
}

/** The value of an answer in JSON; undefined for another answer. */
export function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
