/** The limits of a server: counted in its memory, or with other servers in the Redis of --limits-redis. */
import type { Logger } from "pino";
import type { ConfigOf } from "../../config/commands.ts";
import { AppError } from "../../errors.ts";
import { Limiter } from "../../limits/limiter.ts";
import { MemoryCounters } from "../../limits/memory-counters.ts";
import { SharedCounters } from "../../limits/shared-counters.ts";
import type { Metrics } from "../../metrics/metrics.ts";
import type { Cleanup } from "../shared/cleanup.ts";

/** @throws {AppError} usage: Redis answers, and refuses the connection */
export async function openLimits(
  { limitsRedis: url }: Pick<ConfigOf<"serve">, "limitsRedis">,
  { log, metrics }: { readonly log: Logger; readonly metrics: Metrics },
  cleanup: Cleanup,
): Promise<Limiter> {
  if (url === null) return new Limiter(new MemoryCounters());
  const { host } = new URL(url); // the URL may hold a password
  const events = {
    onShared: () => {
      metrics.recordLimitsShared(true);
      log.info({ redis: host }, "limits are counted in Redis, together with other servers");
    },
    onAlone: (error: unknown) => {
      metrics.recordLimitsShared(false);
      log.error(
        { redis: host, reason: (error as Error).message },
        "Redis does not answer. Until it does, this server counts the limits for itself alone",
      );
    },
  };
  const counters = await SharedCounters.open(url, events).catch((error: unknown) => {
    throw new AppError(
      "usage",
      `--limits-redis: Redis at ${host} refused the connection: ${(error as Error).message}. Put the right user and password into the URL.`,
    );
  });
  cleanup.defer(() => counters.close());
  return new Limiter(counters);
}
