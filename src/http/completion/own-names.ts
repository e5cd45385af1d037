/**
 * A body of another API is translated to a chat request. If an error names a field of the chat request, this gives it
 * the name of that body's field.
 */
import { AppError } from "../../errors.ts";

/** Chat's names of fields, and the body's own. Longer names come before their beginnings. */
export type OwnNames = readonly (readonly [chat: string, own: string])[];

/** The error with the body's own names in its message and `param`. */
export function withOwnNames(error: unknown, names: OwnNames): unknown {
  if (!(error instanceof AppError)) return error;
  const { param, ...details } = error.details;
  const hit = names.find(([chat]) => param === chat || param?.startsWith(`${chat}.`) === true);
  if (!hit || param === undefined) return error;
  const [chat, own] = hit;
  return new AppError(error.code, error.message.replaceAll(`"${chat}`, `"${own}`), {
    ...details,
    param: own + param.slice(chat.length),
    cause: error,
  });
}
