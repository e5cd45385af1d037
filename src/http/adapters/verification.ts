/** The result of an upload's check, as the answer has it, and the modes in which a caller may ask for one. */
import { z } from "@hono/zod-openapi";

export const VERIFY_MODES = ["off", "report", "strict"] as const;

export type VerifyMode = (typeof VERIFY_MODES)[number];

export const verificationSchema = z
  .object({
    status: z.enum(["passed", "failed", "not_run"]),
    golden: z.int().openapi({ description: "Number of golden answers on the card." }),
    expected: z.number().nullable().openapi({ description: "Mean log-probability by the card." }),
    found: z.number().nullable().openapi({ description: "The same with this adapter here." }),
    base: z.number().nullable().openapi({ description: "The same with the base alone." }),
    problems: z.array(z.string()),
  })
  .openapi("Verification");

export type Verification = z.output<typeof verificationSchema>;
