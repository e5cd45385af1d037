/** `mosara merge`: writes a Hugging Face checkpoint with an adapter merged in. */
import { availableParallelism } from "node:os";
import type { Adapter } from "../adapter/adapter.ts";
import { type Base, openBase } from "../base/base.ts";
import { type MeanGateResult, mergeByMeanGate } from "../base/merge/mean-gate.ts";
import { mergeCheckpoint } from "../base/merge/merge-checkpoint.ts";
import type { ConfigOf } from "../config/commands.ts";
import { loadExampleEncoder } from "../data/encode.ts";
import { readExamples } from "../data/examples.ts";
import { Progress } from "./shared/progress.ts";
import { readAdapter } from "./shared/read-adapter.ts";
import { PLAIN_BUILD, resolveBase } from "./shared/resolve-base.ts";

/** @returns the exit code. @throws {AppError} */
export async function merge(config: ConfigOf<"merge">): Promise<number> {
  // Checked first, so that no checkpoint is built in vain.
  const { adapter, generation } = await readAdapter(config.adapter);
  await using base = await openBase(await resolveBase(config.model, { ...PLAIN_BUILD, cache: config.cache }));
  const meanGate = config.meanGate === null ? null : await byMeanGate(base, adapter, config.meanGate);
  const progress = new Progress();
  const options = { dtype: config.dtype, numThreads: availableParallelism() };
  const onProgress = (done: number) => progress.update("merging", done);
  const { out, changed, tensors, seconds } = await mergeCheckpoint(
    base,
    meanGate?.adapter ?? adapter,
    config.out,
    options,
    onProgress,
  ).finally(() => progress.end());
  const { baseId } = base.manifest;
  const error = meanGate && {
    tokens: meanGate.tokens,
    maxAbsLogitDifference: meanGate.maxAbsLogitDifference,
    meanAbsLogitDifference: meanGate.meanAbsLogitDifference,
  };
  const notice = error
    ? `; the mean gate over ${error.tokens} tokens moves logits by ${error.maxAbsLogitDifference.toPrecision(3)} at most, ${error.meanAbsLogitDifference.toPrecision(3)} on average`
    : "";
  process.stdout.write(
    config.json
      ? `${JSON.stringify({ out, baseId, generation, tensors, changed, seconds, ...(error ? { meanGate: error } : {}) })}\n`
      : `${out}: ${changed.length} of ${tensors} tensors changed, ${seconds.toFixed(1)} s${notice}\n`,
  );
  return 0;
}

/** Replaces an adapter's heads by one, with their mean gate over a file of examples. */
async function byMeanGate(base: Base, adapter: Adapter, path: string): Promise<MeanGateResult> {
  const encoder = await loadExampleEncoder(base.dir);
  const examples = await readExamples([path]);
  const { maxPositions } = base.manifest.config;
  const sequences = examples.flatMap((example) =>
    encoder.encode(example).map(({ ids }) => ids.subarray(0, maxPositions)),
  );
  return mergeByMeanGate(base, adapter, sequences, availableParallelism());
}
