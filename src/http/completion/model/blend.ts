/** A request's blend: the stored adapters that it names, held for the request, and the recipe of their sum. */
import { quote } from "../../../errors.ts";
import type { Card } from "../../../adapter/adapter.ts";
import { assertBlendable, blendGeneration, blendRecipe } from "../../../adapter/blend-recipe.ts";
import type { SequenceRequest } from "../../../engine/engine.ts";
import type { AppContext } from "../../context.ts";
import { type Asker, type HeldAdapter, holdAdapter } from "./stored-adapter.ts";

/** Weights by the names of adapters. */
export type BlendWeights = Readonly<Record<string, number>>;

export interface HeldBlend {
  readonly adapter: NonNullable<SequenceRequest["adapter"]>;
  readonly cards: readonly Card[];
  /** End tokens of the members, ascending. */
  readonly endIds: readonly number[];
  /** May be called more than once. */
  readonly release: () => void;
}

/** @throws {AppError} adapter_not_found, adapter_incompatible, not_blendable; then no member is held */
export function holdBlend(context: AppContext, asker: Asker, weights: BlendWeights): HeldBlend {
  const held: (HeldAdapter & { readonly weight: number })[] = [];
  const release = (): void => held.forEach((one) => one.release());
  try {
    for (const [name, weight] of Object.entries(weights))
      held.push({ ...holdAdapter(context, asker, name, `adapter.blend.${name}`), weight });
    const parts = held.map(({ record, weight }) => ({ generation: record.generation, weight }));
    const recipe = blendRecipe(parts);
    const members = recipe.flatMap(
      ({ generation }) => held.find(({ record }) => record.generation === generation) ?? [],
    );
    assertBlendable(members.map(({ record }) => ({ label: quote(record.name), heads: record.heads })));
    const generation = blendGeneration(recipe);
    const endIds = [...new Set(members.flatMap(({ record }) => record.endTokenIds ?? []))].sort((a, b) => a - b);
    // The blend of one adapter with the weight 1 is that adapter.
    const adapter = recipe[0]?.generation === generation ? { generation } : { generation, blend: recipe };
    return { adapter, cards: members.map(({ record }) => record.card), endIds, release };
  } catch (error) {
    release();
    throw error;
  }
}
