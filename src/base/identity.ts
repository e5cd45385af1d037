/**
 * Identity by content. `baseId` covers the checkpoint's mathematics: the parts of the
 * config that change results, and the name, shape, dtype and bytes of every tensor.
 * It does not cover quantisation, targets or threshold. `basisId` covers the stored U, σ, V of one target.
 */
import { createHash } from "node:crypto";
import { canonicalJson } from "../formats/canonical-json.ts";
import { LATER_SETTINGS, type ModelConfig } from "../model/config/model-config.ts";
import type { DType } from "../tensor/dtype.ts";
import { type HostTensor, bytesOf } from "../tensor/host-tensor.ts";

export interface TensorDigest {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** SHA-256 of the bytes, hex. */
  readonly sha256: string;
}

/** SHA-256 of a tensor's bytes, hex. */
export function tensorDigest(name: string, tensor: HostTensor): TensorDigest {
  const sha256 = createHash("sha256").update(bytesOf(tensor)).digest("hex");
  return { name, dtype: tensor.dtype, shape: tensor.shape, sha256 };
}

/**
 * SHA-256, hex. The tensors show whether the head is tied, so the config's declaration is left out. Settings that were
 * added later are left out where they have their old value, so that a model keeps its id.
 */
export function baseIdOf(config: ModelConfig, digests: readonly TensorDigest[]): string {
  const { tiesEmbeddings: _, ...settings } = config;
  const isNew = ([key, value]: [string, unknown]): boolean =>
    !(key in LATER_SETTINGS) || value !== LATER_SETTINGS[key as keyof typeof LATER_SETTINGS];
  const mathematics = Object.fromEntries(Object.entries(settings).filter(isNew));
  const tensors = [...digests].sort((a, b) => (a.name < b.name ? -1 : 1));
  return createHash("sha256")
    .update(canonicalJson({ config: mathematics, tensors }))
    .digest("hex");
}

/** SHA-256, hex, over shapes and float32 bytes. @param left U [dOut,k] @param sigma [k] @param right V [dIn,k] */
export function basisIdOf(left: HostTensor, sigma: HostTensor, right: HostTensor): string {
  const hash = createHash("sha256");
  for (const tensor of [left, sigma, right])
    hash.update(`${tensor.dtype}[${tensor.shape.join(",")}]`).update(bytesOf(tensor));
  return hash.digest("hex");
}
