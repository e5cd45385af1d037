/** Truncated SVDs on worker threads. Knows nothing of the mathematics. */
import { entryUrl } from "../program-files.ts";
import type { SvdJob } from "./svd-worker.ts";
import { ThreadPool } from "./thread-pool.ts";
import type { TruncatedSvd, TruncatedSvdOptions } from "./truncated-svd.ts";

/** Threads that compute truncated SVDs. */
export interface SvdPool extends AsyncDisposable {
  /**
   * `truncatedSvd` on a thread. The weight is copied when its turn comes, and the caller leaves it unchanged until
   * then.
   * @throws every error of `truncatedSvd`, as an `AppError`; an `Error` where the thread died or the pool was closed.
   */
  svd(weight: Float32Array, dOut: number, dIn: number, options: TruncatedSvdOptions): Promise<TruncatedSvd>;
}

const WORKER_URL = entryUrl("linalg/svd-worker");

/**
 * A pool of `numThreads` threads, each started when first needed. The owner must dispose it. @param workerUrl the
 * worker's script, when it is not the program's own
 */
export function createSvdPool(numThreads: number, workerUrl: URL = WORKER_URL): SvdPool {
  const pool = new ThreadPool<SvdJob, TruncatedSvd>("SVD", numThreads, workerUrl);
  return {
    svd: (weight, dOut, dIn, options) =>
      pool.run(() => {
        const copy = weight.slice();
        return { job: { weight: copy, dOut, dIn, options }, transferred: [copy.buffer] };
      }),
    [Symbol.asyncDispose]: () => pool[Symbol.asyncDispose](),
  };
}
