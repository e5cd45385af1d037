/**
 * Compares a request's body with the tables of fields. A field that is neither heeded nor harmless is refused, and the
 * error names it. No field that changes an answer is therefore silently dropped.
 */
import { AppError } from "../errors.ts";
import { ADAPTER_FIELDS, NESTED_ADAPTER_FIELDS, SEEMS_ADAPTER } from "./adapter-fields.ts";
import { chatLikeFields } from "./chat-like-fields.ts";
import { closestName } from "./closest-name.ts";
import { EMBEDDING_FIELDS } from "./embedding-fields.ts";
import type { Body, ChatLikeEndpoint, Endpoint, Field, Treatment } from "./field.ts";
import { GRAMMAR_FIELDS } from "./grammar-fields.ts";
import { LOAD_LORA_FIELDS, LORAS_FIELDS, LORAS_NESTED, UNLOAD_LORA_FIELDS } from "./lora-route-fields.ts";
import { MESSAGES_FIELDS, MESSAGES_NESTED } from "./messages-fields.ts";
import { NESTED_FIELDS } from "./nested-fields.ts";
import { OPENAI_FIELDS } from "./openai-fields.ts";
import { OTHER_FIELDS } from "./other-fields.ts";
import { OWN_FIELDS } from "./own-fields.ts";
import { RESPONSES_FIELDS, RESPONSES_NESTED } from "./responses-fields.ts";
import { DETOKENIZE_FIELDS, tokenizeFields } from "./tokenize-fields.ts";
import { VLLM_FIELDS } from "./vllm-fields.ts";

/** Every field of the top level. Each name occurs once. */
export const FIELDS: readonly Field[] = [
  ...OPENAI_FIELDS,
  ...VLLM_FIELDS,
  ...GRAMMAR_FIELDS,
  ...ADAPTER_FIELDS,
  ...OTHER_FIELDS,
  ...OWN_FIELDS,
];

/** The prefix of llama.cpp's fields for speculative decoding, which change no answer. */
const SPECULATIVE = /^speculative\./;

type Table = ReadonlyMap<string, Treatment>;

/** The routes whose bodies are checked. */
export type CheckedEndpoint =
  | Endpoint
  | ChatLikeEndpoint
  | "embeddings"
  | "tokenize"
  | "detokenize"
  | "load_lora"
  | "unload_lora"
  | "loras";

const BY_NAME: Readonly<Record<CheckedEndpoint, Table>> = {
  chat: new Map(FIELDS.map(({ name, treatment }) => [name, treatment.chat])),
  completions: new Map(FIELDS.map(({ name, treatment }) => [name, treatment.completions])),
  messages: chatLikeFields(FIELDS, MESSAGES_FIELDS),
  embeddings: new Map(EMBEDDING_FIELDS.map(({ name, treatment }) => [name, treatment])),
  responses: chatLikeFields(FIELDS, RESPONSES_FIELDS),
  tokenize: tokenizeFields(FIELDS),
  detokenize: new Map(Object.entries(DETOKENIZE_FIELDS)),
  load_lora: new Map(Object.entries(LOAD_LORA_FIELDS)),
  unload_lora: new Map(Object.entries(UNLOAD_LORA_FIELDS)),
  loras: new Map(Object.entries(LORAS_FIELDS)),
};

/** The tables of objects below the top level, each with the steps to its place. */
const nestedTables = (tables: Readonly<Record<string, Readonly<Record<string, Treatment>>>>) =>
  Object.entries(tables).map(([place, fields]) => ({
    steps: place.split("."),
    fields: new Map(Object.entries(fields)),
  }));

const OPENAI_NESTED = nestedTables(NESTED_FIELDS);
const ADAPTER_NESTED = nestedTables(NESTED_ADAPTER_FIELDS);
const NESTED = {
  chat: OPENAI_NESTED,
  completions: OPENAI_NESTED,
  messages: [...ADAPTER_NESTED, ...nestedTables(MESSAGES_NESTED)],
  embeddings: ADAPTER_NESTED,
  responses: [...ADAPTER_NESTED, ...nestedTables(RESPONSES_NESTED)],
  tokenize: OPENAI_NESTED,
  detokenize: [],
  load_lora: [],
  unload_lora: [],
  loras: nestedTables(LORAS_NESTED),
};

/** The effect of a field at this endpoint; undefined for a field that is not accepted there. */
export function effectOf(endpoint: CheckedEndpoint, field: string): string | undefined {
  const treatment = BY_NAME[endpoint].get(field);
  return treatment === undefined || treatment.kind === "refused" ? undefined : treatment.text;
}

/**
 * @param isStrict whether fields that no table has are refused, too
 * @throws {AppError} unsupported_parameter, and invalid_request for an unknown field, with the field's path as `param`.
 */
export function checkFields(
  body: unknown,
  endpoint: CheckedEndpoint,
  { isStrict }: { readonly isStrict: boolean },
): void {
  if (!isObject(body)) return; // refused by the schema
  checkObject(body, "", BY_NAME[endpoint], isStrict);
  for (const { steps, fields } of NESTED[endpoint])
    for (const [path, object] of objectsAt(body, "", steps)) checkObject(object, `${path}.`, fields, isStrict);
}

function checkObject(object: Body, path: string, fields: ReadonlyMap<string, Treatment>, isStrict: boolean): void {
  for (const [name, value] of Object.entries(object)) {
    if (value === null) continue;
    const treatment = fields.get(name);
    if (treatment === undefined) refuseUnknown(name, path, fields, isStrict);
    else if (treatment.kind === "refused" && !treatment.neutral.holds(value, object))
      throw new AppError("unsupported_parameter", refusalOf(path + name, treatment), { param: path + name });
  }
}

function refusalOf(param: string, { neutral, text }: Extract<Treatment, { kind: "refused" }>): string {
  const accepted = neutral.text === "null" ? "" : ` Accepted: ${neutral.text}.`;
  return `"${param}" is not supported by this server.${accepted} ${text}`;
}

function refuseUnknown(name: string, path: string, fields: ReadonlyMap<string, Treatment>, isStrict: boolean): void {
  const param = path + name.slice(0, 128);
  if (path === "" && SPECULATIVE.test(name)) return;
  if (path === "" && SEEMS_ADAPTER.test(name))
    throw new AppError(
      "unsupported_parameter",
      `"${param}" seems to name an adapter, but this server does not know that field. Name adapters with "model" or "adapter".`,
      { param },
    );
  const choosesAdapter = Object.hasOwn(NESTED_ADAPTER_FIELDS, path.slice(0, -1));
  if (!isStrict && !choosesAdapter) return;
  const closest = closestName(name, fields.keys());
  const advice = closest === undefined ? "Leave it out." : `Did you mean "${path}${closest}"?`;
  throw new AppError("invalid_request", `Unknown field "${param}". ${advice}`, { param });
}

/** The objects at a place such as `messages[]` → `content[]`, with their paths. */
function objectsAt(value: unknown, path: string, steps: readonly string[]): [string, Body][] {
  const [step, ...rest] = steps;
  if (step === undefined) return isObject(value) ? [[path, value]] : [];
  if (!isObject(value)) return [];
  const name = step.replace("[]", "");
  const below = value[name];
  const at = path === "" ? name : `${path}.${name}`;
  if (!step.endsWith("[]")) return objectsAt(below, at, rest);
  return Array.isArray(below) ? below.flatMap((one: unknown, i) => objectsAt(one, `${at}.${i}`, rest)) : [];
}

function isObject(value: unknown): value is Body {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
