/**
 * The interface of a training method: names and shapes of its parameters, their initial values, and the term that it
 * adds to a layer's output. Each method implements it in one file. `methods.ts` lists them. Knows nothing of losses,
 * optimisers and checkpoints.
 */
import type { Var } from "../graph/graph.ts";
import type { HostTensor } from "../tensor/host-tensor.ts";
import type { RandomState } from "../tensor/random.ts";
import type { RouterKind } from "./adapter.ts";

/** A linear layer with the sizes that a method needs to adapt it. */
export interface MethodTarget {
  readonly dIn: number;
  readonly dOut: number;
  /** mo-sara: number of directions used. sara and lora: rank. */
  readonly k: number;
  /** lora: alpha / r. */
  readonly scale?: number;
}

/** Settings shared by all layers of an adapter. */
export interface MethodSettings {
  /** Adapter heads; 1 unless the method has several. */
  readonly heads: number;
  /** "none" with one head. */
  readonly router: RouterKind;
}

/** A layer's leading singular triplets: U float32 [dOut,k], sigma float32 [k], V float32 [dIn,k]. */
export interface BasisValues {
  readonly left: HostTensor;
  readonly sigma: HostTensor;
  readonly right: HostTensor;
}

/** The frozen directions of a layer in a graph. */
export interface BasisVars {
  /** V, float32 [dIn,k]. */
  readonly right: Var;
  /** Uᵀ, float32 [k,dOut]. */
  readonly left: Var;
}

export interface AdapterMethod {
  /** Where the method uses the singular triplets: in every forward pass, only in the initial values, or nowhere. */
  readonly basis: "forward" | "initial" | "none";
  /** Names and shapes of a target's parameters, in the order in which they are stored and get their initial values. */
  parameters(target: MethodTarget, settings: MethodSettings): Readonly<Record<string, readonly number[]>>;
  /**
   * Initial values at which the adapter leaves the base bit-identical. Random numbers come only from `random`, in the
   * order of `parameters`.
   * @param basis null where `basis` above is "none"
   * @returns float32 values by name
   */
  initialValues(
    target: MethodTarget,
    settings: MethodSettings,
    basis: BasisValues | null,
    random: RandomState,
  ): Readonly<Record<string, Float32Array>>;
  /**
   * The factor on the learning rate for each number of a parameter, by the parameter's name. A missing factor is 1. The
   * trainer multiplies its steps by it, so that one rate means the same on every layer of every model.
   * @param basis as in `initialValues`
   */
  units?(
    target: MethodTarget,
    settings: MethodSettings,
    basis: BasisValues | null,
  ): Readonly<Record<string, Float32Array>>;
  /**
   * Builds the term that the adapter adds to the layer's output.
   * @param x float32 [M,dIn]
   * @param parameters the target's parameters by name, in the shapes of `parameters`
   * @param basis null unless `basis` above is "forward"
   * @returns float32 [M,dOut]
   */
  delta(
    x: Var,
    target: MethodTarget,
    settings: MethodSettings,
    parameters: Readonly<Record<string, Var>>,
    basis: BasisVars | null,
  ): Var;
}

/** The entry of `values` with this name. The method's own `parameters` guarantees that it exists. */
export function named<T>(values: Readonly<Record<string, T>>, name: string): T {
  const value = values[name];
  if (value === undefined) throw new Error(`internal: no ${name} among ${Object.keys(values).join(", ")}`);
  return value;
}

/** The triplets, for a method that needs them. */
export function needBasis<T>(basis: T | null): T {
  if (!basis) throw new Error("internal: this method needs the layer's singular triplets");
  return basis;
}
