/**
 * All trained numbers of a run in one flat buffer, and all their
 * gradients in another. Every tensor of the graph is a view into them.
 * Clipping, accumulation, the optimiser, copying and saving are therefore one loop each, and no step copies a tensor.
 * Knows nothing of the meaning of the numbers.
 */
import type { TrainParameter } from "../model/train/train-graph.ts";
import { type RuntimeTensor, runtimeTensor } from "../runtime/ort.ts";
import { type HostTensor, hostTensor, numElements } from "../tensor/host-tensor.ts";

interface Place {
  readonly shape: readonly number[];
  readonly start: number;
  readonly end: number;
}

export class FlatParameters {
  /** float32, the parameters concatenated in the graph's order. */
  readonly values: Float32Array;
  /** float32, at the same places. */
  readonly gradients: Float32Array;
  /** Views of `values`, by the graph's input names. */
  readonly feeds: Readonly<Record<string, RuntimeTensor>>;
  /** Views of `gradients`, by the graph's output names. */
  readonly fetches: Readonly<Record<string, RuntimeTensor>>;
  readonly #places = new Map<string, Place>();

  constructor(parameters: readonly TrainParameter[]) {
    let end = 0;
    for (const { name, shape } of parameters) {
      const start = end;
      end += numElements(shape);
      this.#places.set(name, { shape, start, end });
    }
    this.values = new Float32Array(end);
    this.gradients = new Float32Array(end);
    this.feeds = this.#views(this.values, parameters, ({ name }) => name);
    this.fetches = this.#views(this.gradients, parameters, ({ gradient }) => gradient);
  }

  /** Names in the graph's order. */
  get names(): readonly string[] {
    return [...this.#places.keys()];
  }

  /** Total number of trained values. */
  get length(): number {
    return this.values.length;
  }

  /** Sets one parameter, in `values` or in another flat buffer with the same layout. */
  set(name: string, values: Float32Array, flat: Float32Array = this.values): void {
    const { start, end } = this.#place(name);
    if (values.length !== end - start)
      throw new Error(`internal: ${values.length} values for ${name}, which has ${end - start}`);
    flat.set(values, start);
  }

  /** One parameter of a flat buffer with the layout of `values`; a view. */
  tensor(name: string, flat: Float32Array = this.values): HostTensor {
    const { shape, start, end } = this.#place(name);
    return hostTensor("float32", shape, flat.subarray(start, end));
  }

  #views(flat: Float32Array, parameters: readonly TrainParameter[], nameOf: (one: TrainParameter) => string) {
    return Object.fromEntries(
      parameters.map((one) => {
        const { shape, start, end } = this.#place(one.name);
        return [nameOf(one), runtimeTensor("float32", flat.subarray(start, end), shape)];
      }),
    );
  }

  #place(name: string): Place {
    const place = this.#places.get(name);
    if (!place) throw new Error(`internal: ${name} is no trained parameter`);
    return place;
  }
}
