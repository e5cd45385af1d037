/**
 * Reads the grammar that a request binds its answer to, under the names of OpenAI, vLLM, SGLang and llama.cpp. It is
 * checked here, so that a bad grammar gets a 400 before anything is queued. The engine compiles it again, with its
 * vocabulary.
 */
import { LRUCache } from "lru-cache";
import { AppError } from "../../errors.ts";
import { checkGrammar } from "../../grammar/check-grammar.ts";
import type { GrammarKind, GrammarSpec } from "../../grammar/grammar-spec.ts";
import { invalid } from "../error-response.ts";
import type { SharedFields } from "./request-schema.ts";

/** A grammar, and the field that asked for it. */
interface Asked {
  readonly spec: GrammarSpec;
  readonly param: string;
}

/** Specifications that have passed the check. */
const checked = new LRUCache<string, true>({ max: 256 });

/** @throws {AppError} invalid_request where fields contradict each other, or for a grammar that cannot be honoured */
export function grammarOf(fields: SharedFields): GrammarSpec | null {
  const asked = [...ofResponseFormat(fields), ...ofStructuredOutputs(fields), ...ofPlainFields(fields)];
  const [first, second] = asked;
  if (first === undefined) return null;
  if (second !== undefined)
    throw invalid(`"${first.param}" and "${second.param}" both bind the answer. Send one of them.`, second.param);
  return checkedGrammar(first.spec, first.param);
}

/**
 * Returns the same specification, checked: the engine can honour it. @param param the field that asked for it @throws
 * {AppError} invalid_request
 */
export function checkedGrammar(spec: GrammarSpec, param: string): GrammarSpec {
  const key = JSON.stringify([spec.kind, spec.text, spec.whitespace]);
  if (checked.has(key)) return spec;
  try {
    checkGrammar(spec);
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    throw new AppError(error.code, error.message, { param });
  }
  checked.set(key, true);
  return spec;
}

function asked(kind: GrammarKind, value: unknown, param: string, whitespace?: string | null): Asked[] {
  if (value === undefined || value === null) return [];
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return [{ param, spec: { kind, text, ...(typeof whitespace === "string" ? { whitespace } : {}) } }];
}

/** Parts that bind the answer under another type only. */
const PARTS_OF = {
  text: [],
  json_object: ["schema"],
  json_schema: ["schema", "json_schema"],
  structural_tag: ["format", "structures", "triggers"],
} as const;
const PARTS = [...new Set(Object.values(PARTS_OF).flat())];

/** @throws {AppError} invalid_request for a schema that the format would ignore */
function refuseOtherParts(format: NonNullable<SharedFields["response_format"]>): void {
  const own: readonly string[] = PARTS_OF[format.type];
  const other = PARTS.find((part) => !own.includes(part) && (format[part] ?? null) !== null);
  if (other !== undefined)
    throw invalid(
      `"response_format.${other}" has no effect with the type "${format.type}". Choose its type, or leave it out.`,
      `response_format.${other}`,
    );
  const hasTwo = (format.schema ?? null) !== null && (format.json_schema?.schema ?? null) !== null;
  if (hasTwo)
    throw invalid('"response_format" has two schemas. Keep the one under "json_schema".', "response_format.schema");
}

function ofResponseFormat({ response_format: format }: SharedFields): Asked[] {
  const param = "response_format";
  if (format) refuseOtherParts(format);
  switch (format?.type) {
    case "json_object":
      return format.schema === undefined || format.schema === null
        ? asked("json-object", "", param)
        : asked("json-schema", format.schema, param);
    case "json_schema": {
      const schema = format.json_schema?.schema ?? format.schema;
      if (schema === undefined || schema === null)
        throw invalid('"response_format.json_schema.schema" is missing. Give a JSON Schema.', param);
      return asked("json-schema", schema, param);
    }
    case "structural_tag":
      return asked("structural-tag", format, param);
    default:
      return [];
  }
}

function ofStructuredOutputs({ structured_outputs: outputs }: SharedFields): Asked[] {
  if (!outputs) return [];
  const space = outputs.disable_any_whitespace === true ? "" : outputs.whitespace_pattern;
  const at = (name: string): string => `structured_outputs.${name}`;
  const found = [
    ...asked("json-schema", outputs.json, at("json"), space),
    ...asked("regex", outputs.regex, at("regex")),
    ...asked("choice", outputs.choice, at("choice")),
    ...asked("gbnf", outputs.grammar, at("grammar")),
    ...(outputs.json_object === true ? asked("json-object", "", at("json_object"), space) : []),
    ...asked("structural-tag", outputs.structural_tag, at("structural_tag"), space),
  ];
  if (found.length > 0) return found;
  throw invalid(
    '"structured_outputs" must have one of json, regex, choice, grammar, json_object and structural_tag.',
    "structured_outputs",
  );
}

function ofPlainFields(fields: SharedFields): Asked[] {
  const space = fields.guided_whitespace_pattern;
  return [
    ...asked("json-schema", fields.guided_json, "guided_json", space),
    ...asked("regex", fields.guided_regex, "guided_regex"),
    ...asked("choice", fields.guided_choice, "guided_choice"),
    ...asked("gbnf", fields.guided_grammar, "guided_grammar"),
    ...(fields.guided_json_object === true ? asked("json-object", "", "guided_json_object", space) : []),
    ...asked("structural-tag", fields.structural_tag, "structural_tag"),
    ...asked("json-schema", fields.json_schema, "json_schema"),
    ...(fields.grammar === "" ? [] : asked("gbnf", fields.grammar, "grammar")),
    ...asked("regex", fields.regex, "regex"),
    ...asked("gbnf", fields.ebnf, "ebnf"),
  ];
}
