/** Lists of files, jobs and events: a part of them, with OpenAI's `limit` and `after`. */
import { z } from "@hono/zod-openapi";
import { quote } from "../../errors.ts";
import { invalid } from "../error-response.ts";

const after = z.string().max(128).optional().openapi({ description: "Continue after the entry with this id." });

/** @param defaultLimit number of entries without `limit` @param maxLimit greatest `limit` */
export const pageQuery = (defaultLimit: number, maxLimit: number) =>
  z.object({ limit: z.coerce.number().int().min(1).max(maxLimit).default(defaultLimit), after });

export const listOf = (entry: z.ZodType, name: string) =>
  z
    .object({
      object: z.literal("list"),
      data: z.array(entry),
      first_id: z.string().nullable(),
      last_id: z.string().nullable(),
      has_more: z.boolean(),
    })
    .openapi(name);

/** @throws {AppError} invalid_request: `after` is none of the entries. */
export function pageOf<T extends { readonly id: string }>(
  entries: readonly T[],
  { limit, after: last }: { readonly limit: number; readonly after?: string | undefined },
) {
  const start = last === undefined ? 0 : entries.findIndex(({ id }) => id === last) + 1;
  if (last !== undefined && start === 0)
    throw invalid(`"after" is ${quote(last)}, which is not in this list.`, "after");
  const data = entries.slice(start, start + limit);
  const [firstId, lastId] = [data.at(0)?.id ?? null, data.at(-1)?.id ?? null];
  return {
    object: "list",
    data,
    first_id: firstId,
    last_id: lastId,
    has_more: start + limit < entries.length,
  } as const;
}
