/**
 * Decides where a base stores each tensor of its checkpoint, so that no number is stored twice. A tensor that was
 * quantised before stays in the form of its file. Where the serving graph already has the same numbers, it is stored
 * only there. All other tensors are stored unchanged.
 */
import type { Checkpoint } from "../../checkpoint/checkpoint.ts";
import type { CheckpointTensor } from "../../checkpoint/stored-tensors.ts";
import { allLinears } from "../../model/linears.ts";
import { isSameLayout } from "../../model/serve/quantized-matrix.ts";
import { LM_HEAD_GROUP, type WeightLayouts, layoutOf } from "../../model/serve/weight-layouts.ts";
import { readsRowsOfLevels } from "../../model/weights.ts";
import { EMBEDDING, LM_HEAD, linearWeight } from "../../model/weight-names.ts";
import { SERVED } from "../manifest.ts";
import { matricesOf } from "./choose-layouts.ts";

export interface TensorHomes {
  /** Tensors in `WEIGHTS_FILE`. */
  readonly kept: readonly CheckpointTensor[];
  /** `SERVED`, or the type of a tensor's numbers in `ORIGINALS_FILE`; by name, as in the manifest. */
  readonly originals: Readonly<Record<string, string>>;
}

/** @param layouts null: the weights are not quantised, and the graph refers to all tensors */
export function tensorHomes(
  checkpoint: Pick<Checkpoint, "config" | "tensors" | "quantized" | "coded">,
  layouts: WeightLayouts | null,
  isSlim: boolean,
): TensorHomes {
  const { config, tensors, quantized, coded } = checkpoint;
  if (layouts === null) return { kept: tensors, originals: {} };
  const served = new Set(
    matricesOf(checkpoint).flatMap((matrix) =>
      matrix.tensors.filter((name) => {
        const own = (coded?.typeOf(name) ?? null) === null ? null : (quantized?.layoutOf(name) ?? null);
        return own !== null && isSameLayout(own, layoutOf(layouts, matrix.group));
      }),
    ),
  );
  const canBeCoded = new Set([...allLinears(config).map((linear) => linearWeight(linear.name)), LM_HEAD]);
  const readsLevels = served.has(EMBEDDING) && readsRowsOfLevels(layoutOf(layouts, LM_HEAD_GROUP));
  if (readsLevels) canBeCoded.add(EMBEDDING);
  const originals: Record<string, string> = {};
  const kept = tensors.filter((tensor) => {
    const { name } = tensor;
    if (!canBeCoded.has(name)) return true;
    if (isSlim && name !== EMBEDDING) return false;
    const home = served.has(name) ? SERVED : (coded?.typeOf(name) ?? null);
    if (home !== null) originals[name] = home;
    return home === null;
  });
  return { kept, originals };
}
