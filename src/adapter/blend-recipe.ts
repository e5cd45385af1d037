/**
 * A blend as data: generations of adapters with weights. Recipes of the same sum have one canonical form. The hash of
 * that form is the blend's generation. Knows no contents. `blend.ts` computes the sum.
 */
import { createHash } from "node:crypto";
import { AppError } from "../errors.ts";

/** Maximum number of adapters in a blend. */
export const MAX_BLEND_MEMBERS = 8;

/** One adapter of a blend, and the factor of its update. */
export interface BlendPart {
  readonly generation: string;
  readonly weight: number;
}

/** The recipe's canonical form: each generation occurs once, no weight is 0, and generations are in ascending order. */
export function blendRecipe(parts: readonly BlendPart[]): readonly BlendPart[] {
  const weights = new Map<string, number>();
  for (const { generation, weight } of parts) weights.set(generation, (weights.get(generation) ?? 0) + weight);
  return [...weights]
    .filter(([, weight]) => weight !== 0)
    .map(([generation, weight]) => ({ generation, weight }))
    .sort((a, b) => (a.generation < b.generation ? -1 : 1));
}

/**
 * The generation of a recipe in its canonical form: SHA-256, 64 hex digits. A single adapter with the weight 1 keeps
 * its own generation.
 */
export function blendGeneration(recipe: readonly BlendPart[]): string {
  const [first] = recipe;
  if (recipe.length === 1 && first?.weight === 1) return first.generation;
  const text = JSON.stringify(recipe.map(({ generation, weight }) => [generation, weight]));
  return createHash("sha256").update(`mosara blend 1\n${text}`).digest("hex");
}

/**
 * Refuses members whose sum no row can hold.
 * @param members with a text that names each of them to the caller
 * @throws {AppError} not_blendable
 */
export function assertBlendable(members: readonly { readonly label: string; readonly heads: number }[]): void {
  const several = members.filter(({ heads }) => heads > 1).map(({ label }) => label);
  if (several.length <= 1) return;
  throw new AppError(
    "not_blendable",
    `The adapters ${several.join(" and ")} have several heads. A blend holds at most one such adapter, because its gate depends on the token. Blend one of them with adapters of one head, SARA or LoRA.`,
    { param: "adapter" },
  );
}
