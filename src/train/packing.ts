/** Whether a run computes the tokens that its sequences share once, and what it counts for it. */
import type { ModelConfig } from "../model/config/model-config.ts";
import { allLinears } from "../model/linears.ts";
import type { BatchSource } from "./data/batches.ts";
import { type TokenCosts, layoutCost, packedLayout, unpackedLayout } from "./data/layout.ts";

/**
 * Multiplications and additions of a token in an average layer: two products with the frozen weights, forwards and
 * backwards. Of a pair of tokens: six products of a head, and as much memory traffic as 4 more. Four rows of 128 tokens
 * against one of 512 (docs/log/2026-11.md, packing) agree with it.
 */
export function tokenCosts(config: ModelConfig): TokenCosts {
  const weights = allLinears(config).reduce((sum, { dIn, dOut }) => sum + dIn * dOut, 0);
  return { perToken: (2 * weights) / config.numLayers, perPair: 10 * config.numHeads * config.headSize };
}

/** Share of the costs of plain rows below which packing is worth its additional operators. */
const WORTH_IT = 0.95;
/** Steps of the first epoch that are compared. */
const COMPARED_STEPS = 64;

/** @returns null where packing would save little */
export function choosePacking(config: ModelConfig, batches: BatchSource): TokenCosts | null {
  const costs = tokenCosts(config);
  const steps = Array.from({ length: Math.min(COMPARED_STEPS, batches.stepsPerEpoch) }, (_, step) => batches.at(step));
  let [plain, packed] = [0, 0];
  for (const batch of steps.flat()) {
    plain += layoutCost(unpackedLayout(batch), costs);
    packed += layoutCost(packedLayout(batch, costs), costs);
  }
  return packed < WORTH_IT * plain ? costs : null;
}
