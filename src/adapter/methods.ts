/**
 * The table of training methods. A new method is one file that implements `AdapterMethod`, its name in `Method`, and
 * one line here.
 */
import type { AdapterTarget, Method, RouterKind } from "./adapter.ts";
import { lora } from "./lora.ts";
import type { AdapterMethod } from "./method.ts";
import { moSara } from "./mo-sara.ts";
import { sara } from "./sara.ts";

export const METHODS = { "mo-sara": moSara, sara, lora } as const satisfies Readonly<Record<Method, AdapterMethod>>;

/** Names and shapes of the tensors that a target of this method must have. */
export function expectedTensors(
  method: Method,
  router: RouterKind,
  heads: number,
  target: Pick<AdapterTarget, "dIn" | "dOut" | "k">,
): Readonly<Record<string, readonly number[]>> {
  return METHODS[method].parameters(target, { heads, router });
}
