/**
 * Reads a specification as a grammar. This is the only file that knows all kinds. Both the server and the engine read a
 * specification here.
 */
import { choice, type Grammar, text } from "./expression.ts";
import { MAX_GRAMMAR_CHARS, refuseGrammar } from "./grammar-error.ts";
import type { GrammarSpec } from "./grammar-spec.ts";
import { type Json, JsonText, readSpacing } from "./json-schema/json-text.ts";
import { SchemaReader } from "./json-schema/schema-reader.ts";
import { readStructuralTag } from "./structural-tag.ts";
import { readGbnf } from "./text/gbnf.ts";
import { readRegex } from "./text/regex.ts";

const NO_RULES: Grammar["rules"] = new Map();

/** @throws {AppError} invalid_request for a grammar that is malformed, too large, or cannot be honoured */
export function readGrammar(spec: GrammarSpec): Grammar {
  try {
    return read(spec);
  } catch (error) {
    if (error instanceof RangeError) refuseGrammar("The grammar is nested too deeply. Make it smaller.");
    throw error;
  }
}

function read(spec: GrammarSpec): Grammar {
  if (spec.text.length > MAX_GRAMMAR_CHARS)
    refuseGrammar(`The grammar has ${spec.text.length} characters, more than ${MAX_GRAMMAR_CHARS}. Make it smaller.`);
  switch (spec.kind) {
    case "json-object": {
      const json = new JsonText(readSpacing(spec.whitespace));
      return { root: json.anyObject, rules: new Map(json.rules()) };
    }
    case "json-schema":
      return new SchemaReader(parse(spec.text, "schema"), readSpacing(spec.whitespace)).read();
    case "regex":
      return { root: readRegex(spec.text, { isSearch: false }), rules: NO_RULES };
    case "choice":
      return { root: choice(choicesOf(spec.text).map(text)), rules: NO_RULES };
    case "gbnf":
      return readGbnf(spec.text);
    case "structural-tag":
      return readStructuralTag(parse(spec.text, "structural tag"), readSpacing(spec.whitespace));
  }
}

function parse(source: string, what: string): Json {
  try {
    return JSON.parse(source) as Json;
  } catch (cause) {
    return refuseGrammar(`The ${what} is not JSON: ${cause instanceof Error ? cause.message : String(cause)}`);
  }
}

function choicesOf(source: string): readonly string[] {
  const choices = parse(source, "list of choices");
  const isGood = Array.isArray(choices) && choices.length > 0 && choices.every((one) => typeof one === "string");
  if (!isGood) refuseGrammar("The choices must be a list of at least one string.");
  if (choices.includes("")) refuseGrammar("An empty choice cannot be written. Leave it out.");
  return choices as readonly string[];
}
