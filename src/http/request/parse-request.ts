/**
 * Checks JSON bodies with zod. The first fault is reported in OpenAI's form: the field, the expected value, the found
 * value.
 */
import type { z } from "@hono/zod-openapi";
import type { AppError } from "../../errors.ts";
import { invalid } from "../error-response.ts";

type Issue = z.core.$ZodIssue;

/** The checked body. @throws {AppError} invalid_request with `param`. */
export function parseRequest<T>(schema: z.ZodType<T>, body: unknown): T {
  if (typeof body !== "object" || body === null || Array.isArray(body))
    throw invalid("The body must be a JSON object.");
  const result = schema.safeParse(body);
  if (result.success) return result.data;
  throw toError(result.error.issues[0], body);
}

function unknown(fields: readonly string[]): AppError {
  return invalid(`Unknown field ${fields.map((field) => `"${field}"`).join(", ")}.`, fields[0]);
}

function toError(issue: Issue | undefined, body: unknown): AppError {
  if (!issue) return invalid("The body is invalid.");
  const path = issue.path.map(String);
  const param = path.join(".");
  if (issue.code === "unrecognized_keys") return unknown(issue.keys.map((key) => [...path, key].join(".")));
  const found = path.reduce<unknown>((value, key) => (value as Record<string, unknown> | undefined)?.[key], body);
  if (found === undefined) return invalid(`"${param}" is missing.`, param);
  const shown = (JSON.stringify(found) ?? "nothing").slice(0, 80);
  return invalid(`"${param}" is invalid: ${issue.message.replace(/^Invalid input: /, "")}; found ${shown}.`, param);
}
