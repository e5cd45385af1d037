/** Jobs, their events and checkpoints in OpenAI's shape. */
import { z } from "@hono/zod-openapi";
import { type JobEvent, type JobRecord, type JobSettings, JOB_STATES } from "../../jobs/records.ts";

const auto = z.union([z.number(), z.literal("auto")]);
const hyperparameters = z.object({ n_epochs: auto, batch_size: auto, learning_rate_multiplier: auto });

export const jobSchema = z
  .looseObject({
    id: z.string(),
    object: z.literal("fine_tuning.job"),
    status: z.enum(JOB_STATES),
    model: z.string(),
    created_at: z.int(),
    finished_at: z.int().nullable(),
    fine_tuned_model: z.string().nullable(),
    training_file: z.string(),
    validation_file: z.string().nullable(),
    trained_tokens: z.int().nullable(),
    error: z
      .object({ code: z.string(), message: z.string(), param: z.string().nullable() })
      .nullable()
      .openapi({ description: "Why the job failed." }),
    hyperparameters,
  })
  .openapi("FineTuningJob");

export const eventSchema = z
  .object({
    id: z.string(),
    object: z.literal("fine_tuning.job.event"),
    created_at: z.int(),
    level: z.enum(["info", "warn", "error"]),
    type: z.enum(["message", "metrics"]),
    message: z.string(),
    data: z.record(z.string(), z.number()).nullable(),
  })
  .openapi("FineTuningEvent");

export const checkpointSchema = z
  .looseObject({
    id: z.string(),
    object: z.literal("fine_tuning.job.checkpoint"),
    fine_tuned_model_checkpoint: z.string(),
    fine_tuning_job_id: z.string(),
    step_number: z.int(),
  })
  .openapi("FineTuningCheckpoint");

export function jobJson(job: JobRecord): z.output<typeof jobSchema> {
  const { settings } = job;
  const chosen = {
    n_epochs: settings.epochs ?? "auto",
    batch_size: settings.batchSize ?? "auto",
    learning_rate_multiplier: settings.learningRateMultiplier ?? "auto",
  } as const;
  return {
    id: job.id,
    object: "fine_tuning.job",
    status: job.state,
    model: job.model,
    created_at: job.created,
    finished_at: job.finished,
    estimated_finish: null,
    fine_tuned_model: job.state === "succeeded" ? job.adapterName : null,
    organization_id: job.tenant,
    training_file: job.trainingFile,
    validation_file: job.validationFile,
    result_files: job.resultFiles,
    trained_tokens: job.state === "succeeded" ? job.trainedTokens : null,
    error: job.error,
    user_provided_suffix: job.suffix,
    seed: job.seed,
    hyperparameters: chosen,
    method: methodJson(settings, chosen),
    metadata: job.metadata,
    integrations: [],
    mosara: {
      method: settings.method,
      heads: settings.heads,
      rank: settings.rank,
      targets: settings.targets,
      threshold: settings.threshold,
      steps: settings.steps,
      max_length: settings.maxLength,
      max_answer_tokens: settings.reinforcement?.maxAnswerTokens ?? null,
      step: job.lastStep,
      total_steps: job.totalSteps,
    },
  };
}

function methodJson(
  { objective, beta, reinforcement }: JobSettings,
  chosen: Readonly<Record<string, number | "auto">>,
): Readonly<Record<string, unknown>> {
  switch (objective) {
    case "supervised":
      return { type: objective, supervised: { hyperparameters: chosen } };
    case "dpo":
      return { type: objective, dpo: { hyperparameters: { beta: beta ?? "auto", ...chosen } } };
    case "reinforcement": {
      const hyperparameters = { ...chosen, eval_interval: reinforcement?.evalEvery ?? "auto" };
      return { type: objective, reinforcement: { grader: reinforcement?.grader, hyperparameters } };
    }
  }
}

export function eventJson({ id, created, level, type, message, data }: JobEvent): z.output<typeof eventSchema> {
  return { id, object: "fine_tuning.job.event", created_at: created, level, type, message, data };
}

/**
 * The adapters that a finished job made, newest first. The first is the result: its best state, or its last one where
 * nothing was held out.
 */
export function checkpointsJson(job: JobRecord): z.output<typeof checkpointSchema>[] {
  if (job.state !== "succeeded") return [];
  const id = job.id.replace("ftjob", "ftckpt");
  const kept = (job.checkpoints ?? []).map((one) => ({ id: `${id}-${one.step}`, ...one }));
  const result = { id, step: job.lastStep, adapterName: job.adapterName, scores: finalScores(job) };
  return [...kept, result].toReversed().map((one) => ({
    id: one.id,
    object: "fine_tuning.job.checkpoint",
    created_at: job.finished,
    fine_tuned_model_checkpoint: one.adapterName,
    fine_tuning_job_id: job.id,
    step_number: one.step,
    metrics: { step: one.step, ...one.scores },
  }));
}

/** For held-out rewards, the loss is their distance from 1. */
function finalScores({ settings, finalLoss, evalLoss }: JobRecord): Readonly<Record<string, number | null>> {
  if (settings.objective === "reinforcement") return { valid_mean_reward: evalLoss === null ? null : 1 - evalLoss };
  return { train_loss: finalLoss, valid_loss: evalLoss };
}
