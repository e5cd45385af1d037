/** Limits of a tenant or of a key, as the keys file has them. A limit that is left out does not exist. */
import { z } from "zod";

const count = z.int().min(1, "must be at least 1");

export const limitsSchema = z.strictObject({
  requestsPerMinute: count.optional(),
  /** Prompt tokens and generated tokens together. */
  tokensPerMinute: count.optional(),
  /** Requests that run or wait at the same time: on each server, or on all that share a Redis. */
  concurrent: count.optional(),
  /** Share of --max-queue. */
  queueShare: z.number().gt(0, "must be above 0").max(1, "must be at most 1").optional(),
  /** Number of adapters. */
  adapters: z.int().min(0).optional(),
  /** Bytes of all adapters. */
  bytes: z.int().min(0).optional(),
  /** Number of training jobs that have not ended. */
  trainingJobs: z.int().min(0).optional(),
  /** A tenant with priority 2 gets twice the tokens of one with 1, while both wait. */
  priority: z.number().min(0.01, "must be 0.01 to 100").max(100, "must be 0.01 to 100").optional(),
});

export type Limits = z.output<typeof limitsSchema>;

/** Limits, and whose use is counted against them. */
export interface Meter {
  /** Unique, such as `tenant/acme` or `key/ci`. */
  readonly id: string;
  readonly limits: Limits;
}

/** The smallest of a limit that several meters have; undefined: none has it. */
export function smallest(meters: readonly Meter[], limit: keyof Limits): number | undefined {
  const values = meters.flatMap(({ limits }) => limits[limit] ?? []);
  return values.length === 0 ? undefined : Math.min(...values);
}
