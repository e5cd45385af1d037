/** The flags of `npm run fuzz`. */
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";

export const HELP = `Usage: npm run fuzz -- [flags]

  --runs <n>       Inputs of all parsers together, those of earlier runs in --state included (default: 100000).
  --seed <n>       Of the inputs (default: 1).
  --target <name>  A parser of fuzz/targets.ts. Repeat the flag for several (default: all).
  --state <dir>    How far a run has come. A run that was stopped continues there.
  --corpus <dir>   Where the inputs of faults are written (default: test/fuzz/corpus).
`;

export interface FuzzOptions {
  readonly runs: number;
  readonly seed: number;
  readonly target: readonly string[] | undefined;
  readonly state: string;
  readonly corpus: string;
}

/** @returns null: the help is wanted @throws {TypeError} for an unknown flag, or a number that is none */
export function fuzzOptions(args: readonly string[]): FuzzOptions | null {
  const { values } = parseArgs({
    args: [...args],
    options: {
      help: { type: "boolean", default: false },
      runs: { type: "string", default: "100000" },
      seed: { type: "string", default: "1" },
      target: { type: "string", multiple: true },
      state: { type: "string", default: join(tmpdir(), "mosara-fuzz") },
      corpus: { type: "string", default: join("test", "fuzz", "corpus") },
    },
  });
  if (values.help) return null;
  const { target, state, corpus } = values;
  return { runs: wholeNumber("runs", values.runs), seed: wholeNumber("seed", values.seed), target, state, corpus };
}

function wholeNumber(flag: string, text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new TypeError(`--${flag} must be a whole number, not ${JSON.stringify(text)}`);
}
