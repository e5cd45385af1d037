/** The result of `mosara data check` as text for users. */
import type { LeakCheck, Repetition, SetCheck } from "../../train/check/check-data.ts";
import type { MeasuredCost } from "../../train/check/measured-cost.ts";
import type { RenderedExample } from "../../train/check/rendered-example.ts";
import type { OverlongPolicy } from "../../train/data/fit-length.ts";

/** The output of `--json`. */
export interface DataReport {
  readonly file: string;
  readonly maxLength: number;
  readonly overlong: OverlongPolicy;
  /** A sentence for each, which names file, line and reason. */
  readonly badLines: readonly string[];
  readonly training: SetCheck;
  readonly evaluation: SetCheck | null;
  readonly leaks: LeakCheck | null;
  readonly rendered: readonly RenderedExample[];
  /** null: not measured. */
  readonly cost: MeasuredCost | null;
}

/** Bad lines that are listed. */
const LISTED = 10;
/** Characters of a piece of an example that are shown at its start and at its end. */
const SHOWN = 200;
/** Marks around the text that is learnt. */
const [OPEN, CLOSE] = ["⟦", "⟧"];

const count = (value: number): string => value.toLocaleString("en-US");

export function reportText(report: DataReport): string {
  const { training, evaluation, leaks, badLines, rendered, cost } = report;
  const unlisted = badLines.length - LISTED;
  const lines = [
    ...setLines(report.file, training, report),
    ...(evaluation ? ["", ...setLines("held-out examples", evaluation, report)] : []),
    ...(leaks ? leakLines(leaks) : []),
    ...(badLines.length > 0 ? ["", `${badLines.length} bad lines, which end a training before its first step`] : []),
    ...badLines.slice(0, LISTED).map((line) => `  ${line}`),
    ...(unlisted > 0 ? [`  … and ${unlisted} more`] : []),
    "",
    `As the model sees them; ${OPEN}this${CLOSE} is learnt:`,
    ...rendered.flatMap(renderedLines),
    ...(cost ? ["", ...costLines(cost)] : []),
  ];
  return `${lines.join("\n")}\n`;
}

function setLines(name: string, set: SetCheck, { maxLength, overlong }: DataReport): readonly string[] {
  const { least, median, percentile95, most } = set.lengths;
  const fate = overlong === "skip" ? "left out" : "cut";
  return [
    `${name}: ${count(set.sequences)} sequences, ${count(set.tokens)} tokens, ${count(set.predictedTokens)} of them learnt`,
    `  lengths in tokens: ${least} to ${most}, half have at most ${median}, 95 % at most ${percentile95}`,
    `  longer than --max-length ${maxLength}: ${count(set.overlong)} (${fate}), with ${count(set.lostTokens)} learnt tokens lost`,
    ...lineFor(set.cutBeforeAnswer, "are cut before their first learnt token and left out"),
    ...lineFor(set.unlearnt, "have nothing to learn and are left out"),
    `  repeated: ${count(set.repeated)}${namesOf(set.repetitions)}`,
  ];
}

function lineFor(value: number, what: string): readonly string[] {
  return value === 0 ? [] : [`  ${count(value)} ${what}`];
}

function leakLines({ leaked, leaks, samePrompt }: LeakCheck): readonly string[] {
  return [
    `  also in the training data: ${count(leaked)}${namesOf(leaks)}`,
    `  with a prompt of the training data and another answer: ${count(samePrompt)}`,
  ];
}

function namesOf(repetitions: readonly Repetition[]): string {
  const names = repetitions.map(({ line, of }) => `line ${line} = line ${of.line}`);
  return names.length === 0 ? "" : ` (${names.join(", ")})`;
}

function renderedLines({ file, line, role, segments }: RenderedExample): readonly string[] {
  const text = segments.map((one) => (one.isLearnt ? `${OPEN}${shortened(one.text)}${CLOSE}` : shortened(one.text)));
  return [`--- ${file}, line ${line}${role === null ? "" : `, ${role}`}`, text.join("")];
}

function shortened(text: string): string {
  const left = text.length - 2 * SHOWN;
  return left <= 20 ? text : `${text.slice(0, SHOWN)} … ${left} characters … ${text.slice(-SHOWN)}`;
}

function costLines({ steps, secondsPerStep, evaluations, secondsPerEvaluation, seconds }: MeasuredCost): string[] {
  const evaluating =
    evaluations === 0 ? "" : `, ${evaluations} evaluations of ${secondsPerEvaluation.toPrecision(2)} s`;
  return [
    `Training takes about ${durationText(seconds)} on this machine as it is now:`,
    `  ${count(steps)} steps of ${secondsPerStep.toPrecision(2)} s${evaluating}`,
  ];
}

function durationText(seconds: number): string {
  return seconds < 60 ? `${Math.ceil(seconds)} s` : `${(seconds / 60).toFixed(1)} minutes`;
}
