/** The definition of a flag: a placeholder, a line of help, and the schema that checks its text. */
import type { z } from "zod";

/** One flag. Without a `value` it is a switch. */
export interface Flag<T> {
  /** Placeholder in the help, e.g. `<dir>`; absent for a switch. */
  readonly value?: string;
  readonly help: string;
  /** The default in words, where it is not a literal. */
  readonly defaultText?: string;
  readonly isRepeatable?: boolean;
  /** Whether a wrong value must not be printed. */
  readonly isSecret?: boolean;
  /** Whether the value is a file with the values of other flags. */
  readonly namesSettings?: boolean;
  /** Converts the given text (undefined: not given) to the value. */
  readonly schema: z.ZodType<T>;
}

export type Flags = Readonly<Record<string, Flag<unknown>>>;
export type ValuesOf<F extends Flags> = { readonly [K in keyof F]: F[K] extends Flag<infer T> ? T : never };
