/**
 * A process that builds one base and reports the cost. Its peak memory is then that of the build alone. Its only
 * argument is the job as JSON, and the result is its only message.
 */
import { type BuildOptions, buildBase } from "../../src/base/build/build.ts";

export interface BuildJob {
  readonly checkpointDir: string;
  readonly outDir: string;
  readonly options: BuildOptions;
}

export interface BuildCost {
  readonly seconds: number;
  readonly bytes: number;
  /** Most memory that the process had at any time, native code and threads included. */
  readonly peakBytes: number;
  /** Seconds of each stage, in their order. */
  readonly stages: readonly { readonly stage: string; readonly seconds: number }[];
}

const job = JSON.parse(process.argv[2] ?? "") as BuildJob;
const stages: { stage: string; startedAt: number; endedAt: number }[] = [];
const startedAt = performance.now();
const { seconds, bytes } = await buildBase(job.checkpointDir, job.outDir, job.options, ({ stage }) => {
  const last = stages.at(-1);
  const now = performance.now();
  if (last?.stage === stage) last.endedAt = now;
  else stages.push({ stage, startedAt: last?.endedAt ?? startedAt, endedAt: now });
});
const cost: BuildCost = {
  seconds,
  bytes,
  peakBytes: process.resourceUsage().maxRSS * 1024,
  stages: stages.map((one) => ({ stage: one.stage, seconds: (one.endedAt - one.startedAt) / 1000 })),
};
process.send?.(cost);
