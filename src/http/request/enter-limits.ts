/** Counts a request against the limits of its caller, and writes OpenAI's headers about them. */
import type { Lease } from "../../limits/lease.ts";
import type { AppContext, RequestContext } from "../context.ts";

/** @throws {AppError} rate_limit_exceeded. The caller ends the lease. */
export async function enterLimits({ limiter, metrics }: AppContext, c: RequestContext): Promise<Lease> {
  const caller = c.get("caller");
  const lease = limiter.lease(caller, (limit) => metrics.recordLimited(caller.tenant, limit));
  try {
    await withHeaders(c, lease, () => lease.enter());
  } catch (error) {
    lease.end(0);
    throw error;
  }
  return lease;
}

/** Charges the most tokens that the request can use. @throws {AppError} rate_limit_exceeded */
export async function chargeTokens(c: RequestContext, lease: Lease, mostTokens: number): Promise<void> {
  await withHeaders(c, lease, () => lease.charge(mostTokens));
}

async function withHeaders(c: RequestContext, lease: Lease, step: () => Promise<void>): Promise<void> {
  try {
    await step();
  } finally {
    for (const [name, value] of lease.headers()) c.header(name, value);
  }
}
