/** Records of training jobs for tests. */
import { adapterNameOf, type JobRecord } from "../../src/jobs/records.ts";

/** A queued job with the default settings. */
export function queuedJob(tenant = "acme", id = "ftjob-0"): JobRecord {
  const named = { id, tenant, model: "base", suffix: null };
  const settings = {
    objective: "supervised",
    method: "mo-sara",
    beta: null,
    epochs: null,
    steps: null,
    batchSize: null,
    learningRateMultiplier: null,
    heads: null,
    rank: null,
    targets: null,
    threshold: null,
    maxLength: null,
  } as const;
  return {
    ...named,
    adapterName: adapterNameOf(named),
    quota: {},
    state: "queued",
    created: 0,
    finished: null,
    trainingFile: "file-0",
    validationFile: null,
    seed: 0,
    settings,
    metadata: null,
    error: null,
    resultFiles: [],
    trainedTokens: 0,
    lastStep: 0,
    lastEvaluation: -1,
    totalSteps: null,
    finalLoss: null,
    evalLoss: null,
  };
}
