/** One line of a data file as a JSON object. Knows nothing of the meaning of its keys. */
import { quote } from "../errors.ts";
import { repeatedKey } from "../formats/repeated-key.ts";
import { parseExactJson } from "../tokenizer/chat/exact-json.ts";
import { type Fail, type Json, nameOf } from "./conversation.ts";

/** The line's object. A key that occurs twice is refused. */
export function readJsonLine(text: string, fail: Fail): Json {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    return fail(`the line is not valid JSON (${(cause as Error).message}). Write one JSON object a line.`, cause);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value))
    return fail(`an object was expected, found ${nameOf(value)}. Write {"prompt": …, "completion": …}.`);
  const repeated = repeatedKey(text);
  if (repeated !== undefined) return fail(`the key ${quote(repeated)} is there twice. Keep one of them.`);
  return value as Json;
}

/** A template may print numbers, so they are read exactly: 1.0 is not 1. */
export function readExactly(text: string): Json {
  return plainObject(parseExactJson(text)) as Json;
}

/** An object of exact JSON, which is a map, as an object. */
export function plainObject(value: unknown): unknown {
  return value instanceof Map ? Object.fromEntries(value as Map<string, unknown>) : value;
}
