/** The study on real models as a page: one table a model, the paper's claims with what was seen. Pure. */
import { table, wrapped } from "../markdown.ts";
import { hasCollapsed } from "../rate-page.ts";
import { REFERENCE } from "../settings.ts";
import type { RealResult, SetScore } from "./runs.ts";
import { DEFAULTS, LORA_EVERYWHERE, REAL_SETTINGS, SARA_EQUAL } from "./settings.ts";

/** Least shares of another method's gain that count as near it, and as equal to it. */
const NEAR = 0.95;
const EQUAL = 0.98;

/** The groups of sets, in the order of the columns. */
const TASKS = ["E2E", "commonsense", "math"];

/** @param conclusions what people concluded, kept in a file of its own */
export function renderRealPage(results: readonly RealResult[], conclusions: string): string {
  const sections = [...grouped(results)].flatMap(([title, runs]) => section(title, runs));
  return ["# The methods on real models", wrapped(INTRODUCTION), conclusions.trim(), ...sections]
    .filter((part) => part !== "")
    .join("\n\n")
    .concat("\n");
}

/** The table of every model alone, for a page about more; none without results. */
export function realTables(results: readonly RealResult[]): readonly string[] {
  const tables = [...grouped(results)].flatMap(([title, runs]) => [`**${title}**`, methodTable(runs)]);
  return tables.length === 0 ? [] : ["## On real models", REAL_SUMMARY, ...tables];
}

function grouped(results: readonly RealResult[]): ReadonlyMap<string, readonly RealResult[]> {
  const groups = new Map<string, RealResult[]>();
  for (const result of results) {
    const title = `${result.model}, ${result.steps} steps of ${result.batchSize}`;
    groups.set(title, [...(groups.get(title) ?? []), result]);
  }
  return groups;
}

const INTRODUCTION = `An adapter learns one group of data sets, as the paper groups them. It is then measured on questions that it has not seen. Every method has the trainer's own rate. **Gain**: the drop of the held-out loss from the base ÷ the drop of ${REFERENCE} on the same group. E2E is BLEU, the other sets are shares of right answers. A method with several seeds has their means, and the range of its gains in brackets. Brackets of a metric hold the 95 % interval and the number of questions. Seconds are those of training, averaged over the groups, on a machine that did other work too. Regenerate with \`npm run study:real\`. Runs in \`docs/study/real.jsonl\` are not run again.`;

const REAL_SUMMARY =
  "Every method at the trainer's own rate, means where there are several seeds. Gains are drops of the held-out loss. The\nlast columns are BLEU, and shares of right answers to unseen questions. [All figures](study-real.md) have their intervals and what they show.";

function section(title: string, runs: readonly RealResult[]): readonly string[] {
  const missing = missingRuns(runs);
  return [
    `## ${title}`,
    methodTable(runs),
    "### The paper's claims",
    table(["claim", "group", "gain", "numbers", "seen"], claimRows(runs)),
    "### Every run",
    runTable(runs),
    ...(missing.length === 0 ? [] : [`### Not run\n\n${missing.map((line) => `- ${line}`).join("\n")}`]),
  ];
}

/** Of every setting with a run, all sets in one row. */
function methodTable(runs: readonly RealResult[]): string {
  const sets = TASKS.flatMap((task) => runs.find((run) => run.task === task)?.scores ?? []);
  const baseRow = ["base", "", "", ...TASKS.map(() => "0"), ...sets.map((set) => scoreText(set, set.base)), ""];
  const rows = REAL_SETTINGS.flatMap(({ name }) => {
    const own = runs.filter(({ setting }) => setting === name);
    const [any] = own;
    if (!any) return [];
    const scores = own.flatMap((run) => run.scores);
    const cells = sets.map(({ set }) => scores.filter((score) => score.set === set));
    return [
      [
        name,
        any.numParams.toLocaleString("en"),
        any.bytes.toLocaleString("en"),
        ...TASKS.map((task) => gainText(gainOf(runs, task, name))),
        ...cells.map((seeds) => (seeds[0] ? scoreText(seeds[0], mean(seeds.map(({ value }) => value))) : "")),
        mean(own.map(({ seconds }) => seconds)).toFixed(0),
      ],
    ];
  });
  const head = [
    "method",
    "trained",
    "bytes",
    ...TASKS.map((task) => `gain: ${task}`),
    ...sets.map(({ set }) => set),
    "seconds",
  ];
  return table(head, [baseRow, ...rows]);
}

const scoreText = ({ metric }: SetScore, value: number): string => value.toFixed(metric === "bleu" ? 1 : 2);
const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
const dropOf = ({ baseLoss, loss }: RealResult): number => baseLoss - loss;

/** The runs of a setting on a task, one a seed. */
const runsOf = (runs: readonly RealResult[], task: string, setting: string): readonly RealResult[] =>
  runs.filter((run) => run.task === task && run.setting === setting);

/** A gain, and the least and the largest of its seeds. */
export interface Gain {
  readonly mean: number;
  readonly range: readonly [low: number, high: number];
  readonly numSeeds: number;
}

/** Loss drops of a setting ÷ the mean drop of another on the same task; null where a run is missing. */
export function gainOf(runs: readonly RealResult[], task: string, setting: string, reference = REFERENCE): Gain | null {
  const [own, other] = [runsOf(runs, task, setting), runsOf(runs, task, reference)];
  if (own.length === 0 || other.length === 0) return null;
  const unit = mean(other.map(dropOf));
  const gains = own.map((run) => dropOf(run) / unit);
  return { mean: mean(gains), range: [Math.min(...gains), Math.max(...gains)], numSeeds: gains.length };
}

/** `0.98`, or with several seeds `0.98 (0.97–0.99)`. */
function gainText(gain: Gain | null): string {
  if (gain === null) return "";
  const range = gain.range.map((value) => value.toFixed(3)).join("–");
  return gain.numSeeds === 1 ? gain.mean.toFixed(3) : `${gain.mean.toFixed(3)} (${range})`;
}

/** What the paper says of two methods. */
interface Claim {
  readonly text: string;
  readonly own: string;
  readonly against: string;
  /** Least gain as a share of the other's. */
  readonly share: number;
}
const CLAIMS: readonly Claim[] = [
  { text: "SARA ≥ LoRA at equal numbers", own: SARA_EQUAL, against: REFERENCE, share: EQUAL },
  { text: "Mo-SARA (defaults) near LoRA r=8, q,v", own: DEFAULTS, against: REFERENCE, share: NEAR },
  { text: "Mo-SARA (defaults) near LoRA r=8, all linear", own: DEFAULTS, against: LORA_EVERYWHERE, share: NEAR },
];

function claimRows(runs: readonly RealResult[]): readonly (readonly string[])[] {
  return CLAIMS.flatMap(({ text, own, against, share }) =>
    TASKS.flatMap((task) => {
      const gain = gainOf(runs, task, own, against);
      const [[mine], [other]] = [runsOf(runs, task, own), runsOf(runs, task, against)];
      if (gain === null || !mine || !other) return [];
      const numbers = `${mine.numParams.toLocaleString("en")} : ${other.numParams.toLocaleString("en")}`;
      return [[text, task, gainText(gain), numbers, gain.mean >= share ? "holds" : `does not hold (${share})`]];
    }),
  );
}

function runTable(runs: readonly RealResult[]): string {
  const rows = REAL_SETTINGS.flatMap(({ name }) =>
    TASKS.flatMap((task) => runsOf(runs, task, name).map((run) => [name, task, ...runCells(run)])),
  );
  return table(
    ["method", "group", "seed", "held-out loss", "first step", "peak after it", "metrics", "seconds", ""],
    rows,
  );
}

function runCells(run: RealResult): readonly string[] {
  const { seed, baseLoss, loss, firstLoss, peakLoss, scores, seconds } = run;
  const losses = [`${baseLoss.toFixed(3)} → ${loss.toFixed(3)}`, firstLoss.toFixed(2), peakLoss.toFixed(2)];
  const seen = scores.map((score) => `${score.set} ${rangeText(score)}`).join(", ");
  return [String(seed), ...losses, seen, seconds.toFixed(0), hasCollapsed(run) ? "collapsed" : ""];
}

/** `61.2 (55.0–66.1, 30)`: the value, its interval, and the number of questions. */
function rangeText(score: SetScore): string {
  const [low, high] = score.interval.map((bound) => scoreText(score, bound));
  return `${scoreText(score, score.value)} (${low}–${high}, ${score.count})`;
}

/** Settings with the groups on which they have no run. */
function missingRuns(runs: readonly RealResult[]): readonly string[] {
  return REAL_SETTINGS.flatMap(({ name }) => {
    const missing = TASKS.filter((task) => runsOf(runs, task, name).length === 0);
    return missing.length === 0 ? [] : [`${name}: ${missing.length === TASKS.length ? "all" : missing.join(", ")}`];
  });
}
