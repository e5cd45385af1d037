/** `mosara merge`: a Hugging Face checkpoint with an adapter folded in. */
import { availableParallelism } from "node:os";
import { openBase } from "../base/base.ts";
import { mergeCheckpoint } from "../base/merge-checkpoint.ts";
import type { BuildFlags, ConfigOf } from "../config.ts";
import { Progress } from "./progress.ts";
import { readAdapter } from "./read-adapter.ts";
import { resolveBase } from "./resolve-base.ts";

/** How a checkpoint given as --model is built: merging reads its original weights and its bases alone. */
const BUILD: BuildFlags = {
  weights: "auto",
  blockSize: null,
  basisFrom: null,
  targets: null,
  threshold: null,
  maxRank: null,
  slim: false,
};

/** @returns the exit code. @throws {AppError} */
export async function merge(config: ConfigOf<"merge">): Promise<number> {
  const { adapter, generation } = await readAdapter(config.adapter); // before a checkpoint is built in vain
  await using base = await openBase(await resolveBase(config.model, { ...BUILD, cache: config.cache }));
  const progress = new Progress();
  const options = { dtype: config.dtype, numThreads: availableParallelism() };
  const onProgress = (done: number) => progress.update("merging", done);
  const { out, changed, tensors, seconds } = await mergeCheckpoint(
    base,
    adapter,
    config.out,
    options,
    onProgress,
  ).finally(() => progress.end());
  const { baseId } = base.manifest;
  process.stdout.write(
    config.json
      ? `${JSON.stringify({ out, baseId, generation, tensors, changed, seconds })}\n`
      : `${out}: ${changed.length} of ${tensors} tensors changed, ${seconds.toFixed(1)} s\n`,
  );
  return 0;
}
