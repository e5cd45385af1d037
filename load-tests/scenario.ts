/** A scenario: a name, a sentence, and a function from options and bases to figures. */
import type { BenchOptions } from "./options.ts";
import type { Figure } from "./report/figures.ts";
import type { WorkFolder } from "./inputs/work-folder.ts";

export interface BenchContext {
  readonly options: BenchOptions;
  readonly folder: WorkFolder;
  /** Says what is under way. */
  readonly note: (text: string) => void;
}

export interface Scenario {
  readonly name: string;
  /** For `--help`. */
  readonly summary: string;
  /** Part of what `npm run bench` runs when nothing is named; all of those together have ten minutes. */
  readonly isStandard?: boolean;
  /** Can measure a server that is there already (`options.remote`). */
  readonly takesUrl?: boolean;
  readonly run: (context: BenchContext) => Promise<readonly Figure[]>;
}
