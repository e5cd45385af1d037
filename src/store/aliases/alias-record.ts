/**
 * Aliases as plain data: a name that stands for adapters of the same owner, by weights. Source:
 * docs/decisions/server/0019-aliases-stand-for-adapters.md.
 */
import { createHash } from "node:crypto";
import type { OwnedName } from "../tenant.ts";

/** An adapter that an alias stands for. */
export interface AliasTarget {
  readonly name: string;
  /** null: whichever generation the name points to. */
  readonly generation: string | null;
  readonly weight: number;
}

/** When a target is taken out by itself. `src/rollout` has the formulas. */
export interface RollbackRule {
  /** Largest accepted share of errors, above the share of the other targets. */
  readonly maxErrorShare?: number;
  /** Largest accepted loss of mean log-probability on the golden answers of the main target, in nats. */
  readonly maxDrift?: number;
  /** Sequences that have to end within the window before errors are judged. */
  readonly minRequests: number;
  readonly windowSeconds: number;
}

/** Why the server took a target out. */
export interface TakenOut {
  readonly target: string;
  readonly generation: string;
  readonly reason: "errors" | "drift";
  readonly measured: number;
  /** Unix time in seconds. */
  readonly at: number;
}

export interface AliasRecord extends OwnedName {
  readonly targets: readonly AliasTarget[];
  /** The targets before the last change of them; null: there are none. */
  readonly previous: readonly AliasTarget[] | null;
  readonly rule: RollbackRule | null;
  readonly takenOut: TakenOut | null;
  /** Unix time in seconds. */
  readonly created: number;
  readonly updated: number;
  /** The alias is a copy of one in a store that servers share. */
  readonly isPublished?: true;
}

/** The owner and the name are the key. */
export type StoredAlias = Omit<AliasRecord, "tenant" | "name">;

/** A target as a text: `name`, or `name@generation`. */
export function targetText({ name, generation }: Pick<AliasTarget, "name" | "generation">): string {
  return generation === null ? name : `${name}@${generation}`;
}

/** Entity tag of an alias: equal for equal targets and rules. */
export function aliasTag({ targets, rule }: Pick<AliasRecord, "targets" | "rule">): string {
  const facts = [targets.map((target) => [targetText(target), target.weight]), rule];
  return createHash("sha256").update(JSON.stringify(facts)).digest("hex").slice(0, 32);
}
