/** The error of a refused grammar, with the reason and the place. */
import { AppError } from "../errors.ts";

/** Limits on a grammar's text, which are checked before it is compiled. */
export const MAX_GRAMMAR_CHARS = 65_536;
/** Deepest nesting that is accepted. */
export const MAX_DEPTH = 200;

/** @param where the place of the fault, such as `at #/properties/size` @throws {AppError} invalid_request */
export function refuseGrammar(what: string): never {
  throw new AppError("invalid_request", what);
}
