/** Checks and completes the flags of `mosara train` that depend on each other, before any file is read. Pure. */
import type { ConfigOf } from "../../config/commands.ts";
import { AppError } from "../../errors.ts";
import type { MethodSettings } from "../../train/method-settings.ts";

export type TrainConfig = ConfigOf<"train">;

/** Measured in docs/study.md and, on models of several sizes, in docs/study-rates.md. */
export const LEARNING_RATES = { "mo-sara": 0.2, sara: 0.03, lora: 0.01, full: 0.001 } as const;
/** Default trust of adapters. Training a whole model from scratch uses warm-up only. Measured in docs/study-rates.md. */
const DEFAULT_TRUST = 0.3;
const DEFAULT_RANK = 8;
/** As in TRL, and in most runs of the paper (arXiv 2305.18290). */
const DEFAULT_BETA = 0.1;

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
  if (config.objective === "sft" && config.beta !== null)
    throw new AppError("usage", "--beta is for --objective dpo, but the objective is sft. Leave the flag out.");
  if (config.steps !== null && config.epochs !== null)
    throw new AppError("usage", "--steps and --epochs both set the length of the training. Use one of them.");
  if (config.eval.length === 0 && (config.evalEvery !== null || config.patience !== null))
    throw new AppError("usage", "--eval-every and --patience need held-out examples. Give --eval <file.jsonl>.");
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
    beta: config.objective === "dpo" ? (config.beta ?? DEFAULT_BETA) : null,
    learningRate: config.lr ?? LEARNING_RATES[method],
    trust: trustOf(config),
  };
}

/** null: no bound. */
function trustOf({ trust, method }: TrainConfig): number | null {
  const chosen = trust ?? (method === "full" ? 0 : DEFAULT_TRUST);
  return chosen === 0 ? null : chosen;
}
