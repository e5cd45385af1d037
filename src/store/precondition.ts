/** Compare-and-set on names: a change happens only if the name is as the caller expects. Pure. */
import { AppError } from "../errors.ts";
import type { AdapterRecord } from "./adapter-record.ts";

/** Expectations of a name before it changes. `ifMatch: "*"` requires the name to exist, with any content. */
export interface Precondition {
  readonly ifMatch?: string;
  readonly ifNoneMatch?: "*";
}

/** @throws {AppError} precondition_failed, naming what was expected and what was found */
export function assertPrecondition(name: string, before: AdapterRecord | undefined, precondition: Precondition): void {
  const { ifMatch, ifNoneMatch } = precondition;
  const failed = (wanted: string): AppError => {
    const found = before ? `it is ${before.generation}` : "it does not exist";
    return new AppError("precondition_failed", `Adapter "${name}" was expected ${wanted}; ${found}. Read it again.`);
  };
  if (ifNoneMatch === "*" && before) throw failed("not to exist");
  if (ifMatch === "*" ? !before : ifMatch !== undefined && before?.generation !== ifMatch)
    throw failed(ifMatch === "*" ? "to exist" : `to be ${ifMatch}`);
}
