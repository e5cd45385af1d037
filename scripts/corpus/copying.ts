/**
 * Copying from the context: repeating, looking up and filling in names, numbers and codes that stand nowhere else. A
 * small model does not learn it by the way, so it has a share of its own, and held-out lines measure it.
 */
import type { Draw } from "./draw.ts";
import { about, type Exchange } from "./example.ts";
import { code, name, names, number, thing } from "./words.ts";

const LABELS = ["Task", "Result"] as const;

const VALUES: readonly ((draw: Draw) => string)[] = [name, (draw) => number(draw, 2, 7), code, thing];

const value = (draw: Draw): string => draw.pick(VALUES)(draw);

function repeat(draw: Draw): Exchange {
  const make = draw.chance(0.5) ? value : draw.pick(VALUES);
  const items = Array.from({ length: draw.int(1, 8) }, () => make(draw));
  const text = items.join(draw.pick([" ", ", ", " and "]));
  return {
    instruction: null,
    request: draw.pick([`Repeat: ${text}`, `Say this again: ${text}`, `Copy: ${text}`]),
    answer: text,
    labels: LABELS,
  };
}

interface Table {
  readonly text: string;
  /** Keys and their values; no key twice. */
  readonly rows: readonly (readonly [string, string])[];
}

function table(draw: Draw): Table {
  const make = draw.pick(VALUES);
  const rows = names(draw, draw.int(2, 7)).map((key) => [key, make(draw)] as const);
  const separator = draw.pick([": ", " has ", " = "]);
  return { rows, text: rows.map((row) => row.join(separator)).join(draw.pick(["\n", ", ", ". "])) };
}

/** @returns a question about a row of the table, and its answer */
function question(draw: Draw, [key, found]: readonly [string, string]): readonly [string, string] {
  return draw.chance(0.2)
    ? [draw.pick([`Who has ${found}?`, `Which name goes with ${found}?`]), key]
    : [draw.pick([`What does ${key} have?`, `Look up ${key}.`, `What goes with ${key}?`]), found];
}

function lookUp(draw: Draw): Exchange {
  const { rows, text } = table(draw);
  const [asked, answer] = question(draw, draw.pick(rows));
  return { instruction: null, request: `${text}\n${asked}`, answer, labels: LABELS };
}

/** Every row of a table is asked for, one after the other. */
export function lookUps(draw: Draw): Exchange[] {
  const { rows, text } = table(draw);
  const exchanges = draw.some(rows, rows.length).map((row) => {
    const [request, answer] = question(draw, row);
    return { instruction: null, request, answer, labels: LABELS };
  });
  return about(text, exchanges);
}

const FORMS: readonly ((who: string, first: string, second: string) => string)[] = [
  (who, first, second) => `Dear ${who}, your ${first} is ready. Bring ${second} with you.`,
  (who, first, second) => `${who} asked for ${first} and got ${second}.`,
  (who, first, second) => `Send ${first} to ${who} before ${second} comes.`,
  (who, first, second) => `For ${who}: ${first}, ${second}.`,
];

function fillIn(draw: Draw): Exchange {
  const form = draw.pick(FORMS);
  const [who, first, second] = [name(draw), value(draw), value(draw)];
  const given = draw.some([`A is ${who}`, `B is ${first}`, `C is ${second}`], 3).join(", ");
  return {
    instruction: null,
    request: `Fill in: ${form("A", "B", "C")} ${given}.`,
    answer: form(who, first, second),
    labels: LABELS,
  };
}

function nth(draw: Draw): Exchange {
  const make = draw.pick(VALUES);
  const items = Array.from({ length: draw.int(3, 6) }, () => make(draw));
  const isFirst = draw.chance(0.5);
  return {
    instruction: null,
    request: `${items.join(", ")}. ${isFirst ? "Which is the first?" : "Which is the last?"}`,
    answer: (isFirst ? items[0] : items.at(-1)) ?? "",
    labels: LABELS,
  };
}

export function copyingExchange(draw: Draw): Exchange {
  const make = draw.weighted([
    [4, repeat],
    [4, lookUp],
    [3, fillIn],
    [1, nth],
  ]);
  return make(draw);
}
