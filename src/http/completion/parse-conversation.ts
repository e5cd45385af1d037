/**
 * Reads the JSON of a conversation, once as it is and once for a template, where numbers keep their written form. There
 * an object with keys like indices is a `Map`, which keeps their order. Only values that a template shows need that.
 * The body's own structure is plain.
 */
import { parseJsonBothWays } from "../../tokenizer/chat/exact-json.ts";
import type { ParsedBody } from "./completion-kind.ts";

/** Fields whose values a template may show as JSON. */
const SHOWN: ReadonlySet<string> = new Set(["parameters", "input_schema", "arguments", "input", "documents", "schema"]);
/** A field whose keys are names of variables, with values that a template may show. */
const VARIABLES = "chat_template_kwargs";

/** @throws {SyntaxError} as JSON.parse does. */
export function parseConversation(text: string): ParsedBody {
  const { plain, exact } = parseJsonBothWays(text);
  return { plain, exact: exact === plain ? exact : withPlainStructure(exact) };
}

function withPlainStructure(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withPlainStructure);
  if (typeof value !== "object" || value === null || value instanceof Number) return value;
  const entries = entriesOf(value).map(([key, item]) => {
    if (key === VARIABLES && item instanceof Map) return [key, Object.fromEntries(item)] as const;
    return [key, SHOWN.has(key) || key === VARIABLES ? item : withPlainStructure(item)] as const;
  });
  return Object.fromEntries(entries);
}

function entriesOf(value: object): [string, unknown][] {
  return value instanceof Map ? [...(value as Map<string, unknown>)] : Object.entries(value);
}
