/** Small sums: bare ones, and word problems in one step or two, with the result alone or with the steps shown. */
import { type Draw, isHeldOut } from "./draw.ts";
import type { Exchange } from "./example.ts";
import { GOODS, name } from "./words.ts";

/** A step of a calculation; what is before it is the step before, or the start. */
interface Step {
  readonly sign: "+" | "-";
  readonly by: number;
}

/** Who has how many of what, and what happens then. */
export interface Problem {
  readonly who: string;
  readonly goods: string;
  readonly start: number;
  readonly steps: readonly Step[];
}

const LARGEST = 50;

/** A step from `value` that stays between 1 and 50; pairs of numbers are split like names. */
function step(draw: Draw, value: number): Step {
  for (;;) {
    const sign = draw.pick(["+", "-"] as const);
    const by = draw.int(1, 20);
    const result = sign === "+" ? value + by : value - by;
    const isOurs = isHeldOut(`${value} ${sign} ${by}`) === (draw.split === "held-out");
    if (isOurs && result >= 1 && result <= LARGEST) return { sign, by };
  }
}

export function problem(draw: Draw, numSteps: number): Problem {
  const start = draw.int(2, 30);
  const steps: Step[] = [];
  let value = start;
  for (let i = 0; i < numSteps; i++) {
    const next = step(draw, value);
    steps.push(next);
    value = apply(value, next);
  }
  return { who: name(draw), goods: draw.pick(GOODS), start, steps };
}

const apply = (value: number, { sign, by }: Step): number => (sign === "+" ? value + by : value - by);

/** What is left at the end. */
export function resultOf({ start, steps }: Problem): number {
  return steps.reduce(apply, start);
}

/** The calculation, step by step: "12 + 5 = 17. 17 - 3 = 14." */
export function stepsOf({ start, steps }: Problem): string {
  let value = start;
  return steps
    .map((one) => {
      const before = value;
      value = apply(value, one);
      return `${before} ${one.sign} ${one.by} = ${value}.`;
    })
    .join(" ");
}

const PLUS = ["buys", "finds", "gets", "wins"];
const MINUS = ["loses", "sells", "gives away", "eats up"];

/** The problem in words. */
export function problemText(draw: Draw, { who, goods, start, steps }: Problem): string {
  const events = steps.map(({ sign, by }, i) => {
    const verb = draw.pick(sign === "+" ? PLUS : MINUS);
    const more = sign === "+" ? " more" : "";
    return i === 0 ? `${who} ${verb} ${by}${more}.` : `Then ${who} ${verb} ${by}${more}.`;
  });
  const asks = draw.pick([`How many ${goods} does ${who} have now?`, `How many ${goods} are there now?`]);
  return `${who} has ${start} ${goods}. ${events.join(" ")} ${asks}`;
}

const LABELS = ["Question", "Answer"] as const;
const WITH_STEPS = ["Show the steps.", "Calculate step by step.", "Show how you calculate."];

/** One step without words around it. */
function bare(draw: Draw): Exchange {
  const made = problem(draw, 1);
  const asked = `${made.start} ${made.steps[0]?.sign} ${made.steps[0]?.by}`;
  const request = draw.pick([`What is ${asked}?`, `${asked} = ?`, `Calculate ${asked}.`]);
  return { instruction: null, request, answer: stepsOf(made), labels: LABELS };
}

/** Eight bare sums, one after the other. */
export function sums(draw: Draw): Exchange[] {
  return Array.from({ length: 8 }, () => bare(draw));
}

export function sumExchange(draw: Draw): Exchange {
  const form = draw.weighted([
    [3, "bare"],
    [3, "steps"],
    [2, "result"],
  ] as const);
  if (form === "bare") return bare(draw);
  const made = problem(draw, draw.int(1, 2));
  const request = problemText(draw, made);
  const result = `${made.who} has ${resultOf(made)} ${made.goods}.`;
  return form === "steps"
    ? { instruction: draw.pick(WITH_STEPS), request, answer: `${stepsOf(made)} ${result}`, labels: LABELS }
    : { instruction: null, request, answer: result, labels: LABELS };
}
