/** Checks and completes the flags of `mosara train` that depend on each other, before any file is read. Pure. */
import type { ConfigOf } from "../../config/commands.ts";
import { flagName } from "../../config/commands.ts";
import { AppError } from "../../errors.ts";
import type { DefaultRate } from "../../jobs/train-arguments.ts";
import type { MethodSettings, TrainObjective } from "../../train/method-settings.ts";

export type TrainConfig = ConfigOf<"train">;

/** Measured in docs/study.md and, on models of several sizes, in docs/study-rates.md. */
const LEARNING_RATES = { "mo-sara": 0.2, sara: 0.03, lora: 0.01, full: 0.001 } as const;
/**
 * Default trust of adapters. Training a whole model from scratch uses warm-up only. Measured in docs/study-rates.md.
 */
const DEFAULT_TRUST = 0.3;
const DEFAULT_RANK = 8;
/** As in TRL, and in most runs of the paper (arXiv 2305.18290). */
const DEFAULT_BETA = 0.1;
const DEFAULT_GROUP_SIZE = 8;
const DEFAULT_ANSWER_TOKENS = 96;
/** As in PPO and TRL. One step follows each sampling, so it seldom matters. */
const REWARD_CLIP = 0.2;
/** Share of the rate of examples: a reward says less about a token than an example does. */
const REWARD_RATE = 0.25;

/** The flags that apply to each method only. */
const FLAGS_OF = {
  heads: ["mo-sara"],
  router: ["mo-sara"],
  rank: ["lora"],
  alpha: ["lora"],
  threshold: ["mo-sara", "sara"],
  targets: ["mo-sara", "sara", "lora"],
} as const satisfies Partial<Record<keyof TrainConfig, readonly TrainConfig["method"][]>>;

/** @throws {AppError} usage for flags that contradict each other or would have no effect */
export function methodFlags(config: TrainConfig): MethodSettings {
  const { method } = config;
  for (const [flag, methods] of Object.entries(FLAGS_OF) as [keyof typeof FLAGS_OF, readonly string[]][])
    if (config[flag] !== null && !methods.includes(method))
      throw new AppError(
        "usage",
        `--${flag} is for --method ${methods.join(" and ")}, but the method is ${method}. Leave the flag out.`,
      );
  const objective = objectiveOf(config);
  if (config.steps !== null && config.epochs !== null)
    throw new AppError("usage", "--steps and --epochs both set the length of the training. Use one of them.");
  if (config.eval.length === 0 && (config.evalEvery !== null || config.patience !== null))
    throw new AppError("usage", "--eval-every and --patience need held-out examples. Give --eval <file.jsonl>.");
  if (config.keepEpochs > 0 && method === "full")
    throw new AppError("usage", "--keep-epochs keeps adapters, but --method full makes a checkpoint. Leave it out.");
  const heads = config.heads ?? 1;
  if (heads === 1 && config.router !== null)
    throw new AppError(
      "usage",
      `--router ${config.router} is for several heads, but there is 1. Set --heads, or leave --router out.`,
    );
  const rank = method === "lora" ? (config.rank ?? DEFAULT_RANK) : null;
  return {
    method,
    heads,
    router: heads === 1 ? "none" : (config.router ?? "rank1"),
    rank,
    alpha: rank === null ? null : (config.alpha ?? 2 * rank),
    objective,
    learningRate: config.lr ?? rateOf(method, objective.kind === "reward"),
    trust: trustOf(config),
  };
}

/** The rate that a job's `learning_rate_multiplier` multiplies. */
export const defaultRate: DefaultRate = ({ method, objective }) => rateOf(method, objective === "reinforcement");

function rateOf(method: TrainConfig["method"], isReward: boolean): number {
  return LEARNING_RATES[method] * (isReward ? REWARD_RATE : 1);
}

/** The flags of each objective only. */
const FLAGS_OF_OBJECTIVE = {
  beta: "dpo",
  grader: "reward",
  graderProgram: "reward",
  groupSize: "reward",
  maxAnswerTokens: "reward",
} as const satisfies Partial<Record<keyof TrainConfig, TrainConfig["objective"]>>;

/** @throws {AppError} usage */
function objectiveOf(config: TrainConfig): TrainObjective {
  const { objective } = config;
  for (const [flag, owner] of Object.entries(FLAGS_OF_OBJECTIVE) as [keyof typeof FLAGS_OF_OBJECTIVE, string][])
    if (config[flag] !== null && objective !== owner)
      throw new AppError(
        "usage",
        `--${flagName(flag)} is for --objective ${owner}, but the objective is ${objective}. Leave the flag out.`,
      );
  if (objective === "sft") return { kind: "sft" };
  if (objective === "dpo") return { kind: "dpo", beta: config.beta ?? DEFAULT_BETA };
  if ((config.grader === null) === (config.graderProgram === null))
    throw new AppError("usage", "--objective reward needs either --grader <file.json> or --grader-program <command>.");
  if (config.method === "full")
    throw new AppError("usage", "--objective reward trains adapters. Choose --method mo-sara, sara or lora.");
  if (config.trust !== null)
    throw new AppError("usage", "--trust bounds a step by its loss, but the loss of rewards is near 0. Leave it out.");
  return {
    kind: "reward",
    groupSize: config.groupSize ?? DEFAULT_GROUP_SIZE,
    maxAnswerTokens: config.maxAnswerTokens ?? DEFAULT_ANSWER_TOKENS,
    clip: REWARD_CLIP,
  };
}

/** null: no bound. */
function trustOf({ trust, method, objective }: TrainConfig): number | null {
  const chosen = trust ?? (method === "full" || objective === "reward" ? 0 : DEFAULT_TRUST);
  return chosen === 0 ? null : chosen;
}
