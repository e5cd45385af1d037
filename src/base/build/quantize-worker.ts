/** One thread that quantises rows of weights. It receives them as their file has them, and returns their levels. */
import { parentPort } from "node:worker_threads";
import { toWire } from "../../errors.ts";
import type { ThreadAnswer } from "../../linalg/thread-pool.ts";
import { quantizedMatrix } from "../../model/serve/quantize.ts";
import type { QuantizedLayout, QuantizedMatrix } from "../../model/serve/quantized-matrix.ts";
import { type HostTensor, toFloat32 } from "../../tensor/host-tensor.ts";

/** Rows [count,dIn] of a weight, whose buffer is transferred. */
export interface QuantizeJob {
  readonly rows: HostTensor;
  readonly layout: QuantizedLayout;
}

parentPort?.on("message", ({ rows, layout }: QuantizeJob) => {
  try {
    const result = quantizedMatrix(toFloat32(rows), rows.shape[1]!, layout); // two dimensions
    const parts = [result.packed, result.scales, result.zeroPoints, result.minimums];
    send(
      { result },
      parts.flatMap((part) => (part ? [part.buffer as ArrayBuffer] : [])),
    );
  } catch (error) {
    send({ error: toWire(error) }, []);
  }
});

function send(message: ThreadAnswer<QuantizedMatrix>, transferred: ArrayBuffer[]): void {
  parentPort?.postMessage(message, transferred);
}
