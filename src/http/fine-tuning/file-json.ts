/** Training files in OpenAI's shape. */
import { z } from "@hono/zod-openapi";
import type { FileRecord } from "../../jobs/records.ts";

export const fileSchema = z
  .object({
    id: z.string(),
    object: z.literal("file"),
    bytes: z.int(),
    created_at: z.int(),
    filename: z.string(),
    purpose: z.enum(["fine-tune", "fine-tune-results"]),
    status: z.literal("processed"),
    status_details: z.null(),
  })
  .openapi("File");

export function fileJson({ id, bytes, created, filename, purpose }: FileRecord): z.output<typeof fileSchema> {
  const status = { status: "processed", status_details: null } as const;
  return { id, object: "file", bytes, created_at: created, filename, purpose, ...status };
}
