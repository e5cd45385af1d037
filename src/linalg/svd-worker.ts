/**
 * One worker thread of the SVD pool. It receives a weight and returns
 * its truncated SVD, or an error as data. Knows nothing of the pool.
 */
import { parentPort } from "node:worker_threads";
import { toWire } from "../errors.ts";
import { runtimeProducts } from "./runtime-products.ts";
import type { ThreadAnswer } from "./thread-pool.ts";
import { type TruncatedSvd, type TruncatedSvdOptions, truncatedSvd } from "./truncated-svd.ts";

/** A job; the weight's buffer is transferred. */
export interface SvdJob {
  readonly weight: Float32Array<ArrayBuffer>;
  readonly dOut: number;
  readonly dIn: number;
  readonly options: TruncatedSvdOptions;
}

/** Opened at the first job. They live as long as the thread. */
let products: ReturnType<typeof runtimeProducts> | null = null;

parentPort?.on("message", (job: SvdJob) => void answer(job));

async function answer({ weight, dOut, dIn, options }: SvdJob): Promise<void> {
  try {
    products ??= runtimeProducts();
    const result = await truncatedSvd(weight, dOut, dIn, options, await products);
    const { U, V, sigma, singularValues } = result;
    send({ result }, [U.buffer, V.buffer, sigma.buffer, singularValues.buffer]);
  } catch (error) {
    send({ error: toWire(error) }, []);
  }
}

function send(message: ThreadAnswer<TruncatedSvd>, transferred: ArrayBuffer[]): void {
  parentPort?.postMessage(message, transferred);
}
