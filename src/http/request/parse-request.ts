/**
 * Checks JSON bodies with zod. The first fault is reported in OpenAI's form: the field, the expected value, the found
 * value.
 */
import type { z } from "@hono/zod-openapi";
import { type AppError, describeIssue, quote } from "../../errors.ts";
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

function toError(issue: Issue | undefined, body: unknown): AppError {
  if (!issue) return invalid("The body is invalid.");
  const { path: param, what } = describeIssue(issue);
  if (issue.code === "unrecognized_keys") {
    const { path: first } = describeIssue({ ...issue, path: [...issue.path, issue.keys[0] ?? ""] });
    return invalid(`${param === "" ? "The body" : `"${param}"`} ${what}.`, first);
  }
  const path = issue.path.map(String);
  const found = path.reduce<unknown>((value, key) => (value as Record<string, unknown> | undefined)?.[key], body);
  if (found === undefined) return invalid(`"${param}" is missing.`, param);
  return invalid(`"${param}" is invalid: ${what.replace(/^Invalid input: /, "")}; found ${quote(found)}.`, param);
}
