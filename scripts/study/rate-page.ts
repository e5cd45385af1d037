/** The grid of learning rates as a page: one table a model and task, and how far the default is from the best. Pure. */
import { table } from "./markdown.ts";
import type { RateResult } from "./rate-runs.ts";

/** What `mosara train` takes for mo-sara. */
const DEFAULT_SETTING = { rate: 0.2, trust: 0.3 } as const;
/** Share of the best run's gain that the default may fall short of. */
const TOLERANCE = 0.02;

/** A run beside the others of its model, task and sizes. */
interface Judged extends RateResult {
  /** Loss drop from the base ÷ that of the best run; 1 is the best. */
  readonly share: number;
  readonly isDefault: boolean;
}

/**
 * Above the base's loss, or a training loss that rose far above the first: such a run has collapsed, whatever came
 * after.
 */
export function hasCollapsed({
  loss,
  baseLoss,
  peakLoss,
  firstLoss,
}: Pick<RateResult, "loss" | "baseLoss" | "peakLoss" | "firstLoss">): boolean {
  return !(loss < baseLoss) || peakLoss > 1.5 * firstLoss;
}

/** Runs of one model, task and size, with their shares of the best gain; seeds count each. */
export function judged(runs: readonly RateResult[]): readonly Judged[] {
  const best = Math.max(...runs.map(({ baseLoss, loss }) => baseLoss - loss));
  return runs
    .map((run) => ({
      ...run,
      share: (run.baseLoss - run.loss) / best,
      isDefault: run.rate === DEFAULT_SETTING.rate && run.trust === DEFAULT_SETTING.trust,
    }))
    .toSorted((a, b) => a.trust - b.trust || a.rate - b.rate);
}

/** @param conclusions what people concluded, kept in a file of its own */
export function renderRatePage(results: readonly RateResult[], conclusions: string): string {
  const groups = new Map<string, RateResult[]>();
  for (const result of results) {
    const title = `${result.model}: ${result.task}, ${result.steps} steps of ${result.batchSize}`;
    groups.set(title, [...(groups.get(title) ?? []), result]);
  }
  const sections = [...groups].map(([title, runs]) => ({ title, runs: judged(runs) }));
  return [
    "# One learning rate for every model",
    "Mo-SARA on the default targets at several rates. Loss: held out, nats a token. **Share**: the drop of the loss from the\nbase ÷ the drop of the best run of the table. Peak: the largest training loss after the first step. The default is in\nbold. Regenerate with `npm run study:rates`. Known runs (`docs/study/rates.jsonl`) are not run again.",
    conclusions.trim(),
    `## The default beside the best\n\n${table(["model, task, size", "share of the best", "verdict"], sections.flatMap(verdict))}`,
    ...sections.map(({ title, runs }) => `## ${title}\n\n${runTable(runs)}`),
  ]
    .filter((part) => part !== "")
    .join("\n\n")
    .concat("\n");
}

function verdict({ title, runs }: { readonly title: string; readonly runs: readonly Judged[] }): readonly string[][] {
  const own = runs.filter(({ isDefault }) => isDefault);
  if (own.length === 0) return [];
  const share = own.reduce((sum, run) => sum + run.share, 0) / own.length;
  if (own.length === runs.length) return [[title, "", own.some(hasCollapsed) ? "collapsed" : "no other rate was run"]];
  const text = own.some(hasCollapsed) ? "collapsed" : share >= 1 - TOLERANCE ? "within 2 %" : "not within 2 %";
  return [[title, share.toFixed(3), text]];
}

function runTable(runs: readonly Judged[]): string {
  const rows = runs.map((run) => {
    const name = `${run.rate}, ${run.trust === 0 ? "no bound" : `trust ${run.trust}`}`;
    return [
      run.isDefault ? `**${name}**` : name,
      `${run.seed}`,
      `${run.baseLoss.toFixed(3)} → ${run.loss.toFixed(3)}`,
      run.share.toFixed(3),
      run.peakLoss.toFixed(2),
      run.accuracy === null ? "" : `${(100 * run.accuracy).toFixed(1)} %`,
      hasCollapsed(run) ? "collapsed" : "",
    ];
  });
  return table(["rate", "seed", "loss", "share", "peak", "accuracy", ""], rows);
}
