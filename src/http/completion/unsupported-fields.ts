/**
 * Fields that OpenAI knows and this server does not heed. They are refused, never ignored in silence, unless the value asks
 * for what happens anyway. Source: the API references of OpenAI's completions and chat completions.
 */
import { AppError } from "../../errors.ts";

/** The routes whose bodies are checked. */
export type Endpoint = "completions" | "chat";

type IsHarmless = (value: unknown) => boolean;

const never: IsHarmless = () => false;
const is =
  (...values: readonly unknown[]): IsHarmless =>
  (value) =>
    values.includes(value);
const isTextFormat: IsHarmless = (value) =>
  typeof value === "object" && value !== null && "type" in value && value.type === "text";
const isTextOnly: IsHarmless = (value) => Array.isArray(value) && value.length === 1 && value[0] === "text";
const isEmpty: IsHarmless = (value) => typeof value === "object" && value !== null && Object.keys(value).length === 0;

const SHARED: Readonly<Record<string, IsHarmless>> = {
  response_format: isTextFormat,
  service_tier: is("auto", "default"),
};

const COMPLETIONS: Readonly<Record<string, IsHarmless>> = { ...SHARED, suffix: is(""), best_of: is(1) };

const CHAT: Readonly<Record<string, IsHarmless>> = {
  ...SHARED,
  audio: never,
  echo: is(false),
  function_call: is("none", "auto"),
  functions: isEmpty,
  metadata: isEmpty,
  modalities: isTextOnly,
  parallel_tool_calls: is(true),
  prediction: never,
  prompt_cache_key: never,
  prompt_cache_retention: never,
  reasoning_effort: never,
  safety_identifier: never,
  store: is(false),
  verbosity: never,
  web_search_options: never,
};

/** @throws {AppError} unsupported_parameter, naming the first such field of the body. */
export function refuseUnsupported(body: unknown, endpoint: Endpoint): void {
  if (typeof body !== "object" || body === null) return;
  const table = endpoint === "chat" ? CHAT : COMPLETIONS;
  for (const [field, value] of Object.entries(body)) {
    const isHarmless = Object.hasOwn(table, field) ? table[field] : undefined;
    if (isHarmless === undefined || value === null || isHarmless(value)) continue;
    throw new AppError("unsupported_parameter", `"${field}" is not supported by this server. Leave it out.`, {
      param: field,
    });
  }
}
