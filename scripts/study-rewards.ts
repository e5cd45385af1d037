/**
 * How few numbers learn from rewards? Trains adapters of several sizes on the demo with `--objective reward`, and draws
 * the reward of held-out prompts by step. Each result is saved at once (docs/study/rewards.jsonl) and only missing runs
 * are run.
 * usage: npm run study:rewards -- [--model models/demo] [--steps 16] [--threads 2] [--page]
 */
import { writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { parseArgs } from "node:util";
import { KnownRuns } from "./study/known-runs.ts";
import { renderRewardPage, rewardFigure } from "./study/reward-page.ts";
import { REWARD_SETTINGS, type RewardKey, type RewardResult, runRewards } from "./study/reward-runs.ts";

const { values: flags } = parseArgs({
  options: {
    model: { type: "string", default: join("models", "demo") },
    steps: { type: "string", default: "16" },
    threads: { type: "string", default: "2" },
    work: { type: "string", default: join("work", "study-rewards") },
    out: { type: "string", default: join("docs", "study-rewards.md") },
    /** Runs nothing: the page of what is known. */
    page: { type: "boolean", default: false },
  },
});
const SEED = 1;

const folder = flags.out.replace(/study-rewards\.md$/, "study");
const results = new KnownRuns<RewardKey, RewardResult>(join(folder, "rewards.jsonl"));
if (!flags.page)
  for (const setting of REWARD_SETTINGS) {
    const key: RewardKey = { ...setting, steps: Number(flags.steps), seed: SEED };
    if (!results.has(key)) results.add(await runRewards(flags.model, key, flags.work, Number(flags.threads)));
  }
const figure = join(folder, "rewards.svg");
writeFileSync(figure, rewardFigure(results.all));
writeFileSync(flags.out, renderRewardPage(results.all, `${basename(folder)}/rewards.svg`));
