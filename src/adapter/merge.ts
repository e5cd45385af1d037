/**
 * Merges an adapter into a weight. The delta of every method is a product L·R of rank k, so the merged weight is
 * exactly W + L·R. With n > 1 heads the delta depends on the token and has no such product. If a mean gate is given, it
 * replaces the gate. Pure. Source: docs/explanation/mo-sara.md.
 */
// Indices are bounded by their loops, hence `!`.
import { AppError } from "../errors.ts";
import { hostTensor, toFloat32 } from "../tensor/host-tensor.ts";
import type { Adapter, AdapterTarget } from "./adapter.ts";

/** The frozen directions of a target: U float32 [dOut,K], V float32 [dIn,K], K ≥ the adapter's k. */
export interface MergeBasis {
  readonly left: Float32Array;
  readonly right: Float32Array;
  readonly k: number;
}

/** delta = left · right. */
export interface DeltaFactors {
  /** float64 [dOut,k] */
  readonly left: Float64Array;
  /** float64 [k,dIn] */
  readonly right: Float64Array;
  readonly k: number;
}

/** @throws {AppError} not_mergeable for n > 1 heads */
export function assertMergeable(adapter: Adapter): void {
  if (adapter.heads === 1) return;
  throw new AppError(
    "not_mergeable",
    `The adapter has ${adapter.heads} heads. Their gate depends on the token, so no fixed weights give the same answers. Serve it live, or merge it with --mean-gate, which is not exact.`,
  );
}

/**
 * Replaces the heads of an adapter by one: λ̄ = Σᵢ ḡᵢ λᵢ; v is
 * unchanged. This is not exact, because the gate depends on the token.
 * @param meanGates mean gate ḡ [n] of every target, by name
 */
export function withMeanGates(adapter: Adapter, meanGates: ReadonlyMap<string, ArrayLike<number>>): Adapter {
  const targets = adapter.targets.map((target) => {
    const gate = meanGates.get(target.name);
    if (!gate) throw new Error(`internal: no mean gate for ${target.name}`);
    const { k } = target;
    const heads = values(target, "lambda"); // [n,k]
    const lambda = Float32Array.from({ length: k }, (_, i) => {
      let sum = 0;
      for (let head = 0; head < adapter.heads; head++) sum += gate[head]! * heads[head * k + i]!;
      return sum;
    });
    const v = hostTensor("float32", [target.dOut], values(target, "v"));
    return { ...target, tensors: { lambda: hostTensor("float32", [1, k], lambda), v } };
  });
  return { ...adapter, heads: 1, router: "none", targets };
}

/**
 * The factors of a target's delta.
 * @param basis of the base; only needed for mo-sara
 * @throws {AppError} not_mergeable for n > 1 heads
 */
export function deltaFactors(adapter: Adapter, target: AdapterTarget, basis: MergeBasis | null): DeltaFactors {
  assertMergeable(adapter);
  if (adapter.method === "mo-sara") {
    if (!basis) throw new Error(`internal: no basis for ${target.name}`);
    return moSaraFactors(target, basis);
  }
  if (adapter.method === "lora") {
    const left = Float64Array.from(values(target, "lora_B"), (value) => value * (target.scale ?? 1));
    return { left, right: Float64Array.from(values(target, "lora_A")), k: target.k };
  }
  const lambda = values(target, "Lambda");
  const left = Float64Array.from(values(target, "A"), (value, i) => value * lambda[i % target.k]!);
  return { left, right: Float64Array.from(values(target, "B")), k: target.k };
}

/** diag(v) U_k diag(λ) · V_kᵀ, over the leading k of the basis's directions. */
function moSaraFactors({ k, dIn, dOut, ...target }: AdapterTarget, basis: MergeBasis): DeltaFactors {
  const lambda = values(target, "lambda");
  const scale = values(target, "v");
  const left = new Float64Array(dOut * k);
  for (let row = 0; row < dOut; row++)
    for (let i = 0; i < k; i++) left[row * k + i] = scale[row]! * basis.left[row * basis.k + i]! * lambda[i]!;
  const right = new Float64Array(k * dIn);
  for (let column = 0; column < dIn; column++)
    for (let i = 0; i < k; i++) right[i * dIn + column] = basis.right[column * basis.k + i]!;
  return { left, right, k };
}

function values(target: Pick<AdapterTarget, "name" | "tensors">, name: string): Float32Array {
  const tensor = target.tensors[name];
  if (!tensor) throw new Error(`internal: ${target.name} has no ${name}`);
  return toFloat32(tensor);
}
