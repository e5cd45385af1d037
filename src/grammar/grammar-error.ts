/** Why a grammar is refused, and where the fault stands. */
import { AppError } from "../errors.ts";

/** Limits on what is read: a grammar is bounded before it is compiled. */
export const MAX_GRAMMAR_CHARS = 65_536;
/** Deepest nesting of what is read. */
export const MAX_DEPTH = 200;

/** @param where the place of the fault, such as `at #/properties/size` @throws {AppError} invalid_request */
export function refuseGrammar(what: string): never {
  throw new AppError("invalid_request", what);
}
