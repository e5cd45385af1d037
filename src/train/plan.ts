/**
 * Chooses the layers that `mosara train` adapts, the k of each, and the source of its triplets: the base, or an SVD
 * computed here.
 */
import type { BasisValues } from "../adapter/method.ts";
import type { Base } from "../base/base.ts";
import { DEFAULT_THRESHOLD } from "../base/build/build.ts";
import type { ManifestTarget } from "../base/manifest.ts";
import { chooseTargets, targetChoice } from "../base/build/targets.ts";
import { AppError } from "../errors.ts";
import { rankForThreshold } from "../linalg/rank.ts";
import { createSvdPool } from "../linalg/svd-pool.ts";
import type { Linear } from "../model/linears.ts";
import { linearWeight } from "../model/weight-names.ts";
import { hostTensor, toFloat32 } from "../tensor/host-tensor.ts";
import type { AdaptedLayer, AdapterPlan } from "./trained-adapter.ts";
import type { MethodSettings } from "./method-settings.ts";

export interface PlanOptions {
  readonly flags: MethodSettings & { readonly method: AdapterPlan["method"] };
  /** Value of `--targets`. */
  readonly targets: readonly string[] | null;
  /** Value of `--threshold`, unless the base was built with it. */
  readonly threshold: number | null;
  readonly onNotice: (text: string) => void;
}

/** @throws {AppError} usage for names that match no layer, base_invalid where a wanted basis is missing */
export async function planAdapter(base: Base, options: PlanOptions): Promise<AdapterPlan> {
  const { flags } = options;
  const linears = chosenLinears(base, options.targets);
  const layers = await (flags.method === "lora" ? loraLayers(linears, flags) : basisLayers(base, linears, options));
  return { method: flags.method, heads: flags.heads, router: flags.router, layers };
}

/** The named layers; otherwise the layers with a basis in the base; otherwise the family's default. */
function chosenLinears(base: Base, names: readonly string[] | null): readonly Linear[] {
  const { config, targets } = base.manifest;
  const choice = targetChoice(names);
  if (choice === "none")
    throw new AppError("usage", "--targets none leaves nothing to train. Name layers, or leave the flag out.");
  return chooseTargets(config, choice === null && targets.length > 0 ? targets.map(({ name }) => name) : choice);
}

function loraLayers(linears: readonly Linear[], { rank, alpha }: MethodSettings): readonly AdaptedLayer[] {
  if (rank === null || alpha === null) throw new Error("internal: lora without a rank");
  const widest = linears.find(({ dIn, dOut }) => rank > Math.min(dIn, dOut));
  if (widest)
    throw new AppError(
      "usage",
      `--rank ${rank} is more than ${widest.name} has (${widest.dOut}×${widest.dIn}). Choose a smaller rank or other --targets.`,
    );
  return linears.map(({ name, dIn, dOut }) => ({ name, dIn, dOut, k: rank, scale: alpha / rank }));
}

async function basisLayers(
  base: Base,
  linears: readonly Linear[],
  options: PlanOptions,
): Promise<readonly AdaptedLayer[]> {
  const known = new Map(base.manifest.targets.map((target) => [target.name, target]));
  const missing = linears.filter(({ name }) => !known.has(name));
  if (missing.length > 0 && options.flags.method === "mo-sara")
    throw new AppError(
      "base_invalid",
      `${base.dir} has no basis for ${missing
        .map(({ name }) => name)
        .join(", ")
        .slice(0, 200)}, which mo-sara needs. Build it with --targets that include them, or choose other --targets.`,
    );
  const computed = new Map<string, AdaptedLayer>();
  for (const layer of await computedLayers(base, missing, options)) computed.set(layer.name, layer);
  const layers: AdaptedLayer[] = [];
  for (const { name } of linears) {
    const target = known.get(name);
    const layer = target ? await storedLayer(base, target, options) : computed.get(name);
    if (layer) layers.push(layer);
  }
  return layers;
}

/** A layer whose basis the base holds: its k, or fewer of its directions. */
async function storedLayer(base: Base, target: ManifestTarget, options: PlanOptions): Promise<AdaptedLayer> {
  const { name, dIn, dOut, basisId } = target;
  const k = options.threshold === null ? target.k : await rankWithin(base, target, options.threshold, options.onNotice);
  const places = base.bases.find((one) => one.name === name);
  if (!places) throw new Error(`internal: ${name} has no basis in ${base.dir}`);
  const stored = { basisId, left: places.left, right: places.right };
  const isRead = options.flags.method === "mo-sara";
  return { name, dIn, dOut, k, basis: () => base.readBasis(name), ...(isRead ? { stored } : {}) };
}

async function rankWithin(
  base: Base,
  { name, k }: ManifestTarget,
  threshold: number,
  onNotice: (text: string) => void,
): Promise<number> {
  const { singularValues } = await base.readBasis(name);
  const wanted = rankForThreshold(toFloat32(singularValues), threshold);
  if (wanted > k)
    onNotice(`${name}: --threshold ${threshold} asks for k = ${wanted}, but the base keeps ${k}. Training uses ${k}.`);
  return Math.min(wanted, k);
}

/** SARA only starts from singular vectors, so they are computed for layers without a basis. */
async function computedLayers(
  base: Base,
  linears: readonly Linear[],
  options: PlanOptions,
): Promise<readonly AdaptedLayer[]> {
  if (linears.length === 0) return [];
  const threshold = options.threshold ?? base.manifest.threshold ?? DEFAULT_THRESHOLD;
  await using pool = createSvdPool(1);
  const layers: AdaptedLayer[] = [];
  for (const { name, dIn, dOut } of linears) {
    const weight = toFloat32(await base.source.read(linearWeight(name))); // one at a time: memory stays bounded
    const { k, U, sigma, V } = await pool.svd(weight, dOut, dIn, { threshold });
    const basis: BasisValues = {
      left: hostTensor("float32", [dOut, k], U),
      sigma: hostTensor("float32", [k], sigma),
      right: hostTensor("float32", [dIn, k], V),
    };
    layers.push({ name, dIn, dOut, k, basis: async () => basis });
  }
  return layers;
}
