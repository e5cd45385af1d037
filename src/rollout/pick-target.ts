/**
 * Which target of an alias answers a request: weighted rendezvous hashing. A key gets the same target while the weights
 * stay. A change of one weight moves keys only to that target or away from it. Pure. Source: Schindelhauer and
 * Schomaker, "Weighted distributed hash tables", 2005 (the logarithmic method).
 */
import { createHash } from "node:crypto";
import { type AliasRecord, type AliasTarget, targetText } from "../store/aliases/alias-record.ts";

/** @param key such as the request's user @throws Error when no target has a weight */
export function pickTarget(
  { tenant, name, targets }: Pick<AliasRecord, "tenant" | "name" | "targets">,
  key: string,
): AliasTarget {
  let best: AliasTarget | undefined;
  let bestScore = -Infinity;
  for (const target of targets) {
    if (target.weight <= 0) continue;
    // With u uniform in (0, 1), -ln(u) / weight is exponential with the rate weight, and the smallest one wins.
    const score = Math.log(uniform(`${tenant}/${name}\n${targetText(target)}\n${key}`)) / target.weight;
    if (score > bestScore || best === undefined) [best, bestScore] = [target, score];
  }
  if (!best) throw new Error(`internal: the alias ${name} has no target with a weight`);
  return best;
}

/** Number in (0, 1) from 48 bits of a hash. */
function uniform(text: string): number {
  const bits = createHash("sha256").update(text).digest().readUIntBE(0, 6);
  return (bits + 0.5) / 2 ** 48;
}
