/**
 * Refuses parameters of a query that would be ignored although they change an answer: misspelt ones, those that other
 * APIs have for lists, and two values for one parameter. Other unknown parameters are refused with --strict-fields.
 * Knows no values.
 */
import type { z } from "@hono/zod-openapi";
import { quote } from "../../errors.ts";
import type { AppError } from "../../errors.ts";
import { closestName } from "../../fields/closest-name.ts";
import type { RequestContext } from "../context.ts";
import { invalid } from "../error-response.ts";
import type { Route } from "../route.ts";

/** Parameters by which other APIs choose the entries of a list. Source: OpenAI's and Anthropic's API references. */
const OF_OTHER_LISTS: ReadonlySet<string> = new Set([
  "after_id",
  "before",
  "before_id",
  "cursor",
  "ending_before",
  "metadata",
  "offset",
  "order",
  "page",
  "page_size",
  "per_page",
  "purpose",
  "starting_after",
]);
/** Client libraries of Azure and Anthropic send these. */
const HARMLESS: ReadonlySet<string> = new Set(["api-version", "beta"]);

/** Routes without a query of their own accept any. @throws {AppError} invalid_request, with the parameter. */
export function checkQuery({ document }: Pick<Route, "document">, c: RequestContext, isStrict: boolean): void {
  const { query } = document.request ?? {};
  if (query === undefined) return;
  const known = Object.keys((query as z.ZodObject).shape);
  for (const [param, values] of Object.entries(c.req.queries())) {
    const name = param.replace(/\[.*$/s, ""); // metadata[key]
    if (!known.includes(name)) refuseUnknown(name, known, isStrict);
    else if (new Set(values).size > 1)
      throw invalid(`The query has "${name}" more than once, with different values. Keep one of them.`, name);
  }
}

function refuseUnknown(name: string, known: readonly string[], isStrict: boolean): void {
  if (HARMLESS.has(name)) return;
  const meant = closestName(name, known);
  if (meant === undefined && !isStrict && !OF_OTHER_LISTS.has(name)) return;
  throw unknownParameter(name, known, meant);
}

function unknownParameter(name: string, known: readonly string[], meant: string | undefined): AppError {
  const advice = meant === undefined ? `It has ${known.join(", ")}.` : `Did you mean "${meant}"?`;
  return invalid(`The query of this route has no parameter ${quote(name)}. ${advice}`, name.slice(0, 128));
}
