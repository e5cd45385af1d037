/**
 * Watches the targets of aliases that have a rule, and takes out a target that breaks it. Two measures:
 * - errors: share of a target's sequences that ended with an error within the window, minus the same share of all other
 *   targets. Judged from `minRequests` sequences on.
 * - drift: mean log-probability of the golden answers on the main target's card, computed with the main target, minus
 *   the same computed with this one, in nats. The main target is the other one with the largest weight, or the largest
 *   of the previous targets. Judged once for each pair of generations.
 * Knows nothing of HTTP or engines. Source: docs/how-to/adapters/versions-and-aliases.md.
 */
import { AppError } from "../errors.ts";
import type { AdapterStore } from "../store/adapter-store.ts";
import type { AliasWriter } from "../store/aliases/alias-change.ts";
import {
  type AliasRecord,
  type AliasTarget,
  aliasTag,
  type TakenOut,
  targetText,
} from "../store/aliases/alias-record.ts";
import { type OwnedName, qualifiedName } from "../store/tenant.ts";
import { ErrorWindow, total } from "./error-window.ts";

/** A target that answers a request, with the generation that it means now. */
export interface Chosen {
  readonly alias: AliasRecord;
  readonly target: AliasTarget;
  readonly generation: string;
}

export interface RolloutPorts {
  readonly store: AdapterStore;
  /** Where an alias is changed: on this server, or in a store that servers share. */
  readonly writerOf: (alias: AliasRecord) => AliasWriter;
  /**
   * Loss of mean log-probability, in nats, of one generation on the golden answers of another; null: it has none.
   * @throws {AppError} when the engine has no time now
   */
  readonly drift: (tenant: string, main: string, other: string) => Promise<number | null>;
  /** A target was taken out. `isDone` is false where no other target can take its place. */
  readonly onTakenOut: (alias: OwnedName, facts: TakenOut, isDone: boolean) => void;
  readonly onFailed: (error: unknown) => void;
}

/** After a failure, such as a busy engine, drift is measured again after this pause. */
const RETRY_MS = 10_000;
/** Targets and generations of an alias that are watched at a time. */
const MAX_WATCHED = 100;
/** Aliases that are watched at a time. The store continues the others. */
const MAX_ALIASES = 10_000;
/** Pairs of generations whose drift is remembered. */
const MAX_MEASURED = 10_000;

interface Windows {
  readonly windowSeconds: number;
  /** By target and generation. */
  readonly byTarget: Map<string, ErrorWindow>;
}

export class Rollouts {
  readonly #ports: RolloutPorts;
  /** By alias. The store has them too. */
  readonly #windows = new Map<string, Windows>();
  /** Pair of generations → when its drift may be measured; Infinity: it was. */
  readonly #measured = new Map<string, number>();
  /** Targets that are being taken out. */
  readonly #leaving = new Set<string>();

  constructor(ports: RolloutPorts) {
    this.#ports = ports;
  }

  /** A request is about to be answered by the target. Its drift is measured in the background, if it never was. */
  note({ alias, target, generation }: Chosen): void {
    const { rule } = alias;
    if (rule?.maxDrift === undefined) return;
    const main = this.#mainGeneration(alias, target);
    if (main === undefined || main === generation) return;
    const pair = `${main} ${generation}`;
    if (performance.now() < (this.#measured.get(pair) ?? 0)) return;
    if (this.#measured.size >= MAX_MEASURED) this.#measured.clear();
    this.#measured.set(pair, Infinity);
    this.#judgeDrift({ alias, target, generation }, main, rule.maxDrift).catch((error: unknown) => {
      this.#measured.set(pair, performance.now() + RETRY_MS);
      if (!(error instanceof AppError)) this.#ports.onFailed(error);
    });
  }

  /** A sequence that the target answered has ended. */
  ended({ alias, target, generation }: Chosen, isError: boolean): void {
    const { rule } = alias;
    if (rule?.maxErrorShare === undefined) return;
    const now = performance.timeOrigin + performance.now();
    const { byTarget: windows } = this.#windowsOf(alias, rule.windowSeconds);
    const key = `${targetText(target)} ${generation}`;
    const own = windows.get(key) ?? new ErrorWindow(rule.windowSeconds);
    windows.set(key, own);
    own.record(isError, now);
    this.#keep(alias);
    const { ended, errors } = own.count(now);
    if (!isError || ended < rule.minRequests) return;
    const others = total([...windows].flatMap(([other, window]) => (other === key ? [] : window.count(now))));
    const measured = errors / ended - (others.ended === 0 ? 0 : others.errors / others.ended);
    if (measured > rule.maxErrorShare) this.#takeOut({ alias, target, generation }, "errors", measured);
  }

  async #judgeDrift(chosen: Chosen, main: string, maxDrift: number): Promise<void> {
    const measured = await this.#ports.drift(chosen.alias.tenant, main, chosen.generation);
    if (measured !== null && measured > maxDrift) this.#takeOut(chosen, "drift", measured);
  }

  #takeOut({ alias, target, generation }: Chosen, reason: TakenOut["reason"], measured: number): void {
    const key = `${qualifiedName(alias)} ${targetText(target)}`;
    if (this.#leaving.has(key)) return;
    this.#leaving.add(key);
    const facts = { target: targetText(target), generation, reason, measured, at: Math.floor(Date.now() / 1000) };
    this.#change(alias, target, facts)
      .then((result) => {
        if (result !== "overtaken") this.#ports.onTakenOut(alias, facts, result === "done");
      })
      .catch((error: unknown) => this.#ports.onFailed(error))
      .finally(() => this.#leaving.delete(key));
  }

  /** overtaken: somebody has changed the alias meanwhile, so its targets begin a new sample */
  async #change(alias: AliasRecord, target: AliasTarget, takenOut: TakenOut): Promise<"done" | "alone" | "overtaken"> {
    const left = leftWithout(alias, target);
    this.#windows.get(keyOf(alias))?.byTarget.clear();
    this.#keep(alias);
    if (left.length === 0) return "alone";
    try {
      const change = () => ({ targets: left, takenOut });
      await this.#ports.writerOf(alias).change(alias.name, { ifMatch: aliasTag(alias) }, change);
      return "done";
    } catch (error) {
      if (error instanceof AppError && /^(precondition_failed|alias_not_found)$/.test(error.code)) return "overtaken";
      throw error;
    }
  }

  #mainGeneration(alias: AliasRecord, target: AliasTarget): string | undefined {
    const [main] = leftWithout(alias, target).toSorted((a, b) => b.weight - a.weight);
    // The main target itself is the measure, and is not measured.
    if (!main || (alias.targets.includes(main) && main.weight < target.weight)) return undefined;
    return main.generation ?? this.#ports.store.namesOf(alias.tenant).get(main.name)?.generation;
  }

  #windowsOf(alias: AliasRecord, windowSeconds: number): Windows {
    const key = keyOf(alias);
    const known = this.#windows.get(key);
    if (known?.windowSeconds === windowSeconds && known.byTarget.size < MAX_WATCHED) return known;
    const stored = known ? undefined : this.#ports.store.errorSamples.get(alias);
    const slices = stored?.windowSeconds === windowSeconds ? Object.entries(stored.targets) : [];
    const byTarget = new Map(slices.map(([target, one]) => [target, new ErrorWindow(windowSeconds, one)]));
    const windows = { windowSeconds, byTarget };
    const [oldest = key] = this.#windows.keys();
    if (this.#windows.size >= MAX_ALIASES) this.#windows.delete(oldest);
    this.#windows.set(key, windows);
    return windows;
  }

  /** Lets the store write the counts of an alias soon. */
  #keep(alias: AliasRecord): void {
    const windows = this.#windows.get(keyOf(alias));
    if (!windows) return;
    const { windowSeconds, byTarget } = windows;
    const read = () => ({
      windowSeconds,
      targets: Object.fromEntries([...byTarget].map(([target, { slices }]) => [target, slices])),
    });
    this.#ports.store.errorSamples.note(alias, read);
  }
}

/** A name that was deleted and made again is another alias. */
const keyOf = (alias: AliasRecord): string => `${qualifiedName(alias)} ${alias.created}`;

/** The targets that answer without this one: the others that have a weight, or else those before the last change. */
function leftWithout({ targets, previous }: AliasRecord, target: AliasTarget): readonly AliasTarget[] {
  const others = (all: readonly AliasTarget[]) =>
    all.filter((one) => targetText(one) !== targetText(target) && one.weight > 0);
  const left = others(targets);
  return left.length > 0 ? left : others(previous ?? []);
}
