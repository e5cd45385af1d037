/**
 * How much less likely one generation makes the golden answers of another one. Runs as uploads are checked: only on
 * idle rows.
 */
import { goldenAnswers } from "../../adapter/golden.ts";
import type { AppContext } from "../context.ts";
import { scoresOf } from "../adapters/verify-adapter.ts";

/**
 * Mean log-probability of the scored tokens with `main`, minus the same with `other`, in nats. Infinity where `other`
 * has no finite ones. null: the card of `main` has no golden answers. Neither usage nor limits of a tenant count these
 * runs.
 * @throws {AppError} deadline_exceeded, adapter_not_found, engine_unavailable
 */
export async function goldenDrift(
  context: Pick<AppContext, "engine" | "store">,
  tenant: string,
  main: string,
  other: string,
): Promise<number | null> {
  const { contents } = context.store;
  const card = context.store.namesOf(tenant).withGeneration(main)[0]?.card;
  const golden = card === undefined ? null : goldenAnswers(card);
  if (golden === null || golden.length === 0) return null;
  const mean = async (generation: string): Promise<number> => {
    contents.acquire(generation);
    try {
      const scores = (await scoresOf(context, tenant, golden, { generation })).flat();
      return scores.reduce((sum, value) => sum + value, 0) / scores.length;
    } finally {
      contents.release(generation);
    }
  };
  const drift = (await mean(main)) - (await mean(other));
  return Number.isNaN(drift) ? Infinity : drift;
}
