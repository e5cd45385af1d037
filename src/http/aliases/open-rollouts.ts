/** Connects the watch over aliases with the engine, the log and the metrics. */
import type { Logger } from "pino";
import type { Metrics } from "../../metrics/metrics.ts";
import { Rollouts } from "../../rollout/rollouts.ts";
import { aliasWriterOf } from "../adapters/shared-names.ts";
import type { AppContext } from "../context.ts";
import { goldenDrift } from "./golden-drift.ts";

export function openRollouts(
  parts: Pick<AppContext, "engine" | "store" | "sharedStore"> & { readonly log: Logger; readonly metrics: Metrics },
): Rollouts {
  const { store, log, metrics } = parts;
  return new Rollouts({
    store,
    writerOf: (alias) => aliasWriterOf(parts, alias.tenant, alias),
    drift: (tenant, main, other) => goldenDrift(parts, tenant, main, other),
    onTakenOut: ({ name, tenant: owner }, facts, isDone) => {
      metrics.recordTakenOut(facts.reason);
      const change = isDone ? "taken_out" : "not_taken_out"; // no other target could take its place
      log.warn({ alias: name, owner, change, source: "rule", ...facts }, "alias");
    },
    onFailed: (error) => log.error({ err: error }, "the rule of an alias could not be applied"),
  });
}
