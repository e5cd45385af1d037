/** Values of KV rows, as a run reads and writes them: each has the stamp of its sequence and position. */
import { type CacheShape, type KvView } from "../../../src/engine/kv/kv-cache.ts";
import { newCacheNames } from "../../../src/model/ports.ts";
import { type RuntimeTensor, runtimeTensor } from "../../../src/runtime/ort.ts";

export const SHAPE: CacheShape = { numLayers: 2, numKvHeads: 2, headSize: 4 };

/**
 * Keys and values of a view, keys of layer 0 first, as they were read; a run's changes are made to the copy and then
 * written as it writes.
 */
export interface Values {
  readonly view: KvView;
  readonly parts: readonly {
    readonly data: Float32Array;
    readonly dims: readonly number[];
    readonly tensor: RuntimeTensor;
  }[];
}

/**
 * What a run that adds `numTokens` positions to each row, up to these, gives for a cache that it does not write itself:
 * [B, K, T, D] of each part.
 */
export function resultsOf(
  { parts }: Values,
  lastPositions: readonly number[],
  numTokens: number,
): Record<string, RuntimeTensor> {
  const names = Array.from({ length: SHAPE.numLayers }, (_, layer) => newCacheNames(layer));
  return Object.fromEntries(
    names
      .flatMap(({ key, value }) => [key, value])
      .map((name, part) => {
        const { data, dims } = parts[part]!; // two a layer
        const [numRows, numHeads, numPositions, headSize] = dims as [number, number, number, number];
        const result = new Float32Array(numRows * numTokens * numHeads * headSize);
        let next = 0;
        for (let row = 0; row < numRows; row++)
          for (let head = 0; head < numHeads; head++)
            for (let token = 0; token < numTokens; token++, next += headSize) {
              const position = (lastPositions[row] ?? 0) + 1 - numTokens + token;
              const at = ((row * numHeads + head) * numPositions + position) * headSize;
              result.set(data.subarray(at, at + headSize), next);
            }
        return [name, runtimeTensor("float32", result, [numRows, numHeads, numTokens, headSize])];
      }),
  );
}

export const stamp = (id: number, position: number, mark: number): number => id * 100_000 + position * 100 + mark;

/** The values of one row of a view at one position, with what tells them apart. */
export function visit(
  values: Values,
  row: number,
  position: number,
  each: (data: Float32Array, at: number, mark: number) => void,
): void {
  values.parts.forEach(({ data, dims }, part) => {
    const [, numHeads, numPositions, headSize] = dims as [number, number, number, number];
    for (let head = 0; head < numHeads; head++)
      for (let d = 0; d < headSize; d++)
        each(
          data,
          ((row * numHeads + head) * numPositions + position) * headSize + d,
          (part * numHeads + head) * headSize + d,
        );
  });
}

/** Positions worth a look: some everywhere, and those at the ends of what was allocated. */
export function samples(length: number): number[] {
  const all = [0, 1, 5, 63, 64, 127, 128, 255, 256, 511, 512, 700, 1023, 1024, 1400, length - 2, length - 1];
  return [...new Set(all)].filter((position) => position >= 0 && position < length);
}
