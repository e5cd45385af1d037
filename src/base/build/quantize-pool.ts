/** Quantises weights on worker threads, some rows a job. The result is bit-identical to that of `quantizedMatrix`. */
import { ThreadPool } from "../../linalg/thread-pool.ts";
import { quantizedMatrix } from "../../model/serve/quantize.ts";
import {
  type QuantizedLayout,
  type QuantizedMatrix,
  copyRows,
  emptyMatrix,
} from "../../model/serve/quantized-matrix.ts";
import { entryUrl } from "../../program-files.ts";
import { type HostTensor, toFloat32 } from "../../tensor/host-tensor.ts";
import type { QuantizeJob } from "./quantize-worker.ts";

/**
 * Number of weights of a job. A job takes a few hundredths of a second, so all threads end a matrix nearly together.
 */
const JOB_SIZE = 2 ** 19;

export interface QuantizePool extends AsyncDisposable {
  /** @param weight [dOut,dIn]. The caller must not change it before the promise resolves. */
  quantize(weight: HostTensor, layout: QuantizedLayout): Promise<QuantizedMatrix>;
}

const WORKER_URL = entryUrl("base/build/quantize-worker");

/** @param numThreads maximum number of threads. They start with the first weight that is larger than a job. */
export function createQuantizePool(numThreads: number, workerUrl: URL = WORKER_URL): QuantizePool {
  const pool = new ThreadPool<QuantizeJob, QuantizedMatrix>("quantising", numThreads, workerUrl);
  return {
    quantize: async (weight, layout) => {
      const [dOut, dIn] = weight.shape as [number, number];
      const numRows = Math.max(1, Math.floor(JOB_SIZE / dIn));
      if (dOut <= numRows) return quantizedMatrix(toFloat32(weight), dIn, layout);
      const matrix = emptyMatrix(dOut, dIn, layout);
      const starts = Array.from({ length: Math.ceil(dOut / numRows) }, (_, i) => i * numRows);
      await Promise.all(
        starts.map(async (first) =>
          copyRows(await pool.run(() => jobOf(weight, first, numRows, layout)), matrix, first),
        ),
      );
      return matrix;
    },
    [Symbol.asyncDispose]: () => pool[Symbol.asyncDispose](),
  };
}

function jobOf({ dtype, shape, data }: HostTensor, first: number, numRows: number, layout: QuantizedLayout) {
  const [dOut, dIn] = shape as [number, number];
  const end = Math.min(first + numRows, dOut);
  const rows = data.slice(first * dIn, end * dIn);
  return {
    job: { rows: { dtype, shape: [end - first, dIn], data: rows }, layout },
    transferred: [rows.buffer as ArrayBuffer],
  };
}
