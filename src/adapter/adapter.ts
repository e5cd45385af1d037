/**
 * The adapter type: a method, the base it was made for, and a few tensors for each target linear layer.
 * It knows nothing of files (adapter-file.ts), of the mathematics of a method (methods.ts) or of serving.
 * Source: arXiv 2408.03290; exact forms in docs/explanation/mo-sara.md.
 */
import { AppError } from "../errors.ts";
import { type HostTensor, numElements } from "../tensor/host-tensor.ts";

/** The names of the methods. `methods.ts` has the methods themselves. */
export type Method = "mo-sara" | "sara" | "lora";
export type RouterKind = "none" | "rank1" | "full";

/** Strings, numbers and lists that describe how the adapter was made; no wall-clock time, no path. */
export type Card = { readonly [key: string]: CardValue };
export type CardValue = string | number | boolean | null | readonly CardValue[] | Card;

/** One linear layer's share of an adapter. `tensors` are named as in the `.mosara` file. */
export interface AdapterTarget {
  /** `layers.<L>.<module>`, e.g. `layers.0.self_attn.q_proj`. */
  readonly name: string;
  readonly dIn: number;
  readonly dOut: number;
  /** mo-sara: number of leading directions of the base's basis. Other methods: the rank. */
  readonly k: number;
  /** mo-sara: hash of the basis it was trained on. */
  readonly basisId?: string;
  /** lora: alpha / r. */
  readonly scale?: number;
  readonly tensors: Readonly<Record<string, HostTensor>>;
}

export interface Adapter {
  readonly method: Method;
  readonly baseId: string;
  /** Adapter heads; 1 unless mo-sara. */
  readonly heads: number;
  readonly router: RouterKind;
  readonly targets: readonly AdapterTarget[];
  /** Tokens that end an answer of this adapter, in addition to the base's end tokens. Ascending; absent if none. */
  readonly endTokenIds?: readonly number[];
  readonly card: Card;
}

/** A linear layer that an adapter may change, as the base describes it. `k` and `basisId` exist only with a basis. */
export interface LinearSignature {
  readonly name: string;
  readonly dIn: number;
  readonly dOut: number;
  readonly k?: number;
  readonly basisId?: string;
}

/** The properties of a base that an adapter must match. `linears` holds every linear layer by name. */
export interface BaseSignature {
  readonly baseId: string;
  readonly linears: ReadonlyMap<string, LinearSignature>;
  /** Absent where no caller needs token ids. */
  readonly vocabSize?: number;
}

/** Number of trained values in the adapter. */
export function numParams(adapter: Adapter): number {
  return adapter.targets.reduce(
    (sum, target) => sum + Object.values(target.tensors).reduce((n, tensor) => n + numElements(tensor.shape), 0),
    0,
  );
}

/**
 * Checks that `adapter` fits the base: equal base id, known layers, equal widths, and for mo-sara an equal basis and k.
 * @throws {AppError} `adapter_incompatible`, naming both sides.
 */
export function assertFits(adapter: Adapter, base: BaseSignature): void {
  const incompatible = (message: string): AppError => new AppError("adapter_incompatible", message);
  if (adapter.baseId !== base.baseId)
    throw incompatible(
      `The adapter was made for base ${adapter.baseId}, and the base here is ${base.baseId}. Train or convert it for this base.`,
    );
  const { vocabSize = Infinity } = base;
  const stray = adapter.endTokenIds?.find((id) => id >= vocabSize);
  if (stray !== undefined)
    throw incompatible(`The adapter ends answers at token ${stray}, but the base has tokens up to ${vocabSize - 1}.`);
  for (const target of adapter.targets) {
    const linear = base.linears.get(target.name);
    if (!linear) throw incompatible(`The adapter changes ${target.name}, which the base does not have.`);
    if (linear.dIn !== target.dIn || linear.dOut !== target.dOut)
      throw incompatible(
        `The adapter's ${target.name} is ${target.dOut}×${target.dIn}, but the base's is ${linear.dOut}×${linear.dIn}.`,
      );
    if (adapter.method !== "mo-sara") continue;
    if (linear.basisId === undefined || linear.k === undefined)
      throw incompatible(`The base has no basis for ${target.name}. Build it with --targets that include it.`);
    if (linear.basisId !== target.basisId)
      throw incompatible(
        `The adapter's basis of ${target.name} is ${target.basisId}, but the base's is ${linear.basisId}. Build the base with --basis-from.`,
      );
    if (target.k > linear.k)
      throw incompatible(`The adapter uses ${target.k} directions of ${target.name}, but the base keeps ${linear.k}.`);
  }
}
