/**
 * The body of POST /v1/fine_tuning/jobs: OpenAI's fields, and `mosara` for settings of adapters that OpenAI does not
 * have.
 */
import { z } from "@hono/zod-openapi";
import { AppError } from "../../errors.ts";
import { compileGrader } from "../../graders/grader.ts";
import type { JobSettings, ReinforcementSettings } from "../../jobs/records.ts";
import { invalid } from "../error-response.ts";

const orAuto = <T extends z.ZodType>(schema: T) => z.union([schema, z.literal("auto")]);

const hyperparameters = z.strictObject({
  n_epochs: orAuto(z.number().positive().max(10_000)).optional(),
  batch_size: orAuto(z.int().min(1).max(65_536)).optional(),
  learning_rate_multiplier: orAuto(z.number().positive().max(10_000)).optional(),
});

const dpoHyperparameters = hyperparameters.extend({ beta: orAuto(z.number().positive().max(1000)).optional() });

const reinforcementHyperparameters = hyperparameters.extend({
  compute_multiplier: orAuto(z.number().positive().max(100)).optional(),
  eval_interval: orAuto(z.int().min(1)).optional(),
  eval_samples: z.literal("auto").optional(),
  reasoning_effort: z.literal("default").optional(),
});

const mosara = z
  .strictObject({
    method: z.enum(["mo-sara", "sara", "lora"]).optional(),
    heads: z.int().min(1).max(4096).optional(),
    rank: z.int().min(1).max(65_536).optional(),
    targets: z.string().max(10_000).optional(),
    threshold: z.number().positive().max(1).optional(),
    steps: z.int().min(1).max(10_000_000).optional(),
    max_length: z.int().min(2).max(1_000_000).optional(),
    max_answer_tokens: z.int().min(1).max(65_536).optional(),
  })
  .openapi({ description: "The same settings as the flags of `mosara train`." });

export const jobRequest = z
  .strictObject({
    model: z.string().min(1),
    training_file: z.string().min(1),
    validation_file: z.string().min(1).nullish(),
    suffix: z
      .string()
      .regex(/^[A-Za-z0-9._-]{1,40}$/, "expected 1 to 40 letters, digits, dots, hyphens or underscores")
      .nullish(),
    seed: z.int().min(0).max(4_294_967_295).nullish(),
    hyperparameters: hyperparameters.nullish(),
    method: z
      .strictObject({
        type: z.enum(["supervised", "dpo", "reinforcement"]),
        supervised: z.strictObject({ hyperparameters: hyperparameters.nullish() }).nullish(),
        dpo: z.strictObject({ hyperparameters: dpoHyperparameters.nullish() }).nullish(),
        reinforcement: z
          .strictObject({
            grader: z.looseObject({ type: z.string() }),
            hyperparameters: reinforcementHyperparameters.nullish(),
          })
          .nullish(),
      })
      .nullish(),
    metadata: z
      .record(z.string().max(64), z.string().max(512))
      .refine((metadata) => Object.keys(metadata).length <= 16, "expected at most 16 entries")
      .nullish(),
    integrations: z.array(z.looseObject({})).nullish(),
    mosara: mosara.nullish(),
  })
  .openapi("FineTuningJobRequest");

export type JobRequest = z.output<typeof jobRequest>;

const METHODS = ["supervised", "dpo", "reinforcement"] as const;
type Hyperparameters = z.output<typeof dpoHyperparameters>;

/** The method's hyperparameters, which OpenAI's older clients send beside it. @throws {AppError} invalid_request. */
function hyperparametersOf(
  objective: JobSettings["objective"],
  method: JobRequest["method"],
  outer: JobRequest["hyperparameters"],
): Hyperparameters {
  const other = METHODS.find((one) => one !== objective && method?.[one]);
  if (other !== undefined)
    throw invalid(
      `"method.type" is "${objective}", so "method.${other}" has no effect. Leave it out.`,
      `method.${other}`,
    );
  const inner: Hyperparameters = method?.[objective]?.hyperparameters ?? {};
  for (const [key, value] of Object.entries(outer ?? {})) {
    const own = inner[key as keyof Hyperparameters];
    if (own !== undefined && own !== value)
      throw invalid(
        `"hyperparameters.${key}" is ${value}, and the method's own is ${own}. Give one of them.`,
        `hyperparameters.${key}`,
      );
  }
  return { ...outer, ...inner };
}

/** @throws {AppError} unsupported_parameter: a grader, or an integration. invalid_request: contradictions. */
export function settingsOf({ method, hyperparameters: outer, integrations, mosara: own }: JobRequest): JobSettings {
  const objective = method?.type ?? "supervised";
  if (integrations && integrations.length > 0)
    throw new AppError(
      "unsupported_parameter",
      '"integrations" are not supported. The files of a finished job have its figures.',
      { param: "integrations" },
    );
  const given = hyperparametersOf(objective, method, outer);
  return {
    objective,
    ...(objective === "reinforcement" ? { reinforcement: reinforcementOf(method?.reinforcement, own) } : {}),
    beta: known(given.beta),
    method: own?.method ?? "mo-sara",
    epochs: known(given.n_epochs),
    steps: own?.steps ?? null,
    batchSize: known(given.batch_size),
    learningRateMultiplier: known(given.learning_rate_multiplier),
    heads: own?.heads ?? null,
    rank: own?.rank ?? null,
    targets: own?.targets ?? null,
    threshold: own?.threshold ?? null,
    maxLength: own?.max_length ?? null,
  };
}

/** Answers to each prompt of a step, where `compute_multiplier` is 1. */
const GROUP_SIZE = 8;

function reinforcementOf(
  given: NonNullable<JobRequest["method"]>["reinforcement"],
  own: JobRequest["mosara"],
): ReinforcementSettings {
  const path = "method.reinforcement.grader";
  if (!given) throw new AppError("invalid_request", `"${path}" is missing. It grades the answers.`, { param: path });
  compileGrader(given.grader, path);
  const { compute_multiplier: compute, eval_interval: evalEvery } = given.hyperparameters ?? {};
  const multiplier = known(compute);
  return {
    grader: given.grader,
    evalEvery: known(evalEvery),
    groupSize: multiplier === null ? null : Math.max(2, Math.round(GROUP_SIZE * multiplier)),
    maxAnswerTokens: own?.max_answer_tokens ?? null,
  };
}

const known = (value: number | "auto" | undefined): number | null =>
  value === undefined || value === "auto" ? null : value;
