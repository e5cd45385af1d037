/**
 * The study as a page: a table for every task, the method's targets with the results, the figures.
 * Pure: results in, markdown out.
 */
import { table, wrapped } from "./markdown.ts";
import type { Results, RunResult } from "./results.ts";
import { REFERENCE, SETTINGS, moSaraName } from "./settings.ts";
import { cellOf, mean, meanGain } from "./summary.ts";
import type { Task } from "./tasks.ts";

/** What the page is made from. */
export interface PageData {
  readonly base: { readonly name: string; readonly id: string; readonly parameters: number };
  readonly steps: number;
  readonly tasks: readonly Task[];
  readonly results: Results;
  readonly runs: readonly RunResult[];
  readonly figures: readonly (readonly [file: string, caption: string])[];
  /** What people concluded, kept in a file of its own. */
  readonly conclusions: string;
  /** The table of every real model; empty without any. */
  readonly realModels: readonly string[];
}

/** The whole page. */
export function renderPage(data: PageData): string {
  const { base, steps, tasks, runs, figures, conclusions, realModels } = data;
  const wanted = tasks.length * SETTINGS.reduce((sum, { numSeeds }) => sum + numSeeds, 0);
  return [
    "# What the methods are worth",
    ...realModels,
    "## On the demo",
    wrapped(
      `\`${base.name}\` (${base.parameters.toLocaleString("en")} parameters, base \`${base.id.slice(0, 8)}\`), ${steps} steps of 8 examples, every method at one learning rate (\`scripts/study/settings.ts\`). Loss: held out, nats per token of the completion, mean over seeds (± half of their spread). **Gain**: the drop of the loss from the base ÷ the drop of ${REFERENCE} on the same task. Speed: tokens/s of 16 rows with the adapter ÷ 16 rows of the bare base (\`--targets none\`), median of rounds in turns, float32. Seconds cover training with its two evaluations. The machine did other work too, so compare seconds only within a table. Regenerate with \`npm run study\`. It runs only what is not yet in \`docs/study/results.jsonl\` (${runs.length} runs known; the tables need ${wanted}, the figure by layer needs more).`,
    ),
    conclusions.trim(),
    "## The method's targets, as means over tasks",
    table(["claim", "target", "reached"], targetRows(data)),
    ...tasks.flatMap((task) => [`## ${task.name}, metric ${task.metric}`, taskTable(data, task)]),
    "## Figures",
    ...figures.map(([file, caption]) => `![${caption}](study/${file})`),
  ]
    .join("\n\n")
    .concat("\n");
}

function taskTable({ results, runs, base }: PageData, { name }: Task): string {
  const rows = SETTINGS.flatMap((setting) => {
    const cell = cellOf(runs, name, setting.name);
    if (!cell) return [];
    const speeds = results.speeds(base.id, setting.name);
    const spread = cell.numSeeds > 1 ? ` ± ${(cell.lossSpread / 2).toFixed(3)}` : "";
    return [
      [
        setting.name,
        `${cell.numSeeds}`,
        cell.numParams.toLocaleString("en"),
        cell.bytes === null ? "" : cell.bytes.toLocaleString("en"),
        `${cell.loss.toFixed(3)}${spread}`,
        cell.gain.toFixed(2),
        scoreText(cell.score),
        cell.seconds.toFixed(0),
        speeds.length === 0 ? "" : median(speeds).toFixed(2),
      ],
    ];
  });
  const [any] = runs.filter((run) => run.task === name && run.baseScore !== null);
  const baseRow = any
    ? [["base", "", "", "", any.baseLoss.toFixed(3), "0", scoreText(any.baseScore ?? 0), "", "1"]]
    : [];
  const head = ["method, targets", "seeds", "trained", "bytes", "loss", "gain", "metric", "seconds", "speed ÷ bare"];
  return table(head, [...baseRow, ...rows]);
}

/** BLEU counts to 100, the others to 1. */
const scoreText = (score: number): string => (score > 1 ? score.toFixed(1) : score.toFixed(3));

interface Claim {
  readonly text: string;
  readonly own: string;
  readonly against: string;
  readonly gain: number;
  /** Most numbers, as a share of the other's. */
  readonly share: number;
}

/** k = 1 has one number a layer more than LoRA of rank 1. */
const EQUAL_SHARE = 1.005;
const SARA_EQUAL = SETTINGS.filter(({ equalTo }) => equalTo !== null);
/** What the method is expected to reach; the best threshold and the best rate tried count, for they are flags. */
const CLAIMS: readonly Claim[] = [
  ...[0.25, 0.5, 1].flatMap((m) => [
    claim(`Mo-SARA on q,v,o,down, m=${m}`, moSaraName("q,v,o,down", m), 0.95, 1 / 6),
    claim(`Mo-SARA on all linear, m=${m}`, moSaraName("all linear", m), 1.05, 1 / 2),
  ]),
  claim("Mo-SARA on q,v,o,down, m=0.5, rate 0.2", `${moSaraName("q,v,o,down", 0.5)}, rate 0.2`, 0.95, 1 / 6),
  claim("Mo-SARA on all linear, m=1, rate 0.2", `${moSaraName("all linear", 1)}, rate 0.2`, 1.05, 1 / 2),
  ...SARA_EQUAL.map(({ name, equalTo }) => ({
    text: name,
    own: name,
    against: `LoRA r=${equalTo}, q,v`,
    gain: 1,
    share: EQUAL_SHARE,
  })),
];

function claim(text: string, own: string, gain: number, share: number): Claim {
  return { text, own, against: REFERENCE, gain, share };
}

function targetRows({ runs, tasks }: PageData): readonly (readonly string[])[] {
  const names = tasks.map(({ name }) => name);
  return CLAIMS.map(({ text, own, against, gain, share }) => {
    const [task = ""] = names;
    const numbers = (cellOf(runs, task, own)?.numParams ?? NaN) / (cellOf(runs, task, against)?.numParams ?? NaN);
    const reached = meanGain(runs, names, own) / meanGain(runs, names, against);
    const isMet = reached >= gain && numbers <= share;
    const wanted = `gain ≥ ${gain} of ${against} with ≤ 1/${Math.round(1 / share)} of its numbers`;
    const verdict = `${isMet ? "reached" : "not reached"}: ${reached.toFixed(3)} with 1/${(1 / numbers).toFixed(1)}`;
    return [text, wanted, Number.isFinite(reached) ? verdict : "not run"];
  });
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? (sorted[middle] ?? NaN) : mean(sorted.slice(middle - 1, middle + 1));
}
