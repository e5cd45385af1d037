/** Checks values with a JSON schema (draft 2020-12). Loads its library when the first schema is compiled. */
import { createRequire } from "node:module";
import type * as Ajv from "ajv/dist/2020.js";
import { AppError } from "../errors.ts";

/**
 * @param path of the grader, for messages @throws {AppError} invalid_request: the schema is not valid, or has unknown
 * keywords
 */
export function compileSchema(schema: boolean | Readonly<Record<string, unknown>>, path: string) {
  // A server reads graders too, and the library takes a tenth of a second to load.
  const { Ajv2020 } = createRequire(import.meta.url)("ajv/dist/2020.js") as typeof Ajv;
  try {
    const validate = new Ajv2020({ strict: true, logger: false }).compile(schema);
    return (value: unknown): boolean => validate(value) as boolean; // not $async
  } catch (cause) {
    throw new AppError("invalid_request", `"${path}.schema" is not a valid JSON schema: ${(cause as Error).message}.`, {
      param: path,
      cause,
    });
  }
}
