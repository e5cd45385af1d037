/** Compare-and-set on names: a change happens only if the name is as the caller expects. Pure. */
import { AppError } from "../errors.ts";

/** Expectations of a name before it changes. `ifMatch: "*"` requires the name to exist, with any content. */
export interface Precondition {
  readonly ifMatch?: string;
  readonly ifNoneMatch?: "*";
}

/**
 * @param what such as `Adapter "pirate"`
 * @param before the generation or tag that it has; undefined: it does not exist
 * @throws {AppError} precondition_failed, naming what was expected and what was found
 */
export function assertPrecondition(what: string, before: string | undefined, precondition: Precondition): void {
  const { ifMatch, ifNoneMatch } = precondition;
  const failed = (wanted: string): AppError => {
    const found = before === undefined ? "does not exist" : `is ${before}`;
    return new AppError(
      "precondition_failed",
      `${what} was expected ${wanted}. It ${found}. Read it again, and send the change with its current ETag.`,
    );
  };
  if (ifNoneMatch === "*" && before !== undefined) throw failed("not to exist");
  if (ifMatch === "*" ? before === undefined : ifMatch !== undefined && before !== ifMatch)
    throw failed(ifMatch === "*" ? "to exist" : `to be ${ifMatch}`);
}
