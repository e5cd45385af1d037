/** Starts a Mo-SARA adapter in training at the projection of another adapter, layer by layer. */
import { toFloat32 } from "../../tensor/host-tensor.ts";
import type { FlatParameters } from "../flat-parameters.ts";
import type { AdapterPlan } from "../trained-adapter.ts";
import { type LayerMoments, projectDelta } from "./projection.ts";

/**
 * Writes λ and v of every layer with moments. Other layers keep their initial values, which change nothing.
 * @param parameters of a plan with one head
 */
export async function projectAdapter(
  plan: AdapterPlan,
  parameters: FlatParameters,
  moments: ReadonlyMap<string, LayerMoments>,
): Promise<void> {
  for (const { name, k, basis } of plan.layers) {
    const layer = moments.get(name);
    if (!layer || !basis) continue;
    const { left, sigma } = await basis(); // one at a time: memory stays bounded
    const columns = left.shape[1] ?? k;
    const values = toFloat32(left);
    const leading = new Float32Array((values.length / columns) * k);
    for (let row = 0; row < leading.length / k; row++)
      leading.set(values.subarray(row * columns, row * columns + k), row * k);
    const { lambda, v } = projectDelta(leading, toFloat32(sigma).slice(0, k), layer);
    parameters.set(`${name}.lambda`, lambda);
    parameters.set(`${name}.v`, v);
  }
}
